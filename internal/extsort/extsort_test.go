package extsort

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// memFile is a temporary file whose bytes a test can look at.
type memFile struct {
	b      []byte
	closed bool
	limit  int // bytes until the disk is full, 0 for none
}

func (m *memFile) Write(p []byte) (int, error) {
	if m.limit > 0 && len(m.b)+len(p) > m.limit {
		return 0, syscall.ENOSPC
	}
	m.b = append(m.b, p...)
	return len(p), nil
}

func (m *memFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memFile) Close() error { m.closed = true; return nil }

// inMemory makes the sorter spill into files that the test keeps.
func inMemory(s *Sorter, limit int) *[]*memFile {
	var files []*memFile
	s.create = func(string) (file, error) {
		f := &memFile{limit: limit}
		files = append(files, f)
		return f, nil
	}
	return &files
}

type pair struct{ key, value string }

func collect(t *testing.T, s *Sorter, from, to []byte) []pair {
	t.Helper()
	var got []pair
	for r, err := range s.Range(from, to) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, pair{string(r.Key), string(r.Value)})
	}
	return got
}

func randomPairs(seed uint64, n, keys, maxValue int) []pair {
	rng := rand.New(rand.NewPCG(seed, 1))
	pairs := make([]pair, n)
	for i := range pairs {
		key := make([]byte, 1+rng.IntN(20))
		if keys > 0 {
			key = fmt.Appendf(key[:0], "%d", rng.IntN(keys))
		} else {
			binary.NativeEndian.PutUint32(append(key[:0], make([]byte, 20)...), rng.Uint32())
			for j := range key {
				key[j] = byte(rng.IntN(256))
			}
		}
		pairs[i] = pair{string(key), fmt.Sprint(i) + strings.Repeat("v", rng.IntN(maxValue+1))}
	}
	return pairs
}

// The order is that of a stable sort in memory, whether nothing is spilled,
// much is, merges need several passes, or records are larger than blocks.
func TestSortedLikeStableSort(t *testing.T) {
	for _, tc := range []struct {
		name                 string
		n, keys, value       int
		memory               int64
		workers              int
		wantSpill, wantLevel bool
		wantRuns             int
	}{
		{name: "empty", memory: 1 << 20},
		{name: "one", n: 1, value: 10, memory: 1 << 20},
		{name: "in memory", n: 2000, value: 50, memory: 1 << 20},
		{name: "in memory, few keys", n: 2000, keys: 7, value: 50, memory: 1 << 20},
		{name: "spilled", n: 20000, value: 100, memory: 128 << 10, wantSpill: true},
		{name: "spilled, few keys", n: 20000, keys: 9, value: 100, memory: 128 << 10, wantSpill: true},
		{name: "several passes", n: 60000, keys: 500, value: 300, memory: 128 << 10, wantSpill: true, wantLevel: true},
		{name: "runs side by side", n: 60000, keys: 500, value: 300, memory: 6 << 20, workers: 3, wantSpill: true, wantRuns: 8},
		{name: "large records", n: 200, keys: 50, value: 40000, memory: 128 << 10, wantSpill: true},
		{name: "records over the limit", n: 12, value: 400000, memory: 128 << 10, wantSpill: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := New(Options{Memory: tc.memory, Dir: t.TempDir(), Workers: tc.workers})
			defer s.Close()
			want := randomPairs(7, tc.n, tc.keys, tc.value)
			for _, p := range want {
				if err := s.Add([]byte(p.key), []byte(p.value)); err != nil {
					t.Fatal(err)
				}
			}
			slices.SortStableFunc(want, func(a, b pair) int { return strings.Compare(a.key, b.key) })
			for round := range 2 {
				if got := collect(t, s, nil, nil); !slices.Equal(got, want) {
					t.Fatalf("round %d: order differs (%d records, want %d)", round, len(got), len(want))
				}
			}
			if (s.Spilled() > 0) != tc.wantSpill {
				t.Errorf("spilled %d bytes, want spill: %v", s.Spilled(), tc.wantSpill)
			}
			if tc.wantRuns > 0 && len(s.runs) != tc.wantRuns {
				t.Errorf("%d runs, want %d", len(s.runs), tc.wantRuns)
			}
			if tc.wantLevel && !slices.ContainsFunc(s.runs, func(r *run) bool { return r.level > 0 }) {
				t.Error("no merge pass happened")
			}
		})
	}
}

