package parts

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/parallelrun/parallelrun/schemas"
)

// benchRow is a user as organizations have them: some 400 bytes.
func benchRow(rng *rand.Rand, i int) schemas.Row {
	name := fmt.Sprintf("user%d.%08x", i, rng.Uint32())
	return schemas.Row{
		ID: schemas.NewRowID("bench", "users", strconv.Itoa(i)), Key: fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", i, i&0xffff, i&0xfff, i&0xfff, rng.Uint64()&(1<<48-1)),
		Values: []any{name, name + "@example.org", true, "First" + strconv.Itoa(rng.IntN(5000)), "Last" + strconv.Itoa(rng.IntN(50000)), rng.IntN(20) > 0, nil, int64(1.6e15) + int64(rng.Uint64()%1e14), "en",
			[]string{}, map[string][]string{"phone": {fmt.Sprint("+49", rng.Uint32())}, "title": {"Engineer"}, "employeeNumber": {strconv.Itoa(i)}, "building": {"B" + strconv.Itoa(rng.IntN(40))}},
			[]string{"role-" + strconv.Itoa(rng.IntN(30))}, []string{schemas.NewRowID("bench", "groups", strconv.Itoa(rng.IntN(500))).String()}, map[string][]string{}},
	}
}

// benchBatches makes batches of users once, to be written many times.
func benchBatches(b testing.TB, rows int) (batches []arrow.Record, bytes int64) {
	table := schemas.Entities()[schemas.Users]
	rng := rand.New(rand.NewPCG(1, 1))
	bld := schemas.NewBuilder(&table)
	defer bld.Release()
	enc := schemas.NewEncoder(&table)
	var buf []byte
	for i := range rows {
		row := benchRow(rng, i)
		if err := bld.Append(row); err != nil {
			b.Fatal(err)
		}
		buf, _ = enc.AppendRow(buf[:0], &row)
		bytes += int64(len(buf))
		if bld.Len() == 8192 || i == rows-1 {
			batches = append(batches, bld.Record())
		}
	}
	return batches, bytes
}

// dirPut keeps objects as files.
func dirPut(dir string) (PutFunc, OpenFunc) {
	put := func(_ context.Context, body io.ReadSeeker) (Object, error) {
		f, err := os.CreateTemp(dir, "new-*")
		if err != nil {
			return Object{}, err
		}
		defer f.Close()
		h := sha256.New()
		n, err := io.Copy(io.MultiWriter(f, h), body)
		if err != nil {
			return Object{}, err
		}
		o := Object{SHA256: [32]byte(h.Sum(nil)), Bytes: n}
		return o, os.Rename(f.Name(), dir+"/"+o.Name())
	}
	return put, Verified(func(_ context.Context, o Object) (Source, error) { return os.Open(dir + "/" + o.Name()) })
}

