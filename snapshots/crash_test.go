package snapshots_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// crashDir makes the test binary a writer, for TestKill.
const crashDir = "PARALLELRUN_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		b, err := local.Create(dir)
		if err == nil {
			err = backendtest.WriteForever(context.Background(), b, os.Stdout)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if dir := os.Getenv(collectDir); dir != "" {
		fmt.Fprintln(os.Stderr, collectForever(dir))
		os.Exit(1)
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A writer that is killed at any moment leaves a store that is right and holds
// all that was ever called done; the next writer goes on. make kill does it
// longer.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	backendtest.RunKill(t, rounds, func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		return cmd
	}, func() snapshots.Backend {
		b, err := local.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	})
}

func killAs(t *testing.T, role, dir string, after time.Duration) (done uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		_, _ = fmt.Sscan(lines.Text(), &done)
		timer.Reset(after)
	}
	_ = cmd.Wait() // killed
	if done == 0 {
		t.Error("the writer never committed")
	}
	return done
}
