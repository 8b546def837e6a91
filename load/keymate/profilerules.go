package keymate

import (
	"bytes"
	"encoding/json"

	"github.com/parallelrun/parallelrun/schemas"
)

// rules are what the profile asks of its attributes, in neutral words.
func (p *profileRep) rules() map[string]schemas.AttributeRule {
	out := make(map[string]schemas.AttributeRule, len(p.Attributes))
	for i := range p.Attributes {
		out[p.Attributes[i].Name] = p.Attributes[i].rule()
	}
	return out
}

// validatorKinds are the validators that say what a value is.
var validatorKinds = map[string]string{"integer": "integer", "double": "number", "email": "email", "uri": "uri", "iso-date": "date"}

func (a *profileAttribute) rule() schemas.AttributeRule {
	r := schemas.AttributeRule{Single: !a.multivalued(), Required: a.required()}
	for name, kind := range validatorKinds {
		if raw, has := a.Validations[name]; has {
			r.Kind = kind
			var bounds struct{ Min, Max json.Number }
			if json.Unmarshal(raw, &bounds) == nil { // settings that can't be read ask nothing that we know of
				r.Minimum, r.Maximum = bounds.Min.String(), bounds.Max.String()
			}
		}
	}
	r.MinLength, r.MaxLength = a.bounds("length")
	r.MinValues, r.MaxValues = a.bounds("multivalued")
	var pattern struct{ Pattern string }
	if json.Unmarshal(a.Validations["pattern"], &pattern) == nil {
		r.Pattern = pattern.Pattern
	}
	var options struct{ Options []string }
	if json.Unmarshal(a.Validations["options"], &options) == nil {
		r.Options = options.Options
	}
	return r
}

func (a *profileAttribute) multivalued() bool {
	var yes bool
	return json.Unmarshal(a.all["multivalued"], &yes) == nil && yes
}

// required says whether every user needs the attribute; one that is asked for
// in some scopes only is not.
func (a *profileAttribute) required() bool {
	raw := a.all["required"]
	var when struct{ Scopes []string }
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null")) && json.Unmarshal(raw, &when) == nil && len(when.Scopes) == 0
}

// bounds reads a validator's min and max, which the console stores as text.
func (a *profileAttribute) bounds(validator string) (low, high int) {
	var v struct{ Min, Max json.Number }
	if json.Unmarshal(a.Validations[validator], &v) != nil {
		return 0, 0
	}
	l, _ := v.Min.Int64() // none, or no number: no bound
	h, _ := v.Max.Int64()
	return int(max(l, 0)), int(max(h, 0))
}
