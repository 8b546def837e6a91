package backendtest

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Flags of the tests that use this package.
var (
	sequences = flag.Int("store-sequences", 0, "random sequences of the store's model test on each back end; 0: as many as the test says")
	seed      = flag.Int64("store-seed", -1, "play this sequence alone")
)

// RunModel plays random sequences of what is done to a store by several processes
// (drafts, commits, tags, checkpoints, drops, retention, diffs, compactions,
// collections, faults in the middle of each, reopening, and time that passes) on a
// back end, and on a small model: after each step the store must say what the
// model says. open returns a new, empty back end. A failure prints the seed;
// -store-seed plays it again.
func RunModel(t *testing.T, n int, open func(t *testing.T) snapshots.Sweeper) {
	if *sequences > 0 {
		n = *sequences
	}
	for i := range n {
		at := int64(i)
		if *seed >= 0 {
			at = *seed
		}
		t.Run(fmt.Sprintf("seed=%d", at), func(t *testing.T) {
			w := newWorld(t, open(t), uint64(at))
			defer func() {
				if t.Failed() {
					t.Logf("seed %d, after:\n  %s", at, strings.Join(w.played, "\n  "))
				}
			}()
			for range 60 {
				if w.step(); t.Failed() {
					return
				}
			}
			w.verify(snapshots.VerifyRows)
			w.end()
		})
		if *seed >= 0 {
			return
		}
	}
}

// world is a store and what the model knows of it.
type world struct {
	t         *testing.T
	rng       *rand.Rand
	b         *dated
	processes []*snapshots.Store // some of which have not read the log for long
	s         *snapshots.Store   // the one whose turn it is
	played    []string

	ahead  time.Duration // of the world's clock, to the real one
	skewed bool          // some collections go by a clock that is wrong

	drafts  []openDraft         // of writers that are not done
	plans   []*snapshots.GCPlan // of collections that stopped, and go on at any time
	deletes []string            // requests that nobody waits for, and that land at any time

	rows        map[int]int // cards and their versions, as they stand in the source
	past        []map[int]int
	history     []version // every commit of a snapshot that is known
	refs        map[string]snapshots.Digest
	checkpoints map[string]snapshots.Digest
	digests     map[string]snapshots.Digest // by rows
}

// version is a snapshot, as the model sees it.
type version struct {
	rows   map[int]int
	digest snapshots.Digest
}

func newWorld(t *testing.T, b snapshots.Sweeper, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 77)), skewed: seed%4 == 0, rows: map[int]int{}, refs: map[string]snapshots.Digest{},
		checkpoints: map[string]snapshots.Digest{}, digests: map[string]snapshots.Digest{}}
	w.b = &dated{Sweeper: b, now: w.now, at: map[string]time.Time{}}
	w.must(snapshots.Init(t.Context(), w.b, snapshots.InitOptions{Now: w.now}))
	for range 3 {
		w.processes = append(w.processes, w.open(w.b))
	}
	for i := range 100 {
		w.rows[i] = 0
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v\nafter:\n  %s", err, strings.Join(w.played, "\n  "))
	}
}

func (w *world) open(b snapshots.Backend) *snapshots.Store {
	s, err := snapshots.Open(w.t.Context(), b, snapshots.Options{Now: w.now, PackEvery: 3})
	w.must(err)
	return s
}

func (w *world) reopen() string {
	w.s = w.open(w.b)
	w.processes[w.rng.IntN(len(w.processes))] = w.s
	return ""
}

