package schemas

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
)

// Column is one column of a table. ID is its stable field id, under which the
// canonical encoding knows it; names are never re-used for something else.
type Column struct {
	ID   int32
	Name string
	Type Type
	// Set says that the order of a multi-valued column's values (of each list,
	// for maps) carries no meaning: values are compared and encoded sorted and
	// without duplicates. Otherwise order is kept.
	Set bool
	// Refs names the table whose row ids (as hex) the column holds, if any.
	Refs string
	// Doc is one line for reference pages.
	Doc string
}

// Table is the shape of one entity's rows in a snapshot. Row id, legacy key
// and row digest are part of every table and not listed among the columns.
type Table struct {
	Name    string
	Columns []Column
	// DependsOn names the table whose rows these belong to (dependent row ids),
	// empty for independent rows.
	DependsOn string
}

// Column returns the position of the named column, or -1.
func (t *Table) Column(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
}

// Secrets reports whether any column is sealed.
func (t *Table) Secrets() bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Type.IsSecret() })
}

// KeyFieldID is the field id of the legacy key in the canonical encoding.
const KeyFieldID int32 = 2

// namedFieldBase separates derived field ids from the fixed ones of the entity
// tables.
const namedFieldBase = 1 << 30

// NamedFieldID derives the field id of a legacy table's column from its name,
// so that two stores agree on it without sharing a history. NewLegacyTable
// refuses the (2^-30) case of two names with one id.
func NamedFieldID(name string) int32 {
	sum := sha256.Sum256([]byte("parallelrun field " + name))
	return int32(namedFieldBase | binary.BigEndian.Uint32(sum[:4])&(namedFieldBase-1))
}

// The catch-all columns of every legacy table: what the source holds beyond
// the declared attributes, so that nothing is dropped and a new attribute needs
// no schema change. Values that look like secrets go to OtherSealed.
const (
	OtherColumn       = "other"
	OtherSealedColumn = "other_sealed"
)

// UnreadColumn is a column that sources may give a table: why the row could not
// be read, and where it stands. All other columns of such a row are null
// without being absent, so no rule may take it for a row that stands.
const UnreadColumn = "unread"

// NewLegacyTable makes the table of a source's own rows: the declared columns
// under field ids derived from their names, then the two catch-alls.
func NewLegacyTable(name string, declared []Column) (Table, error) {
	t := Table{Name: name}
	t.Columns = append(t.Columns, declared...)
	t.Columns = append(t.Columns,
		Column{Name: OtherColumn, Type: BinariesMap, Doc: "attributes without a column of their own"},
		Column{Name: OtherSealedColumn, Type: SecretsMap, Doc: "the same, for values that look like secrets"})
	seen := map[int32]string{}
	for i := range t.Columns {
		c := &t.Columns[i]
		c.ID = NamedFieldID(c.Name)
		if prev, dup := seen[c.ID]; dup {
			return Table{}, fmt.Errorf("table %s: columns %q and %q share a name or a field id: rename one", name, prev, c.Name)
		}
		seen[c.ID] = c.Name
	}
	return t, nil
}
