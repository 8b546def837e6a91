package load

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// ObserveInput says what to look at.
type ObserveInput struct {
	Target  Target
	Profile schemas.TargetProfile
	IDs     IDs
	// Users to look at, in row-id order; Probes and Touched make such lists.
	Users iter.Seq2[UserProbe, error]
	// Total is how many users that is about, for progress.
	Total int64
	// Structure: look at organizations, departments and groups too.
	Structure bool
	// Foreign: look for accounts in the way of users that are not there.
	Foreign bool
	// Adopt are the rules by which such an account is a user's own.
	Adopt    AdoptRules
	Progress Progress
}

// ObserveReport counts what was seen.
type ObserveReport struct {
	Rows    map[string]int64 `json:"rows"`
	Absent  int64            `json:"absent"`
	Foreign int64            `json:"foreign"`
}

// Observe writes what the target holds within the scope to out: tables as
// ObservedTables has them.
func Observe(ctx context.Context, in ObserveInput, out RowWriter) (*ObserveReport, error) {
	s := newObservedSink(ctx, in, out)
	err := in.Target.Observe(ctx, Scope{Structure: in.Structure, Users: in.Users, Foreign: in.Foreign, ForeignBy: in.Adopt.attributes(), IDs: in.IDs}, s)
	if err == nil {
		err = s.finish(ctx)
	}
	if err := errors.Join(err, s.adoptables.close()); err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	return s.rep, nil
}

// observedSink writes what an observation sees into a snapshot.
type observedSink struct {
	ctx      context.Context
	in       ObserveInput
	out      RowWriter
	shapes   map[string]schemas.Table
	keep     map[string][]int // positions of the readable columns
	rep      *ObserveReport
	progress Progress
	pending  *pendingForeign

	adoptables adoptables
}

type pendingForeign struct {
	probe UserProbe
	found []ForeignAccount
}

var _ Sink = (*observedSink)(nil)

func newObservedSink(ctx context.Context, in ObserveInput, out RowWriter) *observedSink {
	s := &observedSink{ctx: ctx, in: in, out: out, shapes: schemas.Entities(), keep: map[string][]int{},
		rep: &ObserveReport{Rows: map[string]int64{}}, progress: orSilent(in.Progress)}
	for name, t := range s.shapes {
		for _, c := range readable(t, in.Profile).Columns {
			s.keep[name] = append(s.keep[name], t.Column(c.Name))
		}
	}
	s.progress.Total(StepObserve, in.Total)
	return s
}

func (s *observedSink) write(table string, row schemas.Row) error {
	s.rep.Rows[table]++
	return s.out.WriteRow(s.ctx, table, row, -1)
}

// Row keeps the readable columns of a row, and notes that a user was found.
func (s *observedSink) Row(table string, row schemas.Row, targetID string) error {
	keep := s.keep[table]
	if len(keep) == 0 {
		return nil
	}
	out := schemas.Row{ID: row.ID, Key: row.Key}
	for _, i := range keep {
		out.Values = append(out.Values, row.Values[i])
	}
	if err := s.write(table, out); err != nil {
		return err
	}
	switch {
	case table == schemas.Users:
		if len(s.in.Adopt) > 0 {
			s.adoptables.own.add(targetID)
		}
		return s.looked(row.ID, row.Key, true)
	case slices.Contains(structureTables, table) && row.Key != "" && targetID != "":
		return s.write(schemas.IDMap, IDEntry{Entity: table, TargetID: targetID, Origin: OriginFound, Key: row.Key}.row(row.ID))
	}
	return nil
}

func (s *observedSink) looked(id schemas.RowID, key string, found bool) error {
	s.progress.Done(StepObserve, 1)
	return s.write(schemas.Scope, schemas.Row{ID: id, Key: key, Values: []any{schemas.Users, found}})
}

// Absent notes that a user was looked for.
func (s *observedSink) Absent(p UserProbe) error {
	s.rep.Absent++
	return s.looked(p.ID, p.Key, false)
}

