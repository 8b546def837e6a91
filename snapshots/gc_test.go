package snapshots_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// yard is a store in memory under a clock that tests turn.
type yard struct {
	t   testing.TB
	m   *backendtest.Memory
	now time.Time
}

const grace = 24 * time.Hour

func newYard(t testing.TB) *yard {
	y := &yard{t: t, now: time.Date(2026, 11, 26, 20, 0, 0, 0, time.UTC)}
	y.m = &backendtest.Memory{Now: y.clock}
	if err := snapshots.Init(t.Context(), y.m, snapshots.InitOptions{Now: y.clock}); err != nil {
		t.Fatal(err)
	}
	return y
}

func (y *yard) clock() time.Time { return y.now }

// open opens the store as another process would.
func (y *yard) open() *snapshots.Store { return y.openOn(y.m) }

func (y *yard) openOn(b snapshots.Backend) *snapshots.Store {
	y.t.Helper()
	s, err := snapshots.Open(y.t.Context(), b, snapshots.Options{Now: y.clock, Patience: 50 * time.Millisecond})
	if err != nil {
		y.t.Fatal(err)
	}
	return s
}

// draft is a snapshot of units of these names, each part of a few; a name with
// a star has a large value.
func draft(ctx context.Context, s *snapshots.Store, parent *snapshots.Snapshot, names ...string) (snapshots.Draft, error) {
	w := s.NewWriter([]schemas.Table{unitsTable()}, snapshots.WriterOptions{Parent: parent, Bounds: parts.Bounds{Rows: 3}})
	defer w.Close()
	for _, name := range names {
		u := unit(name)
		if strings.Contains(name, "*") {
			u.Values[0] = strings.Repeat(name, 70_000/len(name))
		}
		if err := w.WriteRow(ctx, "units", u, 0); err != nil {
			return snapshots.Draft{}, err
		}
	}
	return w.Finish(ctx)
}

func (y *yard) draft(s *snapshots.Store, names ...string) snapshots.Draft {
	y.t.Helper()
	d, err := draft(y.t.Context(), s, nil, names...)
	if err != nil {
		y.t.Fatal(err)
	}
	return d
}

func commitDraft(ctx context.Context, s *snapshots.Store, d snapshots.Draft, more ...snapshots.Action) error {
	_, err := s.Commit(ctx, snapshots.Change{Reason: "extract", Actions: append([]snapshots.Action{d.Action("hr", "legacy")}, more...)})
	return err
}

func (y *yard) commit(s *snapshots.Store, d snapshots.Draft, more ...snapshots.Action) {
	y.t.Helper()
	if err := commitDraft(y.t.Context(), s, d, more...); err != nil {
		y.t.Fatal(err)
	}
}

func dropSnapshot(ctx context.Context, s *snapshots.Store, d snapshots.Digest) error {
	_, err := s.Commit(ctx, snapshots.Change{Reason: "test", Actions: []snapshots.Action{snapshots.DropAction{Snapshots: []snapshots.Digest{d}, By: "me@here"}}})
	return err
}

func (y *yard) drop(s *snapshots.Store, d snapshots.Digest) {
	y.t.Helper()
	if err := dropSnapshot(y.t.Context(), s, d); err != nil {
		y.t.Fatal(err)
	}
}

func gc(ctx context.Context, s *snapshots.Store, o snapshots.GCOptions) (snapshots.Collected, error) {
	p, err := s.PlanGC(ctx, o)
	if err != nil {
		return snapshots.Collected{}, err
	}
	return s.Collect(ctx, p, o)
}

func (y *yard) gc() snapshots.Collected {
	y.t.Helper()
	done, err := gc(y.t.Context(), y.open(), snapshots.GCOptions{})
	if err != nil {
		y.t.Fatal(err)
	}
	return done
}

// whole makes sure that all that the log knows is there, byte for byte and row
// for row.
func (y *yard) whole(what string) {
	y.t.Helper()
	r, err := y.open().Verify(y.t.Context(), snapshots.VerifyOptions{Level: snapshots.VerifyRows})
	if err != nil {
		y.t.Fatalf("%s: verify: %v", what, err)
	}
	for _, f := range r.Findings {
		y.t.Errorf("%s: %s", what, f)
	}
	if len(r.Findings) > 0 {
		y.t.FailNow()
	}
}

// contents are the keys of objects and manifests.
func (y *yard) contents() []string {
	y.t.Helper()
	objects, err1 := backendtest.Keys(y.t.Context(), y.m, "objects/", "")
	manifests, err2 := backendtest.Keys(y.t.Context(), y.m, "manifests/", "")
	if err := errors.Join(err1, err2); err != nil {
		y.t.Fatal(err)
	}
	return append(manifests, objects...)
}

