package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
)

// Opener makes an empty place and returns what opens it, any number of times,
// as several processes would.
type Opener func(t *testing.T) (open func() snapshots.Backend)

// Run is the conformance suite: what it asks is what the store relies on.
func Run(t *testing.T, make Opener) {
	tests := []struct {
		name string
		run  func(t *testing.T, open func() snapshots.Backend)
	}{
		{"create then read", createThenRead},
		{"create only", createOnly},
		{"one of 32 racing writers wins", race},
		{"one of 8 racing writers of large objects wins", raceLarge},
		{"racing writers of one content all succeed or meet it", raceSame},
		{"not found", notFound},
		{"bad keys", badKeys},
		{"list", list},
		{"list while writing", listWhileWriting},
		{"big object", bigObject},
		{"cancelled", cancelled},
		{"broken body", brokenBody},
		{"body is read from its start", rewinds},
		{"concurrent reads", concurrentReads},
		{"delete", deletes},
		{"racing deletes", racingDeletes},
		{"details", details},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, make(t)) })
	}
}

// Put creates an object from bytes.
func Put(ctx context.Context, b snapshots.Backend, key string, data []byte) error {
	return b.Create(ctx, key, bytes.NewReader(data))
}

// Get reads a whole object.
func Get(ctx context.Context, b snapshots.Backend, key string) ([]byte, error) {
	o, err := b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
}

// Keys lists all keys with a prefix.
func Keys(ctx context.Context, b snapshots.Backend, prefix, after string) (keys []string, err error) {
	for k, err := range b.List(ctx, prefix, after) {
		if err != nil {
			return keys, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func wantBytes(t *testing.T, b snapshots.Backend, key string, want []byte) {
	t.Helper()
	got, err := Get(t.Context(), b, key)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: got %d bytes, %v; want %d bytes", key, len(got), err, len(want))
	}
	if n, err := b.Stat(t.Context(), key); err != nil || n != int64(len(want)) {
		t.Errorf("stat %s: %d bytes, %v; want %d", key, n, err, len(want))
	}
}

func mustPut(t *testing.T, b snapshots.Backend, key string, data []byte) {
	t.Helper()
	if err := Put(t.Context(), b, key, data); err != nil {
		t.Fatal(err)
	}
}

func createThenRead(t *testing.T, open func() snapshots.Backend) {
	b, other := open(), open()
	for key, data := range map[string][]byte{
		"format.json": []byte("{}"), "empty": {}, "objects/sha256/ab/cd/abcd": []byte("part"), "log/00000000000000000001.json": []byte("x"),
		"runs/r=1/ledger/Seg_1.jsonl": []byte("y"),
	} {
		mustPut(t, b, key, data)
		wantBytes(t, b, key, data)
		wantBytes(t, other, key, data)
	}
	if b.Location() == "" {
		t.Error("no location to name in messages")
	}
}

func createOnly(t *testing.T, open func() snapshots.Backend) {
	b := open()
	mustPut(t, b, "a/b", []byte("first"))
	for _, x := range []snapshots.Backend{b, open()} {
		err := Put(t.Context(), x, "a/b", []byte("second"))
		if !errors.Is(err, snapshots.ErrExists) || !strings.Contains(err.Error(), "a/b") {
			t.Errorf("second create: got %v, want ErrExists that names the key", err)
		}
	}
	wantBytes(t, b, "a/b", []byte("first"))
}

func race(t *testing.T, open func() snapshots.Backend) { raceOf(t, open, 5, 32, 1000) }

// raceLarge: back ends and servers may treat objects of megabytes in another
// way, such as looking before they write.
func raceLarge(t *testing.T, open func() snapshots.Backend) { raceOf(t, open, 3, 8, 3<<20) }

func raceOf(t *testing.T, open func() snapshots.Backend, rounds, writers, size int) {
	backends := []snapshots.Backend{open(), open(), open(), open()}
	for round := range rounds {
		key := fmt.Sprintf("log/%d/x.json", round)
		var won atomic.Int32
		var bodies sync.Map // of writers that won (true) or may have (false)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				body := bytes.Repeat([]byte{byte(w)}, size+w)
				<-start
				switch err := Put(t.Context(), backends[w%len(backends)], key, body); {
				case err == nil:
					won.Add(1)
					bodies.Store(string(body), true)
				case errors.Is(err, snapshots.ErrUnknownOutcome): // a server may hang up on a body that it will not take
					bodies.Store(string(body), false)
				case !errors.Is(err, snapshots.ErrExists):
					t.Errorf("writer %d: %v", w, err)
				}
			})
		}
		close(start)
		wg.Wait()
		got, err := Get(t.Context(), backends[0], key)
		if err != nil {
			t.Fatal(err)
		}
		sure, ok := bodies.Load(string(got))
		if !ok || won.Load() > 1 || won.Load() == 1 && sure != true {
			t.Fatalf("round %d: %d writers were told that they won; whose object it is may have won: %v, was told so: %v", round, won.Load(), ok, sure)
		}
	}
}