// Foreign collects the accounts in the way of one user.
func (s *observedSink) Foreign(p UserProbe, f ForeignAccount) error {
	if s.pending != nil && s.pending.probe.ID == p.ID {
		s.pending.found = append(s.pending.found, f)
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.pending = &pendingForeign{probe: p, found: []ForeignAccount{f}}
	return nil
}

// flush settles the accounts in the way of one user: one that rules give to the
// user waits until all are known, others are written.
func (s *observedSink) flush() error {
	w := s.pending
	if w == nil {
		return nil
	}
	s.pending = nil
	a := s.in.Adopt.decide(&w.probe, w.found)
	if a.rule != nil {
		return s.adoptables.add(adoptable{w.probe, w.found[a.account], a.rule.String()})
	}
	return s.writeForeign(&w.probe, w.found, a)
}

// finish looks at adopted accounts, and writes what is left over and that the structure was looked at.
func (s *observedSink) finish(ctx context.Context) error {
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.adopt(ctx); err != nil || !s.in.Structure {
		return err
	}
	for _, table := range structureTables {
		if len(s.keep[table]) == 0 {
			continue
		}
		if err := s.write(schemas.Scope, schemas.Row{ID: StructureMark(table), Key: "*", Values: []any{table, true}}); err != nil {
			return err
		}
	}
	return nil
}

// Probes lists every user of desired and base within reach, with the names that
// the target would know them by, and what rules of adoption look at. Base may be
// nil.
func Probes(ctx context.Context, target Projector, base, desired Snapshot, reach Reach, rules AdoptRules) iter.Seq2[UserProbe, error] {
	if base == nil {
		base = Empty
	}
	shapes := schemas.Entities()
	b, _ := sideStreams(base, shapes, func(x *person) *side { return &x.base })
	d, _ := sideStreams(desired, shapes, func(x *person) *side { return &x.desired })
	streams := append([]stream{b[0], d[0], idStream(base)}, reach.streams()...)
	return probes(ctx, streams, schemas.RowID{}, schemas.RowID{}, rules, func(x *person) (*schemas.Row, error) {
		switch {
		case !reach.holds(x):
			return nil, nil
		case x.desired.user == nil:
			return x.base.user, nil
		}
		projected, _ := target.ProjectUser(schemas.Bundle{User: *x.desired.user})
		return &projected.User, nil
	})
}

// Touched lists the users that a plan has operations on, or on rows of theirs.
func Touched(ctx context.Context, plan *Manifest, files Files, base, effective Snapshot) iter.Seq2[UserProbe, error] {
	shapes := schemas.Entities()
	b, _ := sideStreams(base, shapes, func(x *person) *side { return &x.base })
	e, _ := sideStreams(effective, shapes, func(x *person) *side { return &x.desired })
	return func(yield func(UserProbe, error) bool) {
		cursor := newOpCursor(ctx, plan, files)
		defer cursor.close()
		touched := func(x *person) (*schemas.Row, error) {
			ops, err := cursor.of(x.id)
			switch {
			case err != nil || len(ops) == 0:
				return nil, err
			case x.desired.user != nil:
				return x.desired.user, nil
			}
			return x.base.user, nil
		}
		probes(ctx, []stream{b[0], e[0], idStream(base)}, schemas.RowID{}, schemas.RowID{}, nil, touched)(yield)
	}
}

// probes yields a probe of each person within the bounds for whom pick returns
// a row.
func probes(ctx context.Context, streams []stream, from, to schemas.RowID, rules AdoptRules, pick func(*person) (*schemas.Row, error)) iter.Seq2[UserProbe, error] {
	shape := schemas.IDMapTable()
	return func(yield func(UserProbe, error) bool) {
		for x, err := range people(ctx, streams, from, to) {
			var row *schemas.Row
			if err == nil {
				row, err = pick(x)
			}
			if err != nil {
				yield(UserProbe{}, err)
				return
			}
			if row == nil {
				continue
			}
			p := probeOf(row)
			p.Attributes, p.Confirmed = rules.fields(row), x.base.user != nil
			if x.mapped != nil {
				p.TargetID = text(cell(&shape, x.mapped, "target_id"))
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}
