package load_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/load"
)

// A load measures every kind of operation that its plan has, and the shares of
// all kinds are its time.
func TestLoadMeasuresItsPace(t *testing.T) {
	s := village(40)
	p := s.plan(t, "run", noBrake)
	res, err := s.load(t, p, load.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	measured, seconds := load.Work{}, 0.0
	for _, pace := range res.Pace {
		if measured[pace.Table] == nil {
			measured[pace.Table] = map[load.Kind]int64{}
		}
		measured[pace.Table][pace.Kind] += pace.Operations
		seconds += pace.Seconds
	}
	if diff := cmp.Diff(p.Work, measured); diff != "" {
		t.Errorf("operations (-planned +measured):\n%s", diff)
	}
	if all := res.Elapsed.Seconds(); seconds <= 0 || seconds > all {
		t.Errorf("the shares sum up to %g s, the load took %g s", seconds, all)
	}
	if res.Flying <= 0 {
		t.Errorf("%g requests in flight", res.Flying)
	}
}
