package pipelines

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
)

// runState is what retention and gc need to know of a run or drift.
type runState struct {
	Record
	created time.Time
	drift   bool
	planned bool
	done    bool
	began   bool // to load
	// needs are snapshots that it was started with.
	needs []snapshots.Digest
}

// reached names whom a run loaded.
func (r *runState) reached() (names []string) {
	if !r.began {
		return nil
	}
	of := fmt.Sprintf("of migration %s to %s", r.Migration, r.Target)
	switch {
	case r.Sweep:
		return []string{"the sweep " + of}
	case len(r.Waves) == 0 && !r.Moved:
		return []string{"everybody " + of}
	case r.Moved:
		names = append(names, "all who moved "+of)
	}
	for _, wave := range r.Waves {
		names = append(names, "wave "+wave+" "+of)
	}
	return names
}

// open says whether a run may go on: it has not ended, no other has moved its
// target's base since it began, and if it has written nothing to the target, no
// later plan, or drift, is for the same users.
func (r *runState) open(st snapshots.State, all []runState) bool {
	if r.done {
		return false
	}
	for _, l := range st.Leases {
		if !l.Released && l.Holder.Run == r.ID {
			return true
		}
	}
	if !r.began && slices.ContainsFunc(all, r.replacedBy) {
		return false
	}
	for _, base := range slices.Backward(st.History) {
		if base.Dataset == "target/"+r.Target && base.Stage == StageBase {
			return base.Run == r.ID || !base.Time.After(r.created)
		}
	}
	return true
}

// replacedBy says whether another run came later and as far, for the same users.
func (r *runState) replacedBy(by runState) bool {
	return by.created.After(r.created) && (by.planned || by.done) && by.drift == r.drift && by.Migration == r.Migration && by.Target == r.Target &&
		by.Sweep == r.Sweep && by.Moved == r.Moved && slices.Equal(by.Waves, r.Waves) && (by.Restore == nil) == (r.Restore == nil)
}

// readRunStates reads all runs and drifts of the store that were not dropped,
// oldest first.
func readRunStates(ctx context.Context, s *snapshots.Store, st snapshots.State) (out []runState, err error) {
	byID := map[string]*runState{}
	for key, err := range s.Files(ctx, "runs/") {
		if err != nil {
			return nil, err
		}
		id, file, _ := strings.Cut(strings.TrimPrefix(key, "runs/"), "/")
		if _, dropped := st.DroppedRuns[id]; dropped {
			continue
		}
		r := byID[id]
		if r == nil {
			r = &runState{}
			byID[id] = r
		}
		if err := r.file(ctx, s, key, file); err != nil {
			return nil, err
		}
		r.ID = id
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		out = append(out, *byID[id])
	}
	return out, nil
}

func (r *runState) file(ctx context.Context, s *snapshots.Store, key, file string) error {
	read := func(into any) error {
		data, err := s.ReadFile(ctx, key)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(data, into); err != nil {
			return fmt.Errorf("%s is damaged: %w", key, err)
		}
		return nil
	}
	switch {
	case file == "run.json":
		if err := read(&r.Record); err != nil {
			return err
		}
		r.created = r.Created
		if r.Restore != nil && !r.Restore.Base.IsZero() {
			r.needs = append(r.needs, r.Restore.Base)
		}
	case file == driftFile:
		var rec driftRecord
		if err := read(&rec); err != nil {
			return err
		}
		r.drift = true
		r.Target, r.Migration, r.created = rec.Target, rec.Migration, rec.Created
		if !rec.Base.IsZero() {
			r.needs = append(r.needs, rec.Base)
		}
	case file == "journal/"+stepPlan+".json":
		r.planned = true
	case file == "journal/"+stepDone+".json":
		r.done = true
	case file == "journal/"+stepLoad+".json", strings.HasPrefix(file, "ranges/"):
		r.began = true
	}
	return nil
}

// DraftRoots finds the drafts that journals of runs know and the log does not,
// as those of runs that may go on: garbage collection keeps them. A journal's
// files never change, so each is read once.
func DraftRoots(s *snapshots.Store) snapshots.Roots {
	known := map[string][]snapshots.Digest{}
	return func(ctx context.Context, st snapshots.State) ([]snapshots.Root, error) {
		runs, err := readRunStates(ctx, s, st)
		if err != nil {
			return nil, err
		}
		var out []snapshots.Root
		for _, r := range runs {
			if !r.open(st, runs) {
				continue
			}
			for key, err := range s.Files(ctx, runKey(r.ID, "journal")+"/") {
				if err != nil {
					return nil, err
				}
				if _, ok := known[key]; !ok {
					if known[key], err = manifestsIn(ctx, s, key); err != nil {
						return nil, err
					}
				}
				for _, d := range known[key] {
					out = append(out, snapshots.Root{Manifest: d, Why: "journal of run " + r.ID + ", which may go on"})
				}
			}
		}
		return out, nil
	}
}

// manifestsIn are the manifests that a journaled result names.
func manifestsIn(ctx context.Context, s *snapshots.Store, key string) (out []snapshots.Digest, err error) {
	data, err := s.ReadFile(ctx, key)
	if err != nil {
		return nil, err
	}
	var entry journalEntry
	if err := json.Unmarshal(data, &entry); err != nil {
		return nil, fmt.Errorf("%s: journal entry is damaged: %w (run `parallelrun snapshots verify`)", key, err)
	}
	var result struct {
		Manifest snapshots.Digest `json:"manifest"`
	}
	// Results that are no objects, or hold another kind of manifest, name none.
	if json.Unmarshal(entry.Result, &result) == nil && !result.Manifest.IsZero() {
		out = append(out, result.Manifest)
	}
	return out, nil
}