// needed are the hashes of all content that the log needs, found out as a
// reader would.
func (y *yard) needed() map[string]bool {
	y.t.Helper()
	s := y.open()
	st := state(y.t, s)
	out := map[string]bool{}
	for d := range st.Snapshots {
		sn := mustSnapshot(y.t, s, d.String())
		out[sn.Manifest().String()] = true
		for _, table := range sn.Tables() {
			t, _ := sn.Stored(table)
			for _, o := range t.Objects() {
				out[o.Name()] = true
			}
			r, err := sn.Reader(table)
			if err != nil {
				y.t.Fatal(err)
			}
			for o, err := range r.LargeObjects(y.t.Context()) {
				if err != nil {
					y.t.Fatal(err)
				}
				out[o.Name()] = true
			}
		}
	}
	for _, c := range st.Checkpoints {
		for _, in := range c.Inputs {
			out[in.SHA256.String()] = true
		}
	}
	return out
}

// clean makes sure that only what is needed is there, once each.
func (y *yard) clean(what string) {
	y.t.Helper()
	needed := y.needed()
	for _, key := range y.contents() {
		name := strings.TrimSuffix(key[strings.LastIndexByte(key, '/')+1:], ".json")
		hash, _, _ := strings.Cut(name, "-")
		if !needed[hash] {
			y.t.Errorf("%s: %s is needed by nothing, or a second time, and is there", what, key)
		}
		delete(needed, hash)
	}
	if len(needed) > 0 {
		y.t.Errorf("%s: missing: %q", what, slices.Collect(maps.Keys(needed)))
	}
}

// A dropped snapshot's objects lose their names at once, and their bytes a grace
// period later; what others share stays.
func TestGarbageCollection(t *testing.T) {
	y := newYard(t)
	s := y.open()
	old, kept := y.draft(s, "a", "b", "c", "d", "e", "x*"), y.draft(s, "a", "b", "c", "d", "f", "y*")
	y.commit(s, old)
	y.commit(s, kept, snapshots.RefAction{Name: "now", Digest: kept.Digest})
	y.draft(s, "never", "committed")
	y.now = y.now.Add(2 * grace)
	y.drop(s, old.Digest)
	before := len(y.contents())

	p, err := s.PlanGC(t.Context(), snapshots.GCOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var why []string
	for _, g := range p.Give {
		why = append(why, g.Why)
	}
	for _, want := range []string{
		fmt.Sprintf("table units of snapshot %s (legacy of hr), dropped by me@here (log entry 3)", old.Digest.Short()),
		"table units of a draft that no log entry commits", "of a draft that no log entry commits",
	} {
		if !slices.Contains(why, want) {
			t.Errorf("no object is garbage for being %q: %q", want, why)
		}
	}
	if len(p.Wait)+len(p.Delete) > 0 || p.Young.Objects > 0 {
		t.Errorf("plan: %+v", p)
	}
	done, err := s.Collect(t.Context(), p, snapshots.GCOptions{})
	if err != nil || done.Given.Objects != int64(len(p.Give)) || done.Deleted.Objects != 0 {
		t.Errorf("first: %+v, %v", done, err)
	}
	y.whole("names given up")
	y.now = y.now.Add(grace - time.Second)
	if done := y.gc(); done.Deleted.Objects+done.Given.Objects > 0 {
		t.Errorf("before the grace period was over: %+v", done)
	}
	y.now = y.now.Add(time.Second)
	if done := y.gc(); int(done.Deleted.Objects) != len(p.Give) {
		t.Errorf("after the grace period: %+v", done)
	}
	y.whole("collected")
	y.clean("collected")
	if len(y.contents()) != before-len(p.Give) {
		t.Errorf("%d objects were %d, %d of them garbage", len(y.contents()), before, len(p.Give))
	}
	if _, err := s.Snapshot(t.Context(), old.Digest.String()[:12]); err == nil || !strings.Contains(err.Error(), "dropped by me@here on 2026-11-28T20:00:00Z (log entry 3: test)") {
		t.Errorf("a dropped snapshot's name: %v", err)
	}
	if u, ok := errors.AsType[*snapshots.UnknownSnapshotError](err); ok {
		t.Error(u)
	}
	// The same rows may come again, and lie there under new names.
	again := y.draft(s, "a", "b", "c", "d", "e", "x*")
	y.commit(s, again)
	y.whole("committed again")
	y.clean("committed again")
	if n := len(slices.DeleteFunc(y.contents(), func(k string) bool { return !strings.Contains(k, "-2") })); n == 0 {
		t.Error("content that was garbage has its old name again")
	}
}

// What names need can't be dropped.
func TestDropOfWhatIsNeeded(t *testing.T) {
	y := newYard(t)
	s := y.open()
	d := y.draft(s, "a")
	y.commit(s, d, snapshots.RefAction{Name: "tag", Digest: d.Digest},
		snapshots.CheckpointAction{Name: "before", Target: "live", Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: d.Digest}})
	for _, by := range []string{"ref tag", "checkpoint before (base)"} {
		err := dropSnapshot(t.Context(), s, d.Digest)
		if needed, ok := errors.AsType[*snapshots.NeededError](err); !ok || needed.By != by {
			t.Errorf("got %v, want that %s needs it", err, by)
		}
		if _, err := s.Commit(t.Context(), snapshots.Change{Reason: "untag", Actions: []snapshots.Action{map[string]snapshots.Action{
			"ref tag": snapshots.RefAction{Name: "tag"}, "checkpoint before (base)": snapshots.CheckpointAction{Name: "before", Drop: true}}[by]}}); err != nil {
			t.Fatal(err)
		}
	}
	y.drop(s, d.Digest)
	for _, a := range []snapshots.Action{
		snapshots.RefAction{Name: "tag", Digest: d.Digest},
		snapshots.CheckpointAction{Name: "late", Target: "live", Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: d.Digest}},
		snapshots.ManifestAction{Digest: d.Digest, Manifest: d.Manifest, Old: d.Manifest},
		snapshots.DropAction{Snapshots: []snapshots.Digest{d.Digest}, By: "me"},
	} {
		_, err := s.Commit(t.Context(), snapshots.Change{Reason: "late", Actions: []snapshots.Action{a}})
		if err == nil || !strings.Contains(err.Error(), "dropped by me@here") {
			t.Errorf("%T of a dropped snapshot: %v", a, err)
		}
	}
}

