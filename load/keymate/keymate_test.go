package keymate_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// readable blanks the columns that the target does not give back.
func (w *world) readable(table string, r schemas.Row) schemas.Row {
	w.t.Helper()
	p, err := w.target.Preflight(w.ctx)
	w.must(err)
	for _, c := range tables[table].Columns {
		if !p.Columns[table][c.Name].Readable {
			r = set(table, r, c.Name, nil)
		}
	}
	return r
}

// same compares what was observed of users with their projection.
func (w *world) same(s *seen, users ...schemas.Bundle) {
	w.t.Helper()
	for _, u := range users {
		want := map[string][]schemas.Row{schemas.Users: {u.User}, schemas.Credentials: u.Credentials, schemas.Memberships: u.Memberships}
		for table, rows := range want {
			wantRows := map[schemas.RowID]schemas.Row{}
			for _, r := range rows {
				wantRows[r.ID] = w.readable(table, r)
			}
			got := map[schemas.RowID]schemas.Row{}
			for id, r := range s.rows[table] {
				if table == schemas.Users && id == u.User.ID || table != schemas.Users && get(table, r, "user") == u.User.ID.String() {
					got[id] = r
				}
			}
			if d := cmp.Diff(wantRows, got); d != "" {
				w.t.Errorf("%s of %s: projected (-), observed (+):\n%s", table, u.User.Key, d)
			}
		}
	}
}

func fullUser(n int) schemas.Bundle {
	key := fmt.Sprintf("u%03d", n)
	user := entity(schemas.Users, key, map[string]any{
		"username": fmt.Sprintf("Hermes.%03d", n), "email": fmt.Sprintf("Hermes.%03d@Planet-Express.Example", n), "email_verified": true,
		"first_name": "Hermès ☃", "last_name": "Конрад 李", "enabled": true,
		"expires_at": time.Date(2031, 2, 3, 4, 5, 6, 789123000, time.UTC).UnixMicro(),
		"created_at": time.Date(2009, 10, 11, 12, 13, 14, 567890000, time.UTC).UnixMicro(),
		"locale":     "de-JM", "required_actions": []string{"CONFIGURE_TOTP"},
		"attributes": map[string][]string{
			"title": {"Bureaucrat 36", "Accountant"}, "語": {"日本語", "عربى", "e\u0301", " padded "},
			"photo": {base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00\xff\x10photo", 5000)))},
			"empty": {""}, "none": {},
		},
		"realm_roles": []string{"employee"}, "groups": []string{ref(schemas.Groups, "g2"), ref(schemas.Groups, "g3")},
	})
	u := schemas.Bundle{User: user}
	changed := time.Date(2020, 1, 2, 3, 4, 5, 678901000, time.UTC)
	if n%2 == 0 {
		u.Credentials = []schemas.Row{pbkdf2Password(user, "pass "+key, changed)}
	} else {
		u.Credentials = []schemas.Row{argon2Password(user, "pass "+key, changed)}
	}
	u.Memberships = []schemas.Row{
		membership(key, "planet", "eng", map[string]any{"roles": []string{"lead", "approver"}, "attributes": map[string][]string{"since": {"2009"}}, "is_default": true}),
		membership(key, "planet", "deep", nil),
		membership(key, "mom", "", map[string]any{"roles": []string{"guest"}}),
	}
	return u
}

// clientRoles are roles of a client; the sandbox has no clients to manage.
func (w *world) clientRoles(names ...string) any {
	if w.sandbox {
		return nil
	}
	return map[string][]string{"account": names}
}

// furnish makes the organizations, departments and groups that users refer to.
func (w *world) furnish() (organizations, departments, groups []schemas.Row) {
	w.t.Helper()
	organizations = w.createStructure(schemas.Organizations,
		entity(schemas.Organizations, "planet", map[string]any{
			"alias": "planet-express", "name": "Planet Express", "description": "Delivery «everywhere»", "domains": []string{"Planet-Express.Example", "pe.example"},
			"enabled": true, "realm_roles": []string{"employee"}, "properties": map[string][]string{"founded": {"2961"}, "语": {"是"}}, "property_template": "tpl",
		}),
		entity(schemas.Organizations, "mom", map[string]any{"alias": "mom", "name": "MomCorp", "enabled": true}),
	)
	dept := func(key, parent, name, path string, more map[string]any) schemas.Row {
		cells := map[string]any{"organization": ref(schemas.Organizations, "planet"), "name": name, "path": path}
		if parent != "" {
			cells["parent"] = ref(schemas.Departments, parent)
		}
		for k, v := range more {
			cells[k] = v
		}
		return entity(schemas.Departments, key, cells)
	}
	departments = w.createStructure(schemas.Departments,
		dept("eng", "", "Engineering", "/Engineering", map[string]any{"realm_roles": []string{"employee"}, "attributes": map[string][]string{"cost": {"42", "43"}}}),
		dept("back", "eng", "R&D / Back-end", "/Engineering/R&D ~/ Back-end", map[string]any{
			"external_ids": map[string][]string{"sap": {"0815"}}, "template": "t1", "client_roles": w.clientRoles("view-profile")}),
		dept("deep", "back", "深い", "/Engineering/R&D ~/ Back-end/深い", map[string]any{"realm_roles": []string{"manager"}, "attributes": map[string][]string{"floor": {"-3"}}}),
	)
	groups = w.createStructure(schemas.Groups,
		entity(schemas.Groups, "g1", map[string]any{"name": "Staff", "path": "/Staff"}),
		entity(schemas.Groups, "g2", map[string]any{"name": "Officers", "path": "/Staff/Officers", "parent": ref(schemas.Groups, "g1"), "attributes": map[string][]string{"x": {"1"}}}),
		entity(schemas.Groups, "g3", map[string]any{"name": "Ship/Crew", "path": "/Staff/Ship~/Crew", "parent": ref(schemas.Groups, "g1")}),
	)
	return organizations, departments, groups
}

func (w *world) project(users ...schemas.Bundle) []schemas.Bundle {
	out := make([]schemas.Bundle, len(users))
	for i, u := range users {
		out[i], _ = w.target.ProjectUser(u)
	}
	return out
}

func (w *world) link(u schemas.Bundle, kind load.Kind, rows ...schemas.Row) {
	w.t.Helper()
	for _, m := range rows {
		_, err := w.target.Apply(w.ctx, load.Operation{Table: schemas.Memberships, Kind: kind, ID: m.ID, Key: m.Key}, load.Subject{Row: m, User: &u}, w.ids)
		w.must(err)
	}
}

func TestUsersRoundTrip(t *testing.T) {
	onEach(t, options{unmanaged: "DISABLED"}, func(w *world) {
		w.furnish()
		for _, n := range []int{1, 20} {
			var users []schemas.Bundle
			for i := range n {
				users = append(users, fullUser(100*n+i))
			}
			users = w.project(users...)
			if s := w.observe(load.Scope{Users: probes(users...), Foreign: true}); len(s.absent) != n || len(s.foreign) != 0 {
				w.t.Fatalf("before: %d absent, %d foreign; want %d, 0", len(s.absent), len(s.foreign), n)
			}
			w.must(w.target.CreateUsers(w.ctx, users, w.ids))
			for _, u := range users {
				w.link(u, load.Link, u.Memberships...)
			}
			w.same(w.observe(load.Scope{Users: probes(users...)}), users...)
		}
	})
}
