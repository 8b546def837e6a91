package ldif

import (
	"context"
	"fmt"

	"github.com/parallelrun/parallelrun/extract"
)

var _ extract.Lookup = (*Source)(nil)

// lookup is what Get looks for. A nil lookup takes every entry.
type lookup struct {
	table int
	keys  map[string]bool
}

func (l *lookup) takes(table int, key string) bool {
	return l == nil || l.table == table && l.keys[key]
}

// Get reads the files once more, whatever the number of keys, and yields the
// entries of a table that have one of them. What it says is as true as Read:
// a file that is empty, damaged or changes meanwhile is an error.
func (s *Source) Get(ctx context.Context, table string, keys []string, yield func(extract.Batch) error) error {
	l := &lookup{table: -1, keys: make(map[string]bool, len(keys))}
	for i, t := range s.tables {
		if t.spec.Table.Name == table {
			l.table = i
		}
	}
	if l.table < 0 {
		return fmt.Errorf("ldif: no table %q", table)
	}
	for _, k := range keys {
		l.keys[k] = true
	}
	r := newRun(s, extract.Limits{}, yield)
	defer r.release()
	r.only = l
	for i := range s.files {
		if err := r.file(ctx, i); err != nil {
			return err
		}
	}
	return r.flush()
}
