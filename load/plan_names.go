package load

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// leftTemporary is the reason of a temporary value that a plan leaves.
const leftTemporary = "a load that was stopped left a temporary value: resume that run"

// stillAnothers is in the reason of names that another of our users has.
const stillAnothers = "is still another user's"

// goneAndKeeps ends the reason where that user is gone from legacy.
const goneAndKeeps = "who is gone from legacy and keeps it"

// Taken says that a row is in conflict because another row of ours has its name,
// so that there is no account to adopt.
func (f *Finding) Taken() bool { return strings.Contains(f.Reason, stillAnothers) }

// verdict is what a plan makes of one user's account.
type verdict struct {
	users  *schemas.Table
	op     *Operation
	row    *schemas.Row // as it shall stand; nil: nothing does
	names  names
	class  Class
	reason string
	kept   bool // rejected or excluded
	gone   bool
}

// tryOut plans one user as if nobody was in anyone's way, and writes nothing.
func (p *userPlanner) tryOut(ctx context.Context, x *person) (*verdict, error) {
	v := &verdict{users: p.users.shape, kept: x.rejected[x.id] && x.desired.user == nil, gone: x.desired.user == nil && !x.rejected[x.id]}
	trial, up := *p.planner, *p
	trial.trial, trial.out = v, v
	trial.m = &Manifest{Counts: Counts{}, Settled: Counts{}, Fields: Fields{}, Found: map[string]map[string]int64{}}
	up.planner = &trial
	return v, up.person(ctx, x)
}

func (v *verdict) operation(op Operation) {
	if op.Table == schemas.Users {
		v.op = &op
	}
}

func (v *verdict) finding(f Finding) {
	if f.Table == schemas.Users && len(f.Columns) == 0 {
		v.reason = f.Reason
	}
}

func (v *verdict) settle(table string, c Class) {
	if table == schemas.Users {
		v.class = c
	}
}

// WriteRow implements RowWriter.
func (v *verdict) WriteRow(_ context.Context, table string, row schemas.Row, _ int64) error {
	if table == schemas.Users {
		v.row, v.names = &row, namesOf(v.users, &row)
	}
	return nil
}

// list is where a hindrance is listed, class what a row is that has nothing else
// to do.
func (h hindrance) list() string {
	if h.waits {
		return ListDeferred
	}
	return ListConflicts
}

func (h hindrance) class() Class {
	if h.waits {
		return Deferred
	}
	return Conflict
}

// hinders returns why a user goes without some names; nil-safe.
func (c *contest) hinders(id schemas.RowID) []hindrance {
	if c == nil || c.takers[id] == nil {
		return nil
	}
	return c.takers[id].blocked
}

// accountInTheWay says that a new user can't be made for an account that has
// its name or that a rule could not adopt. The account of another of our users
// whose names the user takes is not: the contest says who gives up what.
func (p *userPlanner) accountInTheWay(x *person) bool {
	if x.foreign == nil || p.trial != nil {
		return false
	}
	byName := false
	for _, c := range nameColumns {
		if !foreignHas(x.foreign, c) {
			continue
		}
		byName = true
		if p.contest == nil || p.contest.takers[x.id] == nil || p.contest.takers[x.id].from[c] == nil {
			return true
		}
	}
	return !byName
}

// hinderedUser leaves out a new user whose names another one has still.
func (p *userPlanner) hinderedUser(ctx context.Context, x *person, why []hindrance) error {
	one := why[0]
	if i := slices.IndexFunc(why, func(h hindrance) bool { return !h.waits }); i >= 0 {
		one = why[i]
	}
	if !one.waits {
		return p.conflictUser(ctx, x, one.reason+p.wayOut(x, strings.HasSuffix(one.reason, goneAndKeeps)))
	}
	if err := p.postpone(ctx, schemas.Users, x.desired.user, one.reason); err != nil {
		return err
	}
	return p.allStands(ctx, x, func(d dependent) error { return p.postpone(ctx, d.table, d.row, "its user waits") })
}

