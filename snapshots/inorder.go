package snapshots

import (
	"context"
	"iter"
	"sync"
)

// inOrder has units of work done by several goroutines and gives what they find
// as if one had done them in turn: what a unit finds ahead of its turn waits,
// within bounds, and so does the unit then.
type inOrder[U, T, R any] struct {
	workers int
	room    int64 // bytes that may wait of each unit
	size    func(T) int64
}

// batchBytes is how much goes from a worker to the reader at once.
const batchBytes = 64 << 10

// worked is a unit under way, or done.
type worked[T, R any] struct {
	found  chan []T
	result R     // once found is closed
	err    error // the same
}

// run calls work for each unit, take with what it emits, and done with its
// result, the last two by the caller's goroutine and in order.
func (q inOrder[U, T, R]) run(ctx context.Context, units iter.Seq2[U, error], work func(context.Context, U, func(T) error) (R, error), take func(T) error, done func(R)) error {
	if q.workers <= 1 {
		for u, err := range units {
			if err != nil {
				return err
			}
			r, err := work(ctx, u, take)
			done(r)
			if err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait() // nothing of ours reads any more once run returns
	defer cancel()
	line := make(chan *worked[T, R], q.workers-1)
	wg.Go(func() {
		defer close(line)
		q.start(ctx, &wg, units, work, line)
	})
	for w := range line {
		for batch := range w.found {
			for _, c := range batch {
				if err := take(c); err != nil {
					return err
				}
			}
		}
		done(w.result)
		if w.err != nil {
			return w.err
		}
	}
	return context.Cause(ctx)
}

// start begins a unit whenever there is room in the line.
func (q inOrder[U, T, R]) start(ctx context.Context, wg *sync.WaitGroup, units iter.Seq2[U, error], work func(context.Context, U, func(T) error) (R, error), line chan<- *worked[T, R]) {
	for u, err := range units {
		w := &worked[T, R]{found: make(chan []T, max(1, q.room/batchBytes)), err: err}
		select {
		case line <- w:
		case <-ctx.Done():
			return
		}
		if err != nil {
			close(w.found)
			return
		}
		wg.Go(func() {
			defer close(w.found)
			b := batcher[T]{ctx: ctx, out: w.found, size: q.size}
			if w.result, w.err = work(ctx, u, b.add); w.err == nil {
				w.err = b.flush()
			}
		})
	}
}

// batcher collects what a unit finds.
type batcher[T any] struct {
	ctx   context.Context
	out   chan<- []T
	size  func(T) int64
	batch []T
	bytes int64
}

func (b *batcher[T]) add(c T) error {
	b.batch = append(b.batch, c)
	if b.bytes += b.size(c); b.bytes < batchBytes {
		return nil
	}
	return b.flush()
}

func (b *batcher[T]) flush() error {
	select {
	case b.out <- b.batch:
		b.batch, b.bytes = nil, 0
		return nil
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
}
