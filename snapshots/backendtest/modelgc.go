package backendtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
)

// dated gives objects the time of the world's clock, whatever the back end's is.
type dated struct {
	snapshots.Sweeper
	now func() time.Time

	mu sync.Mutex
	at map[string]time.Time
}

func (d *dated) Create(ctx context.Context, key string, body io.ReadSeeker) error {
	err := d.Sweeper.Create(ctx, key, body)
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.at[key] = d.now()
	}
	return err
}

func (d *dated) Details(ctx context.Context, prefix, after string) iter.Seq2[snapshots.Detail, error] {
	return func(yield func(snapshots.Detail, error) bool) {
		for x, err := range d.Sweeper.Details(ctx, prefix, after) {
			d.mu.Lock()
			x.Modified = d.at[x.Key]
			d.mu.Unlock()
			if !yield(x, err) {
				return
			}
		}
	}
}

func (w *world) now() time.Time { return time.Now().Add(w.ahead) }

func (w *world) pass() string {
	w.ahead += time.Duration(1+w.rng.IntN(30)) * time.Hour
	return w.ahead.String()
}

// openDraft is the work of a writer that has not committed it.
type openDraft struct {
	snapshots.Draft
	rows  map[int]int
	began time.Time
}

func (w *world) beginDraft() string {
	w.edit()
	began := w.now()
	d, err := w.draft(w.s)
	w.must(err)
	w.drafts = append(w.drafts, openDraft{d, maps.Clone(w.rows), began})
	return d.Digest.Short()
}

// endDraft commits one, which may be refused only if it took longer than the
// grace period, by some collector's clock.
func (w *world) endDraft() string {
	if len(w.drafts) == 0 {
		return "nothing"
	}
	i := w.rng.IntN(len(w.drafts))
	d := w.drafts[i]
	w.drafts = slices.Delete(w.drafts, i, i+1)
	_, err := w.s.Commit(w.t.Context(), snapshots.Change{Reason: "night", Actions: []snapshots.Action{d.Action("hr", "legacy")}})
	if collected(err) && (w.skewed || w.now().Sub(d.began) >= snapshots.DefaultGrace) {
		return d.Digest.Short() + " refused: it took too long"
	}
	w.must(err)
	w.committed(d.Digest, d.rows)
	return d.Digest.Short()
}

func collected(err error) bool {
	_, ok := errors.AsType[*snapshots.CollectedError](err)
	return ok
}

func (w *world) needed() map[snapshots.Digest]bool {
	out := map[snapshots.Digest]bool{}
	for _, m := range []map[string]snapshots.Digest{w.refs, w.checkpoints} {
		for _, d := range m {
			out[d] = true
		}
	}
	return out
}

// drop forgets a snapshot, unless something needs it.
func (w *world) drop() string {
	if len(w.history) == 0 {
		return "nothing"
	}
	d := w.some().digest
	err := w.forget(d)
	if w.needed()[d] {
		if _, ok := errors.AsType[*snapshots.NeededError](err); !ok {
			w.t.Errorf("snapshot %s is needed, and its drop: %v", d.Short(), err)
		}
		return d.Short() + " refused"
	}
	w.must(err)
	return d.Short()
}

// retain forgets all but the last few commits and what is needed, in one entry.
func (w *world) retain() string {
	keep := w.needed()
	for _, v := range w.history[max(0, len(w.history)-1-w.rng.IntN(4)):] {
		keep[v.digest] = true
	}
	var drop []snapshots.Digest
	for _, v := range w.history {
		if !keep[v.digest] {
			keep[v.digest], drop = true, append(drop, v.digest)
		}
	}
	if len(drop) > 0 {
		w.must(w.forget(drop...))
	}
	return fmt.Sprint("drops ", len(drop))
}

func (w *world) forget(drop ...snapshots.Digest) error {
	_, err := w.s.Commit(w.t.Context(), snapshots.Change{Reason: "drop", Actions: []snapshots.Action{snapshots.DropAction{Snapshots: drop, By: "test"}}})
	if err == nil {
		w.history = slices.DeleteFunc(w.history, func(v version) bool { return slices.Contains(drop, v.digest) })
	}
	return err
}