func (w *world) step() {
	w.s = w.processes[w.rng.IntN(len(w.processes))]
	steps := []struct {
		name   string
		weight int
		f      func() string
	}{
		{"commit", 6, w.commit}, {"draft", 3, w.beginDraft}, {"commit a draft", 4, w.endDraft}, {"tag", 3, w.tag}, {"untag", 1, w.untag},
		{"checkpoint", 2, w.checkpoint}, {"drop checkpoint", 2, w.dropCheckpoint}, {"drop", 4, w.drop}, {"retain", 3, w.retain},
		{"diff", 3, w.diff}, {"compact", 2, w.compact}, {"fault", 4, w.fault}, {"reopen", 1, w.reopen}, {"time passes", 4, w.pass},
		{"gc", 5, w.collect}, {"gc marks", 2, w.mark}, {"gc deletes", 2, w.sweep}, {"gc breaks", 3, w.breakCollection},
		{"gc by a wrong clock", 2, w.skew}, {"a stopped gc goes on", 4, w.goOn}, {"a late delete lands", 2, w.landDelete},
	}
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	at := w.rng.IntN(total)
	for _, s := range steps {
		if at -= s.weight; at < 0 {
			w.played = append(w.played, s.name)
			w.played[len(w.played)-1] += " " + s.f()
			break
		}
	}
	if w.compare(); strings.Contains(w.played[len(w.played)-1], "gc") {
		w.verify(snapshots.VerifyNames)
	}
}

// edit changes a few cards of the source, or brings all back as they were once,
// so that contents come again.
func (w *world) edit() {
	if n := len(w.past); n > 0 && w.rng.IntN(2) == 0 {
		w.rows = maps.Clone(w.past[n-1-w.rng.IntN(min(n, 4))])
		return
	}
	for range w.rng.IntN(6) {
		i := w.rng.IntN(130)
		if _, ok := w.rows[i]; ok && w.rng.IntN(3) == 0 {
			delete(w.rows, i)
		} else {
			w.rows[i] = w.rng.IntN(4)
		}
	}
	w.past = append(w.past, maps.Clone(w.rows))
}

// draft writes the source as it stands, upon a snapshot or whole.
func (w *world) draft(s *snapshots.Store) (snapshots.Draft, error) {
	o := snapshots.WriterOptions{Bounds: parts.Bounds{Rows: 16}, Workers: 1 + w.rng.IntN(2)}
	if w.rng.IntN(4) == 0 {
		o.Bounds.Rows = 64
	}
	if len(w.history) > 0 && w.rng.IntN(2) == 0 {
		parent, err := s.Snapshot(w.t.Context(), w.some().digest.String())
		if err != nil {
			return snapshots.Draft{}, err
		}
		o.Parent = parent
	}
	return writeCards(w.t.Context(), s, o, w.rows)
}

func (w *world) some() version { return w.history[len(w.history)-1-w.rng.IntN(min(len(w.history), 5))] }

func (w *world) commit() string {
	w.edit()
	d, err := w.draft(w.s)
	w.must(err)
	_, err = w.s.Commit(w.t.Context(), snapshots.Change{Reason: "night", Actions: []snapshots.Action{d.Action("hr", "legacy")}})
	w.must(err)
	w.committed(d.Digest, w.rows)
	return d.Digest.Short()
}

// committed notes rows as a snapshot. Equal rows must have equal digests,
// other rows others.
func (w *world) committed(digest snapshots.Digest, rows map[int]int) {
	key := fmt.Sprint(rows)
	if had, ok := w.digests[key]; ok && had != digest {
		w.t.Errorf("the same rows have digests %s and %s", had.Short(), digest.Short())
	}
	for other, had := range w.digests {
		if had == digest && other != key {
			w.t.Errorf("other rows have digest %s too", digest.Short())
		}
	}
	w.digests[key] = digest
	w.history = append(w.history, version{maps.Clone(rows), digest})
}

