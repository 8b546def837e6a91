package snapshots

import (
	"maps"
	"slices"
	"time"
)

// State is the fold of the log up to entry N. Its maps are the caller's to
// read, not to change.
type State struct {
	N    uint64 // number of the last entry, zero for an empty log
	Head Digest // SHA-256 of the last entry's bytes, of format.json for none

	Snapshots  map[Digest]SnapshotInfo // latest commit of each
	History    []SnapshotInfo          // every commit of a snapshot, oldest first
	Refs       map[string]RefInfo
	Leases     map[string]LeaseInfo // by target, released ones too
	Namespaces map[string]string    // id namespace by source
	// Checkpoints by name, dropped ones not.
	Checkpoints map[string]CheckpointInfo
	// Waves are those that were ever declared complete.
	Waves map[WaveKey]WaveInfo

	// Dropped are the snapshots that were dropped and not committed again.
	Dropped map[Digest]DropInfo
	// DroppedRuns are the runs whose files are not wanted any more.
	DroppedRuns map[string]DropInfo
	// Former are manifests that held a snapshot once, by their SHA-256.
	Former map[Digest]Former
	// Ended are the key epochs that nothing may be sealed in any more.
	Ended map[uint32]EndedEpoch
	// marks say which names were given up.
	marks marks

	// Unknown lists what a newer program wrote, for people. If there is any,
	// the store is never written.
	Unknown []string
}

// SnapshotInfo is what the log says of a snapshot.
type SnapshotInfo struct {
	SnapshotAction
	Run  string
	N    uint64 // log entry
	Time time.Time
}

// RefInfo is what a name stands for.
type RefInfo struct {
	Digest Digest
	N      uint64
	Time   time.Time
	Reason string
}

// LeaseInfo is who holds, or last held, a target.
type LeaseInfo struct {
	Epoch    uint64
	Holder   Holder
	Released bool
	N        uint64
	Since    time.Time
}

// Latest is the last commit of a snapshot of the dataset and stage.
func (st State) Latest(dataset, stage string) (SnapshotInfo, bool) {
	for _, info := range slices.Backward(st.History) {
		if info.Dataset == dataset && info.Stage == stage {
			return info, true
		}
	}
	return SnapshotInfo{}, false
}

// hold makes a manifest the one that holds a snapshot, for every commit of it
// so far: those before it do not count any more. why is what became of them.
func (st *State) hold(snapshot, manifest Digest, why string, e *Entry) {
	delete(st.Former, manifest)
	now, ok := st.Snapshots[snapshot]
	if !ok || now.Manifest == manifest {
		return
	}
	st.former(now.Manifest, snapshot, why, e)
	now.Manifest = manifest
	st.Snapshots[snapshot] = now
	history := slices.Clone(st.History)
	for i := range history {
		if history[i].Digest == snapshot {
			history[i].Manifest = manifest
		}
	}
	st.History = history
}

// clone copies the state so that others keep the old one.
func (st *State) clone() State {
	c := *st
	c.Snapshots = cloneMap(st.Snapshots)
	c.Refs = cloneMap(st.Refs)
	c.Leases = cloneMap(st.Leases)
	c.Namespaces = cloneMap(st.Namespaces)
	c.Checkpoints = cloneMap(st.Checkpoints)
	c.Waves = cloneMap(st.Waves)
	c.Dropped = cloneMap(st.Dropped)
	c.DroppedRuns = cloneMap(st.DroppedRuns)
	c.Former = cloneMap(st.Former)
	c.Ended = cloneMap(st.Ended)
	c.marks = st.marks.shared()
	c.History = slices.Clip(st.History)
	c.Unknown = slices.Clip(st.Unknown)
	return c
}

// cloneMap never returns nil.
func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// fold applies an entry.
func (st *State) fold(e *Entry, bytes Digest) {
	for _, a := range e.Actions {
		a.apply(st, e)
	}
	st.N, st.Head = e.N, bytes
}
