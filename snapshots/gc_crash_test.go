package snapshots_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// collectDir makes the test binary a collector, for TestKillCollector.
const collectDir = "PARALLELRUN_TEST_COLLECT_DIR"

// collectForever commits a snapshot of few possible contents, drops the one
// before, and collects without any grace, again and again.
func collectForever(dir string) error {
	ctx := context.Background()
	b, err := local.Create(dir)
	if err != nil {
		return err
	}
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{}); err != nil {
		return err
	}
	s, err := snapshots.Open(ctx, b, snapshots.Options{})
	if err != nil {
		return err
	}
	for {
		if err := commitSome(ctx, s); err != nil {
			return err
		}
		if err := dropOldest(ctx, s); err != nil {
			return err
		}
		if _, err := gc(ctx, s, snapshots.GCOptions{Grace: -1}); err != nil {
			return err
		}
		st, err := s.State(ctx)
		if err != nil {
			return err
		}
		fmt.Println(st.N)
	}
}

func commitSome(ctx context.Context, s *snapshots.Store) error {
	for {
		d, err := draft(ctx, s, nil, "a", "b", "c", fmt.Sprint("n", rand.IntN(4)), fmt.Sprint("x*", rand.IntN(2)))
		if err == nil {
			err = commitDraft(ctx, s, d)
		}
		if _, collected := errors.AsType[*snapshots.CollectedError](err); !collected {
			return err
		}
	}
}

func dropOldest(ctx context.Context, s *snapshots.Store) error {
	st, err := s.State(ctx)
	if err != nil || len(st.Snapshots) < 3 {
		return err
	}
	err = dropSnapshot(ctx, s, st.History[0].Digest)
	if _, gone := errors.AsType[*snapshots.UnknownSnapshotError](err); gone {
		return nil // another was faster
	}
	return err
}

// Two collectors that are killed at any moment, beside each other, leave a store
// that is whole; the next one ends what they began.
func TestKillCollector(t *testing.T) {
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		var both sync.WaitGroup
		for range 1 + round%2 {
			after := time.Duration(rand.IntN(80)) * time.Millisecond
			both.Go(func() { backendtest.Kill(t, as(collectDir, dir), after) })
		}
		both.Wait()
		b, err := local.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		checkAfter(t, b, fmt.Sprint("round ", round))
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := gc(t.Context(), s, snapshots.GCOptions{Grace: -1}); err != nil {
			t.Fatal(err)
		}
	}
	checkAfter(t, b, "in the end")
	if r, err := s.Storage(t.Context()); err != nil || r.Rest != (snapshots.Tally{}) {
		t.Errorf("left: %+v, %v", r.Rest, err)
	}
	recompute(t, dir, len(state(t, s).Snapshots)) // a reader of other code finds all under its current name
}
