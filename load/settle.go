package load

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// sight is what a look at one user found.
type sight struct {
	side
	foreign string // how another account is in the way
}

// sightSink collects what a look found.
type sightSink struct {
	users     map[schemas.RowID]*sight
	structure map[schemas.RowID]seenRow
}

type seenRow struct {
	row      schemas.Row
	targetID string
}

func (s *sightSink) of(id schemas.RowID) *sight {
	if s.users[id] == nil {
		s.users[id] = &sight{}
	}
	return s.users[id]
}

func (s *sightSink) Row(table string, row schemas.Row, targetID string) error {
	shape := schemas.Entities()[table]
	switch table {
	case schemas.Users:
		s.of(row.ID).user = &row
	case schemas.Credentials, schemas.Memberships:
		owner, ok := ref(cell(&shape, &row, "user"))
		if !ok {
			return fmt.Errorf("observed a row of %s that does not say whose it is: this is a fault of the dialect", table)
		}
		u := s.of(owner)
		if table == schemas.Credentials {
			u.credentials = append(u.credentials, row)
		} else {
			u.memberships = append(u.memberships, row)
		}
	default:
		s.structure[row.ID] = seenRow{row, targetID}
	}
	return nil
}

func (s *sightSink) Absent(UserProbe) error { return nil }

func (s *sightSink) Foreign(p UserProbe, f ForeignAccount) error {
	s.of(p.ID).foreign = f.Match
	return nil
}

// lookAtUsers reads users back.
func (l *loader) lookAtUsers(ctx context.Context, items []item, foreign bool) (map[schemas.RowID]*sight, error) {
	probes := make([]UserProbe, 0, len(items))
	for _, it := range items {
		p := probeOf(&it.subject.User.User)
		p.TargetID, _ = l.ids.TargetID(p.ID)
		probes = append(probes, p)
	}
	slices.SortFunc(probes, func(a, b UserProbe) int { return a.ID.Compare(b.ID) })
	probes = slices.CompactFunc(probes, func(a, b UserProbe) bool { return a.ID == b.ID })
	sink, err := l.observe(ctx, Scope{Users: each(probes), Foreign: foreign, IDs: l.ids})
	if err != nil {
		return nil, err
	}
	for _, p := range probes {
		sink.of(p.ID)
	}
	return sink.users, nil
}

func probeOf(user *schemas.Row) UserProbe {
	shape := schemas.Entities()[schemas.Users]
	return UserProbe{ID: user.ID, Key: user.Key, Username: text(cell(&shape, user, "username")), Email: text(cell(&shape, user, "email"))}
}

