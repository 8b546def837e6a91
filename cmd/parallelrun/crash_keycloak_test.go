//go:build !race

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/faultproxy"
	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak/keycloaktest"
	"github.com/parallelrun/parallelrun/internal/servers/postgres"
	"github.com/parallelrun/parallelrun/schemas"
)

// realCopy is a copy of the template that leads to a realm of a real Keycloak,
// through a proxy.
func realCopy(t *testing.T, template string) (*front, *keycloak.Realm) {
	t.Helper()
	r := keycloaktest.Realm(t, keycloak.RealmOptions{})
	p, err := faultproxy.NewTo(r.Server.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{proxy: p}
	f.site = copySite(t, template, f.start(t), r.Name, r.Migrator.ID, r.Proof.ID)
	for variable, secret := range map[string]string{"${SITE_SECRET}": r.Migrator.Secret, "${SITE_PROOF_SECRET}": r.Proof.Secret} {
		file := strings.ToLower(strings.Trim(variable, "${}"))
		if err := os.WriteFile(filepath.Join(f.dir, file), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		f.edit(variable, "file:"+file)
	}
	return f, r
}

// groupPaths names every group of a realm by where it stands: an organization's
// by its alias first.
const groupPaths = `WITH RECURSIVE paths(id, path) AS (
  SELECT g.id, coalesce('org ' || o.alias, '/' || g.name)
    FROM keycloak_group g LEFT JOIN org o ON o.group_id = g.id
    WHERE g.realm_id = '$REALM' AND (g.parent_group IS NULL OR trim(g.parent_group) = '')
  UNION ALL
  SELECT g.id, p.path || '/' || g.name FROM keycloak_group g JOIN paths p ON g.parent_group = p.id
) `

// contents are questions whose answers are all that a run writes to a realm, by
// names in place of ids. Times are those that the program chose.
var contents = map[string]string{
	"users": `SELECT username, email, email_verified, enabled, first_name, last_name, created_timestamp
		FROM user_entity WHERE realm_id = '$REALM' AND service_account_client_link IS NULL`,
	"attributes": `SELECT u.username, a.name, a.value, a.long_value
		FROM user_attribute a JOIN user_entity u ON u.id = a.user_id WHERE u.realm_id = '$REALM' AND u.service_account_client_link IS NULL`,
	"actions": `SELECT u.username, a.required_action FROM user_required_action a JOIN user_entity u ON u.id = a.user_id WHERE u.realm_id = '$REALM'`,
	"credentials": `SELECT u.username, c.type, c.created_date, c.secret_data, c.credential_data, c.user_label
		FROM credential c JOIN user_entity u ON u.id = c.user_id WHERE u.realm_id = '$REALM'`,
	"roles": `SELECT u.username, regexp_replace(r.name, '-pr-.*', '') FROM user_role_mapping m JOIN keycloak_role r ON r.id = m.role_id JOIN user_entity u ON u.id = m.user_id
		WHERE u.realm_id = '$REALM' AND u.service_account_client_link IS NULL`,
	"organizations":    `SELECT alias, name, description, enabled FROM org WHERE realm_id = '$REALM'`,
	"domains":          `SELECT o.alias, d.name, d.verified FROM org_domain d JOIN org o ON o.id = d.org_id WHERE o.realm_id = '$REALM'`,
	"groups":           groupPaths + `SELECT path FROM paths`,
	"group attributes": groupPaths + `SELECT p.path, a.name, a.value FROM group_attribute a JOIN paths p ON p.id = a.group_id`,
	"group roles":      groupPaths + `SELECT p.path, r.name FROM group_role_mapping m JOIN paths p ON p.id = m.group_id JOIN keycloak_role r ON r.id = m.role_id`,
	"memberships": groupPaths + `SELECT u.username, p.path, m.membership_type
		FROM user_group_membership m JOIN paths p ON p.id = m.group_id JOIN user_entity u ON u.id = m.user_id`,
}

// holds answers the questions for a realm, each a sorted list of lines.
func holds(t *testing.T, r *keycloak.Realm) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for name, question := range contents {
		rows, err := postgres.Query(t.Context(), r.Server.DB(), strings.ReplaceAll(question, "$REALM", r.ID)+";")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, row := range rows {
			out[name] = append(out[name], strings.Join(row, " | "))
		}
		slices.Sort(out[name])
	}
	return out
}

// The same on a real Keycloak: killed in the middle of a load, once after an
// import was committed and once after a membership was, and resumed. The
// database then holds what an uninterrupted run leaves in another realm.
func TestKilledOnKeycloak(t *testing.T) {
	template := newTemplate(t, legacygen.Config{Seed: 7, Users: 240, SecondUsers: 20, LargePhotos: 1})
	undisturbed, realm := realCopy(t, template)
	journal := undisturbed.undisturbed()
	want := holds(t, realm)
	for name, rows := range want {
		if len(rows) == 0 {
			t.Errorf("an uninterrupted run leaves no %s", name)
		}
	}

	killed, realm := realCopy(t, template)
	killed.edit("transactionLimit: 200ms", "transactionLimit: 2s")
	command := []string{"run", "--apply"}
	for _, w := range firstWrites {
		if w.name == "users" || w.name == "department-member" {
			killed.killAround(w, w.count(journal)/2, true, command...)
			command = []string{"resume"}
		}
	}
	killed.resumeUntilDone()
	got := holds(t, realm)
	for name := range contents {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("%s: %d rows, want %d (-want +got):\n%.4000s", name, len(got[name]), len(want[name]), diff)
		}
	}
	killed.wantOneOutcomeEach()
	wantBase, gotBase := undisturbed.baseDigests(), killed.baseDigests()
	for _, b := range []map[string]string{wantBase, gotBase} {
		delete(b, schemas.Users) // the name of the realm's default role holds the realm's
	}
	if diff := cmp.Diff(wantBase, gotBase); diff != "" {
		t.Errorf("the base is another (-want +got):\n%s", diff)
	}
	for _, r := range killed.undisturbed() {
		t.Errorf("another run sent %s %s", r.Method, r.Path)
	}
}
