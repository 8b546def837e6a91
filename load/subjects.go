package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// item is an operation with what it is about.
type item struct {
	op      Operation
	subject Subject
	// absent: the target says that what the operation is about is not there.
	absent bool
	// parks: the subject has temporary values.
	parks bool
	// without is the outcome of an operation that leaves out the names which
	// another user has still; nil: it leaves out nothing.
	without *Outcome
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

// subjects finds the rows that the operations of a range are about: in
// effective, or for what ends in base.
func (l *loader) subjects(ctx context.Context, w *walk, r Range, ops []Operation) ([]item, error) {
	if slices.Contains(structureTables, r.Table) {
		return l.structureSubjects(ctx, ops)
	}
	byPrefix := map[[8]byte][]Operation{}
	for _, op := range ops {
		k := [8]byte(op.ID[:8])
		byPrefix[k] = append(byPrefix[k], op)
	}
	var items []item
	first, last := ops[0].ID, ops[0].ID
	for _, op := range ops {
		if op.ID.Compare(first) < 0 {
			first = op.ID
		} else if op.ID.Compare(last) > 0 {
			last = op.ID
		}
	}
	for x, err := range w.until(ctx, l, first, last) {
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

// walk goes over base and effective once, beside the ranges of a section, which
// come in the same order.
type walk struct {
	next func() (*person, error, bool)
	stop func()
	head *person
}

// until yields the people from first to last; both name users by the first half
// of a row id.
func (w *walk) until(ctx context.Context, l *loader, first, last schemas.RowID) iter.Seq2[*person, error] {
	return func(yield func(*person, error) bool) {
		if w.next == nil {
			var from schemas.RowID
			copy(from[:8], first[:8])
			base, _ := sideStreams(l.in.Base, l.shapes, func(x *person) *side { return &x.base })
			effective, _ := sideStreams(l.in.Effective, l.shapes, func(x *person) *side { return &x.desired })
			w.next, w.stop = iter.Pull2(people(ctx, append(base, effective...), from, schemas.RowID{}))
		}
		for {
			if w.head == nil {
				x, err, ok := w.next()
				if err != nil || !ok {
					if err != nil {
						yield(nil, err)
					}
					return
				}
				w.head = x
			}
			if bytes.Compare(w.head.id[:8], last[:8]) > 0 {
				return
			}
			x := w.head
			w.head = nil
			if bytes.Compare(x.id[:8], first[:8]) >= 0 && !yield(x, nil) {
				return
			}
		}
	}
}

func (w *walk) close() {
	if w.stop != nil {
		w.stop()
	}
}

func missingSubject(ops []Operation, items []item) error {
	for _, op := range ops {
		if !slices.ContainsFunc(items, func(it item) bool { return it.op.Seq == op.Seq }) {
			return noSubject(op)
		}
	}
	return fmt.Errorf("%d rows for %d operations: %w", len(items), len(ops), errNoSubject)
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
	if op.Kind == Park {
		shape := schemas.Entities()[schemas.Users]
		b.User = parked(&shape, b.User, op.Columns)
		op.Kind = Update
		return item{op: op, subject: Subject{Row: b.User, User: &b}, parks: true}, op.ID == x.id
	}
	if op.Table == schemas.Users {
		return item{op: op, subject: Subject{Row: b.User, User: &b}}, op.ID == x.id
	}
	row := x.desired.has(op.Table, op.ID)
	if row == nil || op.Kind == Unlink || op.Kind == Delete {
		row = x.base.has(op.Table, op.ID)
	}
	if row == nil {
		return item{}, false
	}
	return item{op: op, subject: Subject{Row: *row, User: &b}}, true
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
		items = append(items, item{op: op, subject: Subject{Row: *row}})
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