func each[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// observe looks, and keeps trying while the target is busy.
func (l *loader) observe(ctx context.Context, scope Scope) (*sightSink, error) {
	for attempt := 1; ; attempt++ {
		sink := &sightSink{users: map[schemas.RowID]*sight{}, structure: map[schemas.RowID]seenRow{}}
		l.looks.Add(1)
		err := l.request(ctx, looking, func(ctx context.Context) error { return l.in.Target.Observe(ctx, scope, sink) })
		if err == nil {
			return sink, nil
		}
		e, ok := targetError(err)
		if !ok || e.Class == Permanent {
			return nil, err
		}
		if err := l.again(ctx, attempt, e); err != nil {
			return nil, err
		}
	}
}

// settleCreates looks whether users that may have been created are there,
// records those that are, and returns the others.
func (l *loader) settleCreates(ctx context.Context, items []item, attempt int) ([]item, error) {
	var rest []item
	for group := range slices.Chunk(items, l.look) {
		seen, err := l.lookAtUsers(ctx, group, false)
		if err != nil {
			return nil, err
		}
		for _, it := range group {
			s := seen[it.op.ID]
			if s.user == nil {
				rest = append(rest, it)
				continue
			}
			if err := l.settleCreate(ctx, it, s, attempt); err != nil {
				return nil, err
			}
		}
	}
	return rest, nil
}

// settleCreate records a user that is there under our id. Groups that the
// create did not come to are made good; any other difference is for verify to
// show, since someone may have made it since.
func (l *loader) settleCreate(ctx context.Context, it item, s *sight, attempt int) error {
	o := Outcome{Result: OutcomeDone, Attempts: attempt}
	switch off := l.differing(schemas.Users, &it.subject.User.User, s.user); {
	case slices.Contains(off, "groups"):
		fix := it
		fix.op.Kind, fix.op.Columns = Update, []string{"groups"}
		if _, err := l.sendOne(ctx, fix); err != nil {
			e, ok := targetError(err)
			if !ok || e.Class == Transient {
				return err
			}
			o.Message = "created, but its groups are not complete: " + e.Error()
		}
	case len(off) > 0:
		o.Message = fmt.Sprintf("found there, but not as planned: %v differ", off)
	}
	return l.record(it, o)
}

// differing lists the readable columns in which two rows differ.
func (l *loader) differing(table string, want, seen *schemas.Row, only ...string) []string {
	shape := l.shapes[table]
	var out []string
	for i := range shape.Columns {
		c := &shape.Columns[i]
		if !l.readable[table][i] || len(only) > 0 && !slices.Contains(only, c.Name) {
			continue
		}
		if !equalCells(c, want.Values[i], seen.Values[i]) {
			out = append(out, c.Name)
		}
	}
	return out
}

// settleOne looks whether an operation shows in the target and records it if it
// does.
func (l *loader) settleOne(ctx context.Context, it item, attempt int) (bool, error) {
	seen, id, err := l.shows(ctx, it)
	if err != nil || !seen {
		return false, err
	}
	return true, l.record(it, Outcome{Result: OutcomeDone, TargetID: id, Attempts: attempt, Message: "seen in the target"})
}

// shows says whether the target looks as it does after the operation. Changes
// that it does not give back never show.
func (l *loader) shows(ctx context.Context, it item) (seen bool, targetID string, err error) {
	if it.subject.User == nil {
		return l.structureShows(ctx, it)
	}
	found, err := l.lookAtUsers(ctx, []item{it}, false)
	if err != nil {
		return false, "", err
	}
	s := found[it.subject.User.User.ID]
	switch it.op.Table {
	case schemas.Users:
		if it.op.Kind == Delete {
			return s.user == nil, "", nil
		}
		return s.user != nil && l.updateShows(it, s.user), "", nil
	case schemas.Credentials:
		return l.dependentShows(it, l.credentialOf(s, &it.subject.Row)), "", nil
	}
	return l.dependentShows(it, find(s.memberships, it.op.ID)), "", nil
}

// credentialOf finds a credential by row id, else by type.
func (l *loader) credentialOf(s *sight, ours *schemas.Row) *schemas.Row {
	if r := find(s.credentials, ours.ID); r != nil {
		return r
	}
	shape := l.shapes[schemas.Credentials]
	for i := range s.credentials {
		if r := &s.credentials[i]; cell(&shape, r, "type") == cell(&shape, ours, "type") {
			return r
		}
	}
	return nil
}

func (l *loader) dependentShows(it item, seen *schemas.Row) bool {
	switch {
	case it.op.Table == schemas.Memberships && (it.op.Kind == Unlink || it.op.Kind == Delete):
		// To leave takes several requests. After the first the membership no
		// longer shows, and the user may be in the organization all the same.
		// Sent again, it goes on where it ended.
		return seen == nil && it.absent
	case it.op.Kind == Unlink || it.op.Kind == Delete:
		return seen == nil
	case seen == nil:
		return false
	case it.op.Table == schemas.Credentials: // by type and date, since nothing else is given back
		return l.canShow(schemas.Credentials, []string{"changed_at"}) && len(l.differing(schemas.Credentials, &it.subject.Row, seen)) == 0
	case it.op.Kind == Link || it.op.Kind == Create:
		return len(l.differing(it.op.Table, &it.subject.Row, seen)) == 0
	}
	return l.updateShows(it, seen)
}

// updateShows compares the columns that an update changes.
func (l *loader) updateShows(it item, seen *schemas.Row) bool {
	return l.canShow(it.op.Table, it.op.Columns) && len(l.differing(it.op.Table, &it.subject.Row, seen, it.op.Columns...)) == 0
}

// canShow says whether all of the columns are given back.
func (l *loader) canShow(table string, names []string) bool {
	shape := l.shapes[table]
	for _, name := range names {
		if at := shape.Column(name); at < 0 || !l.readable[table][at] {
			return false
		}
	}
	return len(names) > 0
}

func (l *loader) structureShows(ctx context.Context, it item) (bool, string, error) {
	sink, err := l.observe(ctx, Scope{Structure: true, IDs: l.ids})
	if err != nil {
		return false, "", err
	}
	s, there := sink.structure[it.op.ID]
	switch {
	case it.op.Kind == Delete:
		return !there, "", nil
	case !there:
		return false, "", nil
	case it.op.Kind == Create:
		return len(l.differing(it.op.Table, &it.subject.Row, &s.row)) == 0, s.targetID, nil
	}
	return l.updateShows(it, &s.row), s.targetID, nil
}
