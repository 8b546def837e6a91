package pace

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// drive sends n requests through workers and returns the window at the end and
// the most that were ever in flight.
func drive(t *testing.T, p *Pacer, n int, answer func(flying int) (time.Duration, Signal)) (window, most int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	flying := 0
	work := make(chan int)
	for range 64 {
		wg.Go(func() {
			for range work {
				s, err := p.Acquire(context.Background(), "write")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				flying++
				most = max(most, flying)
				took, sig := answer(flying)
				mu.Unlock()
				time.Sleep(took)
				mu.Lock()
				flying--
				mu.Unlock()
				s.Release(sig)
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	return p.Window(), most
}

func TestGrowsToTheLimitWhileAnswersAreFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		window, most := drive(t, New(Options{Start: 2, Max: 16}), 2000, func(int) (time.Duration, Signal) { return 20 * time.Millisecond, OK })
		if window != 16 || most != 16 {
			t.Errorf("window %d, most in flight %d: want 16", window, most)
		}
	})
}

func TestFindsTheKnee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A server that works on eight at once and queues the rest: three times
		// the latency at 24.
		window, _ := drive(t, New(Options{Start: 4, Max: 64}), 5000, func(flying int) (time.Duration, Signal) {
			return time.Duration(max(8, flying)) * 10 * time.Millisecond, OK
		})
		if window < 8 || window > 40 {
			t.Errorf("window %d: want it near the knee", window)
		}
	})
}

func TestBusyHalvesOncePerWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Start: 16, Max: 16})
		var slots []*Slot
		for range 16 {
			s, _ := p.Acquire(context.Background(), "write")
			slots = append(slots, s)
		}
		for _, s := range slots {
			s.Release(Busy)
		}
		if w := p.Window(); w != 8 {
			t.Errorf("window %d after sixteen refusals at once: want 8", w)
		}
		window, _ := drive(t, p, 400, func(int) (time.Duration, Signal) { return time.Millisecond, Busy })
		if window != 1 {
			t.Errorf("window %d of a server that stays busy: want 1", window)
		}
	})
}

func TestCancelledWaiterLeavesItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Start: 1, Max: 1})
		held, _ := p.Acquire(context.Background(), "write")
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			if _, err := p.Acquire(ctx, "write"); err == nil {
				t.Error("a cancelled waiter got a slot")
			}
		}()
		got := make(chan *Slot)
		synctest.Wait()
		go func() { s, _ := p.Acquire(context.Background(), "write"); got <- s }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		held.Release(OK)
		(<-got).Release(OK)
	})
}
