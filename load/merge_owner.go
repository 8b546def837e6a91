package load

import (
	"maps"

	"github.com/parallelrun/parallelrun/schemas"
)

// owned merges a column that legacy does not own, or not all of. Base follows
// the target there, so that a field which changes hands has no past.
func (m *merger) owned(out *merged, i int, s cellState) any {
	c := &m.shape.Columns[i]
	now, known := s.current()
	switch {
	case !known: // nothing to keep
		return s.desired
	case c.Name == "enabled" && isFalse(s.desired): // disable wins
		return s.desired
	}
	eff := now
	if keys := m.owners.keys[i]; keys != nil {
		eff = m.ownedKeys(out, c, m.owners.columns[i], keys, s.desired, now)
	} else if !equalCells(c, s.desired, now) {
		out.leave(m.owners.columns[i], c.Name)
	}
	out.held.Values[i] = remembered(m.shape.Name, c, s, eff)
	return eff
}

// remembered is what base holds of an owned column: what the target has, and
// the access that legacy gives and the target took away. When the field changes
// hands, that is not taken for access that legacy gave anew.
func remembered(table string, c *schemas.Column, s cellState, now any) any {
	g, access := grants[table][c.Name]
	was := s.base
	if !s.hasBase { // nobody knows who took away what legacy has
		was = s.desired
	}
	switch {
	case !access:
	case g.how == switchRule && isTrue(was) && isTrue(s.desired) && !isTrue(now),
		g.how == expiryRule && later(was, now) && later(s.desired, now):
		return was
	case g.how == setRule:
		taken := minus(both(flatten(was, g.whole), flatten(s.desired, g.whole)), flatten(now, g.whole))
		if len(taken) > 0 {
			return unflatten(plus(flatten(now, g.whole), taken), s.desired)
		}
	}
	return now
}

// leave notes a field in which the sides differ and that is not written.
func (o *merged) leave(owner Owner, field string) {
	if owner == OwnerReport {
		o.reported = append(o.reported, field)
		return
	}
	o.kept = append(o.kept, field)
}

// ownedKeys merges a map whose keys have owners of their own.
func (m *merger) ownedKeys(out *merged, c *schemas.Column, rest Owner, keys map[string]Owner, desired, now any) any {
	want, _ := desired.(map[string][]string)
	have, _ := now.(map[string][]string)
	eff := map[string][]string{}
	all := maps.Clone(have)
	if all == nil {
		all = map[string][]string{}
	}
	maps.Copy(all, want)
	for k := range all {
		owner, ok := keys[k]
		if !ok {
			owner = rest
		}
		w, wanted := want[k]
		h, there := have[k]
		take, has := h, there
		if owner == OwnerLegacy {
			take, has = w, wanted
		} else if wanted != there || !equalLists(c.Set, w, h) {
			out.leave(owner, c.Name+`["`+k+`"]`)
		}
		if has {
			eff[k] = take
		}
	}
	if len(eff) == 0 {
		return emptyCell(desired, now)
	}
	return eff
}
