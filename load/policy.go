package load

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"
)

// Policy says how long the loader keeps trying. It is data, so that tests run
// a fast twin of the same rules.
type Policy struct {
	// Attempts is how often one request is tried while the target is busy,
	// unreachable or gives no answer. Zero: 8.
	Attempts int
	// First is the first wait; each one after doubles, up to Max, and a random
	// part of it is taken. Zero: 250 ms and 30 s.
	First, Max time.Duration
	// RetryAfter caps the wait that a server asks for. Zero: 2 min.
	RetryAfter time.Duration
	// Settle is how long a request without an answer may still be carried out.
	// Zero: what the target's abilities say.
	Settle time.Duration
	// Poll is the wait between looks at such a row. Zero: 2 s.
	Poll time.Duration
	// Grace is how long requests in flight may finish once the run is told to
	// stop. Zero: 30 s.
	Grace time.Duration
}

// FastPolicy is the policy of tests.
func FastPolicy() Policy {
	return Policy{Attempts: 8, First: time.Millisecond, Max: 5 * time.Millisecond, RetryAfter: 10 * time.Millisecond,
		Settle: 20 * time.Millisecond, Poll: 2 * time.Millisecond, Grace: time.Second}
}

func (p Policy) withDefaults(a Abilities) Policy {
	p.Attempts = cmp.Or(p.Attempts, 8)
	p.First = cmp.Or(p.First, 250*time.Millisecond)
	p.Max = cmp.Or(p.Max, 30*time.Second)
	p.RetryAfter = cmp.Or(p.RetryAfter, 2*time.Minute)
	p.Settle = cmp.Or(p.Settle, a.TransactionLimit, 5*time.Minute)
	p.Poll = cmp.Or(p.Poll, 2*time.Second)
	p.Grace = cmp.Or(p.Grace, 30*time.Second)
	return p
}

// wait is how long to wait before the next try. A server's wish counts, up to
// the cap; otherwise half of the doubled wait is random, so that many workers
// do not come back at once.
func (p Policy) wait(attempt int, wish time.Duration) time.Duration {
	if wish > 0 {
		return min(wish, p.RetryAfter)
	}
	d := p.First << min(attempt-1, 20)
	if d <= 0 || d > p.Max {
		d = p.Max
	}
	return d/2 + rand.N(d/2+1)
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// outlive returns a context that ends only a while after ctx is cancelled, so
// that what is in flight can finish and be recorded.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	long, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-long.Done():
		}
	})
	return long, func() { stop(); cancel() }
}
