package keymate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// sameStructure compares all rows of a table, ours and others', with what is
// wanted.
func (w *world) sameStructure(table string, want ...schemas.Row) *seen {
	w.t.Helper()
	s := w.observe(load.Scope{Structure: true})
	wanted := map[schemas.RowID]schemas.Row{}
	for _, r := range want {
		wanted[r.ID] = r
	}
	got := s.rows[table]
	if got == nil {
		got = map[schemas.RowID]schemas.Row{}
	}
	if d := cmp.Diff(wanted, got); d != "" {
		w.t.Errorf("%s: wanted (-), observed (+):\n%s", table, d)
	}
	return s
}

func (w *world) op(table string, kind load.Kind, r schemas.Row, columns ...string) error {
	_, err := w.target.Apply(w.ctx, load.Operation{Table: table, Kind: kind, ID: r.ID, Key: r.Key, Columns: columns}, load.Subject{Row: r}, w.ids)
	return err
}

func TestStructureRoundTrip(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		orgs, depts, groups := w.furnish()
		w.sameStructure(schemas.Organizations, orgs...)
		w.sameStructure(schemas.Departments, depts...)
		w.sameStructure(schemas.Groups, groups...)

		// Without the id map the anchors tell whose everything is.
		known := w.ids
		w.ids = newIDMap()
		s := w.sameStructure(schemas.Departments, depts...)
		for _, d := range depts {
			want, _ := known.TargetID(d.ID)
			if s.targets[d.ID] != want {
				w.t.Errorf("%s: target id %q, want %q", d.Key, s.targets[d.ID], want)
			}
		}
	})
}

func TestManyOrganizations(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		var orgs []schemas.Row
		for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} { // the server's page is ten
			orgs = append(orgs, entity(schemas.Organizations, n, map[string]any{"alias": n, "name": "Org " + n, "enabled": n != "c"}))
		}
		w.sameStructure(schemas.Organizations, w.createStructure(schemas.Organizations, orgs...)...)
	})
}

func TestStructureUpdates(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		orgs, depts, groups := w.furnish()
		change := func(table string, rows []schemas.Row, i int, column string, v any) {
			w.t.Helper()
			rows[i], _ = w.target.Project(table, set(table, rows[i], column, v))
			w.must(w.op(table, load.Update, rows[i], column))
			w.sameStructure(table, rows...)
		}
		for column, v := range map[string]any{
			"name": "Planet Express Inc.", "description": nil, "domains": []string{"pe.example", "new.example"}, "enabled": false,
			"realm_roles": nil, "properties": map[string][]string{"founded": {"3000"}}, "property_template": "other",
		} {
			change(schemas.Organizations, orgs, 0, column, v)
		}
		change(schemas.Departments, depts, 0, "attributes", nil)
		change(schemas.Departments, depts, 0, "realm_roles", []string{"manager"})
		change(schemas.Departments, depts, 1, "external_ids", map[string][]string{"sap": {"1"}, "ad": {"2"}})
		change(schemas.Departments, depts, 1, "client_roles", w.clientRoles("manage-account"))
		change(schemas.Departments, depts, 1, "client_roles", nil)
		change(schemas.Departments, depts, 1, "template", nil)
		change(schemas.Departments, depts, 2, "attributes", map[string][]string{"floor": {"2"}, "wing": {"E"}})
		change(schemas.Groups, groups, 1, "attributes", nil)

		// A rename and a move change the paths below, which are rows of their own.
		depts[0] = set(schemas.Departments, set(schemas.Departments, depts[0], "name", "Eng"), "path", "/Eng")
		depts[1] = set(schemas.Departments, depts[1], "path", "/Eng/R&D ~/ Back-end")
		depts[2] = set(schemas.Departments, set(schemas.Departments, depts[2], "parent", ref(schemas.Departments, "eng")), "path", "/Eng/深い")
		w.must(w.op(schemas.Departments, load.Update, depts[0], "name", "path"))
		w.must(w.op(schemas.Departments, load.Update, depts[2], "parent", "path"))
		w.sameStructure(schemas.Departments, depts...)
		depts[2] = set(schemas.Departments, set(schemas.Departments, depts[2], "parent", nil), "path", "/深い")
		w.must(w.op(schemas.Departments, load.Update, depts[2], "parent", "path"))
		w.sameStructure(schemas.Departments, depts...)

		groups[1] = set(schemas.Groups, set(schemas.Groups, groups[1], "parent", nil), "path", "/Officers")
		w.must(w.op(schemas.Groups, load.Update, groups[1], "parent", "path"))
		w.sameStructure(schemas.Groups, groups...)
	})
}

