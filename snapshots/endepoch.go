package snapshots

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// EndEpochAction ends a key epoch for good: its wrapped keys may be destroyed
// from this entry on, and nothing that is sealed in it is committed any more.
// So a writer that began before, and commits after, is refused and not believed.
type EndEpochAction struct {
	Epoch uint32 `json:"epoch"`
	By    string `json:"by"` // user@host
}

const kindEndEpoch = "end-epoch"

func (EndEpochAction) kind() string { return kindEndEpoch }
func (EndEpochAction) version() int { return 1 }

// EndedEpoch is what the log says of a key epoch that was ended.
type EndedEpoch struct {
	By     string
	Reason string
	N      uint64 // log entry
	Time   time.Time
}

// String says when and by whom.
func (e EndedEpoch) String() string {
	return fmt.Sprintf("it was ended by %s on %s (log entry %d: %s)", e.By, e.Time.UTC().Format(time.RFC3339), e.N, e.Reason)
}

func (a EndEpochAction) check(st *State) error {
	if a.Epoch == 0 || a.By == "" {
		return errors.New("end-epoch action without epoch, or without who ends it")
	}
	if ended, ok := st.Ended[a.Epoch]; ok {
		return &EpochEndedError{Epoch: a.Epoch, Ended: ended}
	}
	if held := st.held(); len(held) > 0 {
		return &EpochNeededError{Epoch: a.Epoch, Held: held}
	}
	return nil
}

func (a EndEpochAction) apply(st *State, e *Entry) {
	st.Ended[a.Epoch] = EndedEpoch{By: a.By, Reason: e.Reason, N: e.N, Time: e.Time}
}

// held says who holds a target: such a run may read secrets of any epoch, or
// seal some, as long as it goes on.
func (st *State) held() (lines []string) {
	for target, l := range sorted(st.Leases) {
		if !l.Released {
			lines = append(lines, fmt.Sprintf("run %s on host %s, which holds target %s", l.Holder.Run, l.Holder.Host, target))
		}
	}
	return lines
}

// EpochEndedError: the key epoch was ended, so that nothing that is sealed in it
// may be committed. Make it anew: new secrets are sealed in the newest epoch.
type EpochEndedError struct {
	Snapshot Digest // whose parts need it; zero: it was to be ended again
	Table    string
	Epoch    uint32 // zero: the parts do not say which they need
	Ended    EndedEpoch
}

func (e *EpochEndedError) Error() string {
	switch {
	case e.Snapshot.IsZero():
		return fmt.Sprintf("key epoch %d is no more: %s", e.Epoch, e.Ended)
	case e.Epoch == parts.EpochUnsaid:
		return fmt.Sprintf("snapshot %s, table %s: its parts do not say which key epochs they need, and one was ended: %s (%s)", e.Snapshot.Short(), e.Table, e.Ended, e.Hint())
	}
	return fmt.Sprintf("snapshot %s, table %s: its secrets are sealed in key epoch %d, which is no more: %s (%s)", e.Snapshot.Short(), e.Table, e.Epoch, e.Ended, e.Hint())
}

// Hint says what to do.
func (e *EpochEndedError) Hint() string {
	if e.Snapshot.IsZero() {
		return ""
	}
	return "nothing was committed; start the work anew: new secrets are sealed in the newest epoch"
}

// EpochNeededError: the key epoch can't be ended, for something needs it.
type EpochNeededError struct {
	Epoch uint32
	Needs []EpochNeed
	Held  []string // runs that hold a target
}

// namedNeeds is how many of what needs an epoch an error names.
const namedNeeds = 3

func (e *EpochNeededError) Error() string {
	named := slices.Clone(e.Held)
	for _, n := range e.Needs {
		named = append(named, n.String())
	}
	more := ""
	if len(named) > namedNeeds {
		more = fmt.Sprintf(" and %d more", len(named)-namedNeeds)
		named = named[:namedNeeds]
	}
	return fmt.Sprintf("key epoch %d is kept: it is needed by %s%s (%s)", e.Epoch, strings.Join(named, "; "), more, e.Hint())
}

// Hint says what to do.
func (e *EpochNeededError) Hint() string {
	switch {
	case len(e.Held) > 0:
		return "wait until the run has ended, or resume it to its end; see: parallelrun runs list"
	case slices.ContainsFunc(e.Needs, func(n EpochNeed) bool { return n.Digest.IsZero() }):
		return "resume or drop those runs; seal the rest anew with: parallelrun key reseal --apply"
	}
	return fmt.Sprintf("seal it anew with `parallelrun key reseal --apply`, or drop what is not wanted; `parallelrun key show %d` lists all", e.Epoch)
}

// ErrCurrentEpoch: new secrets are sealed in this epoch. Make the next one first.
var ErrCurrentEpoch = errors.New("new secrets are sealed in it (make the next epoch first: parallelrun key rotate --apply)")

