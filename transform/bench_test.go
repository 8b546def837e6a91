package transform

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

// crowd is a directory whose people are made as they are read, so that only
// the run's own memory counts.
type crowd struct {
	*memory
	people int
}

func newCrowd(people int) *crowd {
	m := directory()
	m.add("orgs", "O1", cells{"dn": acmeDN, "o": "acme", "title": "Acme"})
	for i := range 100 {
		m.add("units", fmt.Sprintf("U%d", i), cells{"dn": fmt.Sprintf("ou=u%d,%s", i, acmeDN), "ou": fmt.Sprintf("u%d", i), "org": acmeDN})
		m.add("groups", fmt.Sprintf("G%d", i), cells{"dn": fmt.Sprintf("cn=g%d", i), "cn": fmt.Sprintf("g%d", i)})
	}
	return &crowd{m, people}
}

func (c *crowd) Scan(ctx context.Context, table string) iter.Seq2[schemas.Row, error] {
	if table != "people" {
		return c.memory.Scan(ctx, table)
	}
	return func(yield func(schemas.Row, error) bool) {
		one := newMemory(*c.tables["people"])
		for i := range c.people {
			uid := fmt.Sprintf("user%d", i)
			one.rows["people"] = one.rows["people"][:0]
			person(one, fmt.Sprintf("c0ffee00-0000-4000-8000-%012d", i), uid, cells{"unit": []string{fmt.Sprintf("ou=u%d,%s", i%100, acmeDN)},
				"memberOf": []string{fmt.Sprintf("cn=g%d", i%100)}, "photo": make([]byte, 200)})
			if !yield(one.rows["people"][0], nil) {
				return
			}
		}
	}
}

type discard struct{ rows atomic.Int64 }

func (d *discard) WriteRow(context.Context, string, schemas.Row, int64) error {
	d.rows.Add(1)
	return nil
}

// Memory follows the limit, not the rows.
func TestMemoryIsBounded(t *testing.T) {
	const limit = 16 << 20
	var peak atomic.Uint64
	c := newCrowd(40_000)
	in := Input{Legacy: c, Mapping: loadText(t, directoryMapping, c.memory), Profile: testProfile(), Keyring: testKeyring(t), Namespace: testNamespace,
		Memory: limit, TempDir: t.TempDir(), Workers: 2, Progress: func(_ string, n int64) {
			if n%4096 != 0 {
				return
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			for old := peak.Load(); m.HeapAlloc > old && !peak.CompareAndSwap(old, m.HeapAlloc); old = peak.Load() {
			}
		}}
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	report, err := Run(t.Context(), in, &discard{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Spilled == 0 || report.Entity(schemas.Users).Yielded != 40_000 {
		t.Fatalf("spilled %d bytes, %+v", report.Spilled, report.Entity(schemas.Users))
	}
	if grown := int64(peak.Load()) - int64(before.HeapAlloc); grown > limit {
		t.Errorf("live memory grew by %d MiB under a limit of %d", grown>>20, limit>>20)
	} else {
		t.Logf("live memory grew by %d KiB, %d KiB spilled", grown>>10, report.Spilled>>10)
	}
}

// go test -run - -bench Run -benchtime 1x ./transform
func BenchmarkRun(b *testing.B) {
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			c := newCrowd(50_000)
			mapping := loadText(b, directoryMapping, c.memory)
			for b.Loop() {
				in := Input{Legacy: c, Mapping: mapping, Profile: testProfile(), Keyring: testKeyring(b), Namespace: testNamespace, Workers: workers, TempDir: b.TempDir()}
				if _, err := Run(b.Context(), in, &discard{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(c.people)*float64(b.N)/b.Elapsed().Seconds(), "users/s")
		})
	}
}
