package load

import (
	"bytes"
	"context"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// side holds what one state has about one user.
type side struct {
	user        *schemas.Row
	credentials []schemas.Row
	memberships []schemas.Row
}

func (s *side) empty() bool { return s.user == nil && len(s.credentials)+len(s.memberships) == 0 }

// person is one user with all that the states have about it.
type person struct {
	id       schemas.RowID
	base     side
	desired  side
	observed side
	// rejected holds the row ids that are in <entity>_rejected: the user's own,
	// and those of rows that depend on it.
	rejected map[schemas.RowID]bool
	// looked says that the user is in the observation's scope, found that it
	// was there.
	looked, found bool
	foreign       *schemas.Row
	// wave is the one that the user is assigned to, where a reach asks.
	wave string
	// mapped is the user's entry in the id map.
	mapped *schemas.Row
}

// stream is one table of one state that is merged into people.
type stream struct {
	r    *reader
	take func(p *person, row schemas.Row)
	// owner is the position of the column that names the row's user; -1: the
	// row id is the user's; -2: nobody says, the row goes to every user of its
	// prefix.
	owner int
}

const (
	ownID     = -1
	anyPrefix = -2
)

// people merges the streams by the first 64 bits of the row ids, which a user's
// dependent rows share with it, and yields one person at a time in order. It
// holds one person in memory (several only when 64 bits collide).
func people(ctx context.Context, streams []stream, from, to schemas.RowID) iter.Seq2[*person, error] {
	return func(yield func(*person, error) bool) {
		heads := make([]*head, len(streams))
		for i, s := range streams {
			heads[i] = newHead(s.r.scan(ctx, from, to))
		}
		defer func() {
			for _, h := range heads {
				h.stop()
			}
		}()
		for {
			prefix, any, err := lowest(heads)
			if err != nil {
				yield(nil, err)
				return
			}
			if !any {
				return
			}
			for _, p := range gather(streams, heads, prefix) {
				if err := ctx.Err(); err != nil {
					yield(nil, err)
					return
				}
				if !yield(p, nil) {
					return
				}
			}
		}
	}
}

// head is a stream's next row.
type head struct {
	row  schemas.Row
	err  error
	ok   bool
	next func() (schemas.Row, error, bool)
	stop func()
}

func newHead(rows iter.Seq2[schemas.Row, error]) *head {
	h := &head{}
	h.next, h.stop = iter.Pull2(rows)
	h.advance()
	return h
}

func (h *head) advance() { h.row, h.err, h.ok = h.next() }

func lowest(heads []*head) (prefix []byte, any bool, err error) {
	for _, h := range heads {
		if !h.ok {
			continue
		}
		if h.err != nil {
			return nil, false, h.err
		}
		if !any || bytes.Compare(h.row.ID[:8], prefix) < 0 {
			prefix, any = slices.Clone(h.row.ID[:8]), true
		}
	}
	return prefix, any, nil
}

// gather takes every row with the prefix and sorts them out by user.
func gather(streams []stream, heads []*head, prefix []byte) []*person {
	found := map[schemas.RowID]*person{}
	var loose []func(*person)
	get := func(id schemas.RowID) *person {
		if found[id] == nil {
			found[id] = &person{id: id, rejected: map[schemas.RowID]bool{}}
		}
		return found[id]
	}
	for i, h := range heads {
		for h.ok && h.err == nil && bytes.Equal(h.row.ID[:8], prefix) {
			s, row := streams[i], h.row
			switch owner, ok := ownerOf(s, row); {
			case ok:
				s.take(get(owner), row)
			default:
				loose = append(loose, func(p *person) { s.take(p, row) })
			}
			h.advance()
		}
	}
	out := make([]*person, 0, len(found))
	for _, p := range found {
		for _, f := range loose {
			f(p)
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *person) int { return a.id.Compare(b.id) })
	return out
}

func ownerOf(s stream, row schemas.Row) (schemas.RowID, bool) {
	switch s.owner {
	case ownID:
		return row.ID, true
	case anyPrefix:
		return schemas.RowID{}, false
	}
	return ref(row.Values[s.owner])
}

// sideStreams are the three user tables of one state.
func sideStreams(sn Snapshot, shapes map[string]schemas.Table, of func(*person) *side) (out []stream, has map[string]columns) {
	has = map[string]columns{}
	for _, name := range []string{schemas.Users, schemas.Credentials, schemas.Memberships} {
		shape := shapes[name]
		r := newReader(sn, &shape)
		has[name] = r.has
		s := stream{r: r, owner: ownID, take: func(p *person, row schemas.Row) { of(p).user = &row }}
		switch name {
		case schemas.Credentials:
			s.owner, s.take = shape.Column("user"), func(p *person, row schemas.Row) { d := of(p); d.credentials = append(d.credentials, row) }
		case schemas.Memberships:
			s.owner, s.take = shape.Column("user"), func(p *person, row schemas.Row) { d := of(p); d.memberships = append(d.memberships, row) }
		}
		out = append(out, s)
	}
	return out, has
}

// rejectedStreams are the ids that transform refused or left out.
func rejectedStreams(desired Snapshot) []stream {
	var out []stream
	for _, name := range []string{schemas.Users, schemas.Credentials, schemas.Memberships} {
		shape := schemas.Rejected(name)
		s := stream{r: newReader(desired, &schemas.Table{Name: shape.Name}), owner: anyPrefix, take: func(p *person, row schemas.Row) { p.rejected[row.ID] = true }}
		if name == schemas.Users {
			s.owner = ownID
		}
		out = append(out, s)
	}
	return out
}

// scopeStreams are the observation's scope and the accounts in the way.
func scopeStreams(observed Snapshot) []stream {
	scope, foreign := schemas.ScopeTable(), ForeignAccountsTable()
	entity, found := scope.Column("entity"), scope.Column("found")
	return []stream{
		{r: newReader(observed, &scope), owner: ownID, take: func(p *person, row schemas.Row) {
			if text(row.Values[entity]) == schemas.Users {
				p.looked, p.found = true, isTrue(row.Values[found])
			}
		}},
		{r: newReader(observed, &foreign), owner: ownID, take: func(p *person, row schemas.Row) { p.foreign = &row }},
	}
}

func (s *side) bundle() schemas.Bundle {
	return schemas.Bundle{User: *s.user, Credentials: s.credentials, Memberships: s.memberships}
}
