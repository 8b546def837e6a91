package load

import (
	"context"

	"github.com/parallelrun/parallelrun/schemas"
)

// unparking sees to it that no temporary value stays where a circle failed.
// What the target holds counts, not the ledger, so that it can be stopped and
// begun again at any point.
type unparking struct {
	*loader
	users schemas.Table
	ops   map[schemas.RowID]Operation // the last of each taker
	// after says who takes over a column of a user.
	after map[schemas.RowID]map[string]schemas.RowID
	seen  map[schemas.RowID]bool // on the way back
}

// unpark goes over the users who got temporary values and whose own change was
// not made. Each gets its new names if they are free; else those who took over
// the old ones give them back.
func (l *loader) unpark(ctx context.Context) error {
	u := &unparking{loader: l, users: l.shapes[schemas.Users], ops: map[schemas.RowID]Operation{}, after: map[schemas.RowID]map[string]schemas.RowID{}}
	parks, err := u.read(ctx)
	if err != nil {
		return err
	}
	for _, park := range parks {
		if u.isDone(park.ID) {
			continue
		}
		if err := u.user(ctx, park); err != nil {
			return err
		}
	}
	return l.ship(ctx, 1)
}

// read takes in who takes over what from whom, and returns the parkings.
func (u *unparking) read(ctx context.Context) (parks []Operation, err error) {
	bySeq := map[int64]schemas.RowID{}
	var takeovers []Operation
	for _, s := range []Section{SectionParking, SectionTakeovers} {
		for _, r := range u.plan.rangesOf(s) {
			ops, err := u.plan.ReadRange(ctx, u.in.Files, r)
			if err != nil {
				return nil, err
			}
			for _, op := range ops {
				bySeq[op.Seq] = op.ID
				if op.Kind == Park {
					parks = append(parks, op)
					continue
				}
				u.ops[op.ID] = op
				takeovers = append(takeovers, op)
			}
		}
	}
	for _, op := range takeovers {
		for _, t := range op.After {
			from, ok := bySeq[t.Seq]
			if !ok {
				continue // a user who takes nothing, and so is in no circle
			}
			if u.after[from] == nil {
				u.after[from] = map[string]schemas.RowID{}
			}
			u.after[from][t.Column] = op.ID
		}
	}
	return parks, nil
}

func (u *unparking) isDone(id schemas.RowID) bool {
	op := u.ops[id]
	r, _ := u.ledger.Result(&op)
	return r == OutcomeDone
}

// user sees to one user with temporary values.
func (u *unparking) user(ctx context.Context, park Operation) error {
	it, now, err := u.look(ctx, park.ID)
	if err != nil {
		return err
	}
	for _, column := range temporaries(&u.users, park.ID, now) {
		if err := u.write(ctx, it, column, "the change failed, its names were written all the same"); err != nil {
			return err
		}
	}
	if it, now, err = u.look(ctx, park.ID); err != nil {
		return err
	}
	for _, column := range temporaries(&u.users, park.ID, now) {
		u.seen = map[schemas.RowID]bool{}
		if err := u.giveBack(ctx, it, column); err != nil {
			return err
		}
	}
	return nil
}

// giveBack brings a column of a user back to what it was. Whoever has taken that
// over meanwhile goes back first.
func (u *unparking) giveBack(ctx context.Context, it item, column string) error {
	id := it.subject.Row.ID
	if u.seen[id] {
		return nil
	}
	u.seen[id] = true
	old, err := u.before(ctx, id)
	if err != nil || old == nil {
		return err
	}
	if next, ok := u.after[id][column]; ok && u.ops[next].Kind != Create {
		taker, now, err := u.look(ctx, next)
		if err != nil {
			return err
		}
		switch planned := cell(&u.users, &taker.subject.Row, column); {
		case now == nil:
		case cell(&u.users, now, column) == u.old(old, column):
			if err := u.giveBack(ctx, taker, column); err != nil {
				return err
			}
		case cell(&u.users, now, column) != planned && u.isDone(next): // it went back before the load was stopped
			if err := u.record(taker, Outcome{Result: OutcomeFailed, Class: Permanent, Message: gaveBack(column)}); err != nil {
				return err
			}
		}
	}
	for _, c := range withVerified([]string{column}) {
		setCell(&u.users, &it.subject.Row, c, u.old(old, c))
	}
	b := *it.subject.User
	b.User = it.subject.Row
	it.subject.User = &b
	return u.write(ctx, it, column, gaveBack(column))
}

func gaveBack(column string) string {
	return "the " + column + " is as it was: another user of the circle failed"
}

func (u *unparking) old(before *schemas.Row, column string) any {
	shape := NamesBeforeTable()
	return cell(&shape, before, column)
}

func (u *unparking) before(ctx context.Context, id schemas.RowID) (*schemas.Row, error) {
	shape := NamesBeforeTable()
	return newReader(u.in.Effective, &shape).get(ctx, id)
}

// look returns a taker's operation with a row of its own to write from, and the
// user as the target has it; nil if it is not there.
func (u *unparking) look(ctx context.Context, id schemas.RowID) (item, *schemas.Row, error) {
	w := &walk{}
	defer w.close()
	items, err := u.subjects(ctx, w, Range{Table: schemas.Users}, []Operation{u.ops[id]})
	if err != nil {
		return item{}, nil, err
	}
	it := items[0]
	it.subject.Row = cloneRow(it.subject.Row)
	seen, err := u.lookAtUsers(ctx, items, false)
	if err != nil {
		return it, nil, err
	}
	return it, seen[id].user, nil
}

// write writes one column, for which the operation as a whole counts as failed.
func (u *unparking) write(ctx context.Context, it item, column, message string) error {
	it.op.Kind, it.op.Columns = Update, withVerified([]string{column})
	it.without = &Outcome{Result: OutcomeFailed, Class: Permanent, Message: message}
	if err := u.apply(ctx, it, false); err != nil {
		return err
	}
	return u.secondTries(ctx)
}