// Ranges cover what they name and nothing else, and several may be read at
// once.
func TestRange(t *testing.T) {
	for _, memory := range []int64{128 << 10, 8 << 20} {
		t.Run(fmt.Sprint("memory=", memory), func(t *testing.T) {
			s := New(Options{Memory: memory, Dir: t.TempDir()})
			defer s.Close()
			want := randomPairs(3, 8000, 0, 60)
			for _, p := range want {
				if err := s.Add([]byte(p.key), []byte(p.value)); err != nil {
					t.Fatal(err)
				}
			}
			slices.SortStableFunc(want, func(a, b pair) int { return strings.Compare(a.key, b.key) })
			var wg sync.WaitGroup
			for lo := 0; lo < 256; lo += 32 {
				wg.Go(func() {
					from, to := []byte{byte(lo)}, []byte{byte(lo + 32)}
					if lo+32 > 255 {
						to = nil
					}
					var part []pair
					for _, p := range want {
						if p.key >= string(from) && (to == nil || p.key < string(to)) {
							part = append(part, p)
						}
					}
					if got := collect(t, s, from, to); !slices.Equal(got, part) {
						t.Errorf("range from %x: %d records, want %d", from, len(got), len(part))
					}
				})
			}
			wg.Wait()
		})
	}
}

// The arena never allocates more than its limit as long as no single record
// does.
func TestMemoryIsAccounted(t *testing.T) {
	s := New(Options{Memory: 1 << 20})
	defer s.Close()
	inMemory(s, 0)
	for i, p := range randomPairs(5, 50000, 0, 200) {
		if err := s.Add([]byte(p.key), []byte(p.value)); err != nil {
			t.Fatal(err)
		}
		if s.buf.used > s.buf.limit {
			t.Fatalf("record %d: %d bytes allocated, limit %d", i, s.buf.used, s.buf.limit)
		}
		var real int64
		for _, c := range s.buf.chunks {
			real += int64(cap(c))
		}
		if real += int64(cap(s.buf.entries)) * entrySize; real != s.buf.used {
			t.Fatalf("record %d: accounted %d bytes, holds %d", i, s.buf.used, real)
		}
	}
	if s.Spilled() == 0 {
		t.Fatal("nothing was spilled")
	}
}

// A secret that passes through spill files can't be found in them.
func TestSpillFilesAreSealed(t *testing.T) {
	s := New(Options{Memory: 128 << 10})
	defer s.Close()
	files := inMemory(s, 0)
	const secret = "correct horse battery staple"
	for i := range 5000 {
		if err := s.Add(fmt.Appendf(nil, "key-%08d-%s", i, secret), bytes.Repeat([]byte(secret), 3)); err != nil {
			t.Fatal(err)
		}
	}
	collect(t, s, nil, nil)
	if len(*files) == 0 {
		t.Fatal("nothing was spilled")
	}
	for i, f := range *files {
		if bytes.Contains(f.b, []byte(secret[:8])) || bytes.Contains(f.b, []byte("key-0000")) {
			t.Errorf("spill file %d holds plain text", i)
		}
	}
}

