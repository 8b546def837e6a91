package waves

import (
	"bytes"
	"context"
	"errors"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
)

// person is one user: as it is desired, as it was assigned, or both.
type person struct {
	id          schemas.RowID
	user        *schemas.Row // nil: not desired
	previous    *schemas.Row // nil: not assigned
	leftOut     bool         // rejected or excluded
	memberships []schemas.Row
	listed      []listed // lines about it in the lists that were merged
}

// assignment is the shape of the rows of an assignment.
var assignment = schemas.WaveAssignmentTable()

// Positions of the columns of an assignment.
var (
	waveColumn = assignment.Column("wave")
	ruleColumn = assignment.Column("rule")
	runColumn  = assignment.Column("run")
)

// wave is the wave that the person was assigned to, empty for none.
func (p *person) wave() string {
	if p.previous == nil {
		return ""
	}
	return text(p.previous.Values[waveColumn])
}

func (p *person) key() string {
	if p.user != nil {
		return p.user.Key
	}
	return p.previous.Key
}

// streams are what is merged into people, each in the order of its row ids.
type streams struct {
	users, leftOut, previous, memberships iter.Seq2[schemas.Row, error]
	listed                                iter.Seq2[listed, error]
	// stray is told of a listed key that is nobody's.
	stray func(listed)
}

// heads are the next values of the streams.
type heads struct {
	rows        [3]*head[schemas.Row] // users, leftOut, previous: one row a person
	memberships *head[schemas.Row]
	listed      *head[listed]
	stray       func(listed)
	// near are the memberships whose user's id begins as the person's at hand.
	near []schemas.Row
}

// people merges the streams and yields everybody who is in users, leftOut or
// previous, in order. Memberships come under ids that begin with the first half
// of their user's, so those of one half are held at a time.
func people(ctx context.Context, s streams) iter.Seq2[*person, error] {
	return func(yield func(*person, error) bool) {
		h, err := s.open()
		defer h.close()
		for n := 0; err == nil; n++ {
			var p *person
			if n%1024 == 0 {
				if err = ctx.Err(); err != nil {
					break
				}
			}
			if p, err = h.next(); err != nil || p == nil {
				break
			}
			if !yield(p, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func (s streams) open() (h *heads, err error) {
	h = &heads{stray: s.stray}
	var errs []error
	for i, seq := range []iter.Seq2[schemas.Row, error]{s.users, s.leftOut, s.previous} {
		h.rows[i], err = newHead(seq)
		errs = append(errs, err)
	}
	h.memberships, err = newHead(s.memberships)
	errs = append(errs, err)
	h.listed, err = newHead(s.listed)
	return h, errors.Join(append(errs, err)...)
}

func (h *heads) close() {
	for _, r := range h.rows {
		r.stop()
	}
	h.memberships.stop()
	h.listed.stop()
}

// next is the person with the lowest id, nil after the last.
func (h *heads) next() (*person, error) {
	var p *person
	for _, r := range h.rows {
		if r.ok && (p == nil || r.v.ID.Compare(p.id) < 0) {
			p = &person{id: r.v.ID}
		}
	}
	if err := h.lists(p); err != nil || p == nil {
		return nil, err
	}
	for i, r := range h.rows {
		if !r.ok || r.v.ID != p.id {
			continue
		}
		row := r.v
		switch i {
		case 0:
			p.user = &row
		case 1:
			p.leftOut = true
		case 2:
			p.previous = &row
		}
		if err := r.advance(); err != nil {
			return nil, err
		}
	}
	return p, h.join(p)
}

// lists gives the person its lines; those before it are nobody's.
func (h *heads) lists(p *person) error {
	for l := h.listed; l.ok && (p == nil || l.v.id.Compare(p.id) <= 0); {
		if p != nil && l.v.id == p.id {
			p.listed = append(p.listed, l.v)
		} else {
			h.stray(l.v)
		}
		if err := l.advance(); err != nil {
			return err
		}
	}
	return nil
}

// memberships is the shape of their table, and the positions of its columns.
var (
	memberships            = schemas.Entities()[schemas.Memberships]
	membershipUser         = memberships.Column("user")
	membershipOrganization = memberships.Column("organization")
	membershipDepartment   = memberships.Column("department")
)

func (h *heads) join(p *person) error {
	half := p.id[:8]
	if len(h.near) > 0 && !bytes.Equal(h.near[0].ID[:8], half) {
		h.near = nil
	}
	for m := h.memberships; m.ok && bytes.Compare(m.v.ID[:8], half) <= 0; {
		if bytes.Equal(m.v.ID[:8], half) {
			h.near = append(h.near, m.v)
		}
		if err := m.advance(); err != nil {
			return err
		}
	}
	id := p.id.String()
	for _, m := range h.near {
		if text(m.Values[membershipUser]) == id {
			p.memberships = append(p.memberships, m)
		}
	}
	return nil
}
