package snapshots

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// DropAction forgets snapshots, and runs whose files are not wanted any more.
// What only they needed becomes garbage; a snapshot that is committed again is
// known again.
type DropAction struct {
	Snapshots []Digest `json:"snapshots,omitempty"`
	Runs      []string `json:"runs,omitempty"`
	// By is who dropped: DroppedByRetention, or user@host.
	By string `json:"by"`
}

// DroppedByRetention is By of what the configured policy dropped.
const DroppedByRetention = "retention"

const kindDrop = "drop"

func (DropAction) kind() string { return kindDrop }
func (DropAction) version() int { return 1 }

// DropInfo is what the log says of a snapshot or run that was dropped.
type DropInfo struct {
	By     string
	Reason string
	N      uint64 // log entry
	Time   time.Time
	// Was is the snapshot's last commit, zero for a run.
	Was SnapshotInfo
}

// String says when and by whom.
func (i DropInfo) String() string {
	return fmt.Sprintf("it was dropped by %s on %s (log entry %d: %s)", i.By, i.Time.UTC().Format(time.RFC3339), i.N, i.Reason)
}

// NeededError: the snapshot can't be dropped, for something needs it. Take that
// away first, or keep the snapshot.
type NeededError struct {
	Digest Digest
	By     string // "ref x", "checkpoint y (base)"
}

func (e *NeededError) Error() string {
	return fmt.Sprintf("snapshot %s is kept: %s needs it (%s)", e.Digest.Short(), e.By, e.Hint())
}

// Hint says what to do.
func (*NeededError) Hint() string {
	return "take the name or checkpoint away first, if it is not wanted any more"
}

func (a DropAction) check(st *State) error {
	if len(a.Snapshots)+len(a.Runs) == 0 || a.By == "" {
		return errors.New("drop action without snapshots and runs, or without who drops")
	}
	needed := st.Needed()
	for _, d := range a.Snapshots {
		if _, ok := st.Snapshots[d]; !ok {
			return st.unknown(d.String())
		}
		if by := needed[d]; len(by) > 0 {
			return &NeededError{Digest: d, By: by[0]}
		}
	}
	for _, run := range a.Runs {
		if by := st.needsRun(run); by != "" {
			return fmt.Errorf("run %s is kept: %s needs it", run, by)
		}
	}
	return nil
}

// Needed says what in the log holds snapshots: refs and checkpoints, in order.
func (st *State) Needed() map[Digest][]string {
	out := map[Digest][]string{}
	for name, ref := range sorted(st.Refs) {
		out[ref.Digest] = append(out[ref.Digest], "ref "+name)
	}
	for _, c := range st.CheckpointsByTime() {
		for _, role := range c.Pinned() {
			out[c.Pin(role)] = append(out[c.Pin(role)], fmt.Sprintf("checkpoint %s (%s)", c.Name, role))
		}
	}
	return out
}

// needsRun is what in the log needs a run's files, empty for nothing.
func (st *State) needsRun(run string) string {
	for target, l := range sorted(st.Leases) {
		if !l.Released && l.Holder.Run == run {
			return "its lease of target " + target
		}
	}
	for _, c := range st.CheckpointsByTime() {
		if c.Run == run {
			return "checkpoint " + c.Name
		}
	}
	return ""
}

func (a DropAction) apply(st *State, e *Entry) {
	info := DropInfo{By: a.By, Reason: e.Reason, N: e.N, Time: e.Time}
	for _, d := range a.Snapshots {
		info.Was = st.Snapshots[d]
		st.Dropped[d] = info
		st.former(info.Was.Manifest, d, "dropped", e)
		delete(st.Snapshots, d)
	}
	info.Was = SnapshotInfo{}
	for _, run := range a.Runs {
		st.DroppedRuns[run] = info
	}
	if len(a.Snapshots) == 0 {
		return
	}
	history := make([]SnapshotInfo, 0, len(st.History))
	for _, i := range st.History {
		if _, ok := st.Snapshots[i.Digest]; ok {
			history = append(history, i)
		}
	}
	st.History = history
}

// Former is what a manifest was that holds no snapshot any more.
type Former struct {
	Snapshot Digest
	Why      string // "dropped", "rewritten" (compacted, or sealed anew), "committed anew"
	N        uint64 // log entry
	Time     time.Time
}

func (st *State) former(manifest, snapshot Digest, why string, e *Entry) {
	if !manifest.IsZero() {
		st.Former[manifest] = Former{Snapshot: snapshot, Why: why, N: e.N, Time: e.Time}
	}
}

// sorted walks a map by its keys.
func sorted[V any](m map[string]V) func(yield func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
