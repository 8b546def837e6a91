package load

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/internal/pace"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// LoadInput is what a load works on.
type LoadInput struct {
	Plan *Manifest
	// Base and Effective are the snapshots that the plan is bound to.
	Base, Effective Snapshot
	// TargetName is the target's name in the configuration; Target is it, and
	// Profile what its Preflight said.
	TargetName string
	Target     Target
	Profile    schemas.TargetProfile
	Files      Files
	// LedgerDir is a local directory for the log of outcomes.
	LedgerDir string
	// Lease is asked before every request; an error stops the load. Nil: there
	// is no lease. Epoch is the lease's.
	Lease    func(context.Context) error
	Epoch    uint64
	Options  LoadOptions
	Progress Progress
	Log      *slog.Logger // nil: silence
}

// LoadOptions say how a load goes about it.
type LoadOptions struct {
	// Concurrency is the most requests at once; zero: twice what the target
	// starts with.
	Concurrency int
	// Batch is the most users in one request; zero: what the target takes.
	Batch int
	Retry Policy
	// SegmentOutcomes is how many outcomes make a segment; zero: 5000.
	SegmentOutcomes int
	// OverrideBrake carries the plan out although it passes the brake. The caller
	// records who asked for it and why.
	OverrideBrake bool
}

// Result is what a load came to.
type Result struct {
	Run string
	// Counts is the final equation.
	Counts Counts
	// Requests that were sent, and Looks among them that read rows back.
	Requests, Looks int64
	// Failures are the first outcomes that failed or are unknown; Messages
	// counts all by message.
	Failures []Outcome
	Messages map[string]int64
	Elapsed  time.Duration
	// Pace is how fast this call carried operations out, and Flying how many
	// requests were in flight meanwhile, on average.
	Pace   []Pace
	Flying float64
}

// Errors of loads.
var (
	// ErrInterrupted: the load was told to stop. What was in flight is
	// recorded; resume goes on.
	ErrInterrupted = errors.New("load was interrupted")
	// ErrUnavailable: the target did not answer for as long as the policy
	// tries. Nothing more was sent; resume goes on.
	ErrUnavailable = errors.New("target stays unavailable")
)

// Load carries out a plan, or what of it is not carried out yet: calling it
// again after a crash or stop is how a load is resumed. Operations that were
// perhaps sent are looked up in the target first.
//
// Rows that fail are outcomes, not errors. An error means that the load did not
// come to its end; the Result then says how far it came.
func Load(ctx context.Context, in LoadInput) (*Result, error) {
	l, err := newLoader(ctx, in)
	if err != nil {
		return nil, err
	}
	if in.Lease != nil {
		ctx = UnderLease(ctx, in.Lease)
	}
	begun := time.Now()
	err = l.run(ctx)
	done := context.WithoutCancel(ctx)
	err = errors.Join(err, l.ledger.Close(done))
	counts, countErr := FinalCounts(done, in.Files, in.Plan, l.ledger)
	res := &Result{Run: in.Plan.Run, Counts: counts, Requests: l.requests.Load(), Looks: l.looks.Load(), Elapsed: time.Since(begun)}
	res.Failures, res.Messages = l.ledger.Failures()
	res.Pace, res.Flying = l.meter.paces(), l.meter.flying()
	return res, errors.Join(err, countErr)
}

func newLoader(ctx context.Context, in LoadInput) (*loader, error) {
	plan := in.Plan
	switch {
	case plan == nil || plan.Digest.IsZero():
		return nil, errors.New("load: the plan is not sealed")
	case plan.Target != in.TargetName || plan.Dialect != in.Profile.Dialect:
		return nil, fmt.Errorf("load: %w: it is for target %q (%s), this is %q (%s): make a new plan", ErrPlanStale, plan.Target, plan.Dialect, in.TargetName, in.Profile.Dialect)
	case in.Base == nil || in.Base.Digest() != plan.Base:
		return nil, fmt.Errorf("load: %w: the target's base is another than the one it was made from: make a new plan", ErrPlanStale)
	case in.Effective == nil || in.Effective.Digest() != plan.Effective:
		return nil, fmt.Errorf("load: %w: the effective snapshot is another than the one it was sealed with: make a new plan", ErrPlanStale)
	}
	if err := plan.BrakeErr(); err != nil && !in.Options.OverrideBrake {
		return nil, err
	}
	ids, err := ReadIDMap(ctx, in.Effective)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	ledger, err := OpenLedger(ctx, in.LedgerDir, in.Files, plan)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	abilities := in.Target.Abilities()
	in.Options.Retry = in.Options.Retry.withDefaults(abilities)
	in.Options.SegmentOutcomes = cmp.Or(in.Options.SegmentOutcomes, 5000)
	batch := max(1, abilities.BatchUsers)
	if in.Options.Batch > 0 {
		batch = min(batch, in.Options.Batch)
	}
	if in.Log == nil {
		in.Log = slog.New(slog.DiscardHandler)
	}
	start := max(1, abilities.Concurrency)
	return &loader{
		in: in, plan: plan, ids: ids, ledger: ledger, policy: in.Options.Retry, batch: batch,
		look: max(1, abilities.ObserveBatch), progress: orSilent(in.Progress), log: in.Log, shapes: schemas.Entities(),
		readable: readableColumns(in.Profile),
		pacer:    pace.New(pace.Options{Start: start, Max: cmp.Or(in.Options.Concurrency, 2*start)}),
		failed:   map[schemas.RowID]string{},
	}, nil
}

