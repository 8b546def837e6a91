package parts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

// distantSource counts how it is read.
type distantSource struct {
	memSource
	copies, reads atomic.Int64
	broken        error
}

func (d *distantSource) ReadAt(p []byte, off int64) (int, error) {
	d.reads.Add(1)
	return d.memSource.ReadAt(p, off)
}

func (d *distantSource) CopyTo(_ context.Context, w io.WriterAt) error {
	d.copies.Add(1)
	if d.broken != nil {
		return d.broken
	}
	_, err := w.WriteAt(d.byteReaderAt, 0)
	return err
}

// A large object of a distant store crosses the network once, and nobody sees
// bytes of it that were not compared.
func TestDistantIsFetchedOnce(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	data := bytes.Repeat([]byte("0123456789abcdef"), verifiedInMemory/16+1)
	o := Object{SHA256: sha256.Sum256(data), Bytes: int64(len(data))}
	cut := errors.New("cut")
	for name, c := range map[string]struct {
		change func(d *distantSource)
		want   func(error) bool
	}{
		"sound":     {func(*distantSource) {}, func(err error) bool { return err == nil }},
		"flipped":   {func(d *distantSource) { d.byteReaderAt[len(data)-1] ^= 1 }, func(err error) bool { _, ok := errors.AsType[*Corruption](err); return ok }},
		"truncated": {func(d *distantSource) { d.byteReaderAt = d.byteReaderAt[:len(data)-1] }, func(err error) bool { _, ok := errors.AsType[*Corruption](err); return ok }},
		"cut":       {func(d *distantSource) { d.broken = cut }, func(err error) bool { return errors.Is(err, cut) }},
	} {
		t.Run(name, func(t *testing.T) {
			d := &distantSource{memSource: memSource{bytes.Clone(data)}}
			c.change(d)
			r, closer, err := Verified(func(context.Context, Object) (Source, error) { return d, nil })(t.Context(), o)
			if !c.want(err) {
				t.Fatalf("got %v", err)
			}
			if d.copies.Load() != 1 || d.reads.Load() != 0 {
				t.Errorf("fetched %d times, %d reads beside", d.copies.Load(), d.reads.Load())
			}
			if err != nil {
				return
			}
			d.byteReaderAt[0] ^= 1 // later changes at the source reach nobody
			got, err := io.ReadAll(io.NewSectionReader(r, 0, o.Bytes))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
}

var photos = schemas.Table{Name: "photos", Columns: []schemas.Column{{ID: 100, Name: "photo", Type: schemas.Binary}}}

func photo(i int) schemas.Row {
	return schemas.Row{ID: idOf(i), Key: "k", Values: []any{bytes.Repeat([]byte{byte(i)}, schemas.LargeBytes+1)}}
}

// Large values are stored while others are read, several at once, and all are
// there before the table is.
func TestLargeValuesInParallel(t *testing.T) {
	m := newMemStore()
	var running, most atomic.Int64
	gate := make(chan struct{})
	var once sync.Once
	w := NewTableWriter(photos, Options{TempDir: t.TempDir(), Put: func(ctx context.Context, body io.ReadSeeker) (Object, error) {
		n := running.Add(1)
		defer running.Add(-1)
		for {
			was := most.Load()
			if n <= was || most.CompareAndSwap(was, n) {
				break
			}
		}
		if n == 4 {
			once.Do(func() { close(gate) })
		}
		select { // the first wait for the fourth: one at a time would never end
		case <-gate:
		case <-ctx.Done():
		}
		return m.put(ctx, body)
	}})
	defer w.Close()
	for i := range 20 {
		if err := w.WriteRow(t.Context(), photo(i), int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	table, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if most.Load() < 4 || most.Load() > largeAtOnce {
		t.Errorf("%d at once", most.Load())
	}
	verifyAll(t, OpenTable(table, m.open, ReadOptions{}))
}

// A large value that can't be stored fails the table, if not the call that
// brought it.
func TestLargeValueLost(t *testing.T) {
	full := errors.New("no room")
	for _, at := range []int{0, 3, 9} {
		m := newMemStore()
		n := 0
		var mu sync.Mutex
		w := NewTableWriter(photos, Options{TempDir: t.TempDir(), Put: func(ctx context.Context, body io.ReadSeeker) (Object, error) {
			mu.Lock()
			n++
			fail := n-1 == at
			mu.Unlock()
			if fail {
				return Object{}, full
			}
			return m.put(ctx, body)
		}})
		var err error
		for i := 0; i < 10 && err == nil; i++ {
			err = w.WriteRow(t.Context(), photo(i), int64(i))
		}
		if err == nil {
			_, err = w.Finish(t.Context())
		}
		if !errors.Is(err, full) {
			t.Errorf("put %d failed: got %v", at, err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}
