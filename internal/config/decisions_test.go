package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecisions(t *testing.T) {
	got, err := ParseDecisions("d.yaml", []byte(`version: 1
decisions:
  - table: users
    key: a1
    field: email
    take: legacy
    legacy: a@x
    keymate: [b@x]
  - {table: users, key: a2, take: later}
  - {table: users, key: a3, take: adopt, account: 0f}
`))
	want := []Decision{
		{Table: "users", Key: "a1", Field: "email", Take: "legacy", Place: "d.yaml:3"},
		{Table: "users", Key: "a3", Take: "adopt", Account: "0f", Place: "d.yaml:10"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestBadDecisions(t *testing.T) {
	for text, want := range map[string]string{
		"version: 1\ndecisions:\n  - {table: users, key: a, take: theirs}":            `d.yaml:3:34: decisions[0].take: "theirs" is not known`,
		"version: 1\ndecisions:\n  - {table: users, ky: a, take: legacy}":             `unknown key "ky"`,
		"version: 1\ndecisions:\n  - {table: users, key: a, take: legacy, id: 12}":    "decisions[0].id: want a text, have a number",
		"version: 1\ndecisions:\n  - {table: users, key: a, take: legacy, id: 'xyz'}": "d.yaml:3:46: decisions[0].id",
		"version: 2\ndecisions: []": "d.yaml:1:10: version",
		"decisions: []":             `version`,
		"version: 1\ndecisions:\n  - table: users\n   key: a":                          "not valid YAML",
		"version: 1\ndecisions:\n  - {table: people, key: a, take: legacy}":            `decisions[0].table: "people" is not known`,
		"version: 1\ndecisions:\n  - {table: users, key: a, take: legacy}\n  - {a: 1}": "decisions[1]",
	} {
		_, err := ParseDecisions("d.yaml", []byte(text))
		ps, ok := errors.AsType[Problems](err)
		if !ok || !strings.Contains(ps.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// No bytes break the reader of decisions.
func FuzzDecisions(f *testing.F) {
	f.Add([]byte("version: 1\ndecisions:\n  - {table: users, key: a, take: legacy}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseDecisions("d.yaml", data)
		if err != nil && list != nil {
			t.Errorf("decisions beside %v", err)
		}
	})
}
