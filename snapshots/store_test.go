package snapshots_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

func digest(n byte) (d snapshots.Digest) {
	d[0], d[31] = n, n
	return d
}

func initOn(t testing.TB, b snapshots.Backend) snapshots.Backend {
	t.Helper()
	if err := snapshots.Init(t.Context(), b, snapshots.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func openOn(t testing.TB, b snapshots.Backend) *snapshots.Store {
	t.Helper()
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{Patience: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func state(t testing.TB, s *snapshots.Store) snapshots.State {
	t.Helper()
	st, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func commitSnapshot(s *snapshots.Store, n byte) (uint64, error) {
	return s.Commit(context.Background(), snapshots.Change{Reason: "test", Run: "r1", Actions: []snapshots.Action{
		snapshots.SnapshotAction{Digest: digest(n), Manifest: digest(n + 100), Dataset: "hr", Stage: "legacy"},
	}})
}

func TestInit(t *testing.T) {
	b := initOn(t, &backendtest.Memory{})
	before := (b.(*backendtest.Memory)).Bytes("format.json")
	initOn(t, b)
	if !bytes.Equal(before, b.(*backendtest.Memory).Bytes("format.json")) {
		t.Error("a second Init changed the store")
	}
	other := &backendtest.Memory{}
	if err := backendtest.Put(t.Context(), other, "holiday.jpg", nil); err != nil {
		t.Fatal(err)
	}
	if err := snapshots.Init(t.Context(), other, snapshots.InitOptions{}); !errors.Is(err, snapshots.ErrNotEmpty) {
		t.Errorf("place with other things: %v", err)
	}
	newer := &backendtest.Memory{}
	if err := backendtest.Put(t.Context(), newer, "format.json", []byte(`{"version":9}`)); err != nil {
		t.Fatal(err)
	}
	if err := snapshots.Init(t.Context(), newer, snapshots.InitOptions{}); !errors.Is(err, snapshots.ErrNewerStore) {
		t.Errorf("store of another format: %v", err)
	}
	if _, err := snapshots.Open(t.Context(), newer, snapshots.Options{}); !errors.Is(err, snapshots.ErrNewerStore) {
		t.Errorf("open store of another format: %v", err)
	}
	if _, err := snapshots.Open(t.Context(), &backendtest.Memory{}, snapshots.Options{}); !errors.Is(err, snapshots.ErrNoStore) {
		t.Errorf("open nothing: %v", err)
	}
	b.(*backendtest.Memory).Replace("format.json", []byte("{"))
	var corrupt *snapshots.CorruptError
	if _, err := snapshots.Open(t.Context(), b, snapshots.Options{}); !errors.As(err, &corrupt) {
		t.Errorf("damaged format.json: %v", err)
	}
}

func TestCommitAndState(t *testing.T) {
	b := initOn(t, &backendtest.Memory{})
	s, other := openOn(t, b), openOn(t, b)
	if _, err := commitSnapshot(s, 1); err != nil {
		t.Fatal(err)
	}
	zero := snapshots.Digest{}
	n, err := other.Commit(t.Context(), snapshots.Change{Reason: "tag it", Actions: []snapshots.Action{
		snapshots.RefAction{Name: "wave-1", Digest: digest(1), Old: &zero},
		snapshots.NamespaceAction{Source: "hr", Namespace: "hr.example"},
	}})
	if n != 2 || err != nil {
		t.Fatalf("entry %d, %v", n, err)
	}
	st := state(t, s)
	if st.N != 2 || st.Refs["wave-1"].Digest != digest(1) || st.Namespaces["hr"] != "hr.example" ||
		st.Snapshots[digest(1)].Manifest != digest(101) || st.Snapshots[digest(1)].Run != "r1" {
		t.Errorf("state %+v", st)
	}
	if last, ok := st.Latest("hr", "legacy"); !ok || last.Digest != digest(1) {
		t.Errorf("latest %v %v", last, ok)
	}
	if again := state(t, openOn(t, b)); again.Head != st.Head {
		t.Error("another reader folds another head")
	}
}

func TestCommitRefuses(t *testing.T) {
	s := openOn(t, initOn(t, &backendtest.Memory{}))
	if _, err := commitSnapshot(s, 1); err != nil {
		t.Fatal(err)
	}
	zero, one, two := snapshots.Digest{}, digest(1), digest(2)
	setup := []snapshots.Action{
		snapshots.RefAction{Name: "taken", Digest: one},
		snapshots.NamespaceAction{Source: "hr", Namespace: "a"},
		snapshots.LeaseAction{Target: "live", Epoch: 1, Holder: snapshots.Holder{Session: "s1"}},
	}
	if _, err := s.Commit(t.Context(), snapshots.Change{Actions: setup}); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	tests := []struct {
		name   string
		change snapshots.Change
		want   string
	}{
		{"nothing", snapshots.Change{}, "without actions"},
		{"check", snapshots.Change{Actions: setup[:1], Check: func(snapshots.State) error { return boom }}, "boom"},
		{"tag exists", snapshots.Change{Actions: []snapshots.Action{snapshots.RefAction{Name: "taken", Digest: one, Old: &zero}}}, "exists already"},
		{"ref moved", snapshots.Change{Actions: []snapshots.Action{snapshots.RefAction{Name: "taken", Digest: one, Old: &two}}}, "someone else moved it"},
		{"ref to nothing", snapshots.Change{Actions: []snapshots.Action{snapshots.RefAction{Name: "x", Digest: two}}}, "no snapshot"},
		{"ref like a digest", snapshots.Change{Actions: []snapshots.Action{snapshots.RefAction{Name: "abcdef", Digest: one}}}, "looks like a digest"},
		{"bad ref name", snapshots.Change{Actions: []snapshots.Action{snapshots.RefAction{Name: "a b", Digest: one}}}, "ref name"},
		{"namespace changed", snapshots.Change{Actions: []snapshots.Action{snapshots.NamespaceAction{Source: "hr", Namespace: "b"}}}, `is "a" in this store`},
		{"lease taken", snapshots.Change{Actions: []snapshots.Action{snapshots.LeaseAction{Target: "live", Epoch: 1, Holder: snapshots.Holder{Session: "s2"}}}}, "epoch 1 was taken"},
		{"release of another's lease", snapshots.Change{Actions: []snapshots.Action{snapshots.LeaseAction{Target: "live", Epoch: 1, Release: true, Holder: snapshots.Holder{Session: "s2"}}}}, "another has it"},
		{"snapshot without stage", snapshots.Change{Actions: []snapshots.Action{snapshots.SnapshotAction{Digest: one, Manifest: two, Dataset: "x"}}}, "stage must be named"},
		{"second action of one entry", snapshots.Change{Actions: []snapshots.Action{
			snapshots.NamespaceAction{Source: "ad", Namespace: "a"}, snapshots.NamespaceAction{Source: "ad", Namespace: "b"}}}, `is "a" in this store`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := s.Commit(t.Context(), test.change)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if n := state(t, s).N; n != 2 {
		t.Errorf("a refused commit made entry %d", n)
	}
}

// Whatever becomes of the write of the entry, the commit is done or not done,
// and Commit says which; only if nobody can tell, it says so.
func TestCommitOutcomes(t *testing.T) {
	tests := []struct {
		kind      backendtest.Kind
		times     int // how often the write goes wrong
		committed bool
		unknown   bool
	}{
		{backendtest.Fail, 1, true, false},
		{backendtest.Fail, 100, false, false},
		{backendtest.Refuse, 1, true, false},
		{backendtest.Refuse, 1000, false, true},
		{backendtest.LoseReply, 1, true, false},
		{backendtest.LoseReply2, 1, true, false},
		{backendtest.CancelAfter, 1, true, false},
		{backendtest.Late, 1, true, false},
		{backendtest.CutBody, 1, true, false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s %d times", test.kind, test.times), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := initOn(t, &backendtest.Memory{})
				f := &backendtest.Fault{Backend: m, Delay: 30 * time.Millisecond, Plan: logWrites(test.times, test.kind)}
				s := openOn(t, f)
				n, err := commitSnapshot(s, 1)
				f.Wait()
				var unknown *snapshots.OutcomeUnknownError
				if (err == nil) != test.committed || errors.As(err, &unknown) != test.unknown {
					t.Fatalf("got %d, %v", n, err)
				}
				if test.unknown && (unknown.N != 1 || !strings.Contains(err.Error(), "log/00000000000000000001.json") || !strings.Contains(err.Error(), "look with")) {
					t.Errorf("error does not tell where to look: %v", err)
				}
				st := state(t, openOn(t, m))
				if want := map[bool]uint64{true: 1}[test.committed]; st.N != want || uint64(len(st.History)) != want {
					t.Errorf("log has %d entries with %d snapshots, want %d", st.N, len(st.History), want)
				}
			})
		})
	}
}

// logWrites plans that the first writes of log entries go wrong.
func logWrites(times int, kind backendtest.Kind) func(int, string, string) (backendtest.Kind, bool) {
	return func(_ int, op, key string) (backendtest.Kind, bool) {
		if op != "create" || !strings.HasPrefix(key, "log/") || times == 0 {
			return 0, false
		}
		times--
		return kind, true
	}
}

// Another's entry lands at our number while we don't know our outcome: the
// change is checked again and takes the next number, once.
func TestCommitRebases(t *testing.T) {
	m := initOn(t, &backendtest.Memory{})
	s, rival := openOn(t, m), openOn(t, m)
	checks := 0
	n, err := s.Commit(t.Context(), snapshots.Change{
		Actions: []snapshots.Action{snapshots.NamespaceAction{Source: "x", Namespace: "y"}},
		Check: func(st snapshots.State) error {
			checks++
			if checks == 1 {
				if _, err := commitSnapshot(rival, 7); err != nil {
					t.Fatal(err)
				}
			} else if len(st.Snapshots) != 1 {
				t.Error("checked upon the old state")
			}
			return nil
		},
	})
	if n != 2 || err != nil || checks != 2 {
		t.Errorf("entry %d, %v, %d checks", n, err, checks)
	}
}

func TestCommitCancelled(t *testing.T) {
	m := initOn(t, &backendtest.Memory{})
	ctx, cancel := context.WithCancel(t.Context())
	s := openOn(t, m)
	_, err := s.Commit(ctx, snapshots.Change{
		Actions: []snapshots.Action{snapshots.NamespaceAction{Source: "x", Namespace: "y"}},
		Check:   func(snapshots.State) error { cancel(); return nil },
	})
	if !errors.Is(err, context.Canceled) || state(t, s).N != 0 {
		t.Errorf("cancelled before the attempt: %v, entry %d", err, state(t, s).N)
	}
	// Cancelled while the write was under way and done: it is committed.
	f := &backendtest.Fault{Backend: m, Plan: logWrites(1, backendtest.CancelAfter)}
	ctx, cancel = context.WithCancel(t.Context())
	s = openOn(t, &cancelOn{f, cancel})
	n, err := s.Commit(ctx, snapshots.Change{Actions: []snapshots.Action{snapshots.NamespaceAction{Source: "x", Namespace: "y"}}})
	if n != 1 || err != nil {
		t.Errorf("cancelled after the write: entry %d, %v", n, err)
	}
}

// cancelOn cancels a context when a log entry has been written.
type cancelOn struct {
	*backendtest.Fault
	cancel func()
}

func (c *cancelOn) Create(ctx context.Context, key string, body io.ReadSeeker) error {
	defer c.cancel()
	return c.Fault.Create(ctx, key, body)
}

func TestRacingCommitters(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) func() snapshots.Backend{
		"memory": func(*testing.T) func() snapshots.Backend {
			m := &backendtest.Memory{}
			return func() snapshots.Backend { return m }
		},
		"local": func(t *testing.T) func() snapshots.Backend {
			dir := t.TempDir()
			return func() snapshots.Backend {
				b, err := local.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { b.Close() })
				return b
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			backend := open(t)
			initOn(t, backend())
			var wg sync.WaitGroup
			for w := range 8 {
				// Every third write of each loses its reply or goes unsent.
				f := &backendtest.Fault{Backend: backend(), Plan: func(n int, op, key string) (backendtest.Kind, bool) {
					return []backendtest.Kind{backendtest.LoseReply, backendtest.Refuse, backendtest.LoseReply2}[n%3], n%5 == w%5 && op == "create"
				}}
				s := openOn(t, f)
				wg.Go(func() {
					for i := range 10 {
						if _, err := commitSnapshot(s, byte(w*10+i+1)); err != nil {
							t.Errorf("writer %d: %v", w, err)
						}
					}
				})
			}
			wg.Wait()
			st := state(t, openOn(t, backend()))
			if st.N != 80 || len(st.Snapshots) != 80 || len(st.History) != 80 {
				t.Errorf("%d entries, %d snapshots, %d commits; want 80 of each", st.N, len(st.Snapshots), len(st.History))
			}
		})
	}
}

// What a newer program wrote can be read, and bars all writing.
func TestNewerLogIsReadOnly(t *testing.T) {
	for name, actions := range map[string]string{
		"unknown kind":          `[{"kind":"confetti","version":1}]`,
		"unknown version":       `[{"kind":"ref","version":2,"name":"x"}]`,
		"unknown field":         `[{"kind":"namespace","version":1,"source":"a","namespace":"b","color":"red"}]`,
		"unknown nested field":  `[{"kind":"lease","version":1,"target":"a","epoch":1,"holder":{"run":"r","session":"s","host":"h","pid":1,"mood":"good"}}]`,
		"unknown in checkpoint": `[{"kind":"checkpoint","version":1,"name":"a","target":"t","inputs":[{"name":"x","sha256":"0100000000000000000000000000000000000000000000000000000000000001","size":1,"mode":7}]}]`,
		"unknown entry":         `7`,
	} {
		t.Run(name, func(t *testing.T) {
			m := initOn(t, &backendtest.Memory{})
			s := openOn(t, m)
			if _, err := commitSnapshot(s, 1); err != nil {
				t.Fatal(err)
			}
			version := 1
			if name == "unknown entry" {
				version, actions = 2, `[]`
			}
			entry := fmt.Sprintf(`{"version":%d,"n":2,"prev":%q,"attempt":"a","time":"2026-01-01T00:00:00Z","writer":"w","reason":"r","actions":%s}`, version, state(t, s).Head, actions)
			if err := backendtest.Put(t.Context(), m, "log/00000000000000000002.json", []byte(entry)); err != nil {
				t.Fatal(err)
			}
			st := state(t, s)
			if st.N != 2 || len(st.Snapshots) != 1 || len(st.Unknown) != 1 {
				t.Errorf("state: entry %d, %d snapshots, unknown %q", st.N, len(st.Snapshots), st.Unknown)
			}
			if _, err := commitSnapshot(s, 2); !errors.Is(err, snapshots.ErrNewerStore) {
				t.Errorf("commit: %v", err)
			}
		})
	}
}

func TestDamagedLog(t *testing.T) {
	key := func(n int) string { return fmt.Sprintf("log/%020d.json", n) }
	for name, damage := range map[string]func(m *backendtest.Memory){
		"gap": func(m *backendtest.Memory) { m.Remove(key(2)) },
		"rewritten": func(m *backendtest.Memory) {
			m.Replace(key(2), bytes.Replace(m.Bytes(key(2)), []byte("test"), []byte("fake"), 1))
		},
		"cut":     func(m *backendtest.Memory) { m.Replace(key(3), m.Bytes(key(3))[:40]) },
		"swapped": func(m *backendtest.Memory) { m.Replace(key(3), m.Bytes(key(2))) },
		"stray":   func(m *backendtest.Memory) { _ = backendtest.Put(context.Background(), m, "log/notes.txt", nil) },
		"format":  func(m *backendtest.Memory) { m.Replace("format.json", append(m.Bytes("format.json"), '\n')) },
	} {
		t.Run(name, func(t *testing.T) {
			m := initOn(t, &backendtest.Memory{}).(*backendtest.Memory)
			s := openOn(t, m)
			for n := range byte(3) {
				if _, err := commitSnapshot(s, n+1); err != nil {
					t.Fatal(err)
				}
			}
			damage(m)
			s = openOn(t, m)
			var corrupt *snapshots.CorruptError
			if _, err := s.State(t.Context()); !errors.As(err, &corrupt) || !strings.HasPrefix(corrupt.Object, "log/") {
				t.Errorf("got %v", err)
			}
			if _, err := commitSnapshot(s, 9); !errors.As(err, &corrupt) {
				t.Errorf("commit to a damaged log: %v", err)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	m := initOn(t, &backendtest.Memory{})
	s := openOn(t, &backendtest.Fault{Backend: m, Plan: func(n int, op, _ string) (backendtest.Kind, bool) {
		return backendtest.LoseReply, op == "create" && n == 1 // after Open's read of format.json
	}})
	ctx := t.Context()
	if err := s.PutFile(ctx, "runs/r1/plan.json", []byte("plan")); err != nil {
		t.Errorf("lost reply: %v", err)
	}
	if err := s.PutFile(ctx, "runs/r1/plan.json", []byte("plan")); err != nil {
		t.Errorf("same bytes again: %v", err)
	}
	if err := s.PutFile(ctx, "runs/r1/plan.json", []byte("else")); !errors.Is(err, snapshots.ErrExists) {
		t.Errorf("other bytes: %v", err)
	}
	if got, err := s.ReadFile(ctx, "runs/r1/plan.json"); string(got) != "plan" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := s.ReadFile(ctx, "runs/r1/none"); !errors.Is(err, snapshots.ErrNotFound) {
		t.Errorf("read nothing: %v", err)
	}
	for _, key := range []string{"log/00000000000000000009.json", "objects/x", "runs/../log/x", "format.json"} {
		if err := s.PutFile(ctx, key, nil); !errors.Is(err, snapshots.ErrBadKey) {
			t.Errorf("put %s: %v", key, err)
		}
	}
	var keys []string
	for k, err := range s.Files(ctx, "runs/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	if len(keys) != 1 {
		t.Errorf("files %q", keys)
	}
}
