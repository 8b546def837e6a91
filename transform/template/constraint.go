package template

import (
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Constraint is what a template, or the target's user profile, asks of one
// attribute. What can't be compared (choices, conditions, negations) is not in
// it: that is left to the check of each row.
type Constraint struct {
	Required  bool
	Forbidden bool // the attribute may not be there at all
	Count     Count
	MinValues int // -1 for no bound, as in the other bounds
	MaxValues int

	// What every value must be. Types are JSON's, nil for any.
	Types                []string
	MinLength, MaxLength int
	Minimum, Maximum     *big.Rat // nil for no bound
	openMin, openMax     bool     // the bound itself is out
	Patterns             []string // each matches somewhere in the value
	Formats              []string
	Options              []string // nil for any

	accepts func(value string) bool // nil: everything above
}

// Count says how many values an attribute may have.
type Count uint8

// The three answers.
const (
	AnyCount Count = iota
	OneValue
	ManyValues
)

// Unbounded is a constraint that asks nothing.
func Unbounded() Constraint {
	return Constraint{MinValues: -1, MaxValues: -1, MinLength: -1, MaxLength: -1}
}

// Declared lists the properties that a template speaks of by name, sorted.
func (t *Template) Declared() []string {
	names := map[string]bool{}
	walk(t.compiled, 0, func(s *jsonschema.Schema) {
		for name := range s.Properties {
			names[name] = true
		}
	})
	return slices.Sorted(maps.Keys(names))
}

// Constraint is what the template asks of a property that it declares.
func (t *Template) Constraint(name string) Constraint {
	c := Unbounded()
	var own, all []*jsonschema.Schema // of the property: as written, and with what they take in
	lists, singles := false, false
	walk(t.compiled, 0, func(s *jsonschema.Schema) {
		c.Required = c.Required || slices.Contains(s.Required, name)
		if p := s.Properties[name]; p != nil {
			own = append(own, p)
		}
		walk(s.Properties[name], 0, func(p *jsonschema.Schema) {
			c.Forbidden = c.Forbidden || p.Always != nil && !*p.Always
			all = append(all, p)
			for _, typ := range p.Types {
				lists, singles = lists || typ == "array", singles || typ != "array" && typ != "null"
			}
		})
	})
	switch {
	case lists && !singles:
		c.Count = ManyValues
		for _, p := range all {
			narrow(&c.MinValues, p.MinItems, &c.MaxValues, p.MaxItems)
		}
		own, all = items(all)
	case singles && !lists:
		c.Count = OneValue
	}
	if !lists || !singles {
		c.value(all)
	}
	c.accepts = accepting(own, c.Types)
	return c
}

// accepting checks one value against the schemas of a property, as rows are
// checked. What a schema can't tell is let pass.
func accepting(schemas []*jsonschema.Schema, types []string) func(string) bool {
	return func(value string) bool {
		v := instance([]string{value}, types)
		for _, s := range schemas {
			var ve *jsonschema.ValidationError
			if errors.As(s.Validate(v), &ve) {
				return false
			}
		}
		return true
	}
}

// walk visits a schema and what it takes in by $ref and allOf.
func walk(s *jsonschema.Schema, depth int, visit func(*jsonschema.Schema)) {
	if s == nil || depth > 8 {
		return
	}
	visit(s)
	walk(s.Ref, depth+1, visit)
	for _, x := range s.AllOf {
		walk(x, depth+1, visit)
	}
}

// items are the schemas of a list's values: as written, and with what they take
// in.
func items(lists []*jsonschema.Schema) (own, all []*jsonschema.Schema) {
	for _, p := range lists {
		if p.Items2020 != nil {
			own = append(own, p.Items2020)
		}
		walk(p.Items2020, 0, func(s *jsonschema.Schema) { all = append(all, s) })
	}
	return own, all
}

// value takes in what schemas ask of one value.
func (c *Constraint) value(schemas []*jsonschema.Schema) {
	for _, s := range schemas {
		if len(s.Types) > 0 {
			if c.Types == nil {
				c.Types = s.Types
			} else {
				c.Types = common(c.Types, s.Types)
			}
		}
		narrow(&c.MinLength, s.MinLength, &c.MaxLength, s.MaxLength)
		c.atLeast(s.Minimum, false)
		c.atLeast(s.ExclusiveMinimum, true)
		c.atMost(s.Maximum, false)
		c.atMost(s.ExclusiveMaximum, true)
		if s.Pattern != nil {
			c.Patterns = append(c.Patterns, s.Pattern.String())
		}
		if s.Format != "" {
			c.Formats = append(c.Formats, s.Format)
		}
		if len(s.Constant) > 0 {
			c.options(s.Constant)
		}
		if len(s.Enum) > 0 {
			c.options(s.Enum)
		}
	}
}

func narrow(low *int, l int, high *int, h int) {
	*low = max(*low, l)
	if h >= 0 && (*high < 0 || h < *high) {
		*high = h
	}
}

func (c *Constraint) atLeast(n *big.Rat, open bool) {
	if n != nil && (c.Minimum == nil || n.Cmp(c.Minimum) > 0 || n.Cmp(c.Minimum) == 0 && open) {
		c.Minimum, c.openMin = n, open
	}
}

func (c *Constraint) atMost(n *big.Rat, open bool) {
	if n != nil && (c.Maximum == nil || n.Cmp(c.Maximum) < 0 || n.Cmp(c.Maximum) == 0 && open) {
		c.Maximum, c.openMax = n, open
	}
}

// options takes in allowed values; a list with others than scalars is left to
// the check of rows.
func (c *Constraint) options(list []any) {
	texts := make([]string, 0, len(list))
	for _, v := range list {
		switch x := v.(type) {
		case string:
			texts = append(texts, x)
		case bool:
			texts = append(texts, strconv.FormatBool(x))
		case json.Number:
			texts = append(texts, x.String())
		default:
			return
		}
	}
	if c.Options != nil {
		texts = slices.DeleteFunc(texts, func(s string) bool { return !slices.Contains(c.Options, s) })
	}
	c.Options = texts
}

// AsText is the constraint for a target that holds every value as text: types
// become the texts that stand for them.
func (c Constraint) AsText() Constraint {
	if c.Types == nil || slices.Contains(c.Types, "string") {
		c.Types = nil
		return c
	}
	var shapes []string
	for _, typ := range c.Types {
		if shape, known := typeShapes[typ]; known {
			shapes = append(shapes, shape)
		}
	}
	c.Types = nil
	if len(shapes) > 0 {
		c.Patterns = append(slices.Clone(c.Patterns), "^(?:"+strings.Join(shapes, "|")+")$")
	}
	return c
}

var typeShapes = map[string]string{"boolean": "true|false", "integer": `-?[0-9]+(?:\.0+)?`, "number": `-?[0-9]+(?:\.[0-9]+)?`}

// IntegerShape and NumberShape are the patterns of numbers written as text.
const (
	IntegerShape = `^-?[0-9]+$`
	NumberShape  = `^-?[0-9]+(?:\.[0-9]+)?$`
)

// formatShapes are patterns that every value of a format matches: not all that
// match them are of the format, but what two of them can't both match is of one
// format at most.
var formatShapes = map[string]string{
	"date":      `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`,
	"date-time": `^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].`,
	"time":      `^[0-9]{2}:[0-9]{2}:[0-9]{2}`,
	"email":     `.@.`,
	"ipv4":      `^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$`,
	"ipv6":      `^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$`,
	"uri":       `^[A-Za-z][A-Za-z0-9+.-]*:`,
	"uuid":      `^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$`,
}

// shapes are all patterns that a value must match.
func (c Constraint) shapes() []string {
	out := slices.Clone(c.Patterns)
	for _, f := range c.Formats {
		if shape, known := formatShapes[f]; known {
			out = append(out, shape)
		}
	}
	return out
}

// takes reports whether the constraint lets a text stand as one value.
func (c Constraint) takes(value string) bool {
	if c.accepts != nil {
		return c.accepts(value)
	}
	n := len([]rune(value))
	if n < c.MinLength || c.MaxLength >= 0 && n > c.MaxLength || c.Options != nil && !slices.Contains(c.Options, value) {
		return false
	}
	for _, p := range c.shapes() {
		if re, err := regexp.Compile(p); err == nil && !re.MatchString(value) {
			return false
		}
	}
	if c.Minimum == nil && c.Maximum == nil || !isNumber(value) {
		return c.Minimum == nil && c.Maximum == nil
	}
	x, _ := new(big.Rat).SetString(value)
	return !below(x, c.Minimum, c.openMin) && !above(x, c.Maximum, c.openMax)
}

func below(x, bound *big.Rat, open bool) bool {
	return bound != nil && (x.Cmp(bound) < 0 || open && x.Cmp(bound) == 0)
}

func above(x, bound *big.Rat, open bool) bool {
	return bound != nil && (x.Cmp(bound) > 0 || open && x.Cmp(bound) == 0)
}
