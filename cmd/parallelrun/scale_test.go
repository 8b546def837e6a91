//go:build !race

// The race detector takes several times the memory that a program takes without it.

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/pipelines"
)

// The scale test's directory takes several times the memory that the run gets.
// make million does it with a million users, in 512 MiB.
var (
	scaleUsers  = flag.Int("scale-users", 30_000, "people of the directory that TestPlanKeepsToItsMemory plans")
	scaleMemory = flag.Int64("scale-memory", 128, "its --memory, in MiB")
	scaleTool   = flag.String("scale-tool", "", "the program that plans it; empty: this test as the program")
)

// peakMemory runs a program to its end and returns the most memory that it had
// resident, as the kernel counts it (VmHWM). The rusage of a child is no use
// here: Go starts it by vfork, and Linux then counts the parent's peak as the
// child's own.
func peakMemory(cmd *exec.Cmd) (int64, error) {
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	peak := int64(0)
	for {
		select {
		case err := <-done:
			return peak, err
		case <-time.After(10 * time.Millisecond):
			peak = max(peak, highWater(cmd.Process.Pid))
		}
	}
}

// highWater is a process's VmHWM, zero once it has ended or before it runs its
// own program.
func highWater(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		kib := int64(0)
		if n, _ := fmt.Sscanf(string(line), "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// bigSite is a migration of many people, generated as cheaply as it goes.
func bigSite(t *testing.T) *site {
	t.Helper()
	return newSite(t, newTemplate(t, legacygen.Config{Users: *scaleUsers, Rounds: 1}))
}

// From the source to a stored plan, a run keeps to --memory, as the operating
// system measures it, by spilling to disk: the target is another process's.
func TestPlanKeepsToItsMemory(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("peak memory is read from /proc, which this system does not have")
	}
	s := bigSite(t)
	cmd := s.command("plan", "--json", "--memory", fmt.Sprintf("%dMiB", *scaleMemory))
	if *scaleTool != "" {
		cmd.Path = *scaleTool
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	peak, err := peakMemory(cmd)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var out pipelines.Outcome
	if err := json.NewDecoder(bufio.NewReader(&stdout)).Decode(&out); err != nil {
		t.Fatal(err)
	}
	cpu := cmd.ProcessState
	t.Logf("peak %d MiB; spilled %d MiB by extract, %d MiB by transform; %d operations; %.0f s user, %.0f s system time", peak>>20,
		out.Extracted.Spilled>>20, out.Transformed.Spilled>>20, out.Planned.Operations, cpu.UserTime().Seconds(), cpu.SystemTime().Seconds())
	people := out.Report().Source("people").Read
	for _, step := range slices.Sorted(maps.Keys(out.Took)) {
		t.Logf("%s: %.1f s, %.0f people/s", step, out.Took[step], float64(people)/out.Took[step])
	}
	if peak == 0 || peak > *scaleMemory<<20 {
		t.Errorf("%d bytes were resident at the peak, --memory says %d MiB", peak, *scaleMemory)
	}
	if out.Extracted.Spilled == 0 || out.Transformed.Spilled == 0 {
		t.Errorf("spilled %d bytes by extract, %d by transform: the data is too small to prove anything", out.Extracted.Spilled, out.Transformed.Spilled)
	}
	wantPlanOfEverybody(t, &out)
	wantNoSpills(t, s)
}

// wantPlanOfEverybody: what was spilled came back, row by row.
func wantPlanOfEverybody(t *testing.T, out *pipelines.Outcome) {
	t.Helper()
	for _, src := range out.Report().Sources {
		if src.Read != src.Mapped+src.Merged+src.Excluded+src.Rejected {
			t.Errorf("%s: %+v does not add up", src.Table, src)
		}
	}
	people := out.Report().Source("people")
	if people.Read < int64(*scaleUsers) || out.Counts()["users"].Yielded != people.Mapped {
		t.Errorf("people %+v, users %+v", people, out.Counts()["users"])
	}
	if out.Planned.Operations < people.Mapped {
		t.Errorf("%d operations for %d people", out.Planned.Operations, people.Mapped)
	}
}

// wantNoSpills: temporary files are gone when the program is.
func wantNoSpills(t *testing.T, s *site) {
	t.Helper()
	left, err := os.ReadDir(s.temp())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if len(names) > 0 {
		t.Errorf("left behind: %s", strings.Join(names, ", "))
	}
}