func TestDeletesOfWhatIsNotEmptyAreRefused(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		orgs, depts, groups := w.furnish()
		refused := func(table string, r schemas.Row) {
			w.t.Helper()
			wantClass(w.t, w.op(table, load.Delete, r), load.Permanent, "not empty")
		}
		refused(schemas.Organizations, orgs[0])
		refused(schemas.Departments, depts[0])
		refused(schemas.Groups, groups[0])

		user := w.project(fullUser(7))[0]
		w.must(w.target.CreateUsers(w.ctx, []schemas.Bundle{user}, w.ids))
		w.link(user, load.Link, user.Memberships...)
		refused(schemas.Departments, depts[2])
		refused(schemas.Organizations, orgs[1])
		refused(schemas.Groups, groups[1])

		w.link(user, load.Unlink, user.Memberships...)
		_, err := w.target.Apply(w.ctx, load.Operation{Table: schemas.Users, Kind: load.Delete, ID: user.User.ID, Key: user.User.Key},
			load.Subject{Row: user.User, User: &user}, w.ids)
		w.must(err)
		for i := range depts {
			w.must(w.op(schemas.Departments, load.Delete, depts[len(depts)-1-i]))
		}
		for i := range groups {
			w.must(w.op(schemas.Groups, load.Delete, groups[len(groups)-1-i]))
		}
		for _, o := range orgs {
			w.must(w.op(schemas.Organizations, load.Delete, o))
			w.must(w.op(schemas.Organizations, load.Delete, o)) // gone already: done
		}
		for _, table := range []string{schemas.Organizations, schemas.Departments, schemas.Groups} {
			w.sameStructure(table)
		}
	})
}

// What others made keeps an id of its own, and a copy of our anchor makes
// nothing ours.
func TestStructureOfOthers(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		orgs, depts, _ := w.furnish()
		planet, _ := w.ids.TargetID(orgs[0].ID)
		w.rest("POST", "/organizations/"+planet+"/groups", map[string]any{"name": "Copy", "attributes": map[string]any{"legacyId": []string{"eng"}}}, nil)
		w.rest("POST", "/organizations/"+planet+"/groups", map[string]any{"name": "Stranger"}, nil)
		s := w.observe(load.Scope{Structure: true})
		if n := len(s.rows[schemas.Departments]); n != len(depts)+2 {
			w.t.Fatalf("%d departments, want %d", n, len(depts)+2)
		}
		names := map[string]string{}
		for id, r := range s.rows[schemas.Departments] {
			names[get(schemas.Departments, r, "name").(string)] = r.Key
			if r.Key == "" && id != load.ForeignRowID(s.targets[id]) {
				w.t.Errorf("a stranger's row id is %s, want one from its target id", id)
			}
		}
		want := map[string]string{"Engineering": "eng", "R&D / Back-end": "back", "深い": "deep", "Copy": "", "Stranger": ""}
		if d := cmp.Diff(want, names); d != "" {
			w.t.Error(d)
		}
	})
}

// A create whose answer was lost, wherever in its requests, is completed by
// the same operation once more.
func TestCreateAgainAfterLostAnswer(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		w.furnish()
		row, _ := w.target.Project(schemas.Departments, entity(schemas.Departments, "late", map[string]any{
			"organization": ref(schemas.Organizations, "planet"), "parent": ref(schemas.Departments, "back"), "name": "Late", "path": "/Engineering/R&D ~/ Back-end/Late",
			"attributes": map[string][]string{"a": {"1"}}, "realm_roles": []string{"employee"},
		}))
		org, _ := w.target.Project(schemas.Organizations, entity(schemas.Organizations, "lateorg", map[string]any{"alias": "lateorg", "name": "Late", "enabled": true}))
		for _, x := range []struct {
			table string
			row   schemas.Row
		}{{schemas.Departments, row}, {schemas.Organizations, org}} {
			for write := 0; ; write++ {
				lossy := &lossyTransport{lose: write}
				target := w.open(lossy.in)
				_, err := target.Preflight(w.ctx)
				w.must(err)
				lossy.armed.Store(true)
				op := load.Operation{Table: x.table, Kind: load.Create, ID: x.row.ID, Key: x.row.Key}
				id, err := target.Apply(w.ctx, op, load.Subject{Row: x.row}, w.ids)
				lossless := err == nil
				if !lossless {
					wantClass(w.t, err, load.Unknown, "")
					id, err = w.target.Apply(w.ctx, op, load.Subject{Row: x.row}, w.ids)
					w.must(err)
				}
				s := w.observe(load.Scope{Structure: true})
				if d := cmp.Diff(x.row, s.rows[x.table][x.row.ID]); d != "" || s.targets[x.row.ID] != id {
					w.t.Errorf("%s, write %d lost: id %q, want %q\n%s", x.table, write, s.targets[x.row.ID], id, d)
				}
				w.ids.add(x.row, id)
				w.must(w.op(x.table, load.Delete, x.row))
				if lossless {
					break
				}
			}
		}
	})
}

// Another group of the same name is not taken for ours.
func TestNameTakenByAnother(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		w.furnish()
		planet, _ := w.ids.TargetID(schemas.NewRowID(namespace, schemas.Organizations, "planet"))
		w.rest("POST", "/organizations/"+planet+"/groups", map[string]any{"name": "Sales", "attributes": map[string]any{"budget": []string{"1"}}}, nil)
		row, _ := w.target.Project(schemas.Departments, entity(schemas.Departments, "sales", map[string]any{"organization": ref(schemas.Organizations, "planet"), "name": "Sales", "path": "/Sales"}))
		wantClass(w.t, w.op(schemas.Departments, load.Create, row), load.Permanent, "same parent")
		org, _ := w.target.Project(schemas.Organizations, entity(schemas.Organizations, "x", map[string]any{"alias": "mom", "name": "X", "enabled": true}))
		wantClass(w.t, w.op(schemas.Organizations, load.Create, org), load.Permanent, "adopt it")
	})
}
