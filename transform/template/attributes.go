package template

import (
	"encoding/json"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Attributes checks a row's attributes: an object with a property per
// attribute. A property that the template calls an array takes the list of
// values; any other takes the single value, read as a number or boolean where
// the template asks for one. Several values where it wants one are a violation.
func (t *Template) Attributes(attributes map[string][]string) []Violation {
	object := make(map[string]any, len(attributes))
	for name, values := range attributes {
		if len(values) > 0 {
			object[name] = instance(values, t.types(name))
		}
	}
	return t.Check(object)
}

// types are the JSON types that the template allows for a property, nil for
// any.
func (t *Template) types(name string) []string {
	return propertyTypes(t.compiled, name, 0)
}

func propertyTypes(s *jsonschema.Schema, name string, depth int) []string {
	if s == nil || depth > 8 {
		return nil
	}
	if p, ok := s.Properties[name]; ok {
		return ownTypes(p, 0)
	}
	for _, next := range append([]*jsonschema.Schema{s.Ref}, s.AllOf...) {
		if types := propertyTypes(next, name, depth+1); types != nil {
			return types
		}
	}
	return nil
}

func ownTypes(s *jsonschema.Schema, depth int) []string {
	if s == nil || depth > 8 {
		return nil
	}
	if len(s.Types) > 0 {
		return s.Types
	}
	for _, next := range append([]*jsonschema.Schema{s.Ref}, s.AllOf...) {
		if types := ownTypes(next, depth+1); types != nil {
			return types
		}
	}
	return nil
}

func instance(values []string, types []string) any {
	if slices.Contains(types, "array") || len(values) > 1 {
		l := make([]any, len(values))
		for i, v := range values {
			l[i] = v
		}
		return l
	}
	v := values[0]
	switch {
	case slices.Contains(types, "string") || types == nil:
		return v
	case (slices.Contains(types, "number") || slices.Contains(types, "integer")) && isNumber(v):
		return json.Number(v)
	case slices.Contains(types, "boolean") && (v == "true" || v == "false"):
		return v == "true"
	}
	return v
}

// isNumber holds exponents small: the validator calculates exactly.
func isNumber(s string) bool {
	if len(s) > 40 || strings.ContainsAny(s, "eExX_/pPiInN") {
		return false
	}
	_, ok := new(big.Rat).SetString(s)
	return ok && json.Valid([]byte(s))
}
