package records

import (
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/secrets"
	"github.com/parallelrun/parallelrun/schemas"
)

// table is a table compiled from its configuration. It is not written to once
// compiled, so that several Reads may share it.
type table struct {
	spec     extract.TableSpec
	config   TableConfig
	fold     bool
	declared []*column
	columns  map[string]*column // by field
	ignored  map[string]bool
	secret   map[string]bool // fields, in lower case
	files    []int           // of the source

	problems, unread, other, otherSealed int // columns
}

// column is a declared column.
type column struct {
	field, name string
	at          int // position in the table
	typ         schemas.Type
	optional    bool
	separator   string
	layouts     []layout
	zone        *time.Location
	decode      func([]byte) ([]byte, error)
	words       map[string]bool
}

// isSecret reports whether a field is a secret by its name; for a member of a
// nested object the last part of the name counts as well.
func (t *table) isSecret(field string) bool {
	low := strings.ToLower(field)
	last := low[strings.LastIndexByte(low, '.')+1:]
	return t.secret[low] || t.secret[last] || secrets.Named(low) || secrets.Named(last)
}

// slot is what becomes of a field of a file.
type slot struct {
	field   string
	column  *column // nil: the field goes to the other column
	ignored bool
	secret  bool
	key     int // position in the key, or -1
}

func (t *table) slot(field string) *slot {
	s := &slot{field: field, column: t.columns[field], ignored: t.ignored[field], secret: t.isSecret(field), key: -1}
	for i, k := range t.config.Key {
		if k == field {
			s.key = i
		}
	}
	return s
}
