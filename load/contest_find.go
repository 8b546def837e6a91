package load

import (
	"context"
	"hash/maphash"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// contestFinder finds a contest.
type contestFinder struct {
	*planner
	users *schemas.Table
	seed  maphash.Seed
	wants []uint64 // hashes of wanted names, sorted
}

// streams are the users of all states with their names only.
func (f *contestFinder) streams() []stream {
	var out []stream
	for _, s := range []struct {
		sn Snapshot
		of func(*person) *side
	}{{f.in.Base, func(x *person) *side { return &x.base }}, {f.in.Desired, func(x *person) *side { return &x.desired }},
		{f.in.Observed, func(x *person) *side { return &x.observed }}} {
		streams, _ := sideStreams(s.sn, f.shapes, s.of)
		streams[0].r.only(nameColumns[:])
		out = append(out, streams[0])
	}
	return slices.Concat(out, scopeStreams(f.in.Observed), f.in.Reach.streams())
}

func (f *contestFinder) hash(column int, value string) uint64 {
	return maphash.String(f.seed, nameKey(column, value))
}

// wanted collects the names that users take.
func (f *contestFinder) wanted(ctx context.Context, from, to schemas.RowID) error {
	for x, err := range people(ctx, f.streams(), from, to) {
		if err != nil {
			return err
		}
		for i, v := range f.taken(x) {
			if v != "" {
				f.wants = append(f.wants, f.hash(i, v))
			}
		}
	}
	slices.Sort(f.wants)
	f.wants = slices.Compact(f.wants)
	return nil
}

// has are the names that a user has in the target, as far as is known.
func (f *contestFinder) has(x *person) (n names) {
	switch {
	case x.observed.user != nil:
		return namesOf(f.users, x.observed.user)
	case x.looked || x.base.user == nil:
		return n
	}
	return namesOf(f.users, x.base.user)
}

// taken are the names that a user may take and does not have: legacy's where it
// has the user, those of base where a temporary value has to go. Of a new user
// only those count that an account has already.
func (f *contestFinder) taken(x *person) (n names) {
	if !f.in.Reach.holds(x) {
		return n
	}
	has := f.has(x)
	switch {
	case x.desired.user != nil && (x.observed.user != nil || x.base.user != nil && !x.looked):
		if n = namesOf(f.users, x.desired.user); n != has {
			b, _ := f.in.Target.ProjectUser(schemas.Bundle{User: *x.desired.user})
			n = namesOf(f.users, &b.User)
		}
	case x.desired.user != nil && x.foreign != nil:
		b, _ := f.in.Target.ProjectUser(schemas.Bundle{User: *x.desired.user})
		n = namesOf(f.users, &b.User)
		for i, c := range nameColumns {
			if !foreignHas(x.foreign, c) {
				n[i] = ""
			}
		}
	case x.desired.user == nil && x.base.user != nil && len(temporaries(f.users, x.id, x.observed.user)) > 0:
		n = namesOf(f.users, x.base.user)
	}
	for i, c := range nameColumns {
		if n[i] == has[i] || c == "email" && !f.in.Profile.UniqueEmail {
			n[i] = ""
		}
	}
	return n
}

// foreignHas says that an account in the way has a user's value in a column.
func foreignHas(foreign *schemas.Row, column string) bool {
	match := foreignText(foreign, "match")
	return match == column || match == MatchBoth
}

// held finds who has the names that are wanted.
func (f *contestFinder) held(ctx context.Context, c *contest) error {
	for x, err := range people(ctx, f.streams(), schemas.RowID{}, schemas.RowID{}) {
		if err != nil {
			return err
		}
		for i, v := range f.has(x) {
			if v == "" || nameColumns[i] == "email" && !f.in.Profile.UniqueEmail {
				continue
			}
			if _, wanted := slices.BinarySearch(f.wants, f.hash(i, v)); !wanted {
				continue
			}
			h := &holder{id: x.id, column: nameColumns[i], looked: x.observed.user != nil}
			if was := c.holders[nameKey(i, v)]; was == nil || h.looked && !was.looked {
				c.holders[nameKey(i, v)] = h
			}
		}
	}
	return nil
}

// judge asks the plan what becomes of everyone concerned, one at a time and as
// if nobody was in anyone's way.
func (f *contestFinder) judge(ctx context.Context, up *userPlanner, c *contest) error {
	byUser := map[schemas.RowID][]*holder{}
	for _, h := range c.holders {
		byUser[h.id] = append(byUser[h.id], h)
		c.holding[h.id] = true
	}
	for x, err := range people(ctx, f.trialStreams(), schemas.RowID{}, schemas.RowID{}) {
		if err != nil {
			return err
		}
		takes := f.contested(x, c)
		if len(takes) == 0 && len(byUser[x.id]) == 0 {
			continue
		}
		has, id, before := f.has(x), x.id, f.before(x)
		v, err := up.tryOut(ctx, x)
		if err != nil {
			return err
		}
		for _, h := range byUser[id] {
			h.judge(v, has)
		}
		if t := newTaker(v, id, takes); t != nil {
			t.before = before
			c.takers[id] = t
		}
	}
	return nil
}

// taking is a name that a user takes and another one has.
type taking struct {
	at    int // in nameColumns
	value string
	from  *holder
}

func (f *contestFinder) contested(x *person, c *contest) (list []taking) {
	for i, v := range f.taken(x) {
		if h := c.holders[nameKey(i, v)]; v != "" && h != nil && h.id != x.id {
			list = append(list, taking{i, v, h})
		}
	}
	return list
}

// trialStreams are all that a plan reads of users; their passwords and
// memberships only where the end of an account hangs on them.
func (f *contestFinder) trialStreams() []stream {
	base, _ := sideStreams(f.in.Base, f.shapes, func(x *person) *side { return &x.base })
	desired, _ := sideStreams(f.in.Desired, f.shapes, func(x *person) *side { return &x.desired })
	observed, _ := sideStreams(f.in.Observed, f.shapes, func(x *person) *side { return &x.observed })
	if o := f.in.Options.Restore; o == nil || !o.DeleteCreated {
		base, desired, observed = base[:1], desired[:1], observed[:1]
	}
	return slices.Concat(base, desired, observed, rejectedStreams(f.in.Desired), scopeStreams(f.in.Observed), f.in.Reach.streams(), []stream{idStream(f.in.Base)})
}

// judge says whether the user gives the name up.
func (h *holder) judge(v *verdict, has names) {
	at := slices.Index(nameColumns[:], h.column)
	switch {
	case v.op != nil && v.op.Kind == Delete:
		h.leaves = true
	case v.row != nil && v.names[at] != has[at]:
		h.leaves = true
	case v.class == Deferred:
		h.why, h.waits = "who waits: "+v.reason, true
	case v.class == Conflict && v.reason != "":
		h.why = "who is in conflict: " + v.reason
	case v.op != nil && v.op.Gone || v.gone:
		h.why = goneAndKeeps
	case v.kept:
		h.why = "who is rejected or excluded and keeps it"
	default:
		h.why = "who keeps it"
	}
}

// newTaker notes what a user takes, if the plan has the user take it.
func newTaker(v *verdict, id schemas.RowID, takes []taking) *taker {
	t := &taker{id: id, from: map[string]*holder{}}
	for _, one := range takes {
		if v.op != nil && v.row != nil && v.names[one.at] == one.value {
			t.from[nameColumns[one.at]] = one.from
		}
	}
	if len(t.from) == 0 {
		return nil
	}
	return t
}

// before are the names that a user has, as a row of NamesBefore.
func (f *contestFinder) before(x *person) *schemas.Row {
	now := x.observed.user
	if now == nil && !x.looked {
		now = x.base.user
	}
	if now == nil {
		return nil
	}
	shape := NamesBeforeTable()
	row := schemas.Row{ID: now.ID, Key: now.Key, Values: make([]any, len(shape.Columns))}
	for i, c := range shape.Columns {
		row.Values[i] = cell(f.users, now, c.Name)
	}
	return &row
}
