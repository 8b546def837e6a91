package backendtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Faulty is one empty place, seen directly and over a line on which single
// operations go wrong.
type Faulty struct {
	Direct, Line snapshots.Backend
	// Arm makes operation k from now on go wrong, and it alone. What it returns
	// waits for all that is on its way, and says whether there was such an operation.
	Arm func(k int) (settle func() bool)
	// Step leaves operations out; one or zero: none.
	Step int
	// Patience is the store's on the line.
	Patience time.Duration
}

// FaultyOf makes single operations of a back end go wrong in one way.
func FaultyOf(b snapshots.Backend, kind Kind) Faulty {
	left := -1 // none to come
	f := &Fault{Backend: b, Plan: func(int, string, string) (Kind, bool) {
		hit := left == 0
		left = max(left-1, -1)
		return kind, hit
	}}
	set := func(n int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		left = n
	}
	return Faulty{Direct: b, Line: f, Patience: 100 * time.Millisecond, Arm: func(k int) func() bool {
		before := f.Hits()
		set(k)
		return func() bool {
			set(-1)
			f.Wait()
			return f.Hits() > before
		}
	}}
}

// RunEveryFault lets operation 0 of a commit upon a parent go wrong, then 1, then
// 2, until one passes, and then so of a compaction: each is done or not, never
// half; the same process then does it, and what stands there has the digest that
// its rows make.
func RunEveryFault(t *testing.T, f Faulty) {
	ctx := t.Context()
	if err := snapshots.Init(ctx, f.Direct, snapshots.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := snapshots.Open(ctx, f.Line, snapshots.Options{Patience: f.Patience, PackEvery: 2})
	if err != nil {
		t.Fatal(err)
	}
	e := everyFault{t: t, f: f, s: s, model: killModel{digests: map[uint64]snapshots.Digest{}}}
	e.night() // the parent of all that follow
	layered := 0
	for k := 0; e.one("commit", k, e.write) && !t.Failed(); k += max(f.Step, 1) {
		layered += len(e.last().Layered())
	}
	if layered < 3 {
		t.Errorf("%d commits were written as changes", layered)
	}
	for k := 0; !t.Failed(); k += max(f.Step, 1) {
		for len(e.last().Layered()) == 0 {
			e.night()
		}
		if !e.one("compaction", k, e.compact) {
			break
		}
	}
}

type everyFault struct {
	t       *testing.T
	f       Faulty
	s       *snapshots.Store // on the line
	model   killModel
	entries uint64 // of the log, so far
}

// write commits a night, of few objects so that there are few operations.
func (e *everyFault) write() (uint64, error) {
	return writeNext(e.t.Context(), e.s, parts.Bounds{Rows: 1024})
}

// night is write without faults.
func (e *everyFault) night() {
	e.t.Helper()
	if _, err := e.write(); err != nil {
		e.t.Fatal(err)
	}
	e.entries = e.check("a night")
}

func (e *everyFault) last() *snapshots.Snapshot {
	e.t.Helper()
	sn, err := e.s.Snapshot(e.t.Context(), latest)
	if err != nil {
		e.t.Fatal(err)
	}
	return sn
}

// compact makes the last snapshot whole.
func (e *everyFault) compact() (uint64, error) {
	sn, err := e.s.Snapshot(e.t.Context(), latest)
	if err != nil {
		return 0, err
	}
	done, err := e.s.Compact(e.t.Context(), sn, snapshots.WriterOptions{})
	return done.Entry, err
}

// one does something with a fault at operation k, and again if it was not done.
// False: there was no such operation.
func (e *everyFault) one(name string, k int, do func() (uint64, error)) bool {
	e.t.Helper()
	what := fmt.Sprintf("%s, operation %d", name, k)
	before := e.entries
	settle := e.f.Arm(k)
	n, err := do()
	hit := settle()
	after := e.check(what)
	e.entries = after
	doubt, unknown := errors.AsType[*snapshots.OutcomeUnknownError](err)
	switch {
	case err == nil && (n != before+1 || after != n):
		e.t.Errorf("%s: entry %d was called done, the log went from %d to %d", what, n, before, after)
	case err != nil && !hit:
		e.t.Errorf("%s: nothing went wrong, and %v", what, err)
	case unknown && (doubt.N != before+1 || after > doubt.N):
		e.t.Errorf("%s: entry %d is in doubt, the log went from %d to %d", what, doubt.N, before, after)
	case err != nil && !unknown && after != before:
		e.t.Errorf("%s: the log went from %d to %d, in spite of %v", what, before, after, err)
	}
	if after == before {
		if n, err := do(); err != nil || n != before+1 {
			e.t.Errorf("%s: again: entry %d, %v", what, n, err)
		}
		e.entries = e.check(what + ", again")
	}
	return hit
}

// check looks at all that is there, as another process, and returns the last
// entry.
func (e *everyFault) check(what string) uint64 {
	e.t.Helper()
	ctx := e.t.Context()
	s, err := snapshots.Open(ctx, e.f.Direct, snapshots.Options{})
	if err != nil {
		e.t.Fatalf("%s: %v", what, err)
	}
	st, err := s.State(ctx)
	if err != nil {
		e.t.Fatalf("%s: %v", what, err)
	}
	for _, info := range st.History {
		if want := e.model.digest(e.t, info.N); info.Digest != want {
			e.t.Errorf("%s: entry %d holds %s, its rows make %s", what, info.N, info.Digest.Short(), want.Short())
		}
	}
	if last := st.History[len(st.History)-1].Digest; st.Refs[latest].Digest != last {
		e.t.Errorf("%s: the name stands for %s, the last commit is %s", what, st.Refs[latest].Digest.Short(), last.Short())
	}
	r, err := s.Verify(ctx, snapshots.VerifyOptions{Level: snapshots.VerifyRows, Snapshots: []string{latest}})
	if err != nil || len(r.Findings) > 0 {
		e.t.Errorf("%s: %v, findings %v", what, err, r.Findings)
	}
	return st.N
}