// go test -run xxx -bench 'Write|Read' -benchtime 3x ./snapshots/parts
func BenchmarkWrite(b *testing.B) {
	const rows = 200_000
	batches, bytes := benchBatches(b, rows)
	for _, memory := range []int64{64 << 20, 1 << 30} {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("memory=%dMiB/workers=%d", memory>>20, workers), func(b *testing.B) {
				b.SetBytes(bytes)
				for b.Loop() {
					put, _ := dirPut(b.TempDir())
					benchWrite(b, batches, Options{Memory: memory, Workers: workers, TempDir: b.TempDir(), Put: put, Bounds: Bounds{Rows: 32 << 10}})
				}
				b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

func benchWrite(b testing.TB, batches []arrow.Record, o Options) (Table, int64) {
	w := NewTableWriter(schemas.Entities()[schemas.Users], o)
	defer w.Close()
	for _, rec := range batches {
		if err := w.Write(b.Context(), rec, nil); err != nil {
			b.Fatal(err)
		}
	}
	t, err := w.Finish(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return t, w.Spilled()
}

func BenchmarkRead(b *testing.B) {
	const rows = 200_000
	batches, bytes := benchBatches(b, rows)
	put, open := dirPut(b.TempDir())
	table, _ := benchWrite(b, batches, Options{Memory: 1 << 30, Put: put})
	r := OpenTable(table, open, ReadOptions{})
	run := func(name string, f func() int) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(bytes)
			n := 0
			for b.Loop() {
				n += f()
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
	run("scan", func() int { return len(scanAllCount(b, r, ScanOptions{})) })
	run("columns=username", func() int { return len(scanAllCount(b, r, ScanOptions{Columns: []string{"username"}})) })
	run("index", func() (n int) {
		for _, err := range r.Index(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		return n
	})
	run("verify", func() int {
		for err := range r.VerifyRows(b.Context()) {
			b.Fatal(err)
		}
		return rows
	})
}

// scanAllCount reads rows without keeping them.
func scanAllCount(b testing.TB, r *Reader, o ScanOptions) []struct{} {
	n := 0
	for _, err := range r.Scan(b.Context(), o) {
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
	return make([]struct{}, n)
}

const memoryChild = "PARALLELRUN_PARTS_MEMORY"

// 300,000 rows under a limit of 64 MiB stay within it as the operating system
// measures: a child process writes and reads them and reports its peak.
func TestMemoryIsBounded(t *testing.T) {
	if dir := os.Getenv(memoryChild); dir != "" {
		memoryRun(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("short")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestMemoryIsBounded$", "-test.v")
	cmd.Env = append(os.Environ(), memoryChild+"="+t.TempDir(), "GOMEMLIMIT=96MiB")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "peak") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func memoryRun(t *testing.T, dir string) {
	put, open := dirPut(dir)
	table := schemas.Entities()[schemas.Users]
	w := NewTableWriter(table, Options{Memory: 64 << 20, Workers: 8, TempDir: dir, Put: put})
	defer w.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	bld := schemas.NewBuilder(&table)
	defer bld.Release()
	const rows = 300_000
	for i := range rows {
		if err := bld.Append(benchRow(rng, i)); err != nil {
			t.Fatal(err)
		}
		if bld.Len() == 4096 || i == rows-1 {
			rec := bld.Record()
			if err := w.Write(t.Context(), rec, nil); err != nil {
				t.Fatal(err)
			}
			rec.Release()
		}
	}
	atSort := peakRSS(t)
	stored, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	atFinish := peakRSS(t)
	n := len(scanAllCount(t, OpenTable(stored, open, ReadOptions{}), ScanOptions{}))
	peak := peakRSS(t)
	t.Logf("peak MiB: %d after collecting, %d after writing, %d after reading %d rows; %d MiB spilled", atSort>>20, atFinish>>20, peak>>20, n, w.Spilled()>>20)
	if w.Spilled() == 0 {
		t.Error("nothing was spilled")
	}
	peak = memoryUpon(t, stored, dir)
	if limit := int64(140 << 20); peak > limit {
		t.Errorf("peak of %d MiB is over %d", peak>>20, limit>>20)
	}
}

// memoryUpon writes the table of memoryRun again, one row in fifty changed, and
// reads it.
func memoryUpon(t *testing.T, parent Table, dir string) int64 {
	put, open := dirPut(dir)
	table := parent.Schema()
	w := NewTableWriter(table, Options{Memory: 64 << 20, Workers: 8, TempDir: dir, Put: put, Parent: OpenTable(parent, open, ReadOptions{})})
	defer w.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range parent.Rows {
		row := benchRow(rng, int(i))
		if i%50 == 0 {
			row.Values[4] = "Married"
		}
		if err := w.WriteRow(t.Context(), row, i); err != nil {
			t.Fatal(err)
		}
	}
	atSort := peakRSS(t)
	stored, err := w.Finish(t.Context())
	if err != nil || len(stored.Layers) != 2 {
		t.Fatalf("%d layers, %v", len(stored.Layers), err)
	}
	atFinish := peakRSS(t)
	n := len(scanAllCount(t, OpenTable(stored, open, ReadOptions{}), ScanOptions{}))
	peak := peakRSS(t)
	t.Logf("peak MiB upon a parent: %d after collecting, %d after writing, %d after reading %d rows", atSort>>20, atFinish>>20, peak>>20, n)
	return peak
}

// peakRSS is the most memory the process has had, as Linux counts it.
func peakRSS(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc to measure memory with")
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Skip("no peak in /proc/self/status")
	return 0
}