func raceSame(t *testing.T, open func() snapshots.Backend) {
	b, data := open(), []byte("same content")
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			err := Put(t.Context(), b, "objects/x", data)
			if errors.Is(err, snapshots.ErrExists) {
				err = awaitObject(t, b, "objects/x")
			}
			if err != nil {
				t.Error(err)
			}
			wantBytes(t, b, "objects/x", data) // whole for whoever was told of it
		})
	}
	wg.Wait()
}

// awaitObject waits for an object that a server refused another for: it may do
// so a moment before the first is seen.
func awaitObject(t *testing.T, b snapshots.Backend, key string) (err error) {
	for range 500 {
		if _, err = b.Stat(t.Context(), key); !errors.Is(err, snapshots.ErrNotFound) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

func notFound(t *testing.T, open func() snapshots.Backend) {
	b := open()
	mustPut(t, b, "dir/file", []byte("x"))
	for _, key := range []string{"nothing", "dir/nothing", "dir", "dir/file/below", "no/such/dir"} {
		_, err := b.Open(t.Context(), key)
		if !errors.Is(err, snapshots.ErrNotFound) || !strings.Contains(err.Error(), key) {
			t.Errorf("open %s: got %v, want ErrNotFound that names the key", key, err)
		}
		_, err = b.Stat(t.Context(), key)
		if !errors.Is(err, snapshots.ErrNotFound) || !strings.Contains(err.Error(), key) {
			t.Errorf("stat %s: got %v, want ErrNotFound that names the key", key, err)
		}
	}
}

func badKeys(t *testing.T, open func() snapshots.Backend) {
	b := open()
	for _, key := range []string{"", "/abs", "a//b", "a/", "../up", "a/../b", "a/./b", ".hidden", "a/.tmp/x", `a\b`, "a b", "ä", "a\x00b", strings.Repeat("x", 600)} {
		if err := Put(t.Context(), b, key, nil); !errors.Is(err, snapshots.ErrBadKey) {
			t.Errorf("create %q: got %v, want ErrBadKey", key, err)
		}
		if _, err := b.Open(t.Context(), key); !errors.Is(err, snapshots.ErrBadKey) {
			t.Errorf("open %q: got %v, want ErrBadKey", key, err)
		}
		if _, err := b.Stat(t.Context(), key); !errors.Is(err, snapshots.ErrBadKey) {
			t.Errorf("stat %q: got %v, want ErrBadKey", key, err)
		}
	}
	if keys, err := Keys(t.Context(), b, "", ""); len(keys) != 0 || err != nil {
		t.Errorf("left behind: %q, %v", keys, err)
	}
}

func list(t *testing.T, open func() snapshots.Backend) {
	b := open()
	keys := []string{"a-b", "a.b", "a/x", "a/x.json", "a/x/y", "a/x0", "a0", "ab", "b/1", "b/10", "b/2", "Z"}
	keys = slices.DeleteFunc(keys, func(k string) bool { return k == "a/x" }) // a file and a directory can't share a name
	for _, i := range rand.Perm(len(keys)) {
		mustPut(t, b, keys[i], []byte(keys[i]))
	}
	slices.Sort(keys)
	cuts := []string{"", "a", "a-", "a.", "a/", "a/x", "a/x.", "a/x/", "a/x/y", "b/", "b/1", "Z", "c", "nothing/", "../", ".tmp/"}
	for _, prefix := range cuts {
		for _, after := range append(slices.Clone(cuts), keys...) {
			var want []string
			for _, k := range keys {
				if strings.HasPrefix(k, prefix) && k > after {
					want = append(want, k)
				}
			}
			got, err := Keys(t.Context(), open(), prefix, after)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("prefix %q after %q: got %q, %v; want %q", prefix, after, got, err, want)
			}
		}
	}
	n := 0
	for range b.List(t.Context(), "", "") {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("stopped early: %d keys", n)
	}
}

func listWhileWriting(t *testing.T, open func() snapshots.Backend) {
	b := open()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				key := fmt.Sprintf("log/%d-%03d", w, i)
				mustPut(t, b, key, nil)
				if got, err := Keys(t.Context(), b, key, ""); len(got) != 1 || err != nil {
					t.Errorf("%s is not listed right after it was created: %v", key, err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := Keys(t.Context(), b, "log/", ""); len(got) != 100 || !slices.IsSorted(got) || err != nil {
		t.Errorf("%d keys, %v", len(got), err)
	}
}

func bigObject(t *testing.T, open func() snapshots.Backend) {
	b := open()
	data := make([]byte, 20<<20+3)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(data)
	mustPut(t, b, "objects/big", data)
	o, err := open().Open(t.Context(), "objects/big")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if o.Size() != int64(len(data)) {
		t.Fatalf("size %d, want %d", o.Size(), len(data))
	}
	for _, off := range []int64{0, 1, 8<<20 - 1, o.Size() - 5} {
		got := make([]byte, min(1<<20, o.Size()-off))
		if n, err := o.ReadAt(got, off); n != len(got) || err != nil && err != io.EOF || !bytes.Equal(got, data[off:off+int64(n)]) {
			t.Errorf("read at %d: %d bytes, %v", off, n, err)
		}
	}
	if n, err := o.ReadAt(make([]byte, 10), o.Size()); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
}

func cancelled(t *testing.T, open func() snapshots.Backend) {
	b := open()
	mustPut(t, b, "there", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	body := &cancelBody{Reader: bytes.NewReader(make([]byte, 1<<20)), cancel: cancel}
	err := b.Create(ctx, "cancelled/half", body)
	if !errors.Is(err, context.Canceled) && !errors.Is(err, snapshots.ErrUnknownOutcome) {
		t.Errorf("create: got %v", err)
	}
	// Whole or not at all.
	if got, err := Get(t.Context(), b, "cancelled/half"); err == nil && len(got) != 1<<20 || err != nil && !errors.Is(err, snapshots.ErrNotFound) {
		t.Errorf("after cancellation: %d bytes, %v", len(got), err)
	}
	if err := Put(ctx, b, "cancelled/before", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("create: got %v", err)
	}
	if _, err := b.Open(ctx, "there"); !errors.Is(err, context.Canceled) {
		t.Errorf("open: got %v", err)
	}
	if _, err := b.Stat(ctx, "there"); !errors.Is(err, context.Canceled) {
		t.Errorf("stat: got %v", err)
	}
	if _, err := Keys(ctx, b, "", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("list: got %v", err)
	}
	if _, err := Get(t.Context(), b, "cancelled/before"); !errors.Is(err, snapshots.ErrNotFound) {
		t.Errorf("created after cancellation: %v", err)
	}
}

// cancelBody cancels the context that it is read under, half-way.
type cancelBody struct {
	*bytes.Reader
	cancel func()
	n      int
}

func (c *cancelBody) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p[:min(len(p), 4096)])
	if c.n += n; c.n > c.Reader.Len() {
		c.cancel()
	}
	return n, err
}

// WriteTo hides the Reader's own, which would skip Read.
func (c *cancelBody) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, readerFunc(c.Read))
}