// A writer that met an object before its name was given up, and commits after
// it, copies it; once it is gone, its commit is refused. Never is a snapshot
// committed that is not whole.
func TestWriterMeetsGarbage(t *testing.T) {
	for _, test := range []struct {
		name    string
		wait    time.Duration // between the giving up and the commit
		refused bool
	}{
		{"within the grace period", grace - 2*time.Hour, false},
		{"after it", grace, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			y := newYard(t)
			s := y.open()
			y.draft(s, "a", "b", "c", "d", "x*") // of a run that died
			y.now = y.now.Add(2 * grace)
			writer := y.open()
			d := y.draft(writer, "a", "b", "c", "d", "x*")
			if d.Put.Objects != 0 {
				t.Fatalf("%+v: everything is there already", d.Put)
			}
			y.now = y.now.Add(time.Hour)
			y.gc()
			y.now = y.now.Add(test.wait)
			y.gc()
			err := commitDraft(t.Context(), writer, d)
			if _, collected := errors.AsType[*snapshots.CollectedError](err); collected != test.refused || !test.refused && err != nil {
				t.Fatalf("commit: %v", err)
			}
			y.whole("committed")
			y.now = y.now.Add(2 * grace)
			y.gc()
			y.whole("collected")
			y.clean("collected")
			// Doing it anew works in any case.
			y.commit(writer, y.draft(writer, "a", "b", "c", "d", "x*"))
			y.whole("anew")
		})
	}
}

