package pipelines

import (
	"fmt"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/csv"
	"github.com/parallelrun/parallelrun/extract/jsonl"
	"github.com/parallelrun/parallelrun/extract/ldif"
	"github.com/parallelrun/parallelrun/extract/records"
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
	var sealer extract.Sealer
	if keys != nil { // a nil *Keyring would not be a nil Sealer
		sealer = keys
	}
	src, err := openSource(s, sealer)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", name, err)
	}
	return src, nil
}

func openSource(s config.Source, sealer extract.Sealer) (extract.Source, error) {
	o := records.Options{Namespace: s.Namespace, Sealer: sealer}
	switch {
	case s.CSV != nil:
		return csv.Open(csvConfig(s.CSV), o)
	case s.JSONL != nil:
		return jsonl.Open(jsonl.Config{Config: recordsConfig(&s.JSONL.Records)}, o)
	}
	return ldif.Open(ldifConfig(s.LDIF), ldif.Options{Namespace: s.Namespace, Sealer: sealer})
}

func sourceOf(c *config.Config, name string) (config.Source, error) {
	s, ok := c.Sources[name]
	if !ok {
		return s, &config.UnknownNameError{Kind: "source", Name: name, Known: slices.Sorted(maps.Keys(c.Sources)), Path: c.Path}
	}
	if s.LDIF == nil && s.CSV == nil && s.JSONL == nil {
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
	specs, err := declare(s)
	if err != nil {
		return nil, err
	}
	var tables []schemas.Table
	for _, spec := range specs {
		tables = append(tables, spec.Table)
	}
	return tables, nil
}

func declare(s config.Source) ([]extract.TableSpec, error) {
	switch {
	case s.LDIF != nil:
		own := ldifConfig(s.LDIF)
		return own.Declare()
	case s.CSV != nil:
		own := csvConfig(s.CSV)
		return own.Declare()
	case s.JSONL != nil:
		own := jsonl.Config{Config: recordsConfig(&s.JSONL.Records)}
		return own.Declare()
	}
	return nil, nil
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

func csvConfig(c *config.CSV) csv.Config {
	return csv.Config{Config: recordsConfig(&c.Records), Delimiter: c.Delimiter, Quote: c.Quote, Nulls: c.Nulls}
}

func recordsConfig(c *config.Records) records.Config {
	out := records.Config{SecretFields: c.SecretFields, Encoding: c.Encoding, MaxRow: int(c.MaxRow)}
	for _, t := range c.Tables {
		tc := records.TableConfig{Name: t.Name, Files: t.Files, Key: t.Key, KeyCase: t.KeyCase, Header: t.Header, Ignore: t.Ignore, Flatten: t.Flatten}
		for _, field := range slices.Sorted(maps.Keys(t.Columns)) {
			col := t.Columns[field]
			tc.Columns = append(tc.Columns, records.ColumnConfig{Field: field, As: col.As, Type: col.Type, Optional: col.Optional, Separator: col.Separator,
				Layouts: col.Layout, Zone: col.Zone, Encoding: col.Encoding, True: col.True, False: col.False})
		}
		out.Tables = append(out.Tables, tc)
	}
	return out
}
