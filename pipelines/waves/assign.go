package waves

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform"
)

// Input is what an assignment is made from.
type Input struct {
	// Desired has the users to assign; nil only counts what Previous has.
	Desired Snapshot
	// Previous is the assignment before; nil: there was none.
	Previous Snapshot
	// Namespace of the users' row ids.
	Namespace string
	// RowKey leads from a legacy key to the key of its row, by the migration's
	// aliases; nil: they are the same.
	RowKey func(entity, key string) string
	// Run is kept with everybody who is new.
	Run string
	// Hand assigns by a list and leaves the rules alone; nil: by the rules.
	Hand *Hand
	// Memory is for the lists of keys; zero: a default.
	Memory  int64
	TempDir string
	// Progress is told how many people have passed; it may be nil.
	Progress func(people int64)
}

// share is the memory of one sorted list.
func (in *Input) share() int64 {
	if in.Memory <= 0 {
		return 0
	}
	return max(in.Memory/4, 1<<20)
}

// rowKey is RowKey where it is set.
func (in *Input) rowKey(entity, key string) string {
	if in.RowKey == nil {
		return key
	}
	return in.RowKey(entity, key)
}

// userID is the row id of the user who has a legacy key.
func (in *Input) userID(key string) schemas.RowID {
	return schemas.NewRowID(in.Namespace, schemas.Users, in.rowKey(schemas.Users, key))
}

// RowWriter takes the rows of a snapshot; *snapshots.Writer is one.
type RowWriter interface {
	WriteRow(ctx context.Context, table string, row schemas.Row, origin int64) error
}

