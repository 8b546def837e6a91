package modeltest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parallelrun/parallelrun/internal/servers/keycloak/keycloaktest"
)

var (
	oneSeed   = flag.Int64("seed", -1, "play this one sequence")
	firstSeed = flag.Int64("from", 0, "seed of the first sequence")
	shrinking = flag.Bool("shrink", true, "make a failing sequence small")
	sequences = flag.Int("sequences", 0, "how many sequences to play; 0: as many as fit a test run")
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // many small populations: collecting often costs more than it frees
	keycloaktest.Main(m)
}

// workDir is a folder for one sequence, in memory where the machine has such a
// place: no sequence needs to outlive the power.
func workDir(t *testing.T) string {
	t.Helper()
	const inMemory = "/dev/shm"
	dir, err := os.MkdirTemp(inMemory, "modeltest")
	if err != nil {
		return t.TempDir()
	}
	return dir // removed with the sequence
}

// normal is how many sequences a test run plays.
const normal, short = 400, 20

// TestModel plays random sequences on the real code, over a sandbox, and on the
// model.
func TestModel(t *testing.T) {
	if *oneSeed >= 0 {
		report(t, playSeed(t.Context(), uint64(*oneSeed), workDir(t), sandboxes), "TestModel")
		return
	}
	n := *sequences
	if n == 0 {
		n = normal
		if testing.Short() {
			n = short
		}
	}
	t.Logf("seeds %d to %d", *firstSeed, *firstSeed+int64(n)-1)
	var next atomic.Int64
	next.Store(*firstSeed)
	var wg sync.WaitGroup
	var stopped atomic.Bool
	var actions, done atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !stopped.Load() {
				seed := next.Add(1) - 1
				if seed >= *firstSeed+int64(n) {
					return
				}
				f := playSeed(t.Context(), uint64(seed), workDir(t), sandboxes)
				actions.Add(int64(f.played))
				if n := done.Add(1); n%100 == 0 {
					t.Logf("%d sequences of %d actions", n, actions.Load())
				}
				if f.err != nil {
					stopped.Store(true)
					report(t, f, "TestModel")
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d sequences of %d actions", done.Load(), actions.Load())
}

func sandboxes(context.Context) (*realm, error) { return newSandbox() }

// played is what a sequence came to.
type played struct {
	seed    uint64
	actions []action
	log     []string
	played  int
	err     error
}

// playSeed draws a sequence from its seed and plays it.
func playSeed(ctx context.Context, seed uint64, dir string, fresh func(context.Context) (*realm, error)) played {
	rnd := rand.New(rand.NewPCG(seed, 4))
	out := played{seed: seed}
	out.log, out.err = inRealm(ctx, dir, fresh, func(s *sequence) error {
		for i := range 5 + rnd.IntN(4) { // people to begin with
			if err := out.step(ctx, s, action{Kind: "hire", Key: fmt.Sprintf("u%d", i), Seed: 1 + rnd.Uint64N(99)}); err != nil {
				return err
			}
		}
		for range 6 + rnd.IntN(12) {
			if err := out.step(ctx, s, s.draw(rnd)); err != nil {
				return err
			}
		}
		return s.logins(ctx, rnd, 2)
	})
	return out
}

func (p *played) step(ctx context.Context, s *sequence, a action) error {
	p.actions = append(p.actions, a)
	p.played++
	return s.step(ctx, len(p.actions)-1, a)
}

func inRealm(ctx context.Context, dir string, fresh func(context.Context) (*realm, error), do func(*sequence) error) ([]string, error) {
	r, err := fresh(ctx)
	if err != nil {
		return nil, err
	}
	s, err := newSequence(ctx, r, dir)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	err = do(s)
	return s.log, err
}

// replay plays actions again.
func replay(ctx context.Context, dir string, actions []action, fresh func(context.Context) (*realm, error)) ([]string, error) {
	return inRealm(ctx, dir, fresh, func(s *sequence) error {
		for i, a := range actions {
			if err := s.step(ctx, i, a); err != nil {
				return err
			}
		}
		return nil
	})
}

// report makes the sequence small and says how to play it again.
func report(t *testing.T, f played, test string) {
	t.Helper()
	for i, line := range f.log {
		t.Logf("%3d  %s", i+1, line)
	}
	if f.err == nil {
		return
	}
	small, log, err := shrink(t, f)
	t.Errorf("seed %d: %v\n\nthe smallest sequence found, of %d actions:\n  %s\n%v\n\nplay it again: go test ./pipelines/modeltest -run %s -seed=%d -v",
		f.seed, f.err, len(small), strings.Join(log, "\n  "), err, test, f.seed)
}

// shrink leaves out actions as long as what is left still fails.
func shrink(t *testing.T, f played) (actions []action, log []string, err error) {
	actions, log, err = f.actions, f.log, f.err
	if _, ok := errors.AsType[*wrong](f.err); !ok || !*shrinking {
		return actions, log, err
	}
	for size := max(1, len(actions)/2); size > 0; size /= 2 {
		for at := 0; at+size <= len(actions); {
			less := append(append([]action{}, actions[:at]...), actions[at+size:]...)
			l, e := replay(t.Context(), workDir(t), less, sandboxes)
			if _, ok := errors.AsType[*wrong](e); ok {
				actions, log, err = less, l, e
				continue
			}
			at += size
		}
	}
	return actions, log, err
}
