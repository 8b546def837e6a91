package pipelines

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
)

// Record is what a run was started with: runs/<id>/run.json. It never changes;
// what became of the run is in its journal.
type Record struct {
	Version   int       `json:"version"`
	ID        string    `json:"id"`
	Created   time.Time `json:"created"`
	Migration string    `json:"migration"`
	Source    string    `json:"source"`
	Target    string    `json:"target"`
	Namespace string    `json:"namespace"`
	// Apply: the run may write to the target. A plan made without it can be
	// loaded later by `load --apply`.
	Apply bool `json:"apply"`
	// Allow names the widenings that the operator asked for.
	Allow []string `json:"allow,omitempty"`
	// Widen names further access that the run may give.
	Widen *Widen `json:"widen,omitempty"`
	Tool  string `json:"tool"`
	// Waves, Sweep and Moved say whom the run reaches; none of them: everyone.
	Waves []string `json:"waves,omitempty"`
	Sweep bool     `json:"sweep,omitempty"`
	Moved bool     `json:"moved,omitempty"`
	// Restore is set for a run that goes back to a checkpoint.
	Restore *Restored `json:"restore,omitempty"`
	// Inputs lists the files the run was started with (configuration, mapping,
	// templates), kept as bytes under runs/<id>/inputs/.
	Inputs []string `json:"inputs"`
}

// NewRunID makes an id that sorts by time and is unique among operators.
func NewRunID(now time.Time) string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	at := strings.Replace(now.UTC().Format("20060102T150405.000"), ".", "-", 1)
	return at + "-" + hex.EncodeToString(b[:])
}

// Input is one file that a run was started with.
type Input struct {
	Name string
	Data []byte
}

// inputOf reads the file that a run keeps in a folder of its inputs, and parses
// it; nothing where it was started without one.
func inputOf[T any](ctx context.Context, f Files, rec Record, folder string, parse func(file string, data []byte) (T, error)) (out T, err error) {
	i := slices.IndexFunc(rec.Inputs, func(name string) bool { return strings.HasPrefix(name, folder) })
	if i < 0 {
		return out, nil
	}
	data, err := f.ReadFile(ctx, runKey(rec.ID, "inputs", rec.Inputs[i]))
	if err == nil {
		out, err = parse(strings.TrimPrefix(rec.Inputs[i], folder), data)
	}
	if err != nil {
		return out, fmt.Errorf("%s as run %s had them: %w", strings.TrimSuffix(folder, "/"), rec.ID, err)
	}
	return out, nil
}

func runKey(id string, elem ...string) string {
	return path.Join(append([]string{"runs", id}, elem...)...)
}

func writeRecord(ctx context.Context, f Files, r Record, inputs []Input) error {
	for _, in := range inputs {
		if err := f.PutFile(ctx, runKey(r.ID, "inputs", in.Name), in.Data); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return f.PutFile(ctx, runKey(r.ID, "run.json"), data)
}

// ErrUnknownRun means that no run has the id; its text lists what there is.
var ErrUnknownRun = errors.New("unknown run")

// ReadRecord finds a run by its id or a unique prefix of it; "latest" is the
// newest.
func ReadRecord(ctx context.Context, s *snapshots.Store, id string) (Record, error) {
	var r Record
	ids, err := RunIDs(ctx, s)
	if err != nil {
		return r, err
	}
	full, err := resolveRunID(ids, id)
	if err != nil {
		if dropped := droppedRun(ctx, s, id); dropped != nil && errors.Is(err, ErrUnknownRun) {
			return r, dropped
		}
		return r, err
	}
	data, err := s.ReadFile(ctx, runKey(full, "run.json"))
	if err != nil {
		return r, fmt.Errorf("run %s: %w", full, err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("run %s: run.json is damaged: %w", full, err)
	}
	if r.Apply {
		return r, nil
	}
	_, err = s.ReadFile(ctx, runKey(full, applyFile))
	if r.Apply = err == nil; errors.Is(err, snapshots.ErrNotFound) {
		err = nil
	}
	return r, err
}

// applyFile marks a run that began as a plan and is being carried out, so that
// whoever resumes it, or lists it, knows.
const applyFile = "apply.json"

func markApplied(ctx context.Context, s *snapshots.Store, id string) error {
	return s.PutFile(ctx, runKey(id, applyFile), []byte("{}\n"))
}

func resolveRunID(ids []string, id string) (string, error) {
	if len(ids) == 0 {
		return "", fmt.Errorf("%w %q: this store has no runs yet (start one with `parallelrun run`)", ErrUnknownRun, id)
	}
	if id == "latest" {
		return ids[len(ids)-1], nil
	}
	var found []string
	for _, have := range ids {
		if strings.HasPrefix(have, id) {
			found = append(found, have)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("%w %q: the newest is %s (`parallelrun runs list` shows all)", ErrUnknownRun, id, ids[len(ids)-1])
	}
	return "", fmt.Errorf("%w %q: %d runs start so; give more of the id (%s, ...)", ErrUnknownRun, id, len(found), found[0])
}

// droppedRun is a *snapshots.DroppedRunError if an id, or a prefix of it, is that
// of a run that was dropped.
func droppedRun(ctx context.Context, s *snapshots.Store, id string) error {
	st, err := s.State(ctx)
	if err != nil {
		return err
	}
	for _, run := range slices.Sorted(maps.Keys(st.DroppedRuns)) {
		if strings.HasPrefix(run, id) && id != "" {
			return &snapshots.DroppedRunError{Run: run, Drop: st.DroppedRuns[run]}
		}
	}
	return nil
}

// RunIDs lists the runs of a store that were not dropped, oldest first.
func RunIDs(ctx context.Context, s *snapshots.Store) ([]string, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for key, err := range s.Files(ctx, "runs/") {
		if err != nil {
			return nil, err
		}
		if id, ok := strings.CutSuffix(strings.TrimPrefix(key, "runs/"), "/run.json"); ok && st.DroppedRuns[id].N == 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}
