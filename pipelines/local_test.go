package pipelines

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

func newStore(t *testing.T) *snapshots.Store {
	t.Helper()
	b := &backendtest.Memory{}
	if err := snapshots.Init(t.Context(), b, snapshots.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type counted struct{ N int }

// A step is done once: a second attempt at the run gets its result from the
// journal, another run does it anew.
func TestLocalDoesAStepOnce(t *testing.T) {
	s, runs := newStore(t), 0
	step := Step{Name: "extract", Run: func(context.Context) (any, error) { runs++; return counted{41 + runs}, nil }}
	for attempt := range 2 {
		var got counted
		if err := (&Local{Files: s, RunID: "a"}).Do(t.Context(), step, &got); err != nil || got.N != 42 {
			t.Fatalf("attempt %d: %+v, %v", attempt, got, err)
		}
	}
	var other counted
	if err := (&Local{Files: s, RunID: "b"}).Do(t.Context(), step, &other); err != nil || other.N != 43 {
		t.Fatalf("another run: %+v, %v", other, err)
	}
}

// A step that failed is not journaled: the next attempt does it.
func TestLocalRepeatsAFailedStep(t *testing.T) {
	s, broken := newStore(t), errors.New("source is gone")
	e := &Local{Files: s, RunID: "a"}
	err := e.Do(t.Context(), Step{Name: "extract", Run: func(context.Context) (any, error) { return nil, broken }}, nil)
	if !errors.Is(err, broken) || err.Error() != "step extract: source is gone" {
		t.Fatalf("got %v", err)
	}
	var got counted
	if err := e.Do(t.Context(), Step{Name: "extract", Run: func(context.Context) (any, error) { return counted{7}, nil }}, &got); err != nil || got.N != 7 {
		t.Fatalf("second attempt: %+v, %v", got, err)
	}
}

// Once the context has ended no further step begins, and what is journaled can
// still be read.
func TestLocalStops(t *testing.T) {
	s := newStore(t)
	e := &Local{Files: s, RunID: "a"}
	if err := e.Do(t.Context(), Step{Name: "one", Run: func(context.Context) (any, error) { return counted{1}, nil }}, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := e.Do(ctx, Step{Name: "two", Run: func(context.Context) (any, error) { t.Error("began"); return nil, nil }}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if done, err := e.Done(t.Context(), "one", nil); !done || err != nil {
		t.Fatalf("one: %v, %v", done, err)
	}
}

// Parts run at once, no more than there are workers, and each is journaled on
// its own: after a failure only what is missing is done. One that is not
// journaled yet when another fails is done again, so the failing one waits.
func TestLocalMap(t *testing.T) {
	s := newStore(t)
	e := &Local{Files: s, RunID: "a", Workers: 2}
	var runs, now, most atomic.Int64
	parts := func(fail int) (out []Step) {
		for i := range 6 {
			out = append(out, Step{Name: fmt.Sprint(i), Run: func(context.Context) (any, error) {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				if i == fail {
					for other := range 5 {
						for done := false; !done && t.Context().Err() == nil; {
							done, _ = e.Done(t.Context(), fmt.Sprint("load/", other), nil)
						}
					}
					return nil, errors.New("no")
				}
				runs.Add(1)
				return i, nil
			}})
		}
		return out
	}
	if err := e.Map(t.Context(), "load", parts(5)); err == nil {
		t.Fatal("a failed part is no error")
	}
	if err := e.Map(t.Context(), "load", parts(-1)); err != nil {
		t.Fatal(err)
	}
	if runs.Load() != 6 || most.Load() > 2 {
		t.Errorf("parts ran %d times, %d at once", runs.Load(), most.Load())
	}
}

func TestBoundariesAreTold(t *testing.T) {
	var seen []string
	e := &Local{Files: newStore(t), RunID: "a", Boundary: func(step string, done bool) { seen = append(seen, fmt.Sprint(step, " ", done)) }}
	for range 2 {
		if err := e.Do(t.Context(), Step{Name: "plan", Run: func(context.Context) (any, error) { return 1, nil }}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(seen) != "[plan false plan true]" {
		t.Errorf("told %q", seen)
	}
}
