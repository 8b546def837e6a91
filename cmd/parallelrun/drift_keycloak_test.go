//go:build !race

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/contract"
	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/pipelines/demo"
)

// A real Keycloak's events lead to the drift that a full look finds.
func TestDriftOnKeycloak(t *testing.T) {
	f, r := realCopy(t, newTemplate(t, legacygen.Config{Seed: 7, Users: 150, SecondUsers: 20, LargePhotos: -1}))
	realm := &contract.Target{Name: "keycloak", URL: r.Server.URL, Realm: r.Name, Migrator: contract.Client{ID: r.Migrator.ID, Secret: r.Migrator.Secret}}
	d := &driftSite{site: f.site, realm: realm, vars: contract.NewVars("x").For(realm)}
	d.must("run", "--apply")
	if first := d.drift(0); first.Differences != 0 || first.Scope.Cursor {
		t.Fatalf("before anybody edited: %+v", first)
	}
	d.refused([]string{"--since", "last"}, "switch on")
	d.eventsOn()
	if first := d.drift(0); !first.Scope.Cursor {
		t.Fatalf("with events on: %+v", first.Scope)
	}
	at := pipelines.Endpoint{URL: r.Server.URL, Realm: r.Name, ClientID: r.Migrator.ID, ClientSecret: r.Migrator.Secret}
	if err := demo.Meddle(t.Context(), at, 20, 3); err != nil {
		t.Fatal(err)
	}
	since, full := d.drift(1, "--since", "last"), d.drift(1)
	want := []pipelines.TableDrift{{Table: "memberships", Deleted: 3}, {Table: "users", Updated: 20}}
	for name, got := range map[string]pipelines.Drift{"since": since, "full": full} {
		if diff := cmp.Diff(want, got.ByTable); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if n := since.Scope.Users; n < 20 || n > 23 {
		t.Errorf("--since looked at %d users, want the 20 to 23 that were edited", n)
	}
	var orgs, groups []struct{ ID string }
	unmarshal(t, d.admin("GET", "/organizations", ""), &orgs)
	unmarshal(t, d.admin("GET", "/organizations/"+orgs[0].ID+"/groups", ""), &groups)
	d.admin("DELETE", "/organizations/"+orgs[0].ID+"/groups/"+groups[0].ID, "")
	since, full = d.drift(1, "--since", since.Run), d.drift(1)
	if diff := cmp.Diff(full.ByTable, since.ByTable); diff != "" || full.Differences < 24 {
		t.Errorf("after a department was deleted, %d differences (-full +since):\n%s", full.Differences, diff)
	}
}
