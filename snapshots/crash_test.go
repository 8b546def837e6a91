package snapshots_test

import (
	"bufio"
	"context"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// crashDir makes the test binary a writer, for TestKill.
const crashDir = "PARALLELRUN_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeForever(dir))
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

// writeForever commits snapshot after snapshot and says each number when it is
// done.
func writeForever(dir string) error {
	ctx := context.Background()
	b, err := local.Create(dir)
	if err != nil {
		return err
	}
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{}); err != nil {
		return err
	}
	s, err := snapshots.Open(ctx, b, snapshots.Options{})
	if err != nil {
		return err
	}
	for {
		n, err := writeOne(ctx, s)
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func writeOne(ctx context.Context, s *snapshots.Store) (uint64, error) {
	w := s.NewWriter([]schemas.Table{unitsTable()}, snapshots.WriterOptions{})
	defer w.Close()
	salt := crand.Text()
	for i := range 20 {
		if err := w.WriteRow(ctx, "units", unit(fmt.Sprint("unit", salt, i)), 0); err != nil {
			return 0, err
		}
	}
	d, err := w.Finish(ctx)
	if err != nil {
		return 0, err
	}
	return s.Commit(ctx, snapshots.Change{Reason: "crash test", Actions: []snapshots.Action{
		d.Action("hr", "legacy"), snapshots.RefAction{Name: "latest", Digest: d.Digest}}})
}

// A writer that is killed at any moment leaves a store that is right and holds
// all that was ever called done; the next writer goes on.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	rounds := 15
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		done := killOne(t, dir, time.Duration(rand.IntN(60))*time.Millisecond)
		b, err := local.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		entries := checkAfter(t, b, fmt.Sprintf("round %d", round))
		if uint64(entries) < done {
			t.Errorf("round %d: %d entries, and entry %d was called done", round, entries, done)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killOne starts a writer, lets it commit once, and kills it after a while. It
// returns the last number that the writer called done.
func killOne(t *testing.T, dir string, after time.Duration) (done uint64) {
	return killAs(t, crashDir, dir, after)
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
