package pipelines

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
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

// What people read of a plan's access: by wave where there are several, the most
// frequent gains, and what the gate says.
func TestAccessText(t *testing.T) {
	gains := []load.GainCount{{Grant: load.Grant{Kind: load.GrantRole, What: "payroll-admin", Way: "through department Meridian/Finance"}, Users: 1200}}
	for i := range 11 {
		gains = append(gains, load.GainCount{Grant: load.Grant{Kind: load.GrantRole, What: "r" + strconv.Itoa(i)}, Users: 1})
	}
	out := &Outcome{Record: Record{ID: "RUN"}, Planned: &Plan{Access: &load.Access{
		Total:    load.AccessCounts{Widened: 1201, Narrowed: 2, New: 1, Enabled: 3, Passwords: 1},
		Waves:    map[string]load.AccessCounts{"": {Widened: 1}, "pilot": {Widened: 1200, Narrowed: 2, New: 1}},
		Gains:    gains,
		NewGains: []load.GainCount{{Grant: load.Grant{Kind: load.GrantRole, What: "reader", Encoded: true}, Users: 1}},
		Unread:   []string{"what role x contains"},
		Gate:     &load.GateOutcome{WideningGate: load.WideningGate{Users: 5}, Over: 1201},
	}}}
	var b strings.Builder
	out.textAccess(ui.NewPage(&b, 0))
	want := `
access that this run widens: 1,201 users in the target gain, 1 account is new
  no wave: 1 gain, 0 narrow, 0 accounts are new
  wave pilot: 1,200 gain, 2 narrow, 1 account is new
  3  enabled
  1  given an older password
  1,200  role payroll-admin through department Meridian/Finance
  1  role r0
  1  role r1
  1  role r2
  1  role r3
  1  role r4
  1  role r5
  1  role r6
  1  role r7
  1  role r8
  and 2 more
  new accounts get what legacy gives, by role:
  1  role reader (kept in an attribute, grants nothing by itself)
  access narrows for 2 users
  gate: 1,201 users gain what is not named, limit 5: closed: a load of this plan will be refused
  who: ` + "`parallelrun access RUN`" + `

not known of the target's roles, so that access may be wider than said
  what role x contains
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}
