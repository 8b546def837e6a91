package snapshots

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// EpochNeed is one thing whose secrets are sealed in a key epoch: a known
// snapshot, or a draft that a run may go on with.
type EpochNeed struct {
	// Epoch is zero where parts do not say which they need: it may be any.
	Epoch    uint32 `json:"epoch"`
	Digest   Digest `json:"snapshot,omitzero"` // zero for a draft
	Manifest Digest `json:"manifest"`
	Dataset  string `json:"dataset,omitempty"`
	Stage    string `json:"stage,omitempty"`
	// By are the refs and checkpoints that hold it, or the run of a draft.
	By []string `json:"by"`
	parts.Sealed
}

// String names it, by what holds it where there is something.
func (n EpochNeed) String() string {
	by := strings.Join(n.By, ", ")
	switch {
	case n.Digest.IsZero():
		return by
	case by == "":
		return fmt.Sprintf("snapshot %s (%s of %s)", n.Digest.Short(), n.Stage, n.Dataset)
	}
	return fmt.Sprintf("%s (snapshot %s, %s of %s)", by, n.Digest.Short(), n.Stage, n.Dataset)
}

// NeedsOf are those of the needs that are, or may be, of an epoch.
func NeedsOf(needs []EpochNeed, epoch uint32) (of []EpochNeed) {
	for _, n := range needs {
		if n.Epoch == epoch || n.Epoch == parts.EpochUnsaid {
			of = append(of, n)
		}
	}
	return of
}

// epochScan looks up which key epochs manifests need, each once.
type epochScan struct {
	s     *Store
	roots Roots
	known map[Digest]map[uint32]parts.Sealed
}

func (s *Store) newEpochScan(roots Roots) *epochScan {
	return &epochScan{s: s, roots: roots, known: map[Digest]map[uint32]parts.Sealed{}}
}

func (x *epochScan) manifest(ctx context.Context, name Digest) (map[uint32]parts.Sealed, error) {
	if sum, ok := x.known[name]; ok {
		return sum, nil
	}
	sn, err := x.s.OpenManifest(ctx, name)
	if err != nil {
		return nil, err
	}
	sum := sn.sealed()
	x.known[name] = sum
	return sum, nil
}

// sealed counts by key epoch what of the snapshot is sealed.
func (sn *Snapshot) sealed() map[uint32]parts.Sealed {
	sum := map[uint32]parts.Sealed{}
	for i := range sn.tables {
		for epoch, more := range sn.tables[i].Sealed() {
			s := sum[epoch]
			s.Add(more)
			sum[epoch] = s
		}
	}
	return sum
}

// needs lists what needs any key epoch in a state: what is held by a name first,
// then by time.
func (x *epochScan) needs(ctx context.Context, st State) ([]EpochNeed, error) {
	var out []EpochNeed
	add := func(n EpochNeed) error {
		sum, err := x.manifest(ctx, n.Manifest)
		for _, epoch := range slices.Sorted(maps.Keys(sum)) {
			n.Epoch, n.Sealed = epoch, sum[epoch]
			out = append(out, n)
		}
		return err
	}
	held := st.Needed()
	for _, info := range st.known() {
		by := append([]string{}, held[info.Digest]...)
		if err := add(EpochNeed{Digest: info.Digest, Manifest: info.Manifest, Dataset: info.Dataset, Stage: info.Stage, By: by}); err != nil {
			return nil, fmt.Errorf("what snapshot %s needs: %w", info.Digest.Short(), err)
		}
	}
	slices.SortStableFunc(out, func(a, b EpochNeed) int { return cmp.Compare(min(len(b.By), 1), min(len(a.By), 1)) })
	if x.roots == nil {
		return out, nil
	}
	roots, err := x.roots(ctx, st)
	if err != nil {
		return nil, err
	}
	for _, r := range roots {
		if st.holds(r.Manifest) {
			continue
		}
		// A draft that is not whole any more is of no use to its run.
		if err := add(EpochNeed{Manifest: r.Manifest, By: []string{r.Why}}); err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("what %s needs: %w", r.Why, err)
		}
	}
	return out, nil
}

// known are the snapshots, each once, by their first commit.
func (st *State) known() (out []SnapshotInfo) {
	seen := map[Digest]bool{}
	for _, info := range st.History {
		if !seen[info.Digest] {
			seen[info.Digest] = true
			out = append(out, st.Snapshots[info.Digest])
		}
	}
	return out
}

// holds says whether a manifest holds a known snapshot.
func (st *State) holds(manifest Digest) bool {
	for _, info := range st.Snapshots {
		if info.Manifest == manifest {
			return true
		}
	}
	return false
}

// KeyReport says how a store's keys are wrapped and what needs them.
type KeyReport struct {
	Entry  uint64       // of the log
	Long   seal.Wrapped // the long-lived key; no files: the store takes no secrets
	Epochs []KeyEpoch   // newest first
	// Unsaid is what does not say which epochs it needs: it may be any.
	Unsaid []EpochNeed
	Held   []string // runs that hold a target
}

// KeyEpoch is one key epoch.
type KeyEpoch struct {
	Epoch   uint32
	State   EpochState
	Current bool // new secrets are sealed in it
	Wrapped seal.Wrapped
	Ended   EndedEpoch // N zero: it was not
	Needs   []EpochNeed
}

// KeyReport looks at all keys and all manifests. ring is what an identity opens,
// nil for none.
func (s *Store) KeyReport(ctx context.Context, ring *seal.Keyring, roots Roots) (*KeyReport, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := seal.List(ctx, KeyFiles(s.b))
	if err != nil {
		return nil, err
	}
	needs, err := s.newEpochScan(roots).needs(ctx, st)
	if err != nil {
		return nil, err
	}
	r := &KeyReport{Entry: st.N, Held: st.held()}
	epochs := map[uint32]*KeyEpoch{}
	at := func(e uint32) *KeyEpoch {
		if epochs[e] == nil {
			epochs[e] = &KeyEpoch{Epoch: e, Ended: st.Ended[e]}
		}
		return epochs[e]
	}
	newest := uint32(0)
	for _, w := range keys {
		if w.Epoch == 0 {
			r.Long = w
			continue
		}
		at(w.Epoch).Wrapped = w
		newest = max(newest, w.Epoch)
	}
	for e := range st.Ended {
		at(e)
	}
	for _, n := range needs {
		if n.Epoch == parts.EpochUnsaid {
			r.Unsaid = append(r.Unsaid, n)
			continue
		}
		e := at(n.Epoch)
		e.Needs = append(e.Needs, n)
	}
	states, err := s.EpochStates(ctx, slices.Collect(maps.Keys(epochs)), ring)
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(slices.Sorted(maps.Keys(epochs))) {
		epochs[e].State, epochs[e].Current = states[e], e == newest
		r.Epochs = append(r.Epochs, *epochs[e])
	}
	return r, nil
}
