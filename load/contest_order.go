package load

import (
	"fmt"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// settle finds out who can't take what, and puts the others in order.
func (c *contest) settle() {
	ids := slices.SortedFunc(maps.Keys(c.takers), schemas.RowID.Compare)
	for _, id := range ids {
		t := c.takers[id]
		for _, column := range t.columns() {
			if why, waits := c.keeps(t.from[column], map[schemas.RowID]bool{}); why != "" {
				t.blocked = append(t.blocked, hindrance{column, fmt.Sprintf("the %s "+stillAnothers+", %s", column, why), waits})
			}
		}
	}
	o := &ordering{contest: c, state: map[schemas.RowID]visit{}}
	for _, id := range ids {
		if o.state[id] == unseen && c.takers[id].free() {
			o.visit(c.takers[id])
		}
	}
}

func (t *taker) columns() []string { return slices.Sorted(maps.Keys(t.from)) }

// can says that nothing is in the way of a column.
func (t *taker) can(column string) bool {
	return !slices.ContainsFunc(t.blocked, func(h hindrance) bool { return h.column == column })
}

// free says that there is something to take.
func (t *taker) free() bool { return slices.ContainsFunc(t.columns(), t.can) }

// keeps says why a holder goes on to have the name; empty: it gives the name up.
// In a circle nobody keeps anything.
func (c *contest) keeps(h *holder, seen map[schemas.RowID]bool) (why string, waits bool) {
	if !h.leaves {
		return h.why, h.waits
	}
	t := c.takers[h.id]
	if t == nil || t.from[h.column] == nil || seen[h.id] {
		return "", false
	}
	seen[h.id] = true
	if why, waits = c.keeps(t.from[h.column], seen); why != "" {
		return "who can't change it either", waits
	}
	return "", false
}

type visit byte

const (
	unseen visit = iota
	open
	closed
)

// ordering visits holders before takers. Where that comes back to a user who is
// being visited, there is a circle, and that user goes through a temporary
// value.
type ordering struct {
	*contest
	state map[schemas.RowID]visit
}

func (o *ordering) visit(t *taker) {
	o.state[t.id] = open
	for _, column := range t.columns() {
		h := t.from[column]
		if !t.can(column) {
			continue
		}
		next := o.takers[h.id]
		if next != nil && next.free() && o.state[h.id] == unseen {
			o.visit(next)
		}
		park := o.state[h.id] == open
		if park && !slices.Contains(o.parks[h.id], column) {
			o.parks[h.id] = append(o.parks[h.id], column)
		}
		o.turns[t.id] = append(o.turns[t.id], turnOf{h.id, column, park})
	}
	o.state[t.id] = closed
	o.order = append(o.order, t.id)
}
