package keymate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/keymate"
	"github.com/parallelrun/parallelrun/schemas"
)

func noteLines(notes []load.Note) []string {
	var lines []string
	for _, n := range notes {
		lines = append(lines, fmt.Sprintf("%s.%s: %s", n.Table, n.Column, n.What))
	}
	slices.Sort(lines)
	return lines
}

// Every field that does not arrive as it is has a note; a projection is its own
// projection.
func TestProjectionNotes(t *testing.T) {
	w := onSandbox(t, options{})
	u := fullUser(2)
	u.User = set(schemas.Users, u.User, "first_name", "Amy (x)")
	u.User = set(schemas.Users, u.User, "email", "none")
	u.User = set(schemas.Users, u.User, "attributes", map[string][]string{"username": {"x"}, "legacyId": {"x"}, "ok": {"b", "a", "b", ""}, "nul": {"\x00"}})
	u.User = set(schemas.Users, u.User, "required_actions", []string{"NOPE"})
	u.User = set(schemas.Users, u.User, "federated_links", map[string][]string{"legacy": {"1", "x"}})
	u.Credentials = append(u.Credentials,
		credential(u.User, schemas.Bcrypt, nil, schemas.SecretMaterial{Encoded: "$2y$"}, time.Unix(1, 0)),
		argon2Password(u.User, "older", time.Unix(2, 0)))
	u.Credentials[0] = set(schemas.Credentials, u.Credentials[0], "state", "expired")

	p, notes := w.target.ProjectUser(u)
	want := []string{
		"credentials.secret: left out", "credentials.secret: left out", "credentials.state: encoded", "credentials.version: left out",
		"memberships.attributes: encoded", "memberships.is_default: encoded", "memberships.roles: encoded", "memberships.roles: encoded",
		`users.attributes["legacyId"]: left out`, `users.attributes["nul"]: left out`, `users.attributes["username"]: left out`,
		"users.email: left out", "users.expires_at: encoded", `users.federated_links["legacy"]: left out`, "users.first_name: changed by a rule",
		"users.locale: encoded", "users.realm_roles: changed by a rule", `users.required_actions["NOPE"]: left out`, "users.username: changed by a rule",
	}
	if d := cmp.Diff(want, noteLines(notes)); d != "" {
		t.Errorf("notes: %s", d)
	}
	for column, want := range map[string]any{
		"first_name": "Amy x", "email": nil, "email_verified": false, "required_actions": []string{"UPDATE_PASSWORD"},
		"attributes": map[string][]string{"ok": {"a", "b"}}, "realm_roles": []string{"default-roles-box", "employee"}, "federated_links": nil,
	} {
		if d := cmp.Diff(want, get(schemas.Users, p.User, column)); d != "" {
			t.Errorf("%s: %s", column, d)
		}
	}
	again, _ := w.target.ProjectUser(p)
	if d := cmp.Diff(p, again); d != "" {
		t.Errorf("projected twice: %s", d)
	}

	for _, table := range []string{schemas.PropertyTemplates, schemas.DepartmentTemplates} {
		r, notes := w.target.Project(table, entity(table, "t", map[string]any{"name": "x"}))
		if get(table, r, "name") != nil || len(notes) != 1 || notes[0].What != load.LeftOut {
			t.Errorf("%s: %v, %v", table, r, notes)
		}
	}
}

// Rows that come from another realm have that one's default role: here they get
// this one's, once. A role of the realm that is only named so is left alone.
func TestProjectDefaultRoleOfAnotherRealm(t *testing.T) {
	for _, adds := range []bool{true, false} {
		w := onSandbox(t, options{change: func(c *keymate.Config) { c.DefaultRole, c.Roles = adds, []string{"employee", "default-roles-here"} }})
		u := fullUser(0)
		for _, c := range []struct{ roles, want []string }{
			{[]string{"default-roles-lost", "employee"}, []string{"default-roles-box", "employee"}},
			{[]string{"default-roles-box", "default-roles-lost"}, []string{"default-roles-box"}},
			{[]string{"default-roles-box", "default-roles-here"}, []string{"default-roles-box", "default-roles-here"}},
		} {
			u.User = set(schemas.Users, u.User, "realm_roles", c.roles)
			p, _ := w.target.ProjectUser(u)
			if d := cmp.Diff(c.want, get(schemas.Users, p.User, "realm_roles")); d != "" {
				t.Errorf("adds %t, %v: %s", adds, c.roles, d)
			}
		}
	}
}

func TestUserIDIsAFunctionOfRealmAndRow(t *testing.T) {
	w := onSandbox(t, options{})
	a, b := schemas.NewRowID(namespace, schemas.Users, "a"), schemas.NewRowID(namespace, schemas.Users, "b")
	first, again := w.target.UserID(a), w.target.UserID(a)
	if first != again || first == w.target.UserID(b) || len(first) != 36 {
		t.Errorf("ids %s, %s, %s", first, again, w.target.UserID(b))
	}
	if other := onSandbox(t, options{}); other.target.UserID(a) == w.target.UserID(a) {
		t.Error("two realms give one row the same user id, which a server refuses")
	}
}
