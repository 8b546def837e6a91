package snapshots_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// life is a random sequence of all that happens to a store, with a model of
// what it must hold: the snapshots that are known.
type life struct {
	*yard
	r       *rand.Rand
	stores  []*snapshots.Store // of processes, some of which have not read the log for long
	drafts  []openDraft
	plans   []*snapshots.GCPlan // of collections that were stopped, and go on at any time
	deletes []string            // requests of collections that were given up on, and land at any time
	refs    map[string]snapshots.Digest
	pins    map[string]snapshots.Digest
	known   map[snapshots.Digest]bool
	n       int
	// skewed: some collection ran by a clock that is far ahead.
	skewed bool
	log    []string
}

type openDraft struct {
	snapshots.Draft
	began time.Time
}

func (l *life) say(format string, args ...any) { l.log = append(l.log, fmt.Sprintf(format, args...)) }

func (l *life) store() *snapshots.Store { return l.stores[l.r.IntN(len(l.stores))] }

func (l *life) pick() (d snapshots.Digest, ok bool) {
	all := []snapshots.Digest{}
	for k := range l.known {
		all = append(all, k)
	}
	if len(all) == 0 {
		return d, false
	}
	slices.SortFunc(all, func(a, b snapshots.Digest) int { return slices.Compare(a[:], b[:]) })
	return all[l.r.IntN(len(all))], true
}

func (l *life) step() error {
	ctx := l.t.Context()
	l.n++
	switch l.r.IntN(14) {
	case 0, 1: // begin a draft, of few names so that contents come again
		var names []string
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g*", "h*"} {
			if l.r.IntN(2) == 0 {
				names = append(names, name)
			}
		}
		s := l.store()
		var parent *snapshots.Snapshot
		if d, ok := l.pick(); ok && l.r.IntN(2) == 0 {
			var err error
			if parent, err = s.Snapshot(ctx, d.String()); err != nil {
				return err
			}
		}
		began := l.now
		d, err := draft(ctx, s, parent, names...)
		if err != nil {
			return err
		}
		l.say("draft %s: %v", d.Digest.Short(), names)
		l.drafts = append(l.drafts, openDraft{d, began})
	case 2, 3, 4: // end a draft
		if len(l.drafts) == 0 {
			return nil
		}
		i := l.r.IntN(len(l.drafts))
		d := l.drafts[i]
		l.drafts = slices.Delete(l.drafts, i, i+1)
		err := commitDraft(ctx, l.store(), d.Draft)
		l.say("commit %s: %v", d.Digest.Short(), err)
		if _, collected := errors.AsType[*snapshots.CollectedError](err); collected && (l.skewed || l.now.Sub(d.began) >= grace) {
			return nil
		}
		if err != nil {
			return err
		}
		l.known[d.Digest] = true
	case 5: // a name, or none
		d, ok := l.pick()
		name := fmt.Sprint("tag", l.r.IntN(3))
		if l.r.IntN(2) == 0 || !ok {
			d = snapshots.Digest{}
		}
		_, err := l.store().Commit(ctx, snapshots.Change{Reason: "tag", Actions: []snapshots.Action{snapshots.RefAction{Name: name, Digest: d}}})
		if l.refs[name] = d; d.IsZero() {
			delete(l.refs, name)
		}
		return err
	case 6: // a checkpoint with an input
		d, ok := l.pick()
		if !ok {
			return nil
		}
		s := l.store()
		blob, err := s.PutBlob(ctx, []byte{byte(l.r.IntN(4))})
		if err != nil {
			return err
		}
		name := fmt.Sprint("checkpoint", l.n)
		_, err = s.Commit(ctx, snapshots.Change{Reason: "checkpoint", Actions: []snapshots.Action{snapshots.CheckpointAction{Name: name, Target: "live",
			Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: d}, Inputs: []snapshots.CheckpointInput{{Name: "x", Blob: blob}}}}})
		if _, collected := errors.AsType[*snapshots.CollectedError](err); collected {
			return nil // of a process that has not read the log for long: taken again it works
		}
		if err == nil {
			l.pins[name] = d
		}
		return err
	case 7: // drop a checkpoint
		for name := range l.pins {
			delete(l.pins, name)
			_, err := l.store().Commit(ctx, snapshots.Change{Reason: "drop", Actions: []snapshots.Action{snapshots.CheckpointAction{Name: name, Drop: true}}})
			return err
		}
	case 8: // drop a snapshot
		d, ok := l.pick()
		if !ok {
			return nil
		}
		needed := false
		for _, m := range []map[string]snapshots.Digest{l.refs, l.pins} {
			for _, n := range m {
				needed = needed || n == d
			}
		}
		err := dropSnapshot(ctx, l.store(), d)
		l.say("drop %s: %v", d.Short(), err)
		if _, is := errors.AsType[*snapshots.NeededError](err); is != needed || !is && err != nil {
			return fmt.Errorf("drop of a snapshot that is needed %v: %w", needed, err)
		}
		if !needed {
			delete(l.known, d)
		}
	case 9: // compact
		if d, ok := l.pick(); ok {
			s := l.store()
			sn, err := s.Snapshot(ctx, d.String())
			if err != nil {
				return err
			}
			_, err = s.Compact(ctx, sn, snapshots.WriterOptions{})
			l.say("compact %s", d.Short())
			return err
		}
	case 10: // a collection, perhaps by a clock that is far ahead or behind
		ahead := time.Duration(0)
		if l.r.IntN(10) == 0 {
			ahead = time.Duration(l.r.IntN(7)-2) * grace
			l.skewed = l.skewed || ahead > 0
		}
		return l.collect(ahead)
	case 11: // one that is killed, or loses its line, at some operation
		f := backendtest.FailAt(l.m, l.r.IntN(60), backendtest.Kind(l.r.IntN(4)))
		s, err := snapshots.Open(ctx, f, snapshots.Options{Now: l.clock, Patience: 20 * time.Millisecond})
		if err == nil {
			_, err = gc(ctx, s, snapshots.GCOptions{})
		}
		l.say("broken collection: %v", err)
	case 12: // one that was stopped goes on; a request from long ago lands
		if len(l.plans) > 0 {
			i := l.r.IntN(len(l.plans))
			_, err := l.store().Collect(ctx, l.plans[i], snapshots.GCOptions{})
			l.say("stopped collection goes on")
			return err
		}
	case 13:
		if len(l.deletes) > 0 {
			key := l.deletes[l.r.IntN(len(l.deletes))]
			l.say("late delete of %s", key)
			return l.m.Delete(ctx, key)
		}
		l.now = l.now.Add(time.Duration(l.r.IntN(30)) * time.Hour)
		l.stores[l.r.IntN(len(l.stores))] = l.open()
	}
	if l.r.IntN(3) == 0 {
		l.now = l.now.Add(time.Duration(l.r.IntN(20)) * time.Hour)
	}
	return nil
}

