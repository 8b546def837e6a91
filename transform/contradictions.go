package transform

import (
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform/template"
)

// A target has one user profile for all of its organizations, so what the
// templates of users ask of an attribute must be something that a value can be.
// Templates of organizations and departments stand for themselves: the target
// keeps their attributes apart.

// contradictions finds user templates that no value of one attribute can
// satisfy both.
func (l *loader) contradictions() {
	var before []*propertyTemplate
	for _, t := range l.m.templates {
		if t.appliesTo != userTemplate {
			continue
		}
		for _, name := range t.schema.Declared() {
			c := t.schema.Constraint(name)
			for _, other := range before {
				if !slices.Contains(other.schema.Declared(), name) {
					continue
				}
				for _, x := range template.Clashes(other.schema.Constraint(name), c) {
					l.list = append(l.list, l.m.contradiction(t, name,
						fmt.Sprintf("template %s (%s) asks for %s, template %s (%s) for %s", other.name, other.file, x.A, t.name, t.file, x.B),
						"the target has one user profile for all organizations: let the two overlap, or give the attribute another name in one template and in the rules that fill it"))
				}
			}
		}
		before = append(before, t)
	}
}

// CheckProfile holds the templates of users against what the target's user
// profile asks of the same attributes. It returns a *MappingError that names
// all that no value can satisfy both: nothing should be read from the source or
// written before they are mended.
func (m *Mapping) CheckProfile(p schemas.TargetProfile) error {
	ps := problems{file: m.file}
	for _, t := range m.templates {
		if t.appliesTo != userTemplate {
			continue
		}
		for _, name := range t.schema.Declared() {
			rule, declared := p.AttributeRules[name]
			if !declared {
				continue
			}
			for _, x := range profileClashes(t.schema.Constraint(name), rule) {
				ps.list = append(ps.list, m.contradiction(t, name,
					fmt.Sprintf("template %s (%s) asks for %s, the target's user profile for %s", t.name, t.file, x.A, x.B),
					"change the attribute in the target's user profile or in the template, or give it another name in the template and in the rules that fill it"))
			}
		}
	}
	return ps.err()
}

// contradiction places a problem at an attribute of a template.
func (m *Mapping) contradiction(t *propertyTemplate, attribute, what, hint string) Problem {
	path := filepath.Join(filepath.Dir(m.file), filepath.FromSlash(t.file))
	p := Problem{File: path, Line: 1, Column: 1, Path: "templates." + t.name, Offset: -1, Hint: hint,
		Message: fmt.Sprintf("attribute %q: no value can satisfy both: %s", attribute, what)}
	if root, err := parseYAML(path, t.data); err == nil { // JSON is YAML
		if at := root.get("properties").keyOf(attribute); at != nil {
			p.Line, p.Column = at.line, at.column
		}
	}
	return p
}

// profileClashes compares a template with a profile, which holds texts only. A
// profile that takes several values takes one as well, and a list of one is one
// value.
func profileClashes(t template.Constraint, rule schemas.AttributeRule) []template.Clash {
	t = t.AsText()
	switch {
	case t.Count == template.ManyValues:
		if t.MaxValues == 0 || t.MaxValues == 1 {
			t.Count = template.AnyCount
		}
	case !rule.Single && rule.MinValues < 2:
		t.Count = template.AnyCount
	}
	return template.Clashes(t, ruleConstraint(rule))
}

// ruleConstraint says a profile's rule in the words of templates.
func ruleConstraint(r schemas.AttributeRule) template.Constraint {
	c := template.Unbounded()
	c.Required = r.Required
	c.Count = template.ManyValues
	if r.Single {
		c.Count = template.OneValue
	}
	bound := func(into *int, n int) {
		if n > 0 {
			*into = n
		}
	}
	bound(&c.MinValues, r.MinValues)
	bound(&c.MaxValues, r.MaxValues)
	bound(&c.MinLength, r.MinLength)
	bound(&c.MaxLength, r.MaxLength)
	if r.Pattern != "" {
		c.Patterns = append(c.Patterns, "^(?:"+r.Pattern+")$")
	}
	switch r.Kind {
	case "":
	case "integer":
		c.Patterns = append(c.Patterns, template.IntegerShape)
	case "number":
		c.Patterns = append(c.Patterns, template.NumberShape)
	default:
		c.Formats = append(c.Formats, r.Kind)
	}
	if len(r.Options) > 0 {
		c.Options = r.Options
	}
	c.Minimum, c.Maximum = decimal(r.Minimum), decimal(r.Maximum)
	return c
}

// decimal reads a bound; what is no plain number is none.
func decimal(s string) *big.Rat {
	if len(s) > 40 || strings.Trim(s, "-.0123456789") != "" {
		return nil // exponents could be huge
	}
	if n, ok := new(big.Rat).SetString(s); ok {
		return n
	}
	return nil
}