func brokenBody(t *testing.T, open func() snapshots.Backend) {
	b := open()
	err := b.Create(t.Context(), "x/y", &cutBody{ReadSeeker: bytes.NewReader(make([]byte, 100)), left: 10})
	if !errors.Is(err, ErrInjected) {
		t.Errorf("got %v, want the body's error", err)
	}
	if _, err := Get(t.Context(), b, "x/y"); !errors.Is(err, snapshots.ErrNotFound) {
		t.Errorf("half an object is there: %v", err)
	}
	mustPut(t, b, "x/y", []byte("whole"))
	wantBytes(t, b, "x/y", []byte("whole"))
}

func rewinds(t *testing.T, open func() snapshots.Backend) {
	b, r := open(), bytes.NewReader([]byte("whole"))
	if _, err := r.Seek(3, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(t.Context(), "k", r); err != nil {
		t.Fatal(err)
	}
	wantBytes(t, b, "k", []byte("whole"))
}

func sweeper(t *testing.T, b snapshots.Backend) snapshots.Sweeper {
	t.Helper()
	s, ok := b.(snapshots.Sweeper)
	if !ok {
		t.Fatalf("%T can't delete", b)
	}
	return s
}

func deletes(t *testing.T, open func() snapshots.Backend) {
	b, other := sweeper(t, open()), sweeper(t, open())
	mustPut(t, b, "objects/a", []byte("a"))
	mustPut(t, b, "objects/a-2", []byte("b"))
	for range 2 { // what is gone may be deleted again
		if err := other.Delete(t.Context(), "objects/a"); err != nil {
			t.Error(err)
		}
	}
	for _, key := range []string{"objects", "nothing/at/all", "objects/a-2/below"} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %s, where no object is: %v", key, err)
		}
	}
	if _, err := b.Stat(t.Context(), "objects/a"); !errors.Is(err, snapshots.ErrNotFound) {
		t.Errorf("deleted and still there: %v", err)
	}
	if keys, err := Keys(t.Context(), b, "objects/", ""); !slices.Equal(keys, []string{"objects/a-2"}) || err != nil {
		t.Errorf("left: %q, %v", keys, err)
	}
	wantBytes(t, b, "objects/a-2", []byte("b"))
	mustPut(t, b, "objects/a", []byte("again")) // a back end forgets; the log does not
	wantBytes(t, other, "objects/a", []byte("again"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Delete(ctx, "objects/a"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := b.Delete(t.Context(), "../up"); !errors.Is(err, snapshots.ErrBadKey) {
		t.Errorf("bad key: %v", err)
	}
	wantBytes(t, b, "objects/a", []byte("again"))
}

// racingDeletes: that another was faster is no error.
func racingDeletes(t *testing.T, open func() snapshots.Backend) {
	backends := []snapshots.Sweeper{sweeper(t, open()), sweeper(t, open())}
	for i := range 20 {
		key := fmt.Sprint("objects/", i)
		mustPut(t, backends[0], key, []byte("x"))
		var wg sync.WaitGroup
		start := make(chan struct{})
		for w := range 8 {
			wg.Go(func() {
				<-start
				if err := backends[w%2].Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
	}
	if keys, err := Keys(t.Context(), backends[0], "", ""); len(keys) > 0 || err != nil {
		t.Errorf("left: %q, %v", keys, err)
	}
}

func details(t *testing.T, open func() snapshots.Backend) {
	b := sweeper(t, open())
	for i, key := range []string{"a/1", "a/2", "b"} {
		mustPut(t, b, key, make([]byte, i))
	}
	var got []string
	for d, err := range b.Details(t.Context(), "a/", "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(d.Key, " ", d.Size))
		if age := time.Since(d.Modified); age > time.Hour || age < -time.Hour {
			t.Errorf("%s is said to be of %s", d.Key, d.Modified)
		}
	}
	if want := []string{"a/1 0", "a/2 1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func concurrentReads(t *testing.T, open func() snapshots.Backend) {
	b := open()
	data := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(data)
	mustPut(t, b, "k", data)
	o, err := b.Open(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				off := (w*131071 + i*7919) % (len(data) - 1000)
				got := make([]byte, 1000)
				if _, err := o.ReadAt(got, int64(off)); err != nil || !bytes.Equal(got, data[off:off+1000]) {
					t.Errorf("read at %d: %v", off, err)
				}
			}
		})
	}
	wg.Wait()
}
