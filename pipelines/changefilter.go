package pipelines

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
	"github.com/parallelrun/parallelrun/transform"
)

// ChangeFilter is a CEL expression over changed rows, compiled for each table
// that it fits. Expressions know `old` and `new`, of a three-way diff `base`, `a`
// and `b`: the row on each side, typed by its columns, with nothing in it where
// the row is not there; `kind` (insert, update, delete), of a three-way diff
// `side`, `kind_a` and `kind_b`; `table`, `key`, `id`, and the list `changed` of
// the columns that differ. Secrets can't be read: `"secret" in changed` asks
// whether one differs. It is safe for concurrent use.
type ChangeFilter struct {
	tables map[string]*tableFilter
	// Left lists the tables that differ and that the expression does not fit, with
	// the reason.
	Left []LeftTable
}

// LeftTable is a table that an expression does not fit.
type LeftTable struct{ Table, Why string }

// tableFilter is the expression for one table.
type tableFilter struct {
	shape     schemas.Table
	predicate *transform.Predicate
	at        map[string][]int // by name of a row: where the shape's columns stand on its side, -1: nowhere
}

// WhereError means that an expression over changes can't be used: correct it.
type WhereError struct {
	// Column is where it goes wrong, in characters from 1; zero: nowhere in
	// particular.
	Column int
	Table  string
	Key    string // of the row that it failed on, if it did
	What   string
	Next   string
}

func (e *WhereError) Error() string {
	at := "--where"
	if e.Column > 0 {
		at = fmt.Sprintf("--where, character %d", e.Column)
	}
	if e.Key != "" {
		at += fmt.Sprintf(", %s %q", e.Table, e.Key)
	}
	return at + ": " + e.What
}

// Hint is the next step to take.
func (e *WhereError) Hint() string { return e.Next }

// diffSide is one snapshot under the name that expressions know its rows by.
type diffSide struct {
	name string
	sn   *snapshots.Snapshot
}

// CompileChanges compiles an expression over the changes from a to b. Tables are
// those to compare; if given, the expression has to fit each, else at least one.
// Its error is a *WhereError.
func CompileChanges(expression string, a, b *snapshots.Snapshot, tables []string) (*ChangeFilter, error) {
	return compileChanges(expression, tables, []string{"kind", "table", "id"}, diffSide{"new", b}, diffSide{"old", a})
}

// CompileThreeWay compiles an expression over the changes from base to a and b.
func CompileThreeWay(expression string, base, a, b *snapshots.Snapshot, tables []string) (*ChangeFilter, error) {
	return compileChanges(expression, tables, []string{"side", "kind_a", "kind_b", "table", "id"}, diffSide{"a", a}, diffSide{"b", b}, diffSide{"base", base})
}

func compileChanges(expression string, tables, texts []string, sides ...diffSide) (*ChangeFilter, error) {
	f := &ChangeFilter{tables: map[string]*tableFilter{}}
	all := tables
	if tables == nil {
		for _, s := range sides {
			all = append(all, s.sn.Tables()...)
		}
		slices.Sort(all)
		all = slices.Compact(all)
	}
	var worst *WhereError
	for _, name := range all {
		t, err := compileTable(expression, name, texts, sides)
		if err == nil {
			f.tables[name] = t
			continue
		}
		if tables != nil {
			return nil, err
		}
		if differs(name, sides) {
			f.Left = append(f.Left, LeftTable{name, err.What})
		}
		if worst == nil || err.tells() > worst.tells() {
			worst = err
		}
	}
	if len(f.tables) == 0 && worst != nil {
		return nil, worst
	}
	return f, nil
}

// differs says whether a table is not the same on all sides.
func differs(table string, sides []diffSide) bool {
	first, _ := sides[0].sn.Stored(table)
	return slices.ContainsFunc(sides, func(s diffSide) bool { t, _ := s.sn.Stored(table); return t.Digest != first.Digest })
}

// tells is how much an error of one table tells, beside those of others: the
// expression went well up to there, and there is a name like the wrong one.
func (e *WhereError) tells() int {
	n := 2 * e.Column
	if e.Column == 0 { // every name is known
		n = math.MaxInt - 1
	}
	if strings.Contains(e.Next, "did you mean") {
		n++
	}
	return n
}

