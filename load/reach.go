package load

import (
	"context"
	"errors"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Reach says whose rows a run may change. States are always whole: what is out
// of reach is planned as deferred, keeps its base, and is neither looked at nor
// written, and never taken for absent. The zero value reaches everybody.
type Reach struct {
	// Assignment says who moves with which wave; it is needed for Waves and
	// Sweep.
	Assignment Snapshot
	// Waves reaches the users of these waves.
	Waves []string
	// Sweep reaches the users that no wave has taken.
	Sweep bool
	// Moved reaches the users that are in base already, so that what moved is
	// followed while the rest waits.
	Moved bool
}

// All says that everybody is in reach.
func (r *Reach) All() bool { return len(r.Waves) == 0 && !r.Sweep && !r.Moved }

// waved says whether the reach depends on who is in which wave.
func (r *Reach) waved() bool { return len(r.Waves) > 0 || r.Sweep }

func (r *Reach) check() error {
	if r.waved() && r.Assignment == nil {
		return errors.New("a reach by waves needs the assignment")
	}
	return nil
}

// holds says whether a person is in reach.
func (r *Reach) holds(x *person) bool {
	switch {
	case r.All():
		return true
	case r.Moved && x.base.user != nil:
		return true
	case r.Sweep && x.wave == "":
		return true
	}
	return x.wave != "" && slices.Contains(r.Waves, x.wave)
}

// streams tell people which wave they are in, where the assignment is given.
func (r *Reach) streams() []stream {
	if r.Assignment == nil {
		return nil
	}
	shape := schemas.WaveAssignmentTable()
	wave := shape.Column("wave")
	return []stream{{r: newReader(r.Assignment, &shape), owner: ownID, take: func(x *person, row schemas.Row) { x.wave = text(row.Values[wave]) }}}
}

// Reached is a Reach as a plan records it.
type Reached struct {
	Waves      []string         `json:"waves,omitempty"`
	Sweep      bool             `json:"sweep,omitempty"`
	Moved      bool             `json:"moved,omitempty"`
	Assignment snapshots.Digest `json:"assignment"`
}

// record returns nil for a reach of everybody.
func (r *Reach) record() *Reached {
	if r.All() {
		return nil
	}
	out := &Reached{Waves: r.Waves, Sweep: r.Sweep, Moved: r.Moved}
	if r.waved() {
		out.Assignment = r.Assignment.Digest()
	}
	return out
}

// structureReach is which rows of the structure a run may change: those that
// the users in reach refer to, with all that is above them, and those in base
// where what moved is followed. Nil: all.
type structureReach map[schemas.RowID]bool

func (s structureReach) holds(table string, id schemas.RowID) bool {
	return s == nil || s[id] || table == schemas.PropertyTemplates || table == schemas.DepartmentTemplates
}

// reachStructure goes over the users in reach once, ahead of the plan.
func (p *planner) reachStructure(ctx context.Context, states []*structState) (structureReach, error) {
	reach := &p.in.Reach
	if reach.All() {
		return nil, nil
	}
	need := structureReach{}
	base, _ := sideStreams(p.in.Base, p.shapes, func(x *person) *side { return &x.base })
	desired, _ := sideStreams(p.in.Desired, p.shapes, func(x *person) *side { return &x.desired })
	streams := slices.Concat([]stream{base[0], base[2], desired[0], desired[2]}, reach.streams())
	for x, err := range people(ctx, streams, schemas.RowID{}, schemas.RowID{}) {
		if err != nil {
			return nil, err
		}
		if !reach.holds(x) {
			continue
		}
		for _, s := range []*side{&x.base, &x.desired} {
			if s.user != nil {
				need.add(p.shapes, schemas.Users, s.user)
			}
			for _, d := range s.dependents() {
				need.add(p.shapes, d.table, d.row)
			}
		}
	}
	if reach.Moved {
		for _, st := range states {
			for id := range st.base {
				need[id] = true
			}
		}
	}
	need.addAbove(p.shapes, states)
	return need, nil
}

// add takes in what a row refers to in the structure.
func (s structureReach) add(shapes map[string]schemas.Table, table string, row *schemas.Row) (more bool) {
	shape := shapes[table]
	for i, c := range shape.Columns {
		if c.Refs == "" || c.Refs == schemas.Users {
			continue
		}
		for _, ref := range flattenRefs(row.Values[i]) {
			if id, err := schemas.ParseRowID(ref); err == nil && !s[id] {
				s[id], more = true, true
			}
		}
	}
	return more
}

// addAbove takes in the ancestors of what is needed.
func (s structureReach) addAbove(shapes map[string]schemas.Table, states []*structState) {
	for more := true; more; {
		more = false
		for _, st := range states {
			for _, rows := range []map[schemas.RowID]schemas.Row{st.desired, st.base} {
				for id, row := range rows {
					if s[id] && s.add(shapes, st.shape.Name, &row) {
						more = true
					}
				}
			}
		}
	}
}