// Whatever happens at any moment of a collection, nothing that is needed is
// lost: another process does something whole just before each of its operations.
func TestBesideCollection(t *testing.T) {
	others := map[string]func(y *yard, early snapshots.Draft) error{
		"a commit of a draft that was made before": func(y *yard, early snapshots.Draft) error {
			return commitDraft(t.Context(), y.open(), early)
		},
		"a writer": func(y *yard, _ snapshots.Draft) error {
			s := y.open()
			d, err := draft(t.Context(), s, nil, "a", "b", "c", "dead*", "dead")
			if err != nil {
				return err
			}
			return commitDraft(t.Context(), s, d)
		},
		"a checkpoint": func(y *yard, early snapshots.Draft) error {
			s := y.open()
			blob, err := s.PutBlob(t.Context(), []byte("mapping"))
			if err != nil {
				return err
			}
			return commitDraft(t.Context(), s, early, snapshots.CheckpointAction{Name: "c", Target: "live", Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: early.Digest},
				Inputs: []snapshots.CheckpointInput{{Name: "mapping", Blob: blob}}})
		},
		"another collection": func(y *yard, _ snapshots.Draft) error {
			_, err := gc(t.Context(), y.open(), snapshots.GCOptions{})
			return err
		},
		"a collection by a clock that is days ahead, then a commit": func(y *yard, early snapshots.Draft) error {
			for range 2 {
				y.now = y.now.Add(3 * grace)
				if _, err := gc(t.Context(), y.open(), snapshots.GCOptions{}); err != nil {
					return err
				}
			}
			y.now = y.now.Add(-6 * grace)
			err := commitDraft(t.Context(), y.open(), early)
			if _, collected := errors.AsType[*snapshots.CollectedError](err); collected {
				return nil // refused; never committed and not whole
			}
			return err
		},
		"a drop": func(y *yard, _ snapshots.Draft) error {
			s := y.open()
			st, err := s.State(t.Context())
			if err == nil && len(st.Snapshots) > 0 {
				err = dropSnapshot(t.Context(), s, st.History[0].Digest)
			}
			return err
		},
	}
	for name, other := range others {
		t.Run(name, func(t *testing.T) {
			for k := 0; ; k++ {
				y := newYard(t)
				s := y.open()
				y.commit(s, y.draft(s, "a", "b", "c", "kept*"))
				y.draft(s, "a", "b", "dead*", "dead")
				if _, err := s.PutBlob(t.Context(), []byte("mapping")); err != nil {
					t.Fatal(err)
				}
				y.now = y.now.Add(2 * grace)
				began, early := y.now, y.draft(y.open(), "a", "b", "dead*", "dead")
				met := false
				between := func(n int, _, _ string) (backendtest.Kind, bool) {
					if n == k {
						met = true
						err := other(y, early)
						if _, collected := errors.AsType[*snapshots.CollectedError](err); collected && y.now.Sub(began) >= grace {
							err = nil // refused for being too slow
						}
						if err != nil {
							t.Errorf("before operation %d: %v", k, err)
						}
					}
					return 0, false
				}
				collector := y.openOn(&backendtest.Fault{Backend: y.m, Plan: between})
				for range 2 { // give up, then delete
					if _, err := gc(t.Context(), collector, snapshots.GCOptions{}); err != nil {
						t.Errorf("operation %d: %v", k, err)
					}
					y.now = y.now.Add(grace)
				}
				what := fmt.Sprintf("%s before operation %d", name, k)
				y.whole(what)
				y.now = y.now.Add(2 * grace)
				y.gc()
				y.now = y.now.Add(2 * grace)
				y.gc()
				y.whole(what + ", later")
				y.clean(what + ", later")
				if !met {
					break
				}
			}
		})
	}
}

// The same the other way round: a whole collection, by a clock of its own, just
// before each operation of a writer.
func TestCollectionBesideWriter(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"in time": 0, "a clock that is days ahead": 9 * grace} {
		t.Run(name, func(t *testing.T) {
			for k := 0; ; k++ {
				y := newYard(t)
				s := y.open()
				parent := y.draft(s, "a", "b", "c", "x*")
				y.commit(s, parent)
				y.draft(s, "a", "b", "dead*", "dead")
				y.now = y.now.Add(2 * grace)
				met := false
				between := func(n int, _, _ string) (backendtest.Kind, bool) {
					if n != k {
						return 0, false
					}
					met = true
					for _, by := range []time.Duration{ahead, 2 * ahead} { // give up, then delete
						y.now = y.now.Add(by)
						y.gc()
						y.now = y.now.Add(-by)
					}
					return 0, false
				}
				writer := y.openOn(&backendtest.Fault{Backend: y.m, Plan: between})
				d, err := draft(t.Context(), writer, nil, "a", "b", "dead*", "dead")
				if err == nil {
					err = commitDraft(t.Context(), writer, d)
				}
				_, collected := errors.AsType[*snapshots.CollectedError](err)
				if err != nil && (ahead == 0 || !collected && !snapshots.IsCorrupt(err)) {
					t.Errorf("operation %d: %v", k, err)
				}
				y.whole(fmt.Sprint("operation ", k))
				if !met {
					break
				}
			}
		})
	}
}

