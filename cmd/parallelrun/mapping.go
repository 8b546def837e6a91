package main

import (
	"errors"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/extract/ldif"
	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform"
)

// checkMapping compiles a migration's mapping against its source's tables.
func checkMapping(c *config.Config, _ string, m config.Migration) error {
	source := c.Sources[m.Source]
	if source.LDIF == nil {
		return nil
	}
	tables, err := legacyTables(source.LDIF)
	if err != nil {
		return nil // checkSource tells
	}
	_, err = transform.LoadMapping(m.Mapping, transform.LoadOptions{Tables: tables})
	if e, ok := errors.AsType[*transform.MappingError](err); ok {
		return mappingProblems(e)
	}
	return err
}

// checkSource asks a source's own package what it thinks of its configuration.
func checkSource(s config.Source) error {
	if s.LDIF == nil {
		return nil
	}
	_, err := legacyTables(s.LDIF)
	return err
}

func legacyTables(c *config.LDIF) ([]schemas.Table, error) {
	var own ldif.Config
	for _, t := range c.Tables {
		tc := ldif.TableConfig{Name: t.Name, Key: t.Key, KeyCase: t.KeyCase, OnMissingKey: t.OnMissingKey,
			Where: ldif.Where{ObjectClass: t.Where.ObjectClass, Under: t.Where.Under, RDN: t.Where.RDN}}
		for _, name := range slices.Sorted(maps.Keys(t.Columns)) {
			tc.Columns = append(tc.Columns, ldif.ColumnConfig{Name: name, Type: t.Columns[name]})
		}
		own.Tables = append(own.Tables, tc)
	}
	own.SecretAttributes = c.SecretAttributes
	specs, err := own.Specs()
	var tables []schemas.Table
	for _, s := range specs {
		tables = append(tables, s.Table)
	}
	return tables, err
}

// mappingProblems brings a mapping's problems into the form of the
// configuration's.
func mappingProblems(e *transform.MappingError) config.Problems {
	var ps config.Problems
	for _, p := range e.Problems {
		what := p.Message
		if p.Path != "" {
			what = p.Path + ": " + what
		}
		ps = append(ps, &config.Problem{File: config.ShortPath(p.File), Line: p.Line, Column: p.Column, Path: p.Path, What: what, Next: p.Hint})
	}
	return ps
}
