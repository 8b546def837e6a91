package load

import (
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// merger settles rows of one table three ways.
type merger struct {
	shape *schemas.Table
	base  columns // that base knows
	seen  columns // that observation reads
	fixed columns // that the target does not change
	allow allowed
	// owners say whose word counts; the zero value: legacy's.
	owners owners
	// restore is set when desired is a checkpoint.
	restore *RestoreOptions
	// decisions are a person's on conflicts; nil for none.
	decisions *decisions
	// why, if set, is told of each column once it is settled.
	why func(m *merger, out *merged, i int, s cellState)
}

// merged is what became of one row.
type merged struct {
	effective schemas.Row // what shall stand in the target
	held      schemas.Row // what base keeps of it once that is confirmed
	isHeld    bool        // held differs from effective
	changed   []string    // columns to write, sorted
	drift     []string    // columns where the target had left base and is brought back
	widens    []string    // kinds of access that the change widens
	withheld  []string    // columns where something is withheld
	kinds     []string    // its kinds
	kept      []string    // fields that the target's side owns, or that a restore leaves
	reported  []string    // fields that differ and wait for a decision
	hindered  []hindrance // names that another user has still
	decided   []Decision  // on the row
	disables  bool
	calm      Class // of a row that needs nothing; empty: unchanged
}

// cellState is one column of one row on its three sides.
type cellState struct {
	base, desired, observed any
	hasBase, seen           bool
}

// current is what the column holds in the target, as far as is known.
func (s *cellState) current() (any, bool) {
	if s.seen {
		return s.observed, true
	}
	return s.base, s.hasBase
}

// merge settles a row that is desired. base is nil for a row never confirmed,
// observed for one that was not looked at.
func (m *merger) merge(base, desired, observed *schemas.Row) merged {
	out := merged{effective: cloneRow(*desired), held: cloneRow(*desired), decided: m.decisions.of(desired.ID)}
	for i := range m.shape.Columns {
		s := cellState{desired: desired.Values[i]}
		if base != nil && m.base[i] {
			s.base, s.hasBase = base.Values[i], true
		}
		if observed != nil && m.seen[i] {
			s.observed, s.seen = observed.Values[i], true
		}
		m.column(&out, i, s)
		if m.why != nil {
			m.why(m, &out, i, s)
		}
	}
	slices.Sort(out.changed)
	out.widens = asSet(out.widens)
	out.kinds = asSet(out.kinds)
	return out
}

func (m *merger) column(out *merged, i int, s cellState) {
	c := &m.shape.Columns[i]
	var eff any
	switch take := takes(out.decided, c.Name); {
	case s.seen && isTemporary(m.shape.Name, c.Name, out.effective.ID, s.observed): // nobody's word
		eff = s.desired
	case take != "":
		eff = m.decidedCell(out, i, s, take)
	default:
		eff = m.decide(out, i, s)
	}
	if now, known := s.current(); known && m.fixed != nil && m.fixed[i] && !equalCells(c, eff, now) {
		eff, out.held.Values[i] = now, now
		m.leaveFixed(out, c.Name)
	}
	out.effective.Values[i] = eff
	if !equalCells(c, eff, out.held.Values[i]) {
		out.isHeld = true
	}
	now, known := s.current()
	if !known || equalCells(c, eff, now) {
		return
	}
	out.changed = append(out.changed, c.Name)
	if s.seen && s.hasBase && !equalCells(c, s.observed, s.base) && !slices.Contains(out.withheld, c.Name) {
		out.drift = append(out.drift, c.Name)
	}
	if c.Name == "enabled" && !isTrue(eff) && isTrue(now) {
		out.disables = true
	}
}

// leaveFixed notes a column that the target does not change.
func (m *merger) leaveFixed(out *merged, column string) {
	if takes(out.decided, column) == TakeKeymate {
		out.kept = append(out.kept, column)
		return
	}
	out.hindered = append(out.hindered, hindrance{column: column, reason: "the target does not change it once the row is there"})
}

// decide says what shall stand in a column, and notes in out why it is not what
// is desired.
func (m *merger) decide(out *merged, i int, s cellState) any {
	c := &m.shape.Columns[i]
	g, access := grants[m.shape.Name][c.Name]
	switch {
	case m.restore != nil:
		return m.restored(out, i, s)
	case !m.owners.legacys(i):
		return m.owned(out, i, s)
	case access:
		return m.grant(out, c, g, s)
	}
	return s.desired
}

// grant merges a column that gives access and returns its effective value.
func (m *merger) grant(out *merged, c *schemas.Column, g grant, s cellState) any {
	switch g.how {
	case switchRule:
		return m.mergeSwitch(out, c, g, s)
	case expiryRule:
		return m.mergeExpiry(out, c, g, s)
	case actionsRule:
		return mergeActions(s)
	}
	return m.mergeSet(out, c, g, s)
}

func (m *merger) withhold(out *merged, c *schemas.Column, g grant) {
	out.withheld = append(out.withheld, c.Name)
	out.kinds = append(out.kinds, g.kind)
}

// mergeSwitch enables only what legacy enabled since base, or what the operator
// asks for: an account that was disabled in the target stays so.
func (m *merger) mergeSwitch(out *merged, c *schemas.Column, g grant, s cellState) any {
	now, known := s.current()
	if !isTrue(s.desired) || !known || isTrue(now) {
		return s.desired
	}
	legacyEnabled := s.hasBase && !isTrue(s.base)
	if legacyEnabled || m.allow[g.kind] {
		out.widens = append(out.widens, g.kind)
		return s.desired
	}
	m.withhold(out, c, g)
	return now
}

// mergeSet gives what legacy gave since base; what the target took away since
// base (or, for a row without base, does not have) stays away.
func (m *merger) mergeSet(out *merged, c *schemas.Column, g grant, s cellState) any {
	now, known := s.current()
	if !known {
		return s.desired
	}
	desired := flatten(s.desired, g.whole)
	missing := minus(desired, flatten(now, g.whole))
	if len(missing) == 0 {
		return s.desired
	}
	taken := missing // without base nobody knows who took them away
	if s.hasBase {
		taken = both(missing, flatten(s.base, g.whole))
	}
	if len(taken) < len(missing) || m.allow[g.kind] {
		out.widens = append(out.widens, g.kind)
	}
	if len(taken) == 0 || m.allow[g.kind] {
		return s.desired
	}
	m.withhold(out, c, g)
	return setCellOf(minus(desired, taken), s.desired, now)
}

// mergeExpiry keeps an earlier end that the target set.
func (m *merger) mergeExpiry(out *merged, c *schemas.Column, g grant, s cellState) any {
	now, known := s.current()
	if !known || !later(s.desired, now) {
		return s.desired
	}
	legacyExtended := s.hasBase && equalCells(c, s.base, now)
	if legacyExtended || m.allow[g.kind] {
		out.widens = append(out.widens, g.kind)
		return s.desired
	}
	m.withhold(out, c, g)
	return now
}

// later says whether an account that ends at a ends later than at b; null
// never ends.
func later(a, b any) bool {
	y, ends := b.(int64)
	if !ends {
		return false
	}
	x, ends := a.(int64)
	return !ends || x > y
}

// mergeActions leaves alone what the user has done in the target and what the
// target's administrators ask of the user.
func mergeActions(s cellState) any {
	if !s.seen || !s.hasBase {
		return s.desired
	}
	base, desired, observed := flatten(s.base, false), flatten(s.desired, false), flatten(s.observed, false)
	done := minus(both(base, desired), observed)
	asked := minus(observed, base, desired)
	if len(done)+len(asked) == 0 {
		return s.desired
	}
	set := plus(minus(desired, done), asked)
	if slices.Equal(set, asSet(observed)) {
		return s.observed
	}
	return setCellOf(set, s.desired, s.observed)
}

// setCellOf writes a set in the shape of the cells that it was made from. An
// empty one is the empty cell of the target, so that null and empty make no
// change, else that of desired; where neither is empty it is null, which any
// target gives back as it is.
func setCellOf(set []string, desired, now any) any {
	if len(set) > 0 {
		like := desired
		if like == nil {
			like = now
		}
		return unflatten(set, like)
	}
	return emptyCell(desired, now)
}

func emptyCell(desired, now any) any {
	for _, v := range []any{now, desired} {
		if len(flatten(v, false)) == 0 {
			return v
		}
	}
	return nil
}