// plan looks for garbage. What the plan would delete may be asked for again at any
// time by a request that was on its way for long.
func (w *world) plan() *snapshots.GCPlan {
	p, err := w.s.PlanGC(w.t.Context(), snapshots.GCOptions{})
	w.must(err)
	for _, g := range p.Delete {
		w.deletes = append(w.deletes, g.Key)
	}
	return p
}

func (w *world) carryOut(p *snapshots.GCPlan) string {
	done, err := w.s.Collect(w.t.Context(), p, snapshots.GCOptions{})
	w.must(err)
	return fmt.Sprintf("%d names given up, %d spared, %d objects deleted", done.Given.Objects, done.Spared.Objects, done.Deleted.Objects)
}

// collect does all of it, or stops once it has its plan.
func (w *world) collect() string {
	p := w.plan()
	if w.rng.IntN(2) == 0 {
		w.plans = append(w.plans, p)
		return "stopped"
	}
	return w.carryOut(p)
}

// mark gives names up and stops before the deletes.
func (w *world) mark() string {
	p := w.plan()
	w.plans = append(w.plans, p)
	first := *p
	first.Delete = nil
	return w.carryOut(&first)
}

// sweep deletes what was given up long enough ago, and gives nothing up.
func (w *world) sweep() string {
	p := w.plan()
	w.plans = append(w.plans, p)
	second := *p
	second.Give = nil
	return w.carryOut(&second)
}

// goOn carries out a plan of long ago, by whatever process.
func (w *world) goOn() string {
	if len(w.plans) == 0 {
		return "nothing"
	}
	return w.carryOut(w.plans[len(w.plans)-1-w.rng.IntN(min(len(w.plans), 3))])
}

func (w *world) landDelete() string {
	if len(w.deletes) == 0 {
		return "nothing"
	}
	key := w.deletes[w.rng.IntN(len(w.deletes))]
	w.must(w.b.Delete(w.t.Context(), key))
	return key
}

// breakCollection lets one operation of a collection go wrong, and the process
// with it.
func (w *world) breakCollection() string {
	ctx, kinds := w.t.Context(), []Kind{Fail, Refuse, LoseReply, LoseReply2, CancelAfter, CutRead}
	k, kind := w.rng.IntN(60), kinds[w.rng.IntN(len(kinds))]
	f := FailAt(w.b, k, kind)
	s, err := snapshots.Open(ctx, f, snapshots.Options{Now: w.now, PackEvery: 3})
	if err == nil {
		var p *snapshots.GCPlan
		if p, err = s.PlanGC(ctx, snapshots.GCOptions{}); err == nil {
			_, err = s.Collect(ctx, p, snapshots.GCOptions{})
		}
	}
	if err != nil && !errors.Is(err, ErrInjected) {
		w.t.Errorf("%s at %d: the error has another cause: %v", kind, k, err)
	}
	return fmt.Sprintf("%s at %d: %v", kind, k, err)
}

// skew collects by a clock that is days ahead or behind, in worlds where that
// happens: in the others the grace period must hold.
func (w *world) skew() string {
	if !w.skewed {
		return "never"
	}
	wrong := time.Duration(w.rng.IntN(7)-2) * snapshots.DefaultGrace
	w.ahead += wrong
	defer func() { w.ahead -= wrong }()
	return fmt.Sprintf("%s: %s", wrong, w.collect())
}

// end collects until there is no garbage: then all that is there is needed, and
// late requests for deletes find nothing.
func (w *world) end() {
	for range 2 {
		w.ahead += 20 * snapshots.DefaultGrace
		w.carryOut(w.plan())
	}
	r, err := w.s.Storage(w.t.Context())
	w.must(err)
	if r.Rest != (snapshots.Tally{}) {
		w.t.Errorf("%d objects are left that nothing needs", r.Rest.Objects)
	}
	for _, key := range w.deletes {
		w.must(w.b.Delete(w.t.Context(), key))
	}
	w.verify(snapshots.VerifyBytes)
	w.compare()
}
