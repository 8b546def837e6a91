package parts

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/parallelrun/parallelrun/schemas"
)

// nights makes the users of two nights, in one random order that is not that of
// their ids: in the second, one in a hundred is changed. own is what the changed
// rows are long in canonical encoding.
func nights(b *testing.B, rows int) (first, second []arrow.Record, own int64) {
	table := schemas.Entities()[schemas.Users]
	enc := schemas.NewEncoder(&table)
	batches := func(changed func(i int) bool) (out []arrow.Record) {
		bld := schemas.NewBuilder(&table)
		defer bld.Release()
		for i := range rows {
			row := benchRow(rand.New(rand.NewPCG(uint64(i), 1)), i)
			if changed(i) {
				row.Values[4] = fmt.Sprint("Married", i)
				buf, err := enc.AppendRow(nil, &row)
				if err != nil {
					b.Fatal(err)
				}
				own += int64(len(buf))
			}
			if err := bld.Append(row); err != nil {
				b.Fatal(err)
			}
			if bld.Len() == 8192 || i == rows-1 {
				out = append(out, bld.Record())
			}
		}
		return out
	}
	first = batches(func(int) bool { return false })
	rng := rand.New(rand.NewPCG(9, 9))
	return first, batches(func(int) bool { return rng.IntN(100) == 0 }), own
}

// The next night, whole and upon the last one, and the diff of the two.
//
//	go test ./snapshots/parts -run '^$' -bench NextNight -benchtime 3x
func BenchmarkNextNight(b *testing.B) {
	const rows = 500_000
	first, second, own := nights(b, rows)
	dir := b.TempDir()
	store, open := dirPut(dir)
	var written atomic.Int64
	put := func(ctx context.Context, body io.ReadSeeker) (Object, error) {
		o, err := store(ctx, body)
		written.Add(o.Bytes)
		return o, err
	}
	for _, memory := range []int64{32 << 20, 256 << 20} {
		o := Options{Memory: memory, Workers: 2, TempDir: dir, Put: put}
		parent, _ := benchWrite(b, first, o)
		upon := o
		upon.Parent = OpenTable(parent, open, ReadOptions{})
		for _, v := range []struct {
			name string
			o    Options
		}{{"whole", o}, {"upon", upon}} {
			b.Run(fmt.Sprintf("memory=%dMiB/%s", memory>>20, v.name), func(b *testing.B) {
				written.Store(0)
				for b.Loop() {
					benchWrite(b, second, v.o)
				}
				b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
				b.ReportMetric(float64(written.Load())/float64(b.N), "written-B")
				b.ReportMetric(float64(own), "changed-B")
			})
		}
		layered, _ := benchWrite(b, second, upon)
		if len(layered.Layers) != 2 {
			b.Fatalf("%d layers", len(layered.Layers))
		}
		r := OpenTable(layered, open, ReadOptions{})
		b.Run("changes", func(b *testing.B) {
			for b.Loop() {
				for _, err := range r.Changes(b.Context(), 1) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		for _, v := range []struct {
			name string
			r    *Reader
		}{{"scan/whole", upon.Parent}, {"scan/layered", r}} {
			b.Run(v.name, func(b *testing.B) {
				n := 0
				for b.Loop() {
					n += len(scanAllCount(b, v.r, ScanOptions{KeepLarge: true}))
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
