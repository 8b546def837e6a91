package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func migrationWith(t *testing.T, lines string) Migration {
	t.Helper()
	return load(t, fmt.Sprintf(`
version: 1
store: s
sources: {a: {kind: ldif, namespace: one, files: [x], tables: [{name: people, key: dn}]}}
targets: {t: {dialect: keycloak, realm: r, sandbox: {state: st}}}
migrations: {m: {source: a, target: t, mapping: m.yaml, %s}}
`, lines)).Migrations["m"]
}

func TestBrakeDefaults(t *testing.T) {
	b := migrationWith(t, "brake: {}").Brake
	want := map[string]Limit{"disables": DefaultBrake, "deletes": DefaultBrake, "enables": DefaultBrake, "grants": DefaultBrake}
	if diff := cmp.Diff(want, b.Limits()); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	if len(b.EntityLimits()) != 0 || b.ShrinkLimit() != DefaultShrinks {
		t.Errorf("entities %v, shrinks %v", b.EntityLimits(), b.ShrinkLimit())
	}
}

func TestCredentialSyncOfNoTime(t *testing.T) {
	_, ps := parse("f", "/dir", []byte(strings.Replace(starterConfig(t), "credentialSync: none", "credentialSync: {maxAge: 0s}", 1)))
	if len(ps) == 0 || !strings.Contains(ps[0].Error(), "maxAge must be longer than nothing") {
		t.Errorf("problems: %v", ps)
	}
}

// What a limit leaves out is the default; what an entity's limit leaves out is
// as in the limit of all.
func TestBrakeLimitsFillIn(t *testing.T) {
	b := migrationWith(t, `brake: {updates: {rows: 100}, grants: {rows: 0, ratio: 0},
  entities: {users: {updates: {ratio: 0.5}, creates: {rows: 7}}}, shrinks: {ratio: 0.5}}`).Brake
	got := b.Limits()
	if got["updates"] != (Limit{100, 0.02}) || got["grants"] != (Limit{0, 0}) || got["deletes"] != DefaultBrake {
		t.Errorf("limits: %v", got)
	}
	want := map[string]map[string]Limit{"users": {"updates": {100, 0.5}, "creates": {7, 0.02}}}
	if diff := cmp.Diff(want, b.EntityLimits()); diff != "" {
		t.Errorf("entities (-want +got):\n%s", diff)
	}
	if b.ShrinkLimit() != (Limit{5, 0.5}) {
		t.Errorf("shrinks: %v", b.ShrinkLimit())
	}
}

func TestCredentialSync(t *testing.T) {
	for text, want := range map[string]CredentialSync{
		"memory: 1GiB":                 {},
		"credentialSync: none":         {None: true},
		"credentialSync: {}":           {MaxAge: 5 * time.Minute},
		"credentialSync: {maxAge: 1h}": {MaxAge: time.Hour},
	} {
		if got := migrationWith(t, text).CredentialSync; got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}