func (l *life) collect(ahead time.Duration) error {
	l.now = l.now.Add(ahead)
	defer func() { l.now = l.now.Add(-ahead) }()
	s := l.store()
	p, err := s.PlanGC(l.t.Context(), snapshots.GCOptions{})
	if err != nil {
		return err
	}
	for _, g := range p.Delete {
		l.deletes = append(l.deletes, g.Key)
	}
	l.plans = append(l.plans, p)
	if l.r.IntN(4) == 0 {
		l.say("collection (%s ahead) is stopped", ahead)
		return nil
	}
	done, err := s.Collect(l.t.Context(), p, snapshots.GCOptions{})
	l.say("collection (%s ahead): %+v", ahead, done)
	return err
}

// check holds the store against the model.
func (l *life) check() {
	l.t.Helper()
	l.whole(fmt.Sprint("step ", l.n))
	st := state(l.t, l.open())
	for d := range l.known {
		if _, ok := st.Snapshots[d]; !ok {
			l.t.Fatalf("step %d: snapshot %s is not known any more", l.n, d.Short())
		}
	}
	if len(st.Snapshots) != len(l.known) {
		l.t.Fatalf("step %d: %d snapshots, want %d", l.n, len(st.Snapshots), len(l.known))
	}
}

// Whatever happens in whatever order, all that is known is whole; and in the
// end collections leave nothing else.
func TestLifeOfAStore(t *testing.T) {
	sequences, steps := 60, 60
	if testing.Short() {
		sequences = 12
	}
	if n, err := strconv.Atoi(os.Getenv("PARALLELRUN_TEST_LIVES")); err == nil {
		sequences = n
	}
	for seed := range sequences {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := &life{yard: newYard(t), r: rand.New(rand.NewPCG(uint64(seed), 1)), refs: map[string]snapshots.Digest{}, pins: map[string]snapshots.Digest{}, known: map[snapshots.Digest]bool{}}
			defer func() {
				if t.Failed() {
					for _, line := range l.log {
						t.Log(line)
					}
				}
			}()
			for range 3 {
				l.stores = append(l.stores, l.open())
			}
			for range steps {
				if err := l.step(); err != nil {
					t.Fatalf("step %d: %v", l.n, err)
				}
				l.check()
			}
			for range 2 {
				l.now = l.now.Add(20 * grace)
				l.gc()
			}
			l.check()
			l.clean("in the end")
			for _, key := range l.deletes { // and all requests land at last
				if err := l.m.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			l.check()
		})
	}
}