// A spill folder that can't be written, a disk that fills up while spilling or
// merging, and bytes altered on disk are errors that name the folder and the
// next step.
func TestSpillFaults(t *testing.T) {
	fill := func(s *Sorter) error {
		for i := range 60000 {
			if err := s.Add(fmt.Appendf(nil, "%d", i*7919%60000), make([]byte, 100)); err != nil {
				return err
			}
		}
		for _, err := range s.Sorted() {
			if err != nil {
				return err
			}
		}
		return nil
	}
	check := func(t *testing.T, err error, dir string, cause error) {
		t.Helper()
		var spill *SpillError
		if !errors.As(err, &spill) || spill.Dir != dir || !strings.Contains(err.Error(), "free space there or name another folder") {
			t.Fatalf("got %v, want a spill error that names %s", err, dir)
		}
		if cause != nil && !errors.Is(err, cause) {
			t.Fatalf("got %v, want cause %v", err, cause)
		}
	}
	t.Run("no folder", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "absent")
		s := New(Options{Memory: 128 << 10, Dir: dir})
		defer s.Close()
		check(t, fill(s), dir, os.ErrNotExist)
	})
	t.Run("disk full", func(t *testing.T) {
		for _, limit := range []int{1, 50000, 200000} {
			s := New(Options{Memory: 128 << 10, Dir: "/spill"})
			inMemory(s, limit)
			check(t, fill(s), "/spill", syscall.ENOSPC)
			if err := s.Add(nil, nil); err == nil {
				t.Error("add after a failed spill succeeded")
			}
			s.Close()
		}
	})
	t.Run("altered", func(t *testing.T) {
		s := New(Options{Memory: 128 << 10, Dir: "/spill"})
		defer s.Close()
		files := inMemory(s, 0)
		for i := range 3000 {
			if err := s.Add(fmt.Appendf(nil, "%d", i), make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.finish(); err != nil {
			t.Fatal(err)
		}
		last := (*files)[len(*files)-1]
		last.b[len(last.b)/2] ^= 1
		check(t, fill2(s), "/spill", nil)
	})
	t.Run("truncated", func(t *testing.T) {
		s := New(Options{Memory: 128 << 10, Dir: "/spill"})
		defer s.Close()
		files := inMemory(s, 0)
		for i := range 3000 {
			if err := s.Add(fmt.Appendf(nil, "%d", i), make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.finish(); err != nil {
			t.Fatal(err)
		}
		first := (*files)[0]
		first.b = first.b[:len(first.b)-1]
		check(t, fill2(s), "/spill", nil)
	})
}

func fill2(s *Sorter) error {
	for _, err := range s.Sorted() {
		if err != nil {
			return err
		}
	}
	return nil
}

// Nothing stays behind: no name while running, no open file after Close.
func TestFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	s := New(Options{Memory: 128 << 10, Dir: dir})
	for _, p := range randomPairs(1, 5000, 0, 100) {
		if err := s.Add([]byte(p.key), []byte(p.value)); err != nil {
			t.Fatal(err)
		}
	}
	if s.Spilled() == 0 {
		t.Fatal("nothing was spilled")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
	if err := fill2(s); err == nil {
		t.Error("a closed sorter yields records")
	}

	s = New(Options{Memory: 128 << 10})
	files := inMemory(s, 0)
	for _, p := range randomPairs(1, 60000, 0, 100) {
		if err := s.Add([]byte(p.key), []byte(p.value)); err != nil {
			t.Fatal(err)
		}
	}
	collect(t, s, nil, nil)
	s.Close()
	for i, f := range *files {
		if !f.closed {
			t.Errorf("file %d of %d was never closed", i, len(*files))
		}
	}
}

func TestAddAfterSorted(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	s.Add([]byte("k"), nil)
	collect(t, s, nil, nil)
	if err := s.Add([]byte("l"), nil); !errors.Is(err, ErrSorted) {
		t.Fatalf("got %v, want ErrSorted", err)
	}
}

// An iteration that is left early leaves the sorter usable.
func TestStopEarly(t *testing.T) {
	s := New(Options{Memory: 128 << 10, Dir: t.TempDir()})
	defer s.Close()
	for _, p := range randomPairs(2, 5000, 0, 100) {
		s.Add([]byte(p.key), []byte(p.value))
	}
	for range s.Sorted() {
		break
	}
	if got := collect(t, s, nil, nil); len(got) != 5000 {
		t.Fatalf("got %d records, want 5000", len(got))
	}
}

// go test -bench Sort ./internal/extsort
func BenchmarkSort(b *testing.B) {
	for _, memory := range []int64{8 << 20, 512 << 20} {
		b.Run(fmt.Sprintf("rows=300000/memory=%d", memory), func(b *testing.B) {
			key, value := make([]byte, 24), make([]byte, 350)
			var spilled int64
			for b.Loop() {
				rng := rand.New(rand.NewPCG(1, 1))
				s := New(Options{Memory: memory, Dir: b.TempDir()})
				for range 300000 {
					binary.BigEndian.PutUint64(key, rng.Uint64())
					if err := s.Add(key, value); err != nil {
						b.Fatal(err)
					}
				}
				for _, err := range s.Sorted() {
					if err != nil {
						b.Fatal(err)
					}
				}
				spilled = s.Spilled()
				s.Close()
			}
			b.ReportMetric(300000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(spilled), "spilledB")
		})
	}
}
