package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// Owner says whose word counts for a field of a row that stands in the target.
// Whoever owns it, a person disabled on either side is disabled.
type Owner string

// The owners.
const (
	// OwnerLegacy: the legacy system's value is written, save that access
	// narrowed in the target stays narrow.
	OwnerLegacy Owner = "legacy"
	// OwnerKeymate: the target's value stays once the row is there.
	OwnerKeymate Owner = "keymate"
	// OwnerReport: nothing is written where the sides differ; the difference is
	// a conflict, for a person to decide.
	OwnerReport Owner = "report"
)

// Owners lists the owners.
var Owners = []Owner{OwnerLegacy, OwnerKeymate, OwnerReport}

// Ownership says who owns which field. The zero value: legacy owns all.
type Ownership struct {
	// Default owns what Fields does not name; empty: legacy.
	Default Owner `json:"default,omitempty"`
	// Fields by name: users.email, or users.attributes["title"] for one key of a
	// map.
	Fields map[string]Owner `json:"fields,omitempty"`
}

// OwnershipError is one thing that an ownership names and that does not exist.
type OwnershipError struct {
	Field string // empty: the default
	What  string
	Known []string
}

func (e *OwnershipError) Error() string {
	if e.Field == "" {
		return "ownership: " + e.What
	}
	return fmt.Sprintf("ownership of %s: %s", e.Field, e.What)
}

// OwnedField is the field that it is about, empty for the default.
func (e *OwnershipError) OwnedField() string { return e.Field }

// Hint says what there is.
func (e *OwnershipError) Hint() string { return "one of " + strings.Join(e.Known, ", ") }

// Check says whether every owner and field exists.
func (o Ownership) Check() error {
	known := func(w Owner) bool { return w == "" || slices.Contains(Owners, w) }
	owners := []string{string(OwnerLegacy), string(OwnerKeymate), string(OwnerReport)}
	bad := func(field string, w Owner) error {
		what := fmt.Sprintf("%q is nobody", string(w))
		if w == "newest" {
			what = "newest needs versions of the field on both sides, and a Keycloak realm keeps none (a clock is no version)"
		}
		return &OwnershipError{Field: field, What: what, Known: owners}
	}
	if !known(o.Default) {
		return bad("", o.Default)
	}
	entities := schemas.Entities()
	for _, field := range slices.Sorted(maps.Keys(o.Fields)) {
		if !known(o.Fields[field]) || o.Fields[field] == "" {
			return bad(field, o.Fields[field])
		}
		table, column, key := cutField(field)
		shape, ok := entities[table]
		if !ok || !ownable(table) {
			return &OwnershipError{Field: field, What: fmt.Sprintf("no table %q whose fields have owners", table), Known: ownedTables}
		}
		i := shape.Column(column)
		if i < 0 {
			return &OwnershipError{Field: field, What: fmt.Sprintf("table %s has no column %q", table, column), Known: columnNames(&shape)}
		}
		if _, access := grants[table][column]; key != "" && (shape.Columns[i].Type != schemas.StringsMap || access) {
			return &OwnershipError{Field: field, What: "only columns of properties and attributes have keys", Known: []string{table + "." + column}}
		}
	}
	return nil
}

// ownedTables have fields with owners; credentials go by date.
var ownedTables = []string{schemas.Organizations, schemas.Departments, schemas.Groups, schemas.Users, schemas.Memberships}

func ownable(table string) bool { return slices.Contains(ownedTables, table) }

func columnNames(t *schemas.Table) []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// cutField takes a field's name apart: users.attributes["title"].
func cutField(field string) (table, column, key string) {
	table, column, _ = strings.Cut(field, ".")
	if c, k, ok := strings.Cut(column, `["`); ok {
		return table, c, strings.TrimSuffix(k, `"]`)
	}
	return table, column, ""
}

// owners is an ownership by the columns of one table.
type owners struct {
	columns []Owner
	keys    []map[string]Owner // of the columns that are maps; nil: as the column
}

func (o Ownership) of(shape *schemas.Table) owners {
	by := owners{columns: make([]Owner, len(shape.Columns)), keys: make([]map[string]Owner, len(shape.Columns))}
	for i := range by.columns {
		by.columns[i] = OwnerLegacy
		if o.Default != "" {
			by.columns[i] = o.Default
		}
	}
	for field, owner := range o.Fields {
		table, column, key := cutField(field)
		i := shape.Column(column)
		switch {
		case table != shape.Name || i < 0:
		case key == "":
			by.columns[i] = owner
		default:
			if by.keys[i] == nil {
				by.keys[i] = map[string]Owner{}
			}
			by.keys[i][key] = owner
		}
	}
	return by
}

// allOwned gives every column to one owner.
func allOwned(shape *schemas.Table, owner Owner) owners { return Ownership{Default: owner}.of(shape) }

// legacys says that legacy owns the whole column.
func (o *owners) legacys(i int) bool {
	return o.columns == nil || o.columns[i] == OwnerLegacy && o.keys[i] == nil
}