// Assign decides for everybody who is not assigned yet, and writes every row of
// the next assignment, in order, to the table schemas.WaveAssignment; a nil
// writer only counts. Rows of the assignment before stay as they are.
//
// Any error means that the rows written are worth nothing. RuleErrors are about
// the rules, FileErrors about a list, an *EvaluationError about an expression
// on one user.
func (s *Selection) Assign(ctx context.Context, in Input, out RowWriter) (*Report, error) {
	a := &assigner{s: s, in: in, out: out, tally: newTally(s.rules)}
	if err := a.prepare(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	err := a.run(ctx)
	if err := errors.Join(err, a.close()); err != nil {
		return nil, err
	}
	if err := a.hand.err(); err != nil {
		return nil, err
	}
	return a.tally.done(), nil
}

// assigner is one assignment being made.
type assigner struct {
	s     *Selection
	in    Input
	out   RowWriter
	tally *tally

	places *places
	waves  []criteria
	lists  *keyLists // of the rules, or of the list by hand
	hand   *handList
}

// criteria is a wave's rule with the snapshot's ids in place of names; nil sets
// are criteria that it has not.
type criteria struct {
	name                string
	recorded            string
	departments, groups map[string]bool // by id, all departments below among them
	byKey               bool
	percent             int64
	where               *transform.Predicate
}

func (a *assigner) close() error {
	if a.lists == nil {
		return nil
	}
	return a.lists.Close()
}

// prepare resolves the names of the rules and sorts lists of keys.
func (a *assigner) prepare(ctx context.Context) (err error) {
	if a.in.Hand != nil {
		if a.hand, err = a.s.readHand(ctx, &a.in); err == nil {
			a.lists = a.hand.lines
		}
		return err
	}
	a.lists = newKeyLists(a.in.share(), a.in.TempDir)
	if a.in.Desired == nil {
		return nil
	}
	if a.places, err = readPlaces(ctx, a.in.Desired); err != nil {
		return err
	}
	var errs RuleErrors
	for i, r := range a.s.rules {
		a.waves = append(a.waves, a.criteria(i, r, &errs))
	}
	if len(errs) > 0 {
		return errs
	}
	for i, r := range a.s.rules {
		if err := a.lists.addRule(ctx, &a.in, i, r); err != nil {
			return err
		}
	}
	return nil
}

func (a *assigner) criteria(i int, r Rule, errs *RuleErrors) criteria {
	c := criteria{name: r.Name, recorded: r.recorded(), byKey: r.byKey(), percent: r.Percent, where: a.s.where[i]}
	resolve := func(criterion, kind string, n *names, wanted []string) (ids map[string]bool) {
		for _, name := range wanted {
			id, wrong := n.resolve(kind, a.in.rowKey(kind+"s", name))
			if wrong != nil {
				*errs = append(*errs, &RuleError{Wave: r.Name, Index: i, Criterion: criterion, What: wrong.what, Next: wrong.next})
				continue
			}
			if ids == nil {
				ids = map[string]bool{}
			}
			ids[id] = true
		}
		return ids
	}
	if c.departments = resolve(criterionDepartments, "department", &a.places.departmentNames, r.Departments); c.departments != nil {
		a.places.below(c.departments)
	}
	c.groups = resolve(criterionGroups, "group", &a.places.groupNames, r.Groups)
	return c
}

// columns are those of the users' table that the rules look at.
func (a *assigner) columns() []string {
	var names []string
	for _, c := range a.waves {
		if c.groups != nil {
			names = append(names, "groups")
		}
		if c.where != nil {
			names = append(names, c.where.Columns()...)
		}
	}
	return names
}

func (a *assigner) run(ctx context.Context) error {
	n := int64(0)
	for p, err := range people(ctx, a.streams(ctx)) {
		if err != nil {
			return err
		}
		if err := a.person(ctx, p); err != nil {
			return err
		}
		if n++; n%1024 == 0 && a.in.Progress != nil {
			a.in.Progress(n)
		}
	}
	if a.in.Progress != nil {
		a.in.Progress(n)
	}
	return nil
}

func (a *assigner) streams(ctx context.Context) streams {
	s := streams{
		users:       scan(ctx, a.in.Desired, a.s.users, a.columns()...),
		leftOut:     scan(ctx, a.in.Desired, schemas.Rejected(schemas.Users)),
		previous:    scan(ctx, a.in.Previous, assignment, "wave", "rule", "run"),
		memberships: scan(ctx, nil, memberships),
		listed:      a.lists.all(),
		stray:       func(k listed) { a.tally.stray(a.s.rules[k.wave], k) },
	}
	if a.hand != nil {
		s.stray = a.hand.unknown
	}
	if a.readsMemberships() {
		s.memberships = scan(ctx, a.in.Desired, memberships, "user", "organization", "department")
	}
	return s
}

func (a *assigner) readsMemberships() bool {
	return slices.ContainsFunc(a.waves, func(c criteria) bool {
		return c.departments != nil || c.where != nil && len(c.where.Lists()) > 0
	})
}

// person decides about one person and writes its row.
func (a *assigner) person(ctx context.Context, p *person) error {
	next, err := a.decide(p)
	if err != nil {
		return err
	}
	row := p.previous
	if next >= 0 {
		rule := ByHand
		if a.hand == nil {
			rule = a.waves[next].recorded
		}
		row = &schemas.Row{ID: p.id, Key: p.key(), Values: make([]any, len(assignment.Columns))}
		row.Values[waveColumn], row.Values[ruleColumn], row.Values[runColumn] = a.s.rules[next].Name, rule, a.in.Run
	}
	if row == nil {
		a.tally.person(p, "", true)
		return nil
	}
	a.tally.person(p, text(row.Values[waveColumn]), a.in.Desired != nil)
	if a.out == nil {
		return nil
	}
	return a.out.WriteRow(ctx, schemas.WaveAssignment, *row, -1)
}

// decide is the wave that takes the person now, or -1: it keeps what it has.
func (a *assigner) decide(p *person) (int, error) {
	switch {
	case a.hand != nil && len(p.listed) > 0:
		return a.hand.choose(a.s, p, p.listed), nil
	case a.hand != nil, p.previous != nil, p.user == nil:
		return -1, nil
	}
	for i := range a.waves {
		takes, err := a.takes(i, p)
		if err != nil || takes {
			return i, err
		}
	}
	return -1, nil
}

// takes reports whether a wave's rule takes a user: every criterion holds. The
// expression comes last, so that it is asked as seldom as possible.
func (a *assigner) takes(i int, p *person) (bool, error) {
	c := &a.waves[i]
	switch {
	case c.byKey && !slices.ContainsFunc(p.listed, func(k listed) bool { return k.wave == i }),
		c.percent > 0 && bucket(a.s.salt, p.user.Key) >= c.percent,
		c.departments != nil && !slices.ContainsFunc(p.memberships, func(m schemas.Row) bool { return c.departments[text(m.Values[membershipDepartment])] }),
		c.groups != nil && !slices.ContainsFunc(a.groups(p), func(g string) bool { return c.groups[g] }):
		return false, nil
	case c.where == nil:
		return true, nil
	}
	holds, err := c.where.Holds(*p.user, a.placesOf(p))
	if err != nil {
		return false, &EvaluationError{Wave: c.name, Key: p.user.Key, Err: err}
	}
	return holds, nil
}

func (a *assigner) groups(p *person) []string {
	groups, _ := p.user.Values[a.s.users.Column("groups")].([]string)
	return groups
}

// placesOf are the lists that expressions know.
func (a *assigner) placesOf(p *person) map[string][]string {
	var departments, organizations []string
	for _, m := range p.memberships {
		if d, ok := a.places.departments[text(m.Values[membershipDepartment])]; ok {
			departments = append(departments, d.path)
		}
		if alias, ok := a.places.organizations[text(m.Values[membershipOrganization])]; ok {
			organizations = append(organizations, alias)
		}
	}
	return map[string][]string{departmentsName: asSet(departments), organizationsName: asSet(organizations)}
}

func asSet(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// EvaluationError means that an expression could not be evaluated on a user:
// correct the expression or the user.
type EvaluationError struct {
	Wave, Key string
	Err       error
}

func (e *EvaluationError) Error() string {
	return fmt.Sprintf("wave %q: where, on user %q: %v", e.Wave, e.Key, e.Err)
}

func (e *EvaluationError) Unwrap() error { return e.Err }

// Hint is the next step to take.
func (e *EvaluationError) Hint() string {
	return "correct the wave's expression in the configuration; nothing was assigned"
}