func (w *world) tag() string {
	if len(w.history) == 0 {
		return "nothing"
	}
	name, to := fmt.Sprint("ref-", w.rng.IntN(4)), w.some().digest
	a := snapshots.RefAction{Name: name, Digest: to}
	old, had := w.refs[name]
	wrong := w.rng.IntN(4) == 0
	if wrong {
		old = snapshots.Digest{0xee}
	}
	if wrong || had {
		a.Old = &old
	}
	_, err := w.s.Commit(w.t.Context(), snapshots.Change{Reason: "tag", Actions: []snapshots.Action{a}})
	if moved := new(snapshots.RefMovedError); wrong {
		if !errors.As(err, &moved) {
			w.t.Errorf("a ref was moved from what it is not: %v", err)
		}
		return name + " refused"
	}
	w.must(err)
	w.refs[name] = to
	return name + " " + to.Short()
}

func (w *world) untag() string {
	for _, name := range slices.Sorted(maps.Keys(w.refs)) {
		_, err := w.s.Commit(w.t.Context(), snapshots.Change{Reason: "untag", Actions: []snapshots.Action{snapshots.RefAction{Name: name}}})
		w.must(err)
		delete(w.refs, name)
		return name
	}
	return "nothing"
}

func (w *world) checkpoint() string {
	if len(w.history) == 0 {
		return "nothing"
	}
	name, base, input := fmt.Sprint("cp-", w.rng.IntN(3)), w.some().digest, []byte{byte(w.rng.IntN(3))}
	err := w.pin(name, base, input)
	if collected(err) { // of a process that had not read the log for long
		err = w.pin(name, base, input)
	}
	if _, taken := w.checkpoints[name]; taken {
		if have := new(snapshots.CheckpointExistsError); !errors.As(err, &have) {
			w.t.Errorf("a checkpoint was moved: %v", err)
		}
		return name + " refused"
	}
	w.must(err)
	w.checkpoints[name] = base
	return name + " " + base.Short()
}

func (w *world) pin(name string, base snapshots.Digest, input []byte) error {
	blob, err := w.s.PutBlob(w.t.Context(), input)
	w.must(err)
	_, err = w.s.Commit(w.t.Context(), snapshots.Change{Reason: "pin", Actions: []snapshots.Action{snapshots.CheckpointAction{
		Name: name, Target: "live", Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: base},
		Inputs: []snapshots.CheckpointInput{{Name: "mapping.yaml", Blob: blob}}}}})
	return err
}

func (w *world) dropCheckpoint() string {
	for _, name := range slices.Sorted(maps.Keys(w.checkpoints)) {
		_, err := w.s.Commit(w.t.Context(), snapshots.Change{Reason: "drop", Actions: []snapshots.Action{snapshots.CheckpointAction{Name: name, Drop: true}}})
		w.must(err)
		delete(w.checkpoints, name)
		return name
	}
	return "nothing"
}

// diff compares two snapshots, and their difference with the model's.
func (w *world) diff() string {
	if len(w.history) == 0 {
		return "nothing"
	}
	ctx := w.t.Context()
	a, b := w.some(), w.some()
	x, err := w.s.Snapshot(ctx, a.digest.String())
	w.must(err)
	y, err := w.s.Snapshot(ctx, b.digest.String())
	w.must(err)
	want := map[schemas.RowID]snapshots.ChangeKind{}
	for i, v := range a.rows {
		switch now, ok := b.rows[i]; {
		case !ok:
			want[cardID(i)] = snapshots.Delete
		case now != v:
			want[cardID(i)] = snapshots.Update
		}
	}
	for i := range b.rows {
		if _, ok := a.rows[i]; !ok {
			want[cardID(i)] = snapshots.Insert
		}
	}
	got := map[schemas.RowID]snapshots.ChangeKind{}
	for c, err := range snapshots.Diff(ctx, x, y, snapshots.DiffOptions{}) {
		w.must(err)
		got[c.ID] = c.Kind
	}
	if !maps.Equal(want, got) {
		w.t.Errorf("diff of %s and %s has %d changes, the model %d", a.digest.Short(), b.digest.Short(), len(got), len(want))
	}
	return fmt.Sprintf("%s %s: %d", a.digest.Short(), b.digest.Short(), len(got))
}

