package keymate

import (
	"encoding/json"
	"maps"
	"slices"
)

// profileRep is a realm's user profile. It is replaced whole by PUT, so what we
// don't know of it is kept as it came.
type profileRep struct {
	all        map[string]json.RawMessage
	Unmanaged  string // "": undeclared attributes are dropped
	Attributes []profileAttribute
}

// profileAttribute is one declared attribute, kept as it came beside what we
// read of it.
type profileAttribute struct {
	all         map[string]json.RawMessage
	Name        string
	Validations map[string]json.RawMessage
}

func (p *profileRep) UnmarshalJSON(b []byte) error {
	var known struct {
		Unmanaged  string `json:"unmanagedAttributePolicy"`
		Attributes []profileAttribute
	}
	if err := json.Unmarshal(b, &known); err != nil {
		return err
	}
	p.Unmanaged, p.Attributes = known.Unmanaged, known.Attributes
	return json.Unmarshal(b, &p.all)
}

func (p profileRep) MarshalJSON() ([]byte, error) {
	all := maps.Clone(p.all)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	var err error
	if all["attributes"], err = json.Marshal(p.Attributes); err != nil {
		return nil, err
	}
	if p.Unmanaged != "" {
		all["unmanagedAttributePolicy"], err = json.Marshal(p.Unmanaged)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

func (a *profileAttribute) UnmarshalJSON(b []byte) error {
	var known struct {
		Name        string
		Validations map[string]json.RawMessage
	}
	if err := json.Unmarshal(b, &known); err != nil {
		return err
	}
	a.Name, a.Validations = known.Name, known.Validations
	return json.Unmarshal(b, &a.all)
}

func (a profileAttribute) MarshalJSON() ([]byte, error) {
	all := maps.Clone(a.all)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	var err error
	if all["name"], err = json.Marshal(a.Name); err != nil {
		return nil, err
	}
	if a.Validations != nil {
		if all["validations"], err = json.Marshal(a.Validations); err != nil {
			return nil, err
		}
	}
	return json.Marshal(all)
}

func (p *profileRep) find(name string) *profileAttribute {
	i := slices.IndexFunc(p.Attributes, func(a profileAttribute) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Attributes[i]
}

func (p *profileRep) declares(name string) bool { return p.find(name) != nil }

// undeclared says whether administrators may write attributes that the profile
// does not declare, and see them.
func (p *profileRep) undeclared() bool {
	return p.Unmanaged == "ENABLED" || p.Unmanaged == "ADMIN_EDIT"
}

// selfEdited are the attributes that people may set on their own accounts.
func (p *profileRep) selfEdited() []string {
	var out []string
	for _, a := range p.Attributes {
		var permissions struct{ Edit []string }
		if raw, has := a.all["permissions"]; has && json.Unmarshal(raw, &permissions) == nil && slices.Contains(permissions.Edit, "user") {
			out = append(out, a.Name)
		}
	}
	return out
}

// limit is the longest value that an edit of the attribute may have, in UTF-16
// units; ok is false for an attribute that the server would drop.
func (p *profileRep) limit(name string) (n int, ok bool) {
	a := p.find(name)
	if a == nil {
		return maxUndeclaredValue, p.undeclared()
	}
	var length struct{ Max json.Number }
	if raw, has := a.Validations["length"]; has && json.Unmarshal(raw, &length) == nil {
		if n, err := length.Max.Int64(); err == nil && n > 0 {
			return int(n), true
		}
	}
	return maxUndeclaredValue, true
}

// validates says whether the attribute has the named validator.
func (p *profileRep) validates(name, validator string) bool {
	a := p.find(name)
	if a == nil {
		return false
	}
	_, has := a.Validations[validator]
	return has
}

func (p *profileRep) names() []string {
	var names []string
	for _, a := range p.Attributes {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	return names
}
