package legacygen

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
)

func generate(t testing.TB, c Config) ([]byte, *Counts) {
	t.Helper()
	var buf bytes.Buffer
	counts, err := Generate(&buf, c)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), counts
}

// Small and cheap, but with every kind.
var small = Config{Seed: 7, Users: 400, Rounds: 2, LargePhotos: 1}

// The same seed gives the same bytes, whatever the number of workers; another
// seed gives others. The digest pins what a seed means from release to
// release: recorded figures and bug reports name seeds.
func TestSameSeedSameBytes(t *testing.T) {
	digests := map[string]bool{}
	for _, procs := range []int{1, 2, 7} {
		prev := runtime.GOMAXPROCS(procs)
		b, _ := generate(t, small)
		runtime.GOMAXPROCS(prev)
		sum := sha256.Sum256(b)
		digests[hex.EncodeToString(sum[:])] = true
	}
	if len(digests) != 1 || !digests[pinned] {
		t.Errorf("digests %v, want %s", digests, pinned)
	}
	other := small
	other.Seed++
	b, _ := generate(t, other)
	if sum := sha256.Sum256(b); digests[hex.EncodeToString(sum[:])] {
		t.Error("another seed gave the same bytes")
	}
}

const pinned = "5b735bbb95c21d25e3ca6dfe0c4f17c7485916068fa5d35868a5e8baedfd8f59"

// The generator's own count is what stands in the file, as a parser that
// shares no code with it sees it.
func TestCountsAreTrue(t *testing.T) {
	for _, c := range []Config{
		small, {Rounds: 1}, {Seed: 1, Users: MinUsers, SecondUsers: 1, Rounds: 1}, {Seed: 2, Users: 777, Rounds: 1, LargePhotos: -1},
		{Seed: 3, Users: 1500, Rounds: 1, LargePhotos: 5}, {Users: 50, Clean: true, Rounds: 1},
	} {
		t.Run(fmt.Sprintf("users=%d,clean=%v", c.Users, c.Clean), func(t *testing.T) {
			if testing.Short() && c.Users == 0 {
				t.Skip("the reference scenario takes seconds")
			}
			b, counts := generate(t, c)
			compareCounts(t, count(t, b), counts)
		})
	}
}

func TestCleanIsClean(t *testing.T) {
	_, c := generate(t, Config{Users: 50, Clean: true, Rounds: 1})
	if len(c.Rejected) != 0 || c.Excluded != 0 || c.UnitsBelowRejected != 0 || c.OtherSpellings != 0 || c.People[Plain] != 170 || c.Groups.Dangling+c.Groups.Nested != 0 {
		t.Errorf("dirt in a clean directory: %+v", c)
	}
}

func TestConfigRefused(t *testing.T) {
	for _, c := range []Config{{Users: MinUsers - 1}, {Users: -1, Clean: true}, {SecondUsers: -1}, {Rounds: -1}, {LargePhotos: 5000}} {
		if _, err := Generate(io.Discard, c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
		for _, err := range Logins(c) {
			if err == nil {
				t.Errorf("logins of %+v were given", c)
			}
		}
	}
}

type fullDisk struct{ room int }

var errFull = errors.New("no space left on device")

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestGenerateReportsWriteErrors(t *testing.T) {
	b, _ := generate(t, small)
	for _, room := range []int{0, 100, 5000, len(b) / 2, len(b) - 1} {
		if _, err := Generate(&fullDisk{room}, small); !errors.Is(err, errFull) {
			t.Errorf("room for %d bytes: got %v", room, err)
		}
	}
}

// Memory does not grow with the number of users.
func TestGenerateStreams(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak uint64
	w := watcher{peak: &peak}
	counts, err := Generate(&w, Config{Users: 16000, Rounds: 1, LargePhotos: -1})
	if err != nil {
		t.Fatal(err)
	}
	if counts.Tables["people"] != 16120 || w.n < 18<<20 {
		t.Errorf("%d people in %d bytes", counts.Tables["people"], w.n)
	}
	if grown := int64(peak) - int64(before.HeapAlloc); grown > 12<<20 {
		t.Errorf("heap grew by %d bytes while writing %d", grown, w.n)
	}
}

// watcher measures the heap every few megabytes.
type watcher struct {
	n, next int64
	peak    *uint64
}

func (w *watcher) Write(p []byte) (int, error) {
	if w.n += int64(len(p)); w.n > w.next {
		var m runtime.MemStats
		runtime.GC() // what is live, not what waits to be collected
		runtime.ReadMemStats(&m)
		*w.peak = max(*w.peak, m.HeapAlloc)
		w.next = w.n + 1<<20
	}
	return len(p), nil
}

// go test ./internal/legacygen -bench Generate -benchtime 1x
func BenchmarkGenerate(b *testing.B) {
	for _, users := range []int{10000, 300000} {
		for _, rounds := range []int{1, 1000} {
			b.Run(fmt.Sprintf("users=%d/rounds=%d", users, rounds), func(b *testing.B) {
				for b.Loop() {
					var n counter
					if _, err := Generate(&n, Config{Users: users, Rounds: rounds}); err != nil {
						b.Fatal(err)
					}
					b.SetBytes(int64(n))
				}
			})
		}
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }
