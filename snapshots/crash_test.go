package snapshots_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

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
	backendtest.RunKill(t, rounds, func() *exec.Cmd { return as(crashDir, dir) }, func() snapshots.Backend {
		b, err := local.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	})
}

// as makes a command of the test binary in a role, at a folder.
func as(role, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+dir)
	return cmd
}
