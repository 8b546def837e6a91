package load

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// item is an operation with what it is about.
type item struct {
	op      Operation
	subject Subject
}

// owner is the row whose operations never overlap: the user of a user's rows,
// else the row itself.
func (it item) owner() schemas.RowID {
	if it.subject.User != nil {
		return it.subject.User.User.ID
	}
	return it.op.ID
}

// errNoSubject: the snapshots do not hold a row that the plan is about.
var errNoSubject = errors.New("row is neither in the effective snapshot nor in base")

func noSubject(op Operation) error {
	return fmt.Errorf("operation %d, %s %q: %w (verify the store, then make a new plan)", op.Seq, op.Table, op.Key, errNoSubject)
}

// subjects reads the rows that the operations of a range are about: from
// effective, or for what ends from base.
func (l *loader) subjects(ctx context.Context, r Range, ops []Operation) ([]item, error) {
	if slices.Contains(structureTables, r.Table) {
		return l.structureSubjects(ctx, ops)
	}
	byPrefix := map[[8]byte][]Operation{}
	first, last := ops[0].ID, ops[0].ID
	for _, op := range ops {
		k := [8]byte(op.ID[:8])
		byPrefix[k] = append(byPrefix[k], op)
		first, last = lesser(first, op.ID), greater(last, op.ID)
	}
	from, to := prefixBounds(first, last)
	base, _ := sideStreams(l.in.Base, l.shapes, func(x *person) *side { return &x.base })
	effective, _ := sideStreams(l.in.Effective, l.shapes, func(x *person) *side { return &x.desired })
	var items []item
	for x, err := range people(ctx, append(base, effective...), from, to) {
		if err != nil {
			return nil, err
		}
		for _, op := range byPrefix[[8]byte(x.id[:8])] {
			if it, ok := userItem(x, op); ok {
				items = append(items, it)
			}
		}
	}
	if len(items) != len(ops) {
		return nil, missingSubject(ops, items)
	}
	return items, nil
}

func missingSubject(ops []Operation, items []item) error {
	for _, op := range ops {
		if !slices.ContainsFunc(items, func(it item) bool { return it.op.Seq == op.Seq }) {
			return noSubject(op)
		}
	}
	return fmt.Errorf("%d rows for %d operations: %w", len(items), len(ops), errNoSubject)
}

func lesser(a, b schemas.RowID) schemas.RowID {
	if a.Compare(b) < 0 {
		return a
	}
	return b
}

func greater(a, b schemas.RowID) schemas.RowID {
	if a.Compare(b) > 0 {
		return a
	}
	return b
}

// prefixBounds widens a span of ids to whole users. A zero end means no bound.
func prefixBounds(first, last schemas.RowID) (from, to schemas.RowID) {
	copy(from[:8], first[:8])
	copy(to[:8], last[:8])
	for i := 7; i >= 0; i-- {
		if to[i]++; to[i] != 0 {
			break
		}
	}
	return from, to
}

// userItem finds the subject of an operation on a user or a row of one.
func userItem(x *person, op Operation) (item, bool) {
	state := &x.desired
	if state.user == nil {
		state = &x.base
	}
	if state.user == nil {
		return item{}, false
	}
	b := state.bundle()
	if op.Table == schemas.Users {
		return item{op, Subject{Row: b.User, User: &b}}, op.ID == x.id
	}
	row := x.desired.has(op.Table, op.ID)
	if row == nil || op.Kind == Unlink || op.Kind == Delete {
		row = x.base.has(op.Table, op.ID)
	}
	if row == nil {
		return item{}, false
	}
	return item{op, Subject{Row: *row, User: &b}}, true
}

func (l *loader) structureSubjects(ctx context.Context, ops []Operation) ([]item, error) {
	items := make([]item, 0, len(ops))
	for _, op := range ops {
		sn := l.in.Effective
		if op.Kind == Delete {
			sn = l.in.Base
		}
		shape := l.shapes[op.Table]
		row, err := newReader(sn, &shape).get(ctx, op.ID)
		if err != nil {
			return nil, err
		}
		if row == nil {
			return nil, noSubject(op)
		}
		items = append(items, item{op, Subject{Row: *row}})
	}
	return items, nil
}

// get reads one row, nil if there is none.
func (r *reader) get(ctx context.Context, id schemas.RowID) (*schemas.Row, error) {
	to := id
	for i := len(to) - 1; i >= 0; i-- {
		if to[i]++; to[i] != 0 {
			break
		}
	}
	for row, err := range r.scan(ctx, id, to) {
		if err != nil {
			return nil, err
		}
		return &row, nil
	}
	return nil, nil
}
