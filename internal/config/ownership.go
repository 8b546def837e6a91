package config

import (
	"bytes"
	"encoding/json"
)

// Ownership says who owns the fields of rows that are in the target. Owners are
// words that package load knows.
type Ownership struct {
	// Default owns what Fields does not name; empty: legacy.
	Default string `json:"default,omitempty"`
	// Fields by name: users.email, or users.attributes["title"] for one key.
	Fields map[string]string `json:"fields,omitempty"`
}

// UnmarshalJSON takes one word for all fields too.
func (o *Ownership) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		*o = Ownership{}
		return json.Unmarshal(data, &o.Default)
	}
	type plain Ownership
	return json.Unmarshal(data, (*plain)(o))
}

// checkOwnership places what is wrong with an owner at its line.
func (c *Config) checkOwnership(k Checker, name string) Problems {
	if k.Ownership == nil {
		return nil
	}
	err := k.Ownership(c.Migrations[name].Ownership)
	if err == nil {
		return nil
	}
	p := path{"migrations", name, "ownership"}
	if f, ok := err.(interface{ OwnedField() string }); ok && f.OwnedField() != "" {
		p = p.child("fields").child(f.OwnedField())
	}
	return c.wrong(p, err)
}
