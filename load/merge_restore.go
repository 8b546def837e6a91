package load

import (
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// RestoreOptions say how a plan brings a target back to a checkpoint: desired
// is then the checkpoint's base. What others changed in the target since base
// stays, and access is never given back, unless the operator asks for it.
type RestoreOptions struct {
	// Overwrite brings back what others changed since base too.
	Overwrite bool `json:"overwrite,omitempty"`
	// DeleteCreated deletes rows that are not in the checkpoint, if we created
	// them and nobody changed them since. Others, and all without it, stay:
	// users disabled.
	DeleteCreated bool `json:"delete_created,omitempty"`
}

// restored merges one column of a restore.
func (m *merger) restored(out *merged, i int, s cellState) any {
	c := &m.shape.Columns[i]
	now, known := s.current()
	g, access := grants[m.shape.Name][c.Name]
	switch {
	case !known || equalCells(c, s.desired, now):
		return s.desired
	case access && g.how == setRule:
		return m.restoredSet(out, i, g, s)
	case access && g.how != actionsRule:
		return m.restoredSwitch(out, i, g, s)
	case s.seen && (!s.hasBase || !equalCells(c, s.observed, s.base)) && !m.restore.Overwrite:
		out.kept = append(out.kept, c.Name)
		out.held.Values[i] = s.lastKnown()
		return now
	case access:
		return mergeActions(s)
	}
	return s.desired
}

// lastKnown is what base goes on to hold of a cell that a restore leaves.
func (s *cellState) lastKnown() any {
	if s.hasBase {
		return s.base
	}
	return s.desired
}

// restoredSwitch narrows, and widens only when asked.
func (m *merger) restoredSwitch(out *merged, i int, g grant, s cellState) any {
	c := &m.shape.Columns[i]
	now, _ := s.current()
	widens := isTrue(s.desired) && !isTrue(now)
	if g.how == expiryRule {
		widens = later(s.desired, now)
	}
	switch {
	case !widens:
		return s.desired
	case m.allow[g.kind]:
		out.widens = append(out.widens, g.kind)
		return s.desired
	}
	m.withhold(out, c, g)
	out.held.Values[i] = s.lastKnown()
	return now
}

// restoredSet takes away what we gave since the checkpoint, keeps what others
// gave, and gives back what is gone only when asked.
func (m *merger) restoredSet(out *merged, i int, g grant, s cellState) any {
	c := &m.shape.Columns[i]
	now, _ := s.current()
	have, want := flatten(now, g.whole), flatten(s.desired, g.whole)
	var base []string
	if s.hasBase {
		base = flatten(s.base, g.whole)
	}
	back, theirs := minus(want, have), minus(have, want, base)
	if !s.hasBase {
		theirs = minus(have, want)
	}
	eff := both(have, want)
	held := slices.Clone(eff)
	if len(back) > 0 {
		if m.allow[g.kind] {
			out.widens = append(out.widens, g.kind)
			eff, held = plus(eff, back), plus(held, back)
		} else {
			m.withhold(out, c, g)
			held = plus(held, both(back, base)) // still known as taken away in the target
		}
	}
	if len(theirs) > 0 && !m.restore.Overwrite {
		out.kept = append(out.kept, c.Name)
		eff = plus(eff, theirs)
	}
	out.held.Values[i] = setCellOf(held, s.desired, now)
	return setCellOf(eff, s.desired, now)
}

// changedSince says that others changed a row of ours in the target since base.
func changedSince(shape *schemas.Table, base, observed *schemas.Row, seen columns) bool {
	for i := range shape.Columns {
		if seen[i] && !equalCells(&shape.Columns[i], base.Values[i], observed.Values[i]) {
			return true
		}
	}
	return false
}