// mayEnd refuses the newest epoch, and one that never was.
func (s *Store) mayEnd(ctx context.Context, st State, epoch uint32) error {
	there, err := s.KeyEpochs(ctx)
	if err != nil {
		return err
	}
	_, ended := st.Ended[epoch]
	switch {
	case len(there) > 0 && epoch == there[len(there)-1]:
		return fmt.Errorf("key epoch %d: %w", epoch, ErrCurrentEpoch)
	case !slices.Contains(there, epoch) && !ended:
		return &UnknownEpochError{Epoch: epoch, Known: there}
	}
	return nil
}

// UnknownEpochError: the store holds no keys of such an epoch.
type UnknownEpochError struct {
	Epoch uint32
	Known []uint32
}

func (e *UnknownEpochError) Error() string {
	return fmt.Sprintf("there is no key epoch %d: the store has the keys of %s (%s)", e.Epoch, epochList(e.Known), e.Hint())
}

// Hint says what to do.
func (*UnknownEpochError) Hint() string { return "`parallelrun key list` shows all" }

func epochList(all []uint32) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ", "), "[]")
}

// EpochEnding is what the end of a key epoch would do.
type EpochEnding struct {
	Files []string // that would be destroyed
	Left  *EpochLeft
	Ended bool // it was ended before, and its files are still to be destroyed
}

// PlanEndEpoch looks whether a key epoch may be ended, and what would become
// unreadable. It refuses what EndEpoch refuses.
func (s *Store) PlanEndEpoch(ctx context.Context, epoch uint32, roots Roots) (*EpochEnding, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.mayEnd(ctx, st, epoch); err != nil {
		return nil, err
	}
	out := &EpochEnding{}
	if _, out.Ended = st.Ended[epoch]; !out.Ended {
		if err := s.newEpochScan(roots).unneeded(ctx, st, epoch); err != nil {
			return nil, err
		}
	}
	files, err := seal.List(ctx, KeyFiles(s.b))
	if err != nil {
		return nil, err
	}
	for _, w := range files {
		if w.Epoch == epoch {
			out.Files = w.Files
		}
	}
	out.Left, err = s.EpochLeft(ctx, epoch)
	return out, err
}

// unneeded fails with an *EpochNeededError if anything needs an epoch in a state.
func (x *epochScan) unneeded(ctx context.Context, st State, epoch uint32) error {
	needs, err := x.needs(ctx, st)
	if err != nil {
		return err
	}
	held := st.held()
	if needs = NeedsOf(needs, epoch); len(needs)+len(held) > 0 {
		return &EpochNeededError{Epoch: epoch, Needs: needs, Held: held}
	}
	return nil
}

// EndEpoch ends a key epoch in the log and destroys its wrapped keys. It is
// refused with an *EpochNeededError as long as a known snapshot, a draft of a run
// that may go on, or a run that holds a target needs it; what is needed is looked
// up in the very state that the entry follows upon. It may be stopped at any
// point and be called again. The entry is zero if the epoch was ended before.
func (s *Store) EndEpoch(ctx context.Context, epoch uint32, by string, roots Roots) (entry uint64, destroyed int, err error) {
	st, err := s.State(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err := s.mayEnd(ctx, st, epoch); err != nil {
		return 0, 0, err
	}
	if _, ended := st.Ended[epoch]; !ended {
		scan := s.newEpochScan(roots)
		entry, err = s.Commit(ctx, Change{
			Reason: fmt.Sprintf("end key epoch %d", epoch), Actions: []Action{EndEpochAction{Epoch: epoch, By: by}},
			Check: func(st State) error { return scan.unneeded(ctx, st, epoch) },
		})
		if err != nil {
			return 0, 0, err
		}
	}
	destroyed, err = seal.Destroy(ctx, KeyFiles(s.b), epoch)
	return entry, destroyed, err
}

// sealedAlive refuses to make known what needs a key epoch that was ended.
func (s *Store) sealedAlive(ctx context.Context, st State, actions []Action) error {
	if len(st.Ended) == 0 {
		return nil
	}
	for _, a := range actions {
		var err error
		switch a := a.(type) {
		case SnapshotAction:
			err = s.aliveIn(ctx, st, a.Digest, a.Manifest)
		case ManifestAction:
			err = s.aliveIn(ctx, st, a.Digest, a.Manifest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) aliveIn(ctx context.Context, st State, snapshot, manifest Digest) error {
	if st.Snapshots[snapshot].Manifest == manifest {
		return nil // known, so what it needs was not ended
	}
	sn, err := s.OpenManifest(ctx, manifest)
	if err != nil {
		return err
	}
	for i := range sn.tables {
		for epoch := range sn.tables[i].Sealed() {
			ended, ok := st.Ended[epoch]
			if epoch == parts.EpochUnsaid {
				ended, ok = st.lastEnded(), true
			}
			if ok {
				return &EpochEndedError{Snapshot: snapshot, Table: sn.tables[i].Name, Epoch: epoch, Ended: ended}
			}
		}
	}
	return nil
}

func (st *State) lastEnded() (last EndedEpoch) {
	for _, e := range st.Ended {
		if e.N > last.N {
			last = e
		}
	}
	return last
}
