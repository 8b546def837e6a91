package snapshots_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

const diffMemoryChild = "PARALLELRUN_DIFF_MEMORY"

// Diffs of 60,000 and of 300,000 rows, half of them changed, stay within the
// same memory as the operating system measures: child processes that only read
// report their peaks.
func TestMemoryIsBounded(t *testing.T) {
	if dir := os.Getenv(diffMemoryChild); dir != "" {
		diffMemory(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("short")
	}
	peaks := map[string]map[int]int64{"counts": {}, "rows": {}}
	for _, rows := range []int{60_000, 300_000} {
		dir := t.TempDir()
		writeBench(t, dir, rows)
		for what := range peaks {
			cmd := exec.Command(os.Args[0], "-test.run=^TestMemoryIsBounded$", "-test.v")
			cmd.Env = append(os.Environ(), diffMemoryChild+"="+dir, "DIFF="+what, "GOMEMLIMIT=96MiB", "GOGC=400")
			if what == "counts" {
				cmd.Env = append(cmd.Env, "GOMEMLIMIT=40MiB")
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			_, after, _ := strings.Cut(string(out), "peak KiB: ")
			kib, err := strconv.ParseInt(strings.Fields(after + " none")[0], 10, 64)
			if err != nil {
				t.Skipf("no peak measured here: %s", out)
			}
			peaks[what][rows] = kib
			t.Logf("%s of %d rows: peak %d MiB", what, rows, kib>>10)
		}
	}
	for what, limit := range map[string]int64{"counts": 64 << 10, "rows": 160 << 10} {
		if most := max(peaks[what][60_000], peaks[what][300_000]); most > limit {
			t.Errorf("%s: peak of %d MiB is over %d", what, most>>10, limit>>10)
		}
	}
}

func diffMemory(t *testing.T, dir string) {
	b, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := openOn(t, b)
	o := snapshots.DiffOptions{Workers: 4, Memory: 64 << 20, Counts: os.Getenv("DIFF") == "counts"}
	st, err := snapshots.DiffStat(t.Context(), mustSnapshot(t, s, "old"), mustSnapshot(t, s, "now"), o)
	if err != nil || st.Changed() == 0 {
		t.Fatalf("%d changes, %v", st.Changed(), err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc to measure memory with")
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			t.Logf("peak KiB: %s", f[1])
		}
	}
}

// writeBench makes a store of two snapshots, old and now, half of whose rows
// differ.
func writeBench(t *testing.T, dir string, rows int) {
	b, err := local.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := openOn(t, initOn(t, b))
	table := schemas.Entities()[schemas.Users]
	for _, name := range []string{"old", "now"} {
		w := s.NewWriter([]schemas.Table{table}, snapshots.WriterOptions{})
		for i := range rows {
			if err := w.WriteRow(t.Context(), schemas.Users, benchUser(&table, i, name == "now" && i%2 == 0), 0); err != nil {
				t.Fatal(err)
			}
		}
		d, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		mustCommit(t, s, d, snapshots.RefAction{Name: name, Digest: d.Digest})
	}
}
