package pipelines

import (
	"fmt"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/ldif"
	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/schemas"
)

// OpenSource opens a configured source, whose secrets keys seals.
func OpenSource(c *config.Config, name string, keys *seal.Keyring) (extract.Source, error) {
	s, err := sourceOf(c, name)
	if err != nil {
		return nil, err
	}
	o := ldif.Options{Namespace: s.Namespace}
	if keys != nil { // a nil *Keyring would not be a nil Sealer
		o.Sealer = keys
	}
	src, err := ldif.Open(ldifConfig(s.LDIF), o)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", name, err)
	}
	return src, nil
}

func sourceOf(c *config.Config, name string) (config.Source, error) {
	s, ok := c.Sources[name]
	if !ok {
		return s, &config.UnknownNameError{Kind: "source", Name: name, Known: slices.Sorted(maps.Keys(c.Sources)), Path: c.Path}
	}
	if s.LDIF == nil {
		return s, fmt.Errorf("%s: source %s: kind %q is not known", c.Path, name, s.Kind)
	}
	return s, nil
}

// LegacyTables are the tables that a configured source declares, for compiling
// a mapping without reading anything.
func LegacyTables(c *config.Config, name string) ([]schemas.Table, error) {
	s, err := sourceOf(c, name)
	if err != nil {
		return nil, err
	}
	return TablesOf(s)
}

// TablesOf is LegacyTables of one source. Its error says what the source's own
// package makes of the configuration.
func TablesOf(s config.Source) ([]schemas.Table, error) {
	if s.LDIF == nil {
		return nil, nil
	}
	own := ldifConfig(s.LDIF)
	specs, err := own.Declare()
	if err != nil {
		return nil, err
	}
	var tables []schemas.Table
	for _, spec := range specs {
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
