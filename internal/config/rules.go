package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
)

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// rules checks what a schema can't say: names that lead somewhere, values that
// exclude each other.
func (c *Config) rules() Problems {
	ps := append(c.storeRules(), c.retentionRules()...)
	for _, section := range []struct {
		name string
		keys []string
	}{
		{"sources", slices.Sorted(maps.Keys(c.Sources))},
		{"targets", slices.Sorted(maps.Keys(c.Targets))},
		{"migrations", slices.Sorted(maps.Keys(c.Migrations))},
	} {
		ps = append(ps, c.nameRules(section.name, section.keys)...)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		ps = append(ps, c.sourceRules(name, c.Sources[name])...)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Targets)) {
		ps = append(ps, c.targetRules(name, c.Targets[name])...)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Migrations)) {
		ps = append(ps, c.migrationRules(name, c.Migrations[name])...)
	}
	return ps
}

// nameRules: names become parts of file names and refs of the store.
func (c *Config) nameRules(section string, names []string) (ps Problems) {
	for _, n := range names {
		if plainName.MatchString(n) && len(n) <= 64 {
			continue
		}
		p := path{section, n}
		ps = append(ps, c.doc.problem(c.doc.locateKey(p), p, fmt.Sprintf("%q can't be a name", n),
			"use at most 64 letters, digits, dots, dashes and underscores, a letter or digit first"))
	}
	return ps
}

func (c *Config) sourceRules(name string, s Source) (ps Problems) {
	if r := s.records(); r != nil {
		names := make([]string, len(r.Tables))
		for i, t := range r.Tables {
			names[i] = t.Name
		}
		return c.sameTable(name, names)
	}
	if s.LDIF == nil {
		return nil
	}
	names := make([]string, len(s.LDIF.Tables))
	for i, t := range s.LDIF.Tables {
		names[i] = t.Name
	}
	ps = c.sameTable(name, names)
	for i, t := range s.LDIF.Tables {
		p := path{"sources", name, "tables", strconv.Itoa(i), "name"}
		if t.Name == CatchAllTable {
			ps = append(ps, c.doc.problem(c.doc.locate(p), p, fmt.Sprintf("%q is the table of what no other takes", t.Name), "choose another name"))
		}
		ps = append(ps, c.unreachable(name, i, s.LDIF.Tables)...)
	}
	return ps
}

// sameTable: a table's name is its own.
func (c *Config) sameTable(source string, tables []string) (ps Problems) {
	for i, t := range tables {
		if slices.Contains(tables[:i], t) {
			p := path{"sources", source, "tables", strconv.Itoa(i), "name"}
			ps = append(ps, c.doc.problem(c.doc.locate(p), p, fmt.Sprintf("a second table is named %q", t), "give each table its own name"))
		}
	}
	return ps
}

// unreachable: a table after one that takes every entry gets none.
func (c *Config) unreachable(source string, i int, tables []LDIFTable) Problems {
	for j := range i {
		if tables[j].Where.IsZero() {
			p := path{"sources", source, "tables", strconv.Itoa(i)}
			return Problems{c.doc.problem(c.doc.locate(p), p, fmt.Sprintf("table %q gets no entry: %q above takes them all", tables[i].Name, tables[j].Name),
				fmt.Sprintf("put %q last, or give it conditions (where)", tables[j].Name))}
		}
	}
	return nil
}

func (c *Config) targetRules(name string, t Target) (ps Problems) {
	p := path{"targets", name}
	switch {
	case t.URL == "" && t.Sandbox == nil:
		ps = append(ps, c.doc.problem(c.doc.locateKey(p), p, fmt.Sprintf("target %q has no url", name), "add url: of the server, or sandbox: to try things out"))
	case t.URL != "" && t.Sandbox != nil:
		at := p.child("sandbox")
		ps = append(ps, c.doc.problem(c.doc.locateKey(at), at, fmt.Sprintf("target %q has a url and a sandbox", name), "keep one of them"))
	case t.URL != "" && t.Auth.IsZero():
		ps = append(ps, c.doc.problem(c.doc.locateKey(p), p, fmt.Sprintf("target %q has no auth", name), "add auth: with clientId and clientSecret of a client with a service account"))
	}
	return ps
}

func (c *Config) migrationRules(name string, m Migration) (ps Problems) {
	p := path{"migrations", name}
	if _, ok := c.Sources[m.Source]; !ok {
		at := p.child("source")
		ps = append(ps, c.doc.problem(c.doc.locate(at), at, fmt.Sprintf("there is no source named %q", m.Source), knownHint(m.Source, slices.Collect(maps.Keys(c.Sources)))))
	}
	if _, ok := c.Targets[m.Target]; !ok {
		at := p.child("target")
		ps = append(ps, c.doc.problem(c.doc.locate(at), at, fmt.Sprintf("there is no target named %q", m.Target), knownHint(m.Target, slices.Collect(maps.Keys(c.Targets)))))
	}
	return append(ps, c.waveRules(name, m)...)
}
