package modeltest

import (
	"maps"
	"slices"
	"strings"
)

// Units are what people are in: organizations, departments and groups, by their
// legacy keys. Their names change, on both sides.
var (
	orgUnits        = []string{"acme", "lumen"}
	departmentUnits = []string{"acme/Sales", "acme/Works"}
	groupUnits      = groupNames
	allUnits        = slices.Concat(orgUnits, departmentUnits, groupUnits) // parents first
)

// unit is what base holds of a unit.
type unit struct {
	name    string
	created bool // by us
}

// pinned is a checkpoint.
type pinned struct {
	people map[string]*known
	units  map[string]unit
}

func (m *model) pin() *pinned { return &pinned{cloneBase(m.base), maps.Clone(m.baseUnits)} }

// parentOf is the organization of a department, empty for other units.
func parentOf(u string) string {
	if org, _, ok := strings.Cut(u, "/"); ok {
		return org
	}
	return ""
}

// refers lists the units that somebody is in.
func (p *person) refers() set {
	out := maps.Clone(p.groups)
	for place := range p.places {
		out.add(place)
		out.add(organizationOf(place))
	}
	return out
}

// near are the units that a call may change: those that the people in reach
// need, with what is above them.
func (r *play) near() set {
	c := r.call
	if c.Everyone || c.Restore != "" {
		return setOf(allUnits...)
	}
	out := set{}
	for _, key := range r.everybody() {
		if !r.reaches(key) {
			continue
		}
		if p := r.want[key]; p != nil {
			out = out.plus(p.refers())
		}
		if k := r.base[key]; k != nil {
			out = out.plus(k.refers())
		}
	}
	if !c.goesBack() && len(c.Waves) == 0 && !c.Sweep {
		for u := range r.baseUnits {
			out.add(u)
		}
	}
	for u := range out {
		if up := parentOf(u); up != "" {
			out.add(up)
		}
	}
	return out
}

// structure plays the units, ahead of the people.
func (r *play) structure() {
	near := r.near()
	for _, u := range allUnits {
		want, wanted := r.wantUnits[u]
		have, known := r.baseUnits[u]
		now, there := r.units[u]
		switch {
		case !near[u]:
			if wanted && !known {
				r.blocked.add(u)
			}
		case !wanted:
			r.unwanted(u, have, known, now, there)
		case r.blocked[parentOf(u)]:
			if !there {
				r.blocked.add(u)
			}
		case there:
			r.named(u, want, have, known, now)
		case (known || r.call.goesBack() && r.again) && !r.call.allows("recreate"):
			r.blocked.add(u)
		default:
			r.units[u], r.baseUnits[u] = want, unit{want, true}
		}
	}
}

func (r *play) named(u, want string, have unit, known bool, now string) {
	next := unit{want, have.created}
	switch {
	case now == want:
	case r.call.goesBack() && (!known || now != have.name) && !r.call.Overwrite:
		if known {
			next.name = have.name
		}
	default:
		r.units[u] = want
	}
	r.baseUnits[u] = next
}

// unwanted plays a unit that the checkpoint does not have.
func (r *play) unwanted(u string, have unit, known bool, now string, there bool) {
	switch {
	case !known:
	case !there:
		delete(r.baseUnits, u)
	case r.call.DeleteOurs && have.created && now == have.name:
		r.leaving.add(u)
	}
}

// empties deletes the units that are to go and that nobody is in, so far as is
// known; the target refuses to delete those that somebody is in after all.
func (r *play) empties() {
	used := r.inUse()
	for _, u := range slices.Backward(allUnits) {
		if !r.leaving[u] || used[u] {
			if _, there := r.units[u]; there && parentOf(u) != "" {
				used.add(parentOf(u))
			}
			continue
		}
		if r.inhabited(u) {
			r.refused++
			continue
		}
		delete(r.units, u)
		delete(r.baseUnits, u)
	}
}

// inUse are the units that somebody is in, by what a plan knows: what it looked
// at, and base of whom it does not look at.
func (r *play) inUse() set {
	used := set{}
	for _, key := range r.everybody() {
		if a := r.target[key]; a != nil && r.reaches(key) {
			used = used.plus(a.refers())
		}
		if k := r.model.base[key]; k != nil && !r.reaches(key) {
			used = used.plus(k.refers())
		}
	}
	return used
}

func (r *play) inhabited(u string) bool {
	for _, accounts := range []map[string]*account{r.target, r.foreign} {
		for _, a := range accounts {
			if a.refers()[u] {
				return true
			}
		}
	}
	for other := range r.units {
		if parentOf(other) == u {
			return true
		}
	}
	return false
}

// blocks says that a place, or the organization that it is in, can't stand.
func (r *play) blocks(place string) bool { return r.blocked[place] || r.blocked[organizationOf(place)] }
