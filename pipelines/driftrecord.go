package pipelines

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// DriftScope names whom a drift looks at.
type DriftScope string

// The scopes of a drift.
const (
	DriftFull  DriftScope = "full"  // everybody in base, and the structure
	DriftSince DriftScope = "since" // whom the target's events name since a cursor
	DriftKeys  DriftScope = "keys"  // chosen users
)

// driftRecord is what a drift was started with: runs/<id>/drift.json. It is a
// run of its own kind: it writes nothing to the target, so that the commands
// that go on with runs do not see it.
type driftRecord struct {
	Version   int              `json:"version"`
	ID        string           `json:"id"`
	Created   time.Time        `json:"created"`
	Migration string           `json:"migration"`
	Target    string           `json:"target"`
	Namespace string           `json:"namespace"`
	Base      snapshots.Digest `json:"base"`
	Scope     DriftScope       `json:"scope"`
	// PartUsers is about how many users one part looks at.
	PartUsers int64 `json:"part_users"`
	// Cursor is where events are read from, and SinceRun the drift that left it
	// at SinceTime.
	Cursor    string    `json:"cursor,omitempty"`
	SinceRun  string    `json:"since_run,omitempty"`
	SinceTime time.Time `json:"since_time,omitzero"`
	// Keys is the file with the ids of the chosen users.
	Keys string `json:"keys,omitempty"`
	Tool string `json:"tool"`
}

const driftFile = "drift.json"

func (r *Runner) writeDriftRecord(ctx context.Context, rec driftRecord) error {
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	return r.Store.PutFile(ctx, runKey(rec.ID, driftFile), data)
}

// driftRecords are the drifts of this target, oldest first.
func (r *Runner) driftRecords(ctx context.Context) ([]driftRecord, error) {
	st, err := r.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	var out []driftRecord
	for key, err := range r.Store.Files(ctx, "runs/") {
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(key, "/"+driftFile) {
			continue
		}
		data, err := r.Store.ReadFile(ctx, key)
		if err != nil {
			return nil, err
		}
		var rec driftRecord
		if err := json.Unmarshal(data, &rec); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w", key, err)
		}
		if st.DroppedRuns[rec.ID].N == 0 && rec.Target == r.TargetName && rec.Namespace == r.Namespace && rec.Migration == r.Name {
			out = append(out, rec)
		}
	}
	slices.SortFunc(out, func(a, b driftRecord) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// ErrNoDrift means that no drift is there that could be gone on with, or from.
var ErrNoDrift = errors.New("no such drift")

// findDrift returns a drift by its id or a unique prefix of it.
func findDrift(all []driftRecord, id string) (driftRecord, error) {
	ids := make([]string, len(all))
	for i := range all {
		ids[i] = all[i].ID
	}
	if len(ids) == 0 {
		return driftRecord{}, noDrift("`parallelrun drift` starts one", "%w: this store has no drift of the target yet", ErrNoDrift)
	}
	full, err := resolveRunID(ids, id)
	if err != nil {
		return driftRecord{}, noDrift("name a drift: the newest is "+ids[len(ids)-1], "%w: %q", ErrNoDrift, id)
	}
	return all[slices.Index(ids, full)], nil
}

func noDrift(next, format string, args ...any) error {
	return &ui.Failure{Code: ui.Refused, Err: fmt.Errorf(format, args...), Next: next}
}

// stoppedDrift finds the drift to go on with: the one named, or the latest that
// stopped.
func (r *Runner) stoppedDrift(ctx context.Context, id string) (driftRecord, error) {
	all, err := r.driftRecords(ctx)
	if err != nil {
		return driftRecord{}, err
	}
	if id != "" {
		return findDrift(all, id)
	}
	for _, rec := range slices.Backward(all) {
		// One that was refused before it knew whom to look at has nothing to go on from.
		begun, err := r.engine(rec.ID).Done(ctx, stepSelect, nil)
		if err != nil {
			return driftRecord{}, err
		}
		done, err := r.engine(rec.ID).Done(ctx, stepDone, nil)
		if err != nil {
			return driftRecord{}, err
		}
		if begun && !done {
			return rec, nil
		}
	}
	return driftRecord{}, noDrift("`parallelrun drift` starts a new one", "%w: none of target %s stopped on its way", ErrNoDrift, r.TargetName)
}

// lastCursor is a drift's word for the newest one that left a cursor.
const lastCursor = "last"

// cursorOf finds the cursor that a finished drift left: of the newest that did,
// or of the one named.
func (r *Runner) cursorOf(ctx context.Context, since string) (driftRecord, string, error) {
	all, err := r.driftRecords(ctx)
	if err != nil {
		return driftRecord{}, "", err
	}
	if since != lastCursor {
		rec, err := findDrift(all, since)
		if err != nil {
			return rec, "", err
		}
		all = []driftRecord{rec}
	}
	for _, rec := range slices.Backward(all) {
		cursor, err := r.leftCursor(ctx, rec)
		if cursor != "" || err != nil {
			return rec, cursor, err
		}
	}
	return driftRecord{}, "", noDrift("switch on the realm's admin and user events, then `parallelrun drift --full` leaves a cursor",
		"%w: %s", ErrNoDrift, map[bool]string{true: "none of target " + r.TargetName + " left a cursor", false: "drift " + since + " left no cursor"}[since == lastCursor])
}

// leftCursor is the cursor of a drift that is done; one of chosen users leaves
// none, since what happened to the others stays unseen.
func (r *Runner) leftCursor(ctx context.Context, rec driftRecord) (string, error) {
	e := r.engine(rec.ID)
	done, err := e.Done(ctx, stepDone, nil)
	if !done || err != nil {
		return "", err
	}
	var s driftSelection
	_, err = e.Done(ctx, stepSelect, &s)
	return s.Cursor, err
}

// putIDs keeps a list of row ids as a file of a run, under a name that follows
// from its content.
func (r *Runner) putIDs(ctx context.Context, run string, ids []schemas.RowID) (string, error) {
	var b bytes.Buffer
	for _, id := range ids {
		b.WriteString(id.String() + "\n")
	}
	sum := sha256.Sum256(b.Bytes())
	name := "users-" + hex.EncodeToString(sum[:8]) + ".txt"
	return name, r.Store.PutFile(ctx, runKey(run, "drift", name), b.Bytes())
}

func (r *Runner) readIDs(ctx context.Context, run, name string) ([]schemas.RowID, error) {
	data, err := r.Store.ReadFile(ctx, runKey(run, "drift", name))
	if err != nil {
		return nil, err
	}
	ids := make([]schemas.RowID, 0, len(data)/33)
	for line := range bytes.Lines(data) {
		id, err := schemas.ParseRowID(string(bytes.TrimSpace(line)))
		if err != nil {
			return nil, fmt.Errorf("run %s: %s is damaged: %w", run, name, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
