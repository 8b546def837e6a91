package parts

import (
	"fmt"

	"github.com/parallelrun/parallelrun/schemas"
)

// DuplicateError says that two rows have one id. The input is at fault: fix or
// reject one of the rows, or make the key unique, and write the table anew.
type DuplicateError struct {
	Table string
	// Key is the legacy key of the row that came first.
	Key string
	ID  schemas.RowID
	// Origins are the places of both rows in the source, the smaller first, as
	// the writer was given them (line or record numbers).
	Origins [2]int64
	// OneKnown: only one place is known, the second. The other row is as it was
	// in the parent, and nothing is kept of such rows. Written without a parent,
	// the table fails with both places.
	OneKnown bool
}

func (e *DuplicateError) Error() string {
	if e.OneKnown {
		return fmt.Sprintf("table %s: key %q occurs twice, once at %d of the source: remove one, or choose a key column that is unique",
			e.Table, e.Key, e.Origins[1])
	}
	return fmt.Sprintf("table %s: key %q occurs twice, at %d and %d of the source: remove one, or choose a key column that is unique",
		e.Table, e.Key, e.Origins[0], e.Origins[1])
}

// Corruption says that stored bytes are not what was written. Never write on
// top of it: restore the object from a copy of the store, or make the snapshot
// anew from its source.
type Corruption struct {
	// Object is the name of the object, empty where the damage lies between
	// objects.
	Object string
	// Table is the table whose part, index or value it is, if known.
	Table  string
	Detail string
	Advice string
	Err    error
}

func (e *Corruption) Error() string {
	s := "corrupt"
	if e.Object != "" {
		s += " object " + e.Object
	}
	if e.Table != "" {
		s += " of table " + e.Table
	}
	s += ": " + e.Detail
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + ": " + e.Advice
}

func (e *Corruption) Unwrap() error { return e.Err }

const adviceRestore = "restore the object from a copy of the store, or extract the snapshot again"

func corrupt(o Object, format string, args ...any) *Corruption {
	return &Corruption{Object: o.Name(), Detail: fmt.Sprintf(format, args...), Advice: adviceRestore}
}