func compileTable(expression, name string, texts []string, sides []diffSide) (*tableFilter, *WhereError) {
	t := &tableFilter{shape: schemas.Table{Name: name}, at: map[string][]int{}}
	for _, s := range sides {
		own, _ := s.sn.Stored(name)
		for _, c := range own.Columns {
			if !slices.ContainsFunc(t.shape.Columns, func(x schemas.Column) bool { return x.ID == c.ID || x.Name == c.Name }) {
				t.shape.Columns = append(t.shape.Columns, c)
			}
		}
	}
	if len(t.shape.Columns) == 0 {
		return nil, &WhereError{Table: name, What: fmt.Sprintf("there is no table %q", name), Next: "`parallelrun snapshots show` lists the tables"}
	}
	vars := transform.PredicateVars{Row: sides[0].name, Table: &t.shape, Texts: texts, Lists: []string{"changed"}}
	for _, s := range sides {
		own, _ := s.sn.Stored(name)
		var at []int
		for _, c := range t.shape.Columns {
			at = append(at, slices.IndexFunc(own.Columns, func(x schemas.Column) bool { return x.ID == c.ID && x.Type == c.Type }))
		}
		t.at[s.name] = at
		if s.name != vars.Row {
			vars.Rows = append(vars.Rows, s.name)
		}
	}
	var err error
	if t.predicate, err = transform.CompilePredicate(expression, vars); err != nil {
		w := &WhereError{Table: name, What: err.Error()}
		if p, ok := err.(*transform.PredicateError); ok {
			w.What, w.Next, w.Column = p.Message, p.Next, p.Offset+1
		}
		return nil, w
	}
	return t, nil
}

// Tables are those that the expression fits, in order.
func (f *ChangeFilter) Tables() []string {
	names := []string{}
	for name := range f.tables {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Holds evaluates the expression on a change with its rows.
func (f *ChangeFilter) Holds(c snapshots.RowChange) (bool, error) {
	var changed []string
	for _, field := range c.Fields {
		changed = append(changed, field.Column)
	}
	return f.holds(c.Table, transform.PredicateValues{Key: c.Key,
		Texts: map[string]string{"kind": string(c.Kind), "table": c.Table, "id": c.ID.String()},
		Lists: map[string][]string{"changed": changed},
	}, stateOf{"old", c.Old, "old"}, stateOf{"new", c.New, "new"})
}

// HoldsThree is Holds for a three-way diff.
func (f *ChangeFilter) HoldsThree(c snapshots.ThreeWayChange) (bool, error) {
	var changed []string
	for _, field := range c.Fields {
		changed = append(changed, field.Column)
	}
	// A side that has not changed the row has base's.
	ofA, ofB := "a", "b"
	if c.A == "" {
		ofA = "base"
	}
	if c.B == "" {
		ofB = "base"
	}
	return f.holds(c.Table, transform.PredicateValues{Key: c.Key,
		Texts: map[string]string{"side": string(c.Side), "kind_a": string(c.A), "kind_b": string(c.B), "table": c.Table, "id": c.ID.String()},
		Lists: map[string][]string{"changed": changed},
	}, stateOf{"base", c.BaseRow, "base"}, stateOf{"a", c.ARow, ofA}, stateOf{"b", c.BRow, ofB})
}

// stateOf is a row under its name, and the side whose columns it has.
type stateOf struct {
	name string
	row  *parts.StoredRow
	side string
}

func (f *ChangeFilter) holds(table string, v transform.PredicateValues, states ...stateOf) (bool, error) {
	t := f.tables[table]
	v.Rows = make(map[string]schemas.Row, len(states))
	for _, s := range states {
		if s.row == nil {
			continue
		}
		r := schemas.Row{ID: s.row.ID, Key: s.row.Key, Values: make([]any, len(t.shape.Columns))}
		for i, at := range t.at[s.side] {
			if at >= 0 {
				r.Values[i] = s.row.Values[at]
			}
		}
		v.Rows[s.name] = r
	}
	yes, err := t.predicate.HoldsOf(v)
	if err != nil {
		return false, &WhereError{Table: table, Key: v.Key, What: err.Error(), Next: "make the expression hold for every row that differs, such as with has(new.x) &&"}
	}
	return yes, nil
}
