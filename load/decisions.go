package load

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// Take is whose side a person took in a conflict.
type Take string

// What a decision can take.
const (
	// TakeLegacy writes what legacy has, also where that gives access back.
	TakeLegacy Take = "legacy"
	// TakeKeymate leaves what the target has.
	TakeKeymate Take = "keymate"
	// TakeAdopt makes an account that is already there the row's own.
	TakeAdopt Take = "adopt"
	// TakeNew says that the key came back as another person, who gets a row of
	// its own. Whoever derives row ids obeys it; a plan only checks that it is
	// true.
	TakeNew Take = "new"
)

// Takes lists what a decision can take.
var Takes = []Take{TakeLegacy, TakeKeymate, TakeAdopt, TakeNew}

// Decision settles a conflict by a person's word. It holds for every plan that
// is made with it; where there is no conflict it does nothing.
type Decision struct {
	Table string        `json:"table"`
	ID    schemas.RowID `json:"id"`
	Key   string        `json:"key"`
	// Fields are columns, or one key of a map as in Ownership; empty: the whole
	// row.
	Fields []string `json:"fields,omitempty"`
	Take   Take     `json:"take"`
	// Account is the target id of the account to adopt.
	Account string `json:"account,omitempty"`
	// Other is the row of the person who has the key now, for TakeNew.
	Other schemas.RowID `json:"other,omitzero"`
	// Place is where the decision stands, for messages.
	Place string `json:"place"`
}

// DecisionError is a decision that can't be obeyed. Nothing was sent.
type DecisionError struct {
	Decision
	What string
	Next string
}

func (e *DecisionError) Error() string {
	return fmt.Sprintf("%s: decision on %s %q: %s", e.Place, e.Table, e.Key, e.What)
}

// Hint says what to do.
func (e *DecisionError) Hint() string { return e.Next }

// decisions are those of a plan, by row.
type decisions struct {
	byRow map[schemas.RowID][]Decision
	met   map[schemas.RowID]bool
	// former leads from the row of a key's new holder to the former one's.
	former map[schemas.RowID]schemas.RowID
}

func newDecisions(list []Decision) (*decisions, error) {
	d := &decisions{byRow: map[schemas.RowID][]Decision{}, met: map[schemas.RowID]bool{}, former: map[schemas.RowID]schemas.RowID{}}
	entities := schemas.Entities()
	for _, one := range list {
		if err := one.check(entities); err != nil {
			return nil, err
		}
		for _, have := range d.byRow[one.ID] {
			if len(have.Fields) == 0 || len(one.Fields) == 0 || len(bothFields(have.Fields, one.Fields)) > 0 {
				return nil, &DecisionError{one, "the row is decided at " + have.Place + " as well", "keep one of the two"}
			}
		}
		d.byRow[one.ID] = append(d.byRow[one.ID], one)
		if one.Take == TakeNew {
			d.former[one.Other] = one.ID
		}
	}
	return d, nil
}

func bothFields(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(f string) bool { return !slices.Contains(b, f) })
}

func (d *Decision) check(entities map[string]schemas.Table) error {
	shape, ok := entities[d.Table]
	switch {
	case !ok:
		return &DecisionError{*d, "no such table", "use one of " + strings.Join(schemas.LoadOrder, ", ")}
	case !slices.Contains(Takes, d.Take):
		return &DecisionError{*d, fmt.Sprintf("take %q is not known", d.Take), "take legacy, keymate, adopt or new"}
	case d.Take == TakeAdopt && (d.Table != schemas.Users || len(d.Fields) > 0 || d.Account == ""):
		return &DecisionError{*d, "adopt is for whole users and names the account", "give table: users, account: and no field"}
	}
	if d.Take == TakeNew && (d.Table != schemas.Users || len(d.Fields) > 0 || d.Other.IsZero()) {
		return &DecisionError{*d, "new is for whole users", "give table: users, and no field"}
	}
	for _, f := range d.Fields {
		if _, column, _ := cutField(d.Table + "." + f); shape.Column(column) < 0 {
			return &DecisionError{*d, fmt.Sprintf("no field %q", f), "the table has " + strings.Join(columnNames(&shape), ", ")}
		}
	}
	return nil
}

// of returns what was decided on a row, and notes that the row exists. Nil-safe.
func (d *decisions) of(id schemas.RowID) []Decision {
	if d == nil || len(d.byRow) == 0 {
		return nil
	}
	list := d.byRow[id]
	if len(list) > 0 {
		d.met[id] = true
	}
	if former, is := d.former[id]; is {
		d.met[former] = true
	}
	return list
}

// row is what was decided on the row as a whole, empty for nothing.
func (d *decisions) row(id schemas.RowID) Take {
	for _, one := range d.of(id) {
		if len(one.Fields) == 0 {
			return one.Take
		}
	}
	return ""
}

// unmet returns the first decision on a row that is nowhere.
func (d *decisions) unmet() error {
	var first *Decision
	for id, list := range d.byRow {
		if !d.met[id] && (first == nil || list[0].Place < first.Place) {
			first = &list[0]
		}
	}
	if first == nil {
		return nil
	}
	return &DecisionError{*first, "there is no such row, in legacy or in the target's base", "correct the key, or take the decision out"}
}

// takes says what was decided on a column: on it, or on the whole row.
func takes(list []Decision, column string) Take {
	for _, one := range list {
		if len(one.Fields) == 0 && one.Take != TakeAdopt && one.Take != TakeNew {
			return one.Take
		}
		for _, f := range one.Fields {
			if name, _, _ := strings.Cut(f, `["`); name == column {
				return one.Take
			}
		}
	}
	return ""
}

// Adoptions are the accounts that decisions make somebody's own, by row id.
func Adoptions(list []Decision) map[schemas.RowID]string {
	out := map[schemas.RowID]string{}
	for _, d := range list {
		if d.Take == TakeAdopt {
			out[d.ID] = d.Account
		}
	}
	return out
}
