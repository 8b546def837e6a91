package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
)

// ErrInjected is the cause in every error that Fault makes up.
var ErrInjected = errors.New("injected fault")

// Kind is how an operation goes wrong.
type Kind int

// The kinds of faults. Those that only make sense for Create fail other
// operations plainly.
const (
	Fail        Kind = iota // nothing happens; a plain error
	Refuse                  // nothing happens; unknown outcome
	LoseReply               // it happens; unknown outcome
	LoseReply2              // it happens, and a second request of the client itself meets it: exists
	CutBody                 // the body breaks off while it is read: a plain error
	Late                    // unknown outcome now, and it happens after Fault.Delay
	CancelAfter             // it happens; the context's error
	CutRead                 // Open's object ends early
)

func (k Kind) String() string {
	return [...]string{"fail", "refuse", "lose reply", "lose reply, then exists", "cut body", "late", "cancel after", "cut read"}[k]
}

// Fault wraps a back end and makes chosen operations go wrong. Operations are
// counted from zero in the order in which they begin.
type Fault struct {
	snapshots.Backend
	// Plan says what becomes of operation n; ok false lets it pass. It is
	// called under a lock.
	Plan func(n int, op, key string) (kind Kind, ok bool)
	// Delay is how late Late is; zero means a millisecond.
	Delay time.Duration

	mu    sync.Mutex
	n     int
	hits  int
	later sync.WaitGroup
}

// FailAt makes operation k go wrong, and it alone.
func FailAt(b snapshots.Backend, k int, kind Kind) *Fault {
	return &Fault{Backend: b, Plan: func(n int, _, _ string) (Kind, bool) { return kind, n == k }}
}

// Hits is how many operations went wrong.
func (f *Fault) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}

// Wait returns when all late operations have happened.
func (f *Fault) Wait() { f.later.Wait() }

func (f *Fault) next(op, key string) (Kind, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.n
	f.n++
	kind, ok := f.Plan(n, op, key)
	if ok {
		f.hits++
	}
	return kind, ok
}

func injected(op, key string, with error) error {
	if with == nil {
		return fmt.Errorf("%s %s: %w", op, key, ErrInjected)
	}
	return fmt.Errorf("%s %s: %w: %w", op, key, with, ErrInjected)
}

// Create goes wrong as planned.
func (f *Fault) Create(ctx context.Context, key string, body io.ReadSeeker) error {
	kind, ok := f.next("create", key)
	if !ok {
		return f.Backend.Create(ctx, key, body)
	}
	switch kind {
	case Refuse:
		return injected("create", key, snapshots.ErrUnknownOutcome)
	case LoseReply, LoseReply2, CancelAfter:
		if err := f.Backend.Create(ctx, key, body); err != nil {
			return err
		}
		with := map[Kind]error{LoseReply: snapshots.ErrUnknownOutcome, LoseReply2: snapshots.ErrExists, CancelAfter: context.Canceled}
		return injected("create", key, with[kind])
	case CutBody:
		return f.Backend.Create(ctx, key, &cutBody{ReadSeeker: body, left: 10})
	case Late:
		return f.late(key, body)
	}
	return injected("create", key, nil)
}

func (f *Fault) late(key string, body io.ReadSeeker) error {
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	f.later.Go(func() {
		time.Sleep(max(f.Delay, time.Millisecond))
		_ = f.Backend.Create(context.Background(), key, bytes.NewReader(data))
	})
	return injected("create", key, snapshots.ErrUnknownOutcome)
}

// Open goes wrong as planned.
func (f *Fault) Open(ctx context.Context, key string) (snapshots.Object, error) {
	kind, ok := f.next("open", key)
	if !ok {
		return f.Backend.Open(ctx, key)
	}
	if kind != CutRead {
		return nil, injected("open", key, nil)
	}
	o, err := f.Backend.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	return cutObject{o}, nil
}

// Stat goes wrong as planned.
func (f *Fault) Stat(ctx context.Context, key string) (int64, error) {
	if _, ok := f.next("stat", key); ok {
		return 0, injected("stat", key, nil)
	}
	return f.Backend.Stat(ctx, key)
}

// List goes wrong as planned.
func (f *Fault) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if _, ok := f.next("list", prefix); ok {
			yield("", injected("list", prefix, nil))
			return
		}
		for k, err := range f.Backend.List(ctx, prefix, after) {
			if !yield(k, err) {
				return
			}
		}
	}
}

// Delete goes wrong as planned: LoseReply and CancelAfter delete, the others
// don't.
func (f *Fault) Delete(ctx context.Context, key string) error {
	kind, ok := f.next("delete", key)
	sweeper := f.Backend.(snapshots.Sweeper)
	if !ok {
		return sweeper.Delete(ctx, key)
	}
	if kind == LoseReply || kind == CancelAfter {
		if err := sweeper.Delete(ctx, key); err != nil {
			return err
		}
	}
	return injected("delete", key, map[Kind]error{Refuse: snapshots.ErrUnknownOutcome, LoseReply: snapshots.ErrUnknownOutcome, CancelAfter: context.Canceled}[kind])
}

// Details goes wrong as planned.
func (f *Fault) Details(ctx context.Context, prefix, after string) iter.Seq2[snapshots.Detail, error] {
	return func(yield func(snapshots.Detail, error) bool) {
		if _, ok := f.next("list", prefix); ok {
			yield(snapshots.Detail{}, injected("list", prefix, nil))
			return
		}
		for d, err := range f.Backend.(snapshots.Sweeper).Details(ctx, prefix, after) {
			if !yield(d, err) {
				return
			}
		}
	}
}

// cutBody breaks off after some bytes.
type cutBody struct {
	io.ReadSeeker
	left int
}

func (c *cutBody) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, fmt.Errorf("read body: %w", ErrInjected)
	}
	n, err := c.ReadSeeker.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// cutObject fails reads in its second half.
type cutObject struct{ snapshots.Object }

func (c cutObject) ReadAt(p []byte, off int64) (int, error) {
	half := c.Size() / 2
	if off+int64(len(p)) <= half {
		return c.Object.ReadAt(p, off)
	}
	n := 0
	if off < half {
		n, _ = c.Object.ReadAt(p[:half-off], off)
	}
	return n, fmt.Errorf("read: %w", ErrInjected)
}
