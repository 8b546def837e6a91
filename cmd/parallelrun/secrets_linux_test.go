package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/legacygen"
)

// What a run puts into temporary files is sealed. They have no name, so they
// are read through the stopped process's own descriptors.
func TestNoSecretInSpillFiles(t *testing.T) {
	t.Parallel()
	gen := legacygen.Config{Seed: 3, Users: 4000, LargePhotos: -1}
	scanner := newLeakScanner(t, gen)
	s := newSite(t, newTemplate(t, gen))
	cmd := s.command("plan", "--memory", "64MiB")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	looked := map[string]int64{}
	for running := true; running; {
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("plan: %v", err)
			}
			running = false
		case <-time.After(5 * time.Millisecond):
			lookAtSpills(t, cmd.Process.Pid, scanner, looked)
		}
	}
	total := int64(0)
	for _, n := range looked {
		total += n
	}
	if total < 1<<20 {
		t.Errorf("only %d bytes of %d temporary files were seen: nothing is proved", total, len(looked))
	}
	if left := s.files("tmp"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// lookAtSpills stops the process for a look at temporary files that grew a good
// deal since the last one.
func lookAtSpills(t *testing.T, pid int, scanner *leakScanner, looked map[string]int64) {
	t.Helper()
	for path, name := range spills(pid) {
		info, err := os.Stat(path)
		if err != nil || info.Size() < 2*looked[name]+64<<10 {
			continue
		}
		if syscall.Kill(pid, syscall.SIGSTOP) != nil {
			return
		}
		data, err := os.ReadFile(path)
		_ = syscall.Kill(pid, syscall.SIGCONT)
		if err != nil {
			continue // closed before the stop
		}
		looked[name] = int64(len(data))
		if leaks := scanner.leaks(data); len(leaks) > 0 {
			t.Errorf("temporary file %s: %q", name, leaks)
		}
	}
}

// spills are a process's open temporary files: where to read them, and the
// names that they had.
func spills(pid int) map[string]string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	found := map[string]string{}
	entries, _ := os.ReadDir(dir) // none once it has ended
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		name, err := os.Readlink(path)
		if err == nil && (strings.Contains(name, "parallelrun-sort-") || strings.Contains(name, "parallelrun-part-")) {
			found[path] = name
		}
	}
	return found
}
