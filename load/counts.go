package load

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// Class is what became, or is to become, of one row. Every row that the
// mapping yielded, and every row of base that it no longer yields, has one.
type Class string

// The classes.
const (
	Created   Class = "created"
	Adopted   Class = "adopted"
	Updated   Class = "updated"
	Unchanged Class = "unchanged"
	Disabled  Class = "disabled" // gone from legacy
	Removed   Class = "removed"  // gone from legacy: deleted or unlinked
	Conflict  Class = "conflict"
	Failed    Class = "failed"
	InDoubt   Class = "unknown"
	Deferred  Class = "deferred"
)

// Classes lists the classes in the order of reports.
var Classes = []Class{Created, Adopted, Updated, Unchanged, Disabled, Removed, Conflict, Failed, InDoubt, Deferred}

// Class is what the operation's row becomes once it is confirmed.
func (o *Operation) Class() Class {
	switch {
	case o.Kind == Create || o.Kind == Link:
		return Created
	case o.Kind == Adopt:
		return Adopted
	case o.Kind == Delete || o.Kind == Unlink:
		return Removed
	case o.Gone:
		return Disabled
	}
	return Updated
}

// EntityCounts is the equation of one entity. Yielded and Gone are counted
// where rows are read, Classes where they are settled.
type EntityCounts struct {
	// Yielded rows are in desired.
	Yielded int64 `json:"yielded"`
	// Gone rows are in base, and neither in desired nor rejected.
	Gone int64 `json:"gone,omitempty"`
	// Kept rows are in base and now rejected or excluded: they keep their base.
	Kept    int64           `json:"kept,omitempty"`
	Classes map[Class]int64 `json:"classes,omitempty"`
}

func (c *EntityCounts) add(class Class, n int64) {
	if c.Classes == nil {
		c.Classes = map[Class]int64{}
	}
	c.Classes[class] += n
}

// Sum is how many rows have a class.
func (c *EntityCounts) Sum() (n int64) {
	for _, k := range c.Classes {
		n += k
	}
	return n
}

// Counts are the equations of all entities, by table.
type Counts map[string]*EntityCounts

func (c Counts) of(table string) *EntityCounts {
	if c[table] == nil {
		c[table] = &EntityCounts{}
	}
	return c[table]
}

func (c Counts) clone() Counts {
	out := Counts{}
	for t, e := range c {
		n := *e
		n.Classes = nil
		for class, k := range e.Classes {
			n.add(class, k)
		}
		out[t] = &n
	}
	return out
}

// Check proves the equation: every row that was yielded, or is gone, has
// exactly one class. An error names the entities that do not add up; it means
// that a row was dropped or counted twice.
func (c Counts) Check() error {
	var bad []string
	for table, e := range c {
		if e.Yielded+e.Gone != e.Sum() {
			bad = append(bad, fmt.Sprintf("%s: yielded %d + gone %d, but classes sum up to %d", table, e.Yielded, e.Gone, e.Sum()))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	slices.Sort(bad)
	return fmt.Errorf("the rows do not add up, so the run can't be trusted: %s (keep the store and report this)", strings.Join(bad, "; "))
}

// FieldCounts says what became of one field, in values that are not null.
type FieldCounts struct {
	Carried int64  `json:"carried,omitempty"`
	Changed int64  `json:"changed,omitempty"` // by a rule of the target
	Encoded int64  `json:"encoded,omitempty"` // kept in attributes
	LeftOut int64  `json:"left_out,omitempty"`
	Why     string `json:"why,omitempty"` // of the first note
}

// Fields are the field counts by table, then column.
type Fields map[string]map[string]*FieldCounts

func (f Fields) of(table, column string) *FieldCounts {
	if f[table] == nil {
		f[table] = map[string]*FieldCounts{}
	}
	if f[table][column] == nil {
		f[table][column] = &FieldCounts{}
	}
	return f[table][column]
}

// add counts the values of some rows of one table, of which notes say what
// projection did. A note may name a part of a column: the rest of the column is
// then carried.
func (f Fields) add(shape *schemas.Table, rows []schemas.Row, notes []Note) {
	for i := range shape.Columns {
		name := shape.Columns[i].Name
		var values, noted int64
		for _, r := range rows {
			if r.Values[i] != nil && !isEmpty(r.Values[i]) {
				values++
			}
		}
		for _, n := range notes {
			if n.Table == shape.Name && n.Column == name {
				noted++
			}
		}
		if values > noted {
			f.of(shape.Name, name).Carried += values - noted
		}
	}
	for _, n := range notes {
		if n.Table == shape.Name {
			f.note(n)
		}
	}
}

func (f Fields) note(n Note) {
	c := f.of(n.Table, n.Column)
	switch n.What {
	case Changed:
		c.Changed++
	case Kept:
		c.Encoded++
	case LeftOut:
		c.LeftOut++
	}
	if c.Why == "" {
		c.Why = n.Why
	}
}

func isEmpty(v any) bool {
	switch x := v.(type) {
	case []string:
		return len(x) == 0
	case map[string][]string:
		return len(x) == 0
	}
	return false
}