func (w *world) compact() string {
	if len(w.history) == 0 {
		return "nothing"
	}
	sn, err := w.s.Snapshot(w.t.Context(), w.some().digest.String())
	w.must(err)
	_, err = w.s.Compact(w.t.Context(), sn, snapshots.WriterOptions{Bounds: parts.Bounds{Rows: 16}})
	w.must(err)
	return sn.Digest().Short()
}

// fault lets one operation of a commit go wrong and the process with it; the
// log says whether it happened.
func (w *world) fault() string {
	ctx := w.t.Context()
	w.edit()
	kinds := []Kind{Fail, Refuse, LoseReply, LoseReply2, CutBody, CancelAfter}
	k, kind := w.rng.IntN(25), kinds[w.rng.IntN(len(kinds))]
	before, err := w.s.State(ctx)
	w.must(err)
	f := FailAt(w.b, k, kind)
	var digest snapshots.Digest
	s, err := snapshots.Open(ctx, f, snapshots.Options{Now: w.now, PackEvery: 3})
	if err == nil {
		var d snapshots.Draft
		if d, err = w.draft(s); err == nil {
			digest = d.Digest
			_, err = s.Commit(ctx, snapshots.Change{Reason: "night", Actions: []snapshots.Action{d.Action("hr", "legacy")}})
		}
	}
	f.Wait()
	w.reopen()
	after, stateErr := w.s.State(ctx)
	w.must(stateErr)
	what := fmt.Sprintf("%s at %d", kind, k)
	switch {
	case after.N == before.N+1 && !digest.IsZero():
		w.committed(digest, w.rows)
		return what + ", committed " + digest.Short()
	case after.N != before.N || err == nil:
		w.t.Errorf("%s: %v, log from %d to %d", what, err, before.N, after.N)
	case f.Hits() > 0 && !errors.Is(err, ErrInjected):
		w.t.Errorf("%s: the error has another cause: %v", what, err)
	}
	return what + ", nothing committed"
}

// compare holds the store's state, and the rows of a snapshot, against the
// model.
func (w *world) compare() {
	ctx := w.t.Context()
	st, err := w.s.State(ctx)
	w.must(err)
	var got, want []snapshots.Digest
	for _, info := range st.History {
		got = append(got, info.Digest)
	}
	for _, v := range w.history {
		want = append(want, v.digest)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("history %v, the model's is %v", got, want)
	}
	refs := map[string]snapshots.Digest{}
	for name, r := range st.Refs {
		refs[name] = r.Digest
	}
	pins := map[string]snapshots.Digest{}
	for name, c := range st.Checkpoints {
		pins[name] = c.Base()
	}
	if !maps.Equal(refs, w.refs) || !maps.Equal(pins, w.checkpoints) {
		w.t.Errorf("refs %v, checkpoints %v; the model has %v and %v", refs, pins, w.refs, w.checkpoints)
	}
	if len(w.history) == 0 {
		return
	}
	v := w.some()
	sn, err := w.s.Snapshot(ctx, v.digest.String())
	w.must(err)
	rows := map[int]int{}
	for row, err := range sn.Scan(ctx, "cards", parts.ScanOptions{}) {
		w.must(err)
		var i int
		_, err = fmt.Sscanf(row.Key, "card-%d", &i)
		w.must(err)
		rows[i] = int(row.Values[0].(int64))
	}
	if !maps.Equal(rows, v.rows) {
		w.t.Errorf("snapshot %s has other rows than the model's", v.digest.Short())
	}
}

func (w *world) verify(level snapshots.VerifyLevel) {
	r, err := w.s.Verify(w.t.Context(), snapshots.VerifyOptions{Level: level})
	w.must(err)
	if len(r.Findings) > 0 {
		w.t.Errorf("findings %v\nafter:\n  %s", r.Findings, strings.Join(w.played, "\n  "))
	}
}
