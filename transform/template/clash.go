package template

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Clash is two constraints on one attribute that no value can satisfy both, in
// words: A of the first, B of the second.
type Clash struct{ A, B string }

// Clashes lists what two constraints on one attribute contradict each other in.
// Constraints that merely differ do not clash.
func Clashes(a, b Constraint) (out []Clash) {
	if a.Forbidden || b.Forbidden {
		if a.Forbidden != b.Forbidden && (a.Required || b.Required) {
			return []Clash{{a.presence(), b.presence()}}
		}
		return nil
	}
	if a.Count != AnyCount && b.Count != AnyCount && a.Count != b.Count {
		return []Clash{{a.count(), b.count()}}
	}
	if apart(a.MinValues, a.MaxValues, b.MinValues, b.MaxValues) {
		out = append(out, Clash{bounds("Items", a.MinValues, a.MaxValues), bounds("Items", b.MinValues, b.MaxValues)})
	}
	if c, found := valueClash(a, b); found {
		out = append(out, c)
	}
	return out
}

// valueClash finds the first reason for which no value can be both; the others
// often follow from it.
func valueClash(a, b Constraint) (Clash, bool) {
	switch {
	case a.Types != nil && b.Types != nil && len(common(a.Types, b.Types)) == 0:
		return Clash{"type " + quote(a.Types), "type " + quote(b.Types)}, true
	case a.Options != nil && b.Options != nil && !slices.ContainsFunc(a.Options, both(a, b)):
		return Clash{a.enum(), b.enum()}, true
	case a.Options != nil && !slices.ContainsFunc(a.Options, both(a, b)) && slices.ContainsFunc(a.Options, a.takes):
		return Clash{a.enum(), b.words()}, true
	case b.Options != nil && !slices.ContainsFunc(b.Options, both(a, b)) && slices.ContainsFunc(b.Options, b.takes):
		return Clash{a.words(), b.enum()}, true
	case apart(a.MinLength, a.MaxLength, b.MinLength, b.MaxLength):
		return Clash{bounds("Length", a.MinLength, a.MaxLength), bounds("Length", b.MinLength, b.MaxLength)}, true
	case rangesApart(a, b), rangesApart(b, a):
		return Clash{a.numbers(), b.numbers()}, true
	}
	return shapeClash(a, b)
}

func both(a, b Constraint) func(string) bool {
	return func(s string) bool { return a.takes(s) && b.takes(s) }
}

// shapeClash finds patterns, formats and lengths that no text fits together. A
// constraint that no text fits by itself is not the other's fault.
func shapeClash(a, b Constraint) (Clash, bool) {
	as, bs := a.shapes(), b.shapes()
	if len(as) == 0 && len(bs) == 0 || slices.Equal(as, bs) || !a.fits() || !b.fits() {
		return Clash{}, false
	}
	if never(slices.Concat(as, bs), -1, -1) {
		return Clash{a.shapeWords(), b.shapeWords()}, true
	}
	low, high := -1, -1
	narrow(&low, a.MinLength, &high, a.MaxLength)
	narrow(&low, b.MinLength, &high, b.MaxLength)
	if never(slices.Concat(as, bs), low, high) {
		return Clash{a.words(), b.words()}, true
	}
	return Clash{}, false
}

// fits reports that some text fits, or that it can't be told.
func (c Constraint) fits() bool { return !never(c.shapes(), c.MinLength, c.MaxLength) }

// never reports that it is proven that no text fits.
func never(patterns []string, shortest, longest int) bool {
	if len(patterns) == 0 {
		return longest >= 0 && shortest > longest
	}
	found, known := overlap(patterns, shortest, longest)
	return known && !found
}

func common(a, b []string) (out []string) {
	for _, typ := range a {
		switch {
		case slices.Contains(b, typ):
			out = append(out, typ)
		case typ == "integer" && slices.Contains(b, "number"):
			out = append(out, typ)
		case typ == "number" && slices.Contains(b, "integer"):
			out = append(out, "integer")
		}
	}
	return out
}

func apart(low1, high1, low2, high2 int) bool {
	return high1 >= 0 && low2 > high1 || high2 >= 0 && low1 > high2
}

// rangesApart reports that all numbers of a are below those of b.
func rangesApart(a, b Constraint) bool {
	if a.Maximum == nil || b.Minimum == nil {
		return false
	}
	return below(a.Maximum, b.Minimum, a.openMax || b.openMin)
}

func (c Constraint) presence() string {
	switch {
	case c.Forbidden:
		return "no value"
	case c.Required:
		return "a value (required)"
	}
	return "any"
}

func (c Constraint) count() string {
	if c.Count == ManyValues {
		return "several values (array)"
	}
	return "one value"
}

func (c Constraint) enum() string { return "enum " + quote(c.Options) }

func (c Constraint) numbers() string {
	var out []string
	if c.Minimum != nil {
		out = append(out, map[bool]string{false: "minimum ", true: "exclusiveMinimum "}[c.openMin]+c.Minimum.RatString())
	}
	if c.Maximum != nil {
		out = append(out, map[bool]string{false: "maximum ", true: "exclusiveMaximum "}[c.openMax]+c.Maximum.RatString())
	}
	return strings.Join(out, ", ")
}

func (c Constraint) shapeWords() string {
	var out []string
	for _, p := range c.Patterns {
		out = append(out, "pattern "+quote(p))
	}
	for _, f := range c.Formats {
		out = append(out, "format "+quote(f))
	}
	return strings.Join(out, ", ")
}

// words are all that the constraint asks of a value.
func (c Constraint) words() string {
	var out []string
	if c.Types != nil {
		out = append(out, "type "+quote(c.Types))
	}
	for _, s := range []string{c.shapeWords(), bounds("Length", c.MinLength, c.MaxLength), c.numbers()} {
		if s != "" {
			out = append(out, s)
		}
	}
	if c.Options != nil {
		out = append(out, c.enum())
	}
	if len(out) == 0 {
		return "other conditions" // in a choice or an if, which only a row can be held against
	}
	return strings.Join(out, ", ")
}

func bounds(what string, low, high int) string {
	var out []string
	if low >= 0 {
		out = append(out, fmt.Sprintf("min%s %d", what, low))
	}
	if high >= 0 {
		out = append(out, fmt.Sprintf("max%s %d", what, high))
	}
	return strings.Join(out, ", ")
}

// maxQuoted bounds a constraint in a message.
const maxQuoted = 200

// quote writes what a template says; a list of one is written alone. It never
// comes from a checked row.
func quote(v any) string {
	if l, ok := v.([]string); ok && len(l) == 1 {
		v = l[0]
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return ""
	}
	s := []rune(strings.TrimSpace(b.String()))
	if len(s) > maxQuoted {
		return string(s[:maxQuoted]) + "…"
	}
	return string(s)
}