// readableColumns says which columns of each entity the target gives back.
func readableColumns(p schemas.TargetProfile) map[string]columns {
	out := map[string]columns{}
	for name, t := range schemas.Entities() {
		c := make(columns, len(t.Columns))
		shape := readable(t, p)
		for i := range t.Columns {
			c[i] = shape.Column(t.Columns[i].Name) >= 0
		}
		out[name] = c
	}
	return out
}

// loader carries out one plan.
type loader struct {
	in       LoadInput
	plan     *Manifest
	ids      *IDMap
	ledger   *Ledger
	policy   Policy
	batch    int
	look     int
	pacer    *pace.Pacer
	progress Progress
	log      *slog.Logger
	shapes   map[string]schemas.Table
	readable map[string]columns

	stats
	meter  paceMeter
	mu     sync.Mutex // guards failed and later, and calls of progress
	failed map[schemas.RowID]string
	later  []postponed
}

// task is some operations that one worker carries out one after another: a
// batch of creates, or all that one user needs.
type task func(ctx context.Context) error

func (l *loader) run(ctx context.Context) error {
	l.progress.Total(StepLoad, l.plan.Operations)
	for _, s := range Sections {
		ranges := l.plan.rangesOf(s)
		if len(ranges) == 0 {
			continue
		}
		l.log.Info("section", "section", string(s), "ranges", len(ranges))
		begun := time.Now()
		err := l.section(ctx, s, ranges)
		l.meter.section(time.Since(begun))
		if err != nil {
			return l.whyStopped(ctx, err)
		}
	}
	return nil
}

func (l *loader) whyStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return fmt.Errorf("run %s: %w: %w (resume it with `parallelrun resume`)", l.plan.Run, ErrInterrupted, context.Cause(ctx))
	}
	return fmt.Errorf("run %s: %w", l.plan.Run, err)
}

