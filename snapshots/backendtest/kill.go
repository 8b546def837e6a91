package backendtest

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

var killRounds = flag.Int("kill-rounds", 0, "how often a writer is killed on each back end; 0: as often as the test says")

// WriteForever makes a store, or goes on with it, commits snapshot after
// snapshot, each upon the last, and says each log number when it is done. What
// entry n holds follows from n alone, so that whoever finds the store later
// knows what it must hold.
func WriteForever(ctx context.Context, b snapshots.Backend, said io.Writer) error {
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{}); err != nil {
		return err
	}
	s, err := snapshots.Open(ctx, b, snapshots.Options{PackEvery: 5})
	if err != nil {
		return err
	}
	for {
		n, err := writeNext(ctx, s, parts.Bounds{Rows: 64})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(said, n); err != nil {
			return err
		}
	}
}

const latest = "latest"

func writeNext(ctx context.Context, s *snapshots.Store, bounds parts.Bounds) (uint64, error) {
	st, err := s.State(ctx)
	if err != nil {
		return 0, err
	}
	o := snapshots.WriterOptions{Bounds: bounds, Workers: 2}
	if st.N > 0 {
		if o.Parent, err = s.Snapshot(ctx, latest); err != nil {
			return 0, err
		}
	}
	d, err := writeCards(ctx, s, o, cardsOf(st.N+1))
	if err != nil {
		return 0, err
	}
	old := st.Refs[latest].Digest
	return s.Commit(ctx, snapshots.Change{Reason: "night", Actions: []snapshots.Action{
		d.Action("hr", "legacy"), snapshots.RefAction{Name: latest, Digest: d.Digest, Old: &old}}})
}

// cardsOf are the cards of entry n. From one to the next a few change and a few
// come or go: little enough to be written as a change.
func cardsOf(n uint64) map[int]int {
	rows := map[int]int{}
	for k := range 300 {
		if night := int(n) + k; night%97 != 0 {
			rows[k] = night / 50
		}
	}
	return rows
}

// RunKill kills a writer at random points, round after round, on one store, and
// asks a model what must be there: all that the writer called done, each entry
// with the rows that follow from its number, nothing damaged, and the next
// writer goes on. writer is a process that runs WriteForever with the output
// given.
func RunKill(t *testing.T, rounds int, writer func() *exec.Cmd, open func() snapshots.Backend) {
	if *killRounds > 0 {
		rounds = *killRounds
	}
	model := killModel{digests: map[uint64]snapshots.Digest{}}
	last := uint64(0)
	for round := range rounds {
		after := time.Duration(rand.IntN(120)) * time.Millisecond
		done := Kill(t, writer(), after)
		found := model.check(t, open(), fmt.Sprintf("round %d, killed %s after a commit", round, after))
		if found < done || found < last {
			t.Fatalf("round %d: %d entries, where %d were there before and entry %d was called done", round, found, last, done)
		}
		last = found
	}
	t.Logf("%d rounds, %d entries", rounds, last)
}

// Kill starts a program that writes a number each time it has done something to
// a store, lets it do so once, and kills it after a while. It returns the last
// number, zero if there was none.
func Kill(t *testing.T, cmd *exec.Cmd, after time.Duration) (done uint64) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return 0
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return 0
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	for first := true; lines.Scan(); first = false {
		_, _ = fmt.Sscan(lines.Text(), &done)
		if first {
			timer.Reset(after)
		}
	}
	_ = cmd.Wait() // killed
	if done == 0 {
		t.Error("the program never did anything")
	}
	return done
}

// killModel knows what every entry must hold.
type killModel struct{ digests map[uint64]snapshots.Digest }

// check compares a store with the model and returns its last entry.
func (m *killModel) check(t *testing.T, b snapshots.Backend, when string) uint64 {
	t.Helper()
	ctx := t.Context()
	s, err := snapshots.Open(ctx, b, snapshots.Options{PackEvery: 5})
	if err != nil {
		t.Fatalf("%s: reopen: %v", when, err)
	}
	st, err := s.State(ctx)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	if len(st.History) != int(st.N) || st.Refs[latest].Digest != st.History[st.N-1].Digest {
		t.Fatalf("%s: %d snapshots in %d entries, the name stands for %s", when, len(st.History), st.N, st.Refs[latest].Digest.Short())
	}
	for _, info := range st.History {
		if want := m.digest(t, info.N); info.Digest != want {
			t.Fatalf("%s: entry %d holds snapshot %s, its rows make %s", when, info.N, info.Digest.Short(), want.Short())
		}
	}
	// All that is there by name and size, and the last snapshot to the last row:
	// those before it were looked at when they were the last.
	for _, o := range []snapshots.VerifyOptions{{}, {Level: snapshots.VerifyRows, Snapshots: []string{latest}}} {
		r, err := s.Verify(ctx, o)
		if err != nil || len(r.Findings) > 0 {
			t.Fatalf("%s: %v, findings %v", when, err, r.Findings)
		}
	}
	return st.N
}

// digest is that of the rows of an entry, written whole in memory.
func (m *killModel) digest(t *testing.T, n uint64) snapshots.Digest {
	if d, ok := m.digests[n]; ok {
		return d
	}
	ctx, b := t.Context(), &Memory{}
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := snapshots.Open(ctx, b, snapshots.Options{PackEvery: 5})
	if err != nil {
		t.Fatal(err)
	}
	d, err := writeCards(ctx, s, snapshots.WriterOptions{}, cardsOf(n))
	if err != nil {
		t.Fatal(err)
	}
	m.digests[n] = d.Digest
	return d.Digest
}
