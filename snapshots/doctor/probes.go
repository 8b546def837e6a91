package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
)

// create writes an object, again while the outcome is unknown.
func (x *examination) create(ctx context.Context, b snapshots.Backend, key string, data []byte) error {
	atomic.AddInt64(&x.report.Objects, 1)
	for tries := 1; ; tries++ {
		err := b.Create(ctx, key, bytes.NewReader(data))
		if !errors.Is(err, snapshots.ErrUnknownOutcome) || tries == 10 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(tries) * 50 * time.Millisecond):
		}
	}
}

func read(ctx context.Context, b snapshots.Backend, key string) ([]byte, error) {
	o, err := b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// roundTrip writes sizes around what clients treat differently.
func (x *examination) roundTrip(ctx context.Context) error {
	for _, size := range []int{0, 1, 70_000, 20<<20 + 1} {
		key, data := x.key("round-trip/%d", size), randomBytes(size)
		if err := x.create(ctx, x.b, key, data); err != nil {
			return err
		}
		got, err := read(ctx, x.others[0], key)
		if errors.Is(err, snapshots.ErrNotFound) {
			return brokenf("%s was written and is not there", key)
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(got, data) {
			return brokenf("%s: %d bytes were written, %d read, and they are not the same", key, size, len(got))
		}
		if size == 0 {
			continue
		}
		if err := x.ranges(ctx, key, data); err != nil {
			return err
		}
	}
	return nil
}

func (x *examination) ranges(ctx context.Context, key string, data []byte) error {
	o, err := x.others[1].Open(ctx, key)
	if err != nil {
		return err
	}
	defer o.Close()
	for _, off := range []int{0, len(data) / 3, len(data) - 1} {
		got := make([]byte, min(1000, len(data)-off))
		if n, err := o.ReadAt(got, int64(off)); n < len(got) {
			return err
		}
		if !bytes.Equal(got, data[off:off+len(got)]) {
			return brokenf("%s: a range at %d has other bytes than were written there", key, off)
		}
	}
	return nil
}

// createOnly: small and large, since servers treat them differently.
func (x *examination) createOnly(ctx context.Context) error {
	for _, size := range []int{16, 2 << 20} {
		key, first := x.key("create-only/%d", size), randomBytes(size)
		if err := x.create(ctx, x.b, key, first); err != nil {
			return err
		}
		err := x.create(ctx, x.others[0], key, randomBytes(size))
		if err == nil {
			return brokenf("%s was written twice: conditions are ignored, a second writer wipes out the first", key)
		}
		if !errors.Is(err, snapshots.ErrExists) {
			return err
		}
		got, err := read(ctx, x.b, key)
		if err != nil && !errors.Is(err, snapshots.ErrNotFound) {
			return err
		}
		if !bytes.Equal(got, first) {
			return brokenf("%s was refused to a second writer and does not have the first one's bytes", key)
		}
	}
	return nil
}

const racers = 32

func (x *examination) race(ctx context.Context) error {
	for round := range x.o.Rounds {
		if err := x.oneRace(ctx, x.key("race/%03d", round)); err != nil {
			return err
		}
	}
	return nil
}

func (x *examination) oneRace(ctx context.Context, key string) error {
	atomic.AddInt64(&x.report.Objects, 1)
	var mu sync.Mutex
	var winners, doubtful [][]byte
	var failure error
	var wg sync.WaitGroup
	start := make(chan struct{})
	backends := append([]snapshots.Backend{x.b}, x.others...)
	for w := range racers {
		wg.Go(func() {
			data := randomBytes(200 + w)
			<-start
			// Sent once: a repeated request might meet its own first.
			err := backends[w%len(backends)].Create(ctx, key, bytes.NewReader(data))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				winners = append(winners, data)
			case errors.Is(err, snapshots.ErrUnknownOutcome):
				doubtful = append(doubtful, data)
			case !errors.Is(err, snapshots.ErrExists):
				failure = err
			}
		})
	}
	close(start)
	wg.Wait()
	if failure != nil {
		return failure
	}
	return x.judgeRace(ctx, key, winners, doubtful)
}

func (x *examination) judgeRace(ctx context.Context, key string, winners, doubtful [][]byte) error {
	if len(winners) > 1 {
		return brokenf("%s: %d of %d racing writers were told that they had won", key, len(winners), racers)
	}
	got, err := read(ctx, x.b, key)
	switch {
	case errors.Is(err, snapshots.ErrNotFound) && len(winners) == 0:
		return nil // all were put off, none won
	case errors.Is(err, snapshots.ErrNotFound):
		return brokenf("%s: a writer was told that it had won, and nothing is there", key)
	case err != nil:
		return err
	}
	if !slices.ContainsFunc(append(winners, doubtful...), func(d []byte) bool { return bytes.Equal(d, got) }) {
		return brokenf("%s has the bytes of a writer that was told it had lost", key)
	}
	if len(winners) == 1 && !bytes.Equal(winners[0], got) {
		return brokenf("%s does not have the bytes of the writer that was told it had won", key)
	}
	return nil
}

const visits = 10

func (x *examination) readAfterWrite(ctx context.Context) error {
	for i := range visits {
		key, data := x.key("read/%02d", i), randomBytes(100)
		reader := x.others[i%len(x.others)]
		// The log is read like this: its next entry is asked for, then written.
		if _, err := reader.Open(ctx, key); !errors.Is(err, snapshots.ErrNotFound) {
			if err == nil {
				err = brokenf("%s is there before it was written", key)
			}
			return err
		}
		if err := x.create(ctx, x.b, key, data); err != nil {
			return err
		}
		got, err := read(ctx, reader, key)
		if errors.Is(err, snapshots.ErrNotFound) {
			return brokenf("%s is not seen right after it was written", key)
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(got, data) {
			return brokenf("%s: other bytes were read than had just been written", key)
		}
	}
	return nil
}

// smallPages is a back end whose lists can be cut into small pages.
type smallPages interface {
	SmallPages(keys int32) snapshots.Backend
}

func (x *examination) lists(ctx context.Context) error {
	reader := x.others[0]
	if p, ok := reader.(smallPages); ok {
		reader = p.SmallPages(3)
	}
	prefix := x.key("list/")
	var want []string
	for _, i := range []int{7, 3, 9, 1, 0, 8, 2, 6, 4, 5} {
		// In byte order "-" and "." come before "/", in a walk of folders they do not.
		for _, form := range []string{"list/%d-", "list/%d/x", "list/%d.json"} {
			key := x.key(form, i)
			if err := x.create(ctx, x.b, key, nil); err != nil {
				return err
			}
			want = append(want, key)
			slices.Sort(want)
			if err := x.oneList(ctx, reader, prefix, "", want); err != nil {
				return err
			}
		}
	}
	for i, after := range want {
		if err := x.oneList(ctx, reader, prefix, after, want[i+1:]); err != nil {
			return err
		}
	}
	return nil
}

// disordered is how back ends report a list that is not in order.
type disordered interface {
	Disordered() bool
	Hint() string
}

func (x *examination) oneList(ctx context.Context, b snapshots.Backend, prefix, after string, want []string) error {
	var got []string
	for key, err := range b.List(ctx, prefix, after) {
		if d, ok := err.(disordered); ok && d.Disordered() {
			return brokenf("%s", strings.TrimSuffix(err.Error(), " ("+d.Hint()+")"))
		}
		if err != nil {
			return err
		}
		got = append(got, key)
		if len(got) > len(want) {
			break
		}
	}
	for i, key := range want {
		switch {
		case i >= len(got):
			return brokenf("%s was written and is missing from a list after %q", key, after)
		case got[i] != key:
			return brokenf("a list after %q has %s where %s belongs", after, got[i], key)
		}
	}
	if len(got) > len(want) {
		return brokenf("a list after %q has %s, which does not belong there", after, got[len(want)])
	}
	return nil
}

// damager is a back end that can send bytes other than it announces.
type damager interface {
	CreateDamaged(ctx context.Context, key string, body io.ReadSeeker) error
}

func (x *examination) damaged(ctx context.Context) error {
	d, ok := x.b.(damager)
	if !ok {
		return fmt.Errorf("%w: no network lies between", errNotTested)
	}
	for i := range 3 {
		key := x.key("damaged/%d", i)
		err := d.CreateDamaged(ctx, key, bytes.NewReader(randomBytes(1000)))
		if err == nil {
			return brokenf("%s was sent with one byte changed on the way, and was taken", key)
		}
		if _, err := x.others[0].Stat(ctx, key); err == nil {
			return brokenf("%s was sent damaged and refused, and is there all the same", key)
		} else if !errors.Is(err, snapshots.ErrNotFound) {
			return err
		}
	}
	return nil
}
