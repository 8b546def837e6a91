package keymate

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

func TestProfileRules(t *testing.T) {
	const text = `{"unmanagedAttributePolicy": "ADMIN_EDIT", "attributes": [
	  {"name": "badge", "multivalued": false, "required": {"roles": ["user"]},
	   "validations": {"length": {"min": "1", "max": "12"}, "pattern": {"pattern": "[0-9]+", "error-message": "no"}}},
	  {"name": "level", "required": {"scopes": ["x"]}, "validations": {"options": {"options": ["a", "b"]}, "integer": {"min": 3, "max": "7"}}},
	  {"name": "tags", "multivalued": true, "required": null, "validations": {"multivalued": {"min": 1, "max": 5}, "email": {}}},
	  {"name": "odd", "required": {}, "validations": {"length": "?", "pattern": 1, "options": [], "double": null}},
	  {"name": "plain"}]}`
	var p profileRep
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	want := map[string]schemas.AttributeRule{
		"badge": {Required: true, Single: true, MinLength: 1, MaxLength: 12, Pattern: "[0-9]+"},
		"level": {Single: true, Options: []string{"a", "b"}, Kind: "integer", Minimum: "3", Maximum: "7"},
		"tags":  {MinValues: 1, MaxValues: 5, Kind: "email"},
		"odd":   {Required: true, Single: true, Kind: "number"},
		"plain": {Single: true},
	}
	if diff := cmp.Diff(want, p.rules()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
