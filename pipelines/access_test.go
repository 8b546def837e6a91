package pipelines

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// The configuration's schema knows the kinds that a gate does.
func TestGateKindsInSchema(t *testing.T) {
	var s struct {
		Defs struct {
			Gate struct {
				Properties struct {
					Kinds struct {
						Items struct {
							Enum []string `json:"enum"`
						} `json:"items"`
					} `json:"kinds"`
				} `json:"properties"`
			} `json:"wideningGate"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(schemas.ConfigSchema, &s); err != nil {
		t.Fatal(err)
	}
	if got := s.Defs.Gate.Properties.Kinds.Items.Enum; !slices.Equal(got, load.GateKinds) {
		t.Errorf("the schema has kinds %q, a gate %q", got, load.GateKinds)
	}
}

func TestGateOf(t *testing.T) {
	three := int64(3)
	configured := &config.WideningGate{Users: 1, Roles: []string{"reader"}, Kinds: []string{"links"}, NewUsers: true}
	for _, c := range []struct {
		name string
		in   *config.WideningGate
		say  []string
		want *load.WideningGate
	}{
		{"none", nil, nil, nil},
		{"configured", configured, nil, &load.WideningGate{Users: 1, Roles: []string{"reader"}, Kinds: []string{"links"}, NewUsers: true}},
		{"named for one run alone", nil, []string{"roles=writer"}, &load.WideningGate{Roles: []string{"writer"}}},
		{"named beside the configured", configured, []string{"roles=writer,boss", "users=3", "kinds=enable"},
			&load.WideningGate{Users: three, Roles: []string{"reader", "writer", "boss"}, Kinds: []string{"links", "enable"}, NewUsers: true}},
		{"nobody", configured, []string{"users=0"}, &load.WideningGate{Roles: []string{"reader"}, Kinds: []string{"links"}, NewUsers: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := ParseWiden(c.say)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, gateOf(c.in, w)); diff != "" {
				t.Errorf("gate (-want +got):\n%s", diff)
			}
		})
	}
	for _, bad := range []string{"", "roles", "roles=", "users=", "users=-1", "kinds=groups", "writer"} {
		if _, err := ParseWiden([]string{bad}); err == nil {
			t.Errorf("--widen %q was understood", bad)
		}
	}
}
