package backendtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// contents is how many different snapshots a collector's store ever has: few, so
// that what was garbage is wanted again.
const contents = 6

// CollectForever makes a store, or goes on with it: it commits a snapshot,
// drops the oldest and collects without any grace, again and again, and says the
// last log number each time. Which snapshots there can be is known (see
// RunKillCollector), so that whoever finds the store later knows what they hold.
func CollectForever(ctx context.Context, b snapshots.Backend, said io.Writer) error {
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{}); err != nil {
		return err
	}
	s, err := snapshots.Open(ctx, b, snapshots.Options{PackEvery: 5})
	if err != nil {
		return err
	}
	for {
		for _, do := range []func(context.Context, *snapshots.Store) error{commitSome, dropOldest, collectAll} {
			if err := do(ctx, s); err != nil {
				return err
			}
		}
		st, err := s.State(ctx)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(said, st.N); err != nil {
			return err
		}
	}
}

// commitSome commits one of the snapshots that there can be. What another
// collector took meanwhile is written anew.
func commitSome(ctx context.Context, s *snapshots.Store) error {
	n := 20 * uint64(rand.IntN(contents))
	for {
		d, err := writeCards(ctx, s, snapshots.WriterOptions{Bounds: parts.Bounds{Rows: 64}, Workers: 2}, cardsOf(n))
		if err == nil {
			_, err = s.Commit(ctx, snapshots.Change{Reason: "night", Actions: []snapshots.Action{d.Action("hr", "legacy")}})
		}
		if !collected(err) {
			return err
		}
	}
}

// dropOldest keeps two snapshots.
func dropOldest(ctx context.Context, s *snapshots.Store) error {
	st, err := s.State(ctx)
	if err != nil || len(st.Snapshots) < 3 {
		return err
	}
	_, err = s.Commit(ctx, snapshots.Change{Reason: "drop", Actions: []snapshots.Action{
		snapshots.DropAction{Snapshots: []snapshots.Digest{st.History[0].Digest}, By: "test"}}})
	if _, gone := errors.AsType[*snapshots.UnknownSnapshotError](err); gone {
		return nil // another was faster
	}
	return err
}

func collectAll(ctx context.Context, s *snapshots.Store) error {
	o := snapshots.GCOptions{Grace: -1}
	p, err := s.PlanGC(ctx, o)
	if err == nil {
		_, err = s.Collect(ctx, p, o)
	}
	return err
}

// RunKillCollector kills collectors at random points, round after round, two
// beside each other in every second, on one store, and asks a model what must be
// there: only snapshots that there can be, each whole to the last row, so that
// all that was deleted was garbage; and the next collection ends what the dead
// began. collector is a process that runs CollectForever.
func RunKillCollector(t *testing.T, rounds int, collector func() *exec.Cmd, open func() snapshots.Backend) {
	if *killRounds > 0 {
		rounds = *killRounds
	}
	model := killModel{digests: map[uint64]snapshots.Digest{}}
	possible := map[snapshots.Digest]bool{}
	for n := range uint64(contents) {
		possible[model.digest(t, 20*n)] = true
	}
	for round := range rounds {
		after := time.Duration(rand.IntN(150)) * time.Millisecond
		var done [2]uint64
		var both sync.WaitGroup
		for i := range 1 + round%2 {
			both.Go(func() { done[i] = Kill(t, collector(), after/time.Duration(1+i)) })
		}
		both.Wait()
		when := fmt.Sprintf("round %d, killed %s after a collection", round, after)
		s := collectorStore(t, open(), possible, max(done[0], done[1]), when)
		if round%4 == 3 || round == rounds-1 {
			finishes(t, s, when)
			collectorStore(t, open(), possible, 0, when+", and collected")
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rounds", rounds)
}

// collectorStore opens what killed collectors left, and looks at all of it.
func collectorStore(t *testing.T, b snapshots.Backend, possible map[snapshots.Digest]bool, done uint64, when string) *snapshots.Store {
	t.Helper()
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{PackEvery: 5})
	if err != nil {
		t.Fatalf("%s: reopen: %v", when, err)
	}
	st, err := s.State(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	if st.N < done || len(st.Snapshots) == 0 && st.N > 0 {
		t.Errorf("%s: %d snapshots in %d entries, where entry %d was called done", when, len(st.Snapshots), st.N, done)
	}
	for d := range st.Snapshots {
		if !possible[d] {
			t.Errorf("%s: snapshot %s was never written", when, d.Short())
		}
	}
	r, err := s.Verify(t.Context(), snapshots.VerifyOptions{Level: snapshots.VerifyRows})
	if err != nil || len(r.Findings) > 0 {
		t.Fatalf("%s: %v, findings %v", when, err, r.Findings)
	}
	return s
}

// finishes collects until nothing is left that nothing needs: once to give up,
// once to delete.
func finishes(t *testing.T, s *snapshots.Store, when string) {
	t.Helper()
	for range 2 {
		if err := collectAll(t.Context(), s); err != nil {
			t.Fatalf("%s: collect again: %v", when, err)
		}
	}
	if r, err := s.Storage(t.Context()); err != nil || r.Rest != (snapshots.Tally{}) {
		t.Errorf("%s: left: %+v, %v", when, r.Rest, err)
	}
}