// section carries out the ranges of one section. Those of users follow one
// another without a pause; those of structure wait for each other, since one
// holds the parents of the next.
func (l *loader) section(ctx context.Context, s Section, ranges []Range) error {
	switch s {
	case SectionTakeovers:
		return l.takeovers(ctx, ranges)
	case SectionStructure, SectionDeletes:
		for _, r := range ranges {
			if err := l.ranges(ctx, []Range{r}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := l.ranges(ctx, ranges); err != nil {
		return err
	}
	return l.secondTries(ctx)
}

// ranges carries out some ranges at once.
func (l *loader) ranges(ctx context.Context, ranges []Range) error {
	return l.crew(ctx, func(ctx context.Context, tasks chan<- task) error {
		w := &walk{}
		defer w.close()
		for _, r := range ranges {
			if err := l.rangeTasks(ctx, w, r, tasks); err != nil {
				return err
			}
		}
		return nil
	})
}

// crew starts workers, has tasks handed to them, and waits for all. After the
// first error nothing more is handed out.
func (l *loader) crew(ctx context.Context, hand func(context.Context, chan<- task) error) error {
	workers := 2 * l.pacer.Max() // some may be waiting for a row to show
	tasks := make(chan task)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(tasks)
		return hand(ctx, tasks)
	})
	for range workers {
		g.Go(func() error {
			for t := range tasks {
				if err := t(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return l.ship(ctx, 1)
}

// postponed is an operation that was refused because another row has the name
// it wants. That row may give it up in the same section.
type postponed struct {
	it      item
	outcome Outcome
}

// postpone keeps an operation for a second try.
func (l *loader) postpone(it item, o Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.later = append(l.later, postponed{it, o})
}

// secondTries tries what was postponed again, as long as that helps any. The
// rest failed.
func (l *loader) secondTries(ctx context.Context) error {
	for {
		l.mu.Lock()
		list := l.later
		l.later = nil
		l.mu.Unlock()
		if len(list) == 0 {
			return l.ship(ctx, 1)
		}
		for _, p := range list {
			try := func() error { return l.apply(ctx, p.it, false) }
			if p.it.op.Kind == Create {
				try = func() error { return l.createUsers(ctx, []item{p.it}, false) }
			}
			if err := try(); err != nil {
				return err
			}
		}
		if len(l.later) == len(list) {
			return l.giveUp()
		}
	}
}

func (l *loader) giveUp() error {
	list := l.later
	l.later = nil
	for _, p := range list {
		if err := l.record(p.it, p.outcome); err != nil {
			return err
		}
	}
	return nil
}

// rangeTasks hands out what is not done yet of a range. A range that was
// recorded before may have been sent in part: its rows are looked up first.
func (l *loader) rangeTasks(ctx context.Context, w *walk, r Range, tasks chan<- task) error {
	items, inDoubt, err := l.left(ctx, w, r)
	if err != nil {
		return err
	}
	return l.handOut(ctx, items, inDoubt, tasks)
}

// left returns what is not done yet of a range, in its order, and whether some
// of that may have been sent. The range is recorded.
func (l *loader) left(ctx context.Context, w *walk, r Range) (items []item, inDoubt bool, err error) {
	ops, err := l.plan.ReadRange(ctx, l.in.Files, r)
	if err != nil {
		return nil, false, err
	}
	open := l.open(ops)
	if len(open) == 0 {
		return nil, false, ctx.Err()
	}
	if inDoubt, err = l.recordRange(ctx, r); err != nil {
		return nil, false, err
	}
	if items, err = l.subjects(ctx, w, r, open); err != nil {
		return nil, false, err
	}
	place := make(map[int64]int, len(open))
	for i := range open {
		place[open[i].Seq] = i
	}
	slices.SortFunc(items, func(a, b item) int { return place[a.op.Seq] - place[b.op.Seq] })
	return items, inDoubt, nil
}

func (l *loader) handOut(ctx context.Context, items []item, inDoubt bool, tasks chan<- task) error {
	for _, t := range l.cut(l.unblocked(items), inDoubt) {
		select {
		case tasks <- t:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// open returns the operations that still have to be carried out, and takes in
// what is known of the others.
func (l *loader) open(ops []Operation) []Operation {
	var open []Operation
	settled := int64(0)
	for _, op := range ops {
		r, ok := l.ledger.Result(&op)
		switch {
		case ok && r == OutcomeDone:
			settled++
			l.learnID(&op)
		case ok && r == OutcomeFailed:
			settled++
			l.fail(op.ID, "failed")
		case op.With != 0: // settled by the operation that carries it
			settled++
		default:
			open = append(open, op)
		}
	}
	l.done(settled)
	return open
}

func (l *loader) learnID(op *Operation) {
	if id, ok := l.ledger.TargetID(op.Seq); ok && op.Table != schemas.Users {
		l.ids.Add(op.ID, IDEntry{Entity: op.Table, Key: op.Key, TargetID: id, Origin: OriginCreated, Run: l.plan.Run})
	}
}

func (l *loader) done(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.Done(StepLoad, n)
}

// rangeRecord is runs/<run>/ranges/<n>.json: from here on, operations of the
// range may have been sent.
type rangeRecord struct {
	Version int              `json:"version"`
	Range   int              `json:"range"`
	Plan    snapshots.Digest `json:"plan"`
	Epoch   uint64           `json:"epoch"`
}

// recordRange records a range in the store before any of it is sent, and says
// whether it was recorded before.
func (l *loader) recordRange(ctx context.Context, r Range) (before bool, err error) {
	key := path.Join("runs", l.plan.Run, "ranges", fmt.Sprintf("%06d.json", r.N))
	data, err := json.Marshal(rangeRecord{1, r.N, l.plan.Digest, l.in.Epoch})
	if err != nil {
		return false, err
	}
	there, err := l.in.Files.ReadFile(ctx, key)
	if err == nil {
		var rec rangeRecord
		if json.Unmarshal(there, &rec) != nil || rec.Plan != l.plan.Digest {
			return false, fmt.Errorf("%s: %w: it belongs to another plan (make a new run)", key, ErrPlanStale)
		}
		return true, nil
	}
	if !errors.Is(err, snapshots.ErrNotFound) {
		return false, fmt.Errorf("record range: %w", err)
	}
	if err := l.lease(ctx); err != nil {
		return false, err
	}
	if err := l.in.Files.PutFile(ctx, key, data); err != nil {
		return false, fmt.Errorf("record range: %w", err)
	}
	return false, nil
}

func (l *loader) lease(ctx context.Context) error {
	if l.in.Lease == nil {
		return nil
	}
	if err := l.in.Lease(ctx); err != nil {
		return fmt.Errorf("lease of target %s: %w (nothing more was sent)", l.in.TargetName, err)
	}
	return nil
}

// cut makes tasks: batches of creates, and one task for the rest of each user,
// so that the operations on one user never overlap.
func (l *loader) cut(items []item, inDoubt bool) []task {
	var out []task
	var creates []item
	var same []item
	flush := func() {
		if group := same; len(group) > 0 {
			out = append(out, func(ctx context.Context) error { return l.sequence(ctx, group, inDoubt) })
		}
		same = nil
	}
	for _, it := range items {
		if it.op.Table == schemas.Users && it.op.Kind == Create {
			creates = append(creates, it)
			continue
		}
		if len(same) > 0 && same[0].owner() != it.owner() {
			flush()
		}
		same = append(same, it)
	}
	flush()
	for group := range slices.Chunk(creates, l.batch) {
		out = append(out, func(ctx context.Context) error { return l.createUsers(ctx, group, inDoubt) })
	}
	return out
}

func (l *loader) sequence(ctx context.Context, items []item, inDoubt bool) error {
	for _, it := range items {
		if err := l.apply(ctx, it, inDoubt); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) fail(id schemas.RowID, how string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed[id] = how
}

// unblocked records the operations whose parent failed as failed, and returns
// the others.
func (l *loader) unblocked(items []item) []item {
	return slices.DeleteFunc(items, func(it item) bool {
		reason := l.blockedBy(it)
		if reason == "" {
			return false
		}
		_ = l.record(it, Outcome{Result: OutcomeFailed, Class: Permanent, Message: reason}) // a broken ledger stops the next request
		return true
	})
}

// blockedBy says which row, that this one needs, failed in this run.
func (l *loader) blockedBy(it item) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failed) == 0 || it.op.Kind == Delete || it.op.Kind == Unlink || it.parks {
		return ""
	}
	shape := l.shapes[it.op.Table]
	for i, c := range shape.Columns {
		if c.Refs == "" {
			continue
		}
		for _, s := range flattenRefs(it.subject.Row.Values[i]) {
			id, err := schemas.ParseRowID(s)
			if how := l.failed[id]; err == nil && how != "" {
				return fmt.Sprintf("its %s %s", c.Name, outcomeWord[how])
			}
		}
	}
	return ""
}

var outcomeWord = map[string]string{"failed": "failed", "unknown": "has an unknown outcome"}

// record writes an outcome.
func (l *loader) record(it item, o Outcome) error {
	if o.Result == OutcomeDone && it.without != nil {
		o.Result, o.Class, o.Message = it.without.Result, it.without.Class, it.without.Message
	}
	o.Seq, o.Table, o.ID, o.Key, o.At = it.op.Seq, it.op.Table, it.op.ID, it.op.Key, time.Now().UTC()
	if o.Result != OutcomeDone {
		l.fail(it.op.ID, string(o.Result))
		l.log.Warn("operation", "table", o.Table, "key", o.Key, "result", string(o.Result), "message", o.Message)
	}
	if err := l.ledger.Record(o); err != nil {
		return err
	}
	if o.Result == OutcomeDone && o.TargetID != "" && it.op.Table != schemas.Users {
		l.ids.Add(it.op.ID, IDEntry{Entity: it.op.Table, Key: it.op.Key, TargetID: o.TargetID, Origin: OriginCreated, Run: l.plan.Run})
	}
	l.done(1)
	l.meter.did(it.op.Table, it.op.Kind, o.Result)
	return l.ship(context.Background(), l.in.Options.SegmentOutcomes)
}

// ship stores a segment once enough outcomes are waiting.
func (l *loader) ship(ctx context.Context, enough int) error {
	if l.ledger.Unshipped() < enough {
		return nil
	}
	return l.ledger.Ship(context.WithoutCancel(ctx))
}