// holdBack leaves out the names that another user has still. All else of the
// row goes on: to disable somebody waits for nothing.
func (p *userPlanner) holdBack(x *person, m *merged) {
	for _, h := range p.contest.hinders(x.id) {
		for _, c := range withVerified([]string{h.column}) {
			p.holdBackColumn(x, m, c)
		}
		if takes(m.decided, h.column) == TakeKeymate {
			m.kept = append(m.kept, h.column)
		} else {
			m.hindered = append(m.hindered, h)
		}
		if u := p.mergerFor(x); u.why != nil {
			i := u.shape.Column(h.column)
			u.why(u, m, i, cellState{base: m.held.Values[i], desired: x.desired.user.Values[i], observed: m.effective.Values[i], hasBase: x.base.user != nil, seen: true})
		}
	}
}

func (p *userPlanner) holdBackColumn(x *person, m *merged, column string) {
	i := p.users.shape.Column(column)
	now := x.base.user
	if x.observed.user != nil && p.users.seen[i] {
		now = x.observed.user
	}
	if now == nil || !slices.Contains(m.changed, column) {
		return
	}
	m.effective.Values[i], m.held.Values[i] = now.Values[i], now.Values[i]
	if x.base.user != nil && p.users.base[i] {
		m.held.Values[i] = x.base.user.Values[i]
	}
	m.isHeld = true
	without := func(list []string) []string {
		return slices.DeleteFunc(list, func(c string) bool { return c == column })
	}
	m.changed, m.drift = without(m.changed), without(m.drift)
}

// takeBack replaces the temporary values of a row by those of base.
func (p *userPlanner) takeBack(x *person, row *schemas.Row) (columns []string) {
	for _, c := range temporaries(p.users.shape, x.id, row) {
		if slices.ContainsFunc(p.contest.hinders(x.id), func(h hindrance) bool { return h.column == c }) {
			continue
		}
		setCell(p.users.shape, row, c, cell(p.users.shape, x.base.user, c))
		columns = append(columns, c)
	}
	return columns
}

// userOperation plans an operation on a user's own row: before it a temporary
// value where that has to be, and later where the user takes names of others.
func (p *userPlanner) userOperation(ctx context.Context, op Operation) (int64, error) {
	c := p.contest
	if p.trial != nil || c == nil {
		return p.operation(ctx, SectionUsers, schemas.Users, op)
	}
	if columns := c.parks[op.ID]; len(columns) > 0 {
		p.seq++
		park := Operation{Seq: p.seq, Table: schemas.Users, Kind: Park, ID: op.ID, Key: op.Key, Columns: slices.Sorted(slices.Values(columns)), TargetID: op.TargetID}
		if err := p.file(ctx, SectionParking, schemas.Users, park); err != nil {
			return 0, err
		}
		c.numbers[turnOf{user: op.ID, park: true}] = park.Seq
	}
	if len(c.turns[op.ID]) == 0 {
		seq, err := p.operation(ctx, SectionUsers, schemas.Users, op)
		if c.holding[op.ID] {
			c.numbers[turnOf{user: op.ID}] = seq
		}
		return seq, err
	}
	if err := p.enlist(ctx, &op); err != nil {
		return 0, err
	}
	if before := c.takers[op.ID].before; before != nil {
		if err := p.out.WriteRow(ctx, NamesBefore, *before, -1); err != nil {
			return 0, err
		}
	}
	c.late[op.ID], c.numbers[turnOf{user: op.ID}] = op, op.Seq
	return op.Seq, nil
}

// takeovers puts the operations of users who take names of others in order, new
// users last.
func (p *planner) takeovers(ctx context.Context) error {
	if p.contest == nil {
		return nil
	}
	var news []Operation
	for _, id := range p.contest.order {
		op, ok := p.contest.late[id]
		if !ok {
			continue // hindered, or not planned by Explain, which plans one user alone
		}
		for _, t := range p.contest.turns[id] {
			seq := p.contest.numbers[turnOf{user: t.user, park: t.park}]
			if seq == 0 && p.from.IsZero() && p.to.IsZero() {
				return fmt.Errorf("users %q takes the %s of another user for whom nothing is planned: this is a fault of the program", op.Key, t.column)
			}
			op.After = append(op.After, Turn{Seq: seq, Column: t.column})
		}
		if op.Kind == Create {
			news = append(news, op)
			continue
		}
		if err := p.file(ctx, SectionTakeovers, schemas.Users, op); err != nil {
			return err
		}
	}
	if err := p.section(SectionTakeovers).cut(ctx); err != nil { // a range has one or the other
		return err
	}
	for _, op := range news {
		if err := p.file(ctx, SectionTakeovers, schemas.Users, op); err != nil {
			return err
		}
	}
	return nil
}
