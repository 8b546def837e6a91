package main

import (
	"errors"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/transform"
)

// checkMapping compiles a migration's mapping against its source's tables.
func checkMapping(c *config.Config, _ string, m config.Migration) error {
	if _, err := pipelines.LegacyTables(c, m.Source); err != nil {
		return nil // checkSource tells
	}
	_, err := pipelines.LoadMapping(c, m)
	return mappingErr(err)
}

// checkAdopt asks the planner what it thinks of rules of adoption.
func checkAdopt(m config.Migration) error { return pipelines.AdoptRulesOf(m).Check() }

// checkAliases reads a migration's aliases. Decisions that can't be read are
// told as such.
func checkAliases(m config.Migration) error {
	_, err := pipelines.LoadAliases(m)
	if _, decisions := errors.AsType[config.Problems](err); decisions {
		return nil
	}
	errs, ok := errors.AsType[transform.AliasErrors](err)
	if !ok {
		return err
	}
	var ps config.Problems
	for _, e := range errs {
		ps = append(ps, &config.Problem{File: e.File, Line: e.Line, What: e.What, Next: e.Next})
	}
	return ps
}

// checkSource asks a source's own package what it thinks of its configuration.
func checkSource(s config.Source) error {
	_, err := pipelines.TablesOf(s)
	return err
}

// checkOwnership asks the planner whether owners and fields exist.
func checkOwnership(o config.Ownership) error {
	return pipelines.OwnershipOf(config.Migration{Ownership: o}).Check()
}

// mappingErr brings a mapping's problems into the form of the configuration's,
// and leaves other errors as they are.
func mappingErr(err error) error {
	if e, ok := errors.AsType[*transform.MappingError](err); ok {
		return mappingProblems(e)
	}
	return err
}

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
