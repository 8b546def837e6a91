package iceberg

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// schema is one shape that the table has or had.
type schema struct {
	Type        string  `json:"type"`
	ID          int     `json:"schema-id"`
	Identifiers []int   `json:"identifier-field-ids"`
	Fields      []field `json:"fields"`
}

// columns are the fields of a table's parts, without ids: those that every part
// has around the table's own.
func columns(own []schemas.Column) ([]field, error) {
	fields := []field{
		{Name: schemas.RowIDColumn, Type: rowIDType, Required: true, Doc: "128 bits derived from the legacy key"},
		{Name: schemas.LegacyKeyColumn, Type: primitive("string"), Doc: "the source's identifier of the row"},
		{Name: parts.RowDigestColumn, Type: rowIDType, Required: true, Doc: "128 bits over the row's canonical encoding"},
	}
	for _, c := range own {
		t, err := typeOf(c.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		fields = append(fields, field{Name: c.Name, Type: t, Doc: c.Doc})
	}
	return append(fields, field{Name: parts.LargeColumn, Type: listOf(largeType, false), Doc: "values over 64 KiB, which lie in files of their own"}), nil
}

// ErrTypeChanged: a column has another type than in a snapshot before. Export
// the snapshots since then alone, into another folder.
var ErrTypeChanged = errors.New("Iceberg keeps one type for a name")

// catalog gives fields their ids, for good: a name has the id that it had in
// any schema before.
type catalog struct {
	schemas []schema
	last    int
	known   []field        // columns, in the order in which they came
	at      map[string]int // place in known, by name
}

func newCatalog(before []schema, last int) *catalog {
	c := &catalog{schemas: slices.Clone(before), last: last, at: map[string]int{}}
	for _, s := range before {
		for _, f := range s.Fields {
			c.learn(f)
		}
	}
	return c
}

func (c *catalog) learn(f field) {
	if _, there := c.at[f.Name]; !there {
		c.at[f.Name] = len(c.known)
		c.known = append(c.known, f)
	}
}

// schema finds the schema of a table's columns, or makes one.
func (c *catalog) schema(own []schemas.Column) (id int, err error) {
	fields, err := columns(own)
	if err != nil {
		return 0, err
	}
	for i := range fields {
		if err := c.identify(&fields[i]); err != nil {
			return 0, err
		}
	}
	s := schema{Type: structType, ID: len(c.schemas), Identifiers: []int{fields[0].ID}, Fields: fields}
	for _, before := range c.schemas {
		if sameSchema(before, s) {
			return before.ID, nil
		}
		s.ID = max(s.ID, before.ID+1)
	}
	c.schemas = append(c.schemas, s)
	return s.ID, nil
}

// identify gives a column its id and those within it.
func (c *catalog) identify(f *field) error {
	i, there := c.at[f.Name]
	if !there {
		c.number(f)
		c.learn(*f)
		return nil
	}
	known := c.known[i]
	if known.Type.String() != f.Type.String() {
		return fmt.Errorf("column %s: it is %s in one snapshot and %s in another: %w", f.Name, known.Type, f.Type, ErrTypeChanged)
	}
	f.ID, f.Type = known.ID, known.Type
	return nil
}

// number gives new ids, in a copy of the types that constants share.
func (c *catalog) number(f *field) {
	c.last++
	f.ID = c.last
	f.Type.fields = slices.Clone(f.Type.fields)
	for i := range f.Type.fields {
		c.number(&f.Type.fields[i])
	}
}

func sameSchema(a, b schema) bool {
	b.ID = a.ID
	x, err := json.Marshal(a)
	y, again := json.Marshal(b)
	return err == nil && again == nil && string(x) == string(y)
}

// mappedField says which field a name in a Parquet file means.
type mappedField struct {
	ID     int           `json:"field-id"`
	Names  []string      `json:"names"`
	Fields []mappedField `json:"fields,omitempty"`
}

// nameMapping covers the columns of all schemas: our Parquet files have no
// field ids.
func (c *catalog) nameMapping() (string, error) {
	b, err := json.Marshal(mapped(c.known))
	return string(b), err
}

func mapped(fields []field) []mappedField {
	var out []mappedField
	for _, f := range fields {
		out = append(out, mappedField{ID: f.ID, Names: []string{f.Name}, Fields: mapped(f.Type.fields)})
	}
	return out
}
