package snapshots_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// Folders in which the test binary is a writer or a collector, for TestKill and
// TestKillCollector.
const (
	crashDir   = "PARALLELRUN_TEST_CRASH_DIR"
	collectDir = "PARALLELRUN_TEST_COLLECT_DIR"
)

func TestMain(m *testing.M) {
	for role, play := range map[string]func(context.Context, snapshots.Backend, io.Writer) error{
		crashDir: backendtest.WriteForever, collectDir: backendtest.CollectForever,
	} {
		if dir := os.Getenv(role); dir != "" {
			b, err := local.Create(dir)
			if err == nil {
				err = play(context.Background(), b, os.Stdout)
			}
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if args := os.Getenv(resealDir); args != "" {
		if err := resealAndDie(args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
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
	backendtest.RunKill(t, rounds, func() *exec.Cmd { return as(crashDir, dir) }, opener(t, dir))
}

// As TestKill, with collectors.
func TestKillCollector(t *testing.T) {
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	open := opener(t, dir)
	backendtest.RunKillCollector(t, rounds, func() *exec.Cmd { return as(collectDir, dir) }, open)
	s, err := snapshots.Open(t.Context(), open(), snapshots.Options{})
	if err != nil {
		t.Fatal(err)
	}
	recompute(t, dir, len(state(t, s).Snapshots)) // a reader of other code finds all under its current name
}

func opener(t *testing.T, dir string) func() snapshots.Backend {
	return func() snapshots.Backend {
		b, err := local.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
}

// as makes a command of the test binary in a role, at a folder.
func as(role, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+dir)
	return cmd
}