// Any operation of a collection may fail in any way. What it did until then is
// right, and the next one ends it.
func TestCollectionFaults(t *testing.T) {
	for _, kind := range []backendtest.Kind{backendtest.Fail, backendtest.Refuse, backendtest.LoseReply, backendtest.LoseReply2, backendtest.CancelAfter, backendtest.CutBody, backendtest.CutRead, backendtest.Late} {
		t.Run(kind.String(), func(t *testing.T) {
			for k := 0; ; k++ {
				y := newYard(t)
				s := y.open()
				y.commit(s, y.draft(s, "a", "b", "c", "kept*"))
				gone := y.draft(s, "gone", "a", "x*")
				y.commit(s, gone)
				y.drop(s, gone.Digest)
				y.now = y.now.Add(2 * grace)
				f := backendtest.FailAt(y.m, k, kind)
				for range 2 {
					s, err := snapshots.Open(t.Context(), f, snapshots.Options{Now: y.clock, Patience: 50 * time.Millisecond})
					if err == nil {
						_, err = gc(t.Context(), s, snapshots.GCOptions{})
					}
					f.Wait()
					y.whole(fmt.Sprintf("operation %d (%v)", k, err))
					y.now = y.now.Add(grace)
				}
				y.gc()
				y.now = y.now.Add(grace)
				y.gc()
				y.whole("again")
				y.clean("again")
				if f.Hits() == 0 {
					break
				}
			}
		})
	}
}

// A store that something is missing from is not collected: what it needs can't
// be known.
func TestNoCollectionOfADamagedStore(t *testing.T) {
	y := newYard(t)
	s := y.open()
	d := y.draft(s, "a", "x*")
	y.commit(s, d)
	y.draft(s, "garbage")
	y.now = y.now.Add(2 * grace)
	y.m.Remove("manifests/" + d.Manifest.String() + ".json")
	before := y.contents()
	if _, err := gc(t.Context(), y.open(), snapshots.GCOptions{}); !snapshots.IsCorrupt(err) {
		t.Errorf("got %v", err)
	}
	if after := y.contents(); !slices.Equal(before, after) {
		t.Errorf("was %q, is %q", before, after)
	}
}

// What else lies in a store: files of runs stay until the run is dropped, signs
// of life are of use while they are new, the last of a holder always.
func TestCollectionOfFiles(t *testing.T) {
	y := newYard(t)
	s := y.open()
	ctx := t.Context()
	put := func(key string) {
		if err := backendtest.Put(ctx, y.m, key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	dead := []string{"doctor/a/b", "sessions/dead/00000000000000000001.json", "sync/live/2026-11-26/00000000000000000001.json", "sessions/holder/00000000000000000001.json", "runs/old/run.json", "runs/old/ledger/1.jsonl"}
	live := []string{"sync/live/2026-11-26/00000000000000000002.json", "sync/stage/2026-11-26/00000000000000000001.json", "sessions/holder/00000000000000000002.json", "runs/older/run.json", "runs/old2/run.json", "keys/1/1.json", "README"}
	for _, key := range append(slices.Clone(dead), live...) {
		put(key)
	}
	_, err := s.Commit(ctx, snapshots.Change{Reason: "test", Actions: []snapshots.Action{
		snapshots.LeaseAction{Target: "live", Epoch: 1, Holder: snapshots.Holder{Run: "r", Session: "holder"}}, snapshots.DropAction{Runs: []string{"old"}, By: "retention"}}})
	if err != nil {
		t.Fatal(err)
	}
	if done := y.gc(); done.Deleted.Objects > 0 {
		t.Errorf("deleted while all of it is new: %+v", done)
	}
	if _, err := s.Commit(ctx, snapshots.Change{Reason: "late", Run: "old", Actions: []snapshots.Action{snapshots.NamespaceAction{Source: "a", Namespace: "b"}}}); err == nil || !strings.Contains(err.Error(), "run old is no more: it was dropped by retention") {
		t.Errorf("a dropped run goes on: %v", err)
	}
	if _, err := s.Commit(ctx, snapshots.Change{Reason: "test", Actions: []snapshots.Action{snapshots.DropAction{Runs: []string{"r"}, By: "retention"}}}); err == nil {
		t.Error("the run that holds a target was dropped")
	}
	y.now = y.now.Add(grace)
	p, err := y.open().PlanGC(ctx, snapshots.GCOptions{})
	if err != nil || !slices.Equal(p.Unknown, []string{"README"}) {
		t.Errorf("unknown: %q, %v", p.Unknown, err)
	}
	y.gc()
	for _, key := range dead {
		if y.m.Bytes(key) != nil {
			t.Errorf("%s is still there", key)
		}
	}
	for _, key := range live {
		if y.m.Bytes(key) == nil {
			t.Errorf("%s is gone", key)
		}
	}
}
