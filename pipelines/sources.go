package pipelines

import (
	"fmt"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/ldif"
	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/schemas"
)

// OpenSource opens a configured source. sealer may be nil for one that is only
// asked for its tables.
func OpenSource(c *config.Config, name string, sealer extract.Sealer) (extract.Source, error) {
	s, ok := c.Sources[name]
	if !ok {
		return nil, &config.UnknownNameError{Kind: "source", Name: name, Known: slices.Sorted(maps.Keys(c.Sources)), Path: c.Path}
	}
	if s.LDIF == nil {
		return nil, fmt.Errorf("%s: source %s: kind %q is not known", c.Path, name, s.Kind)
	}
	src, err := ldif.Open(ldifConfig(s.LDIF), ldif.Options{Namespace: s.Namespace, Sealer: sealer})
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", name, err)
	}
	return src, nil
}

// LegacyTables are the tables that a configured source declares, for compiling
// a mapping without reading anything.
func LegacyTables(c *config.Config, name string) ([]schemas.Table, error) {
	src, err := OpenSource(c, name, nil)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	var tables []schemas.Table
	for _, spec := range src.Tables() {
		tables = append(tables, spec.Table)
	}
	return tables, nil
}

func ldifConfig(c *config.LDIF) ldif.Config {
	out := ldif.Config{Files: c.Files, SecretAttributes: c.SecretAttributes,
		MaxLineBytes: int(c.MaxLine), MaxEntryBytes: int(c.MaxEntry)}
	for _, t := range c.Tables {
		tc := ldif.TableConfig{Name: t.Name, Key: t.Key, KeyCase: t.KeyCase, OnMissingKey: t.OnMissingKey,
			Where: ldif.Where{ObjectClass: t.Where.ObjectClass, Under: t.Where.Under, RDN: t.Where.RDN}}
		for _, col := range slices.Sorted(maps.Keys(t.Columns)) {
			tc.Columns = append(tc.Columns, ldif.ColumnConfig{Name: col, Type: t.Columns[col]})
		}
		out.Tables = append(out.Tables, tc)
	}
	return out
}
