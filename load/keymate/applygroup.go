package keymate

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// group creates, changes or deletes a department or a realm group: both are
// groups of Keycloak, below different addresses.
func (a *applier) group(ctx context.Context) (string, error) {
	base, err := a.groupBase()
	if err != nil {
		return "", err
	}
	g := &groupWork{applier: a, base: base, row: a.subject.Row}
	if a.op.Table == schemas.Groups {
		defer a.target.names.forget() // paths change
	}
	if a.op.Kind == load.Create {
		return g.create(ctx)
	}
	id, err := a.targetID()
	if err != nil {
		return "", err
	}
	switch a.op.Kind {
	case load.Update, load.Adopt:
		return id, g.update(ctx, id)
	case load.Delete:
		return id, g.remove(ctx, id)
	}
	return id, a.never()
}

// groupBase is the address below which the row's groups live.
func (a *applier) groupBase() (string, error) {
	if a.op.Table == schemas.Groups {
		return "/groups", nil
	}
	organization, err := resolve(a.ids, schemas.Organizations, text(schemas.Departments, a.subject.Row, "organization"))
	return organizationPath(organization) + "/groups", err
}

// groupWork is one operation on a group.
type groupWork struct {
	*applier
	base string
	row  schemas.Row
}

func (g *groupWork) path(id, rest string) string { return g.base + "/" + url.PathEscape(id) + rest }

// siblings is the address of the groups under the wanted parent.
func (g *groupWork) siblings() (string, error) {
	ref := text(g.op.Table, g.row, "parent")
	if ref == "" {
		return g.base, nil
	}
	parent, err := resolve(g.ids, g.op.Table, ref)
	return g.path(parent, "/children"), err
}

// write makes the group as the server takes it.
func (g *groupWork) write(row schemas.Row) groupRep {
	tb := g.op.Table
	rep := groupRep{Name: text(tb, row, "name"), Attributes: cloneMap(textMap(tb, row, "attributes"))}
	rep.Attributes[anchorAttribute] = []string{row.Key}
	if tb != schemas.Departments {
		return rep
	}
	for system, list := range textMap(tb, row, "external_ids") {
		rep.Attributes[externalIDPrefix+system] = list
	}
	if s := text(tb, row, "template"); s != "" {
		rep.Attributes[templateAttribute] = []string{s}
	}
	return rep
}

// create makes the group. The attributes of an organization's lower groups,
// our anchor among them, are dropped by the request that makes them, so that
// a second one follows; roles are a third.
func (g *groupWork) create(ctx context.Context) (string, error) {
	if err := checkNamed(g.op.Table, g.row); err != nil {
		return "", err
	}
	where, err := g.siblings()
	if err != nil {
		return "", err
	}
	rep := g.write(g.row)
	r, err := g.target.http.do(ctx, call{op: "create a group", method: http.MethodPost, path: where, body: rep})
	id := path.Base(r.location)
	if isStatus(err, http.StatusConflict) {
		id, err = g.madeBefore(ctx, where, rep.Name, err)
		rep.ID = id // whatever it lacks is sent again
	}
	if err != nil {
		return "", err
	}
	if where != g.base || rep.ID != "" {
		rep.ID = ""
		if _, err := g.target.http.do(ctx, call{op: "set a group's attributes", method: http.MethodPut, path: g.path(id, ""), body: rep}); err != nil {
			return id, halfMade(err)
		}
	}
	if err := g.setAllRoles(ctx, id, true); err != nil {
		return id, halfMade(err)
	}
	return id, nil
}

// halfMade is the error of a later request of a create: the group is there.
func halfMade(err error) error {
	if e, ok := err.(*load.Error); ok && e.Class != load.Setup {
		half := *e
		half.Class, half.Hint = load.Unknown, "the group is there, a part of it is missing: an update or another try completes it"
		return &half
	}
	return err
}

// madeBefore finds the sibling of the same name. It is taken for ours if it
// carries our anchor, or if it is as bare as an earlier try of ours leaves it:
// no attributes, no roles, nobody and nothing in it.
func (g *groupWork) madeBefore(ctx context.Context, where, name string, refusal error) (string, error) {
	tree, err := g.tree(ctx)
	if err != nil {
		return "", refusal
	}
	parent := ""
	if where != g.base {
		parent = path.Base(path.Dir(where))
	}
	for _, s := range tree.children(parent) {
		if s.Name != name {
			continue
		}
		anchor := first(s.Attributes[anchorAttribute])
		bare := len(s.Attributes) == 0 && len(s.RealmRoles) == 0 && len(s.ClientRoles) == 0 && len(tree.children(s.ID)) == 0
		if bare {
			empty, err := g.empty(ctx, s.ID)
			if err != nil {
				return "", refusal
			}
			bare = empty
		}
		if anchor == g.row.Key || bare {
			return s.ID, nil
		}
	}
	return "", permanently(refusal, "another group has this name under the same parent: adopt it or choose another name")
}

func (g *groupWork) tree(ctx context.Context) (*groupTree, error) {
	if g.op.Table == schemas.Groups {
		return g.target.realmGroups(ctx)
	}
	return g.target.groupTree(ctx, "list an organization's groups", g.base, url.Values{})
}

// empty says whether nobody is in the group.
func (g *groupWork) empty(ctx context.Context, id string) (bool, error) {
	var members []struct{}
	err := g.target.http.get(ctx, "look whether the group is empty", g.path(id, "/members"), url.Values{"max": {"1"}}, &members)
	return len(members) == 0, err
}

// update changes the columns that the plan changes.
func (g *groupWork) update(ctx context.Context, id string) error {
	if err := checkNamed(g.op.Table, g.row); err != nil {
		return err
	}
	tree, err := g.tree(ctx)
	if err != nil {
		return err
	}
	current := tree.byID[id]
	if current == nil {
		return &load.Error{Class: load.Permanent, Op: "change a group", Message: "the group is not there (any more)", Hint: "observe the target and plan anew"}
	}
	if g.changes("parent") {
		if err := g.move(ctx, tree, current); err != nil {
			return err
		}
	}
	if g.changes("name", "attributes", "external_ids", "template") {
		rep := g.write(g.merged(current))
		rep.Description = current.Description
		if _, err := g.target.http.do(ctx, call{op: "change a group", method: http.MethodPut, path: g.path(id, ""), body: rep}); err != nil {
			return err
		}
	}
	return g.setAllRoles(ctx, id, false)
}

// merged is the group's row as it stands, with the columns that change.
func (g *groupWork) merged(current *groupRep) schemas.Row {
	o := &observer{target: g.target}
	o.census.names = map[string]identity{current.ID: {g.row.ID, g.row.Key}}
	tree := &groupTree{byID: map[string]*groupRep{current.ID: current}}
	row := o.readGroup(tree, current.ID)
	if g.op.Table == schemas.Departments {
		row = o.readDepartment("", tree, current.ID)
	}
	for _, c := range tables[g.op.Table].Columns {
		if g.changes(c.Name) {
			put(g.op.Table, row, c.Name, cell(g.op.Table, g.row, c.Name))
		}
	}
	return row
}

// move brings the group under another parent: a POST with its id moves it.
func (g *groupWork) move(ctx context.Context, tree *groupTree, current *groupRep) error {
	where, err := g.siblings()
	if err != nil {
		return err
	}
	parent := ""
	if where != g.base {
		parent = path.Base(path.Dir(where))
	}
	if tree.parent(current.ID) == parent {
		return nil
	}
	_, err = g.target.http.do(ctx, call{op: "move a group", method: http.MethodPost, path: where, body: groupRep{ID: current.ID, Name: current.Name}})
	return err
}

// setAllRoles brings a department's roles to those wanted; realm groups have
// no such columns.
func (g *groupWork) setAllRoles(ctx context.Context, id string, fresh bool) error {
	if g.op.Table != schemas.Departments {
		return nil
	}
	realm, client := texts(g.op.Table, g.row, "realm_roles"), textMap(g.op.Table, g.row, "client_roles")
	if g.changes("realm_roles") && (!fresh || len(realm) > 0) {
		if err := g.setRoles(ctx, g.path(id, "/role-mappings/realm"), realm); err != nil {
			return err
		}
	}
	if g.changes("client_roles") && (!fresh || len(client) > 0) {
		return g.setClientRoles(ctx, id, client)
	}
	return nil
}

func (g *groupWork) setClientRoles(ctx context.Context, id string, want map[string][]string) error {
	var have struct {
		Clients map[string]struct {
			ID       string
			Mappings []roleRep
		} `json:"clientMappings"`
	}
	if err := g.target.http.get(ctx, "read the roles before changing them", g.path(id, "/role-mappings"), nil, &have); err != nil {
		return err
	}
	clients := sortedKeys(want)
	for name := range have.Clients {
		if !slices.Contains(clients, name) {
			clients = append(clients, name)
		}
	}
	for _, name := range clients {
		if err := g.setRolesOf(ctx, id, name, have.Clients[name].Mappings, want[name]); err != nil {
			return err
		}
	}
	return nil
}

// setRolesOf brings the group's roles of one client to those wanted.
func (g *groupWork) setRolesOf(ctx context.Context, id, client string, have []roleRep, want []string) error {
	uuid, err := g.target.names.client(ctx, client)
	if err != nil {
		return err
	}
	var extra, add []roleRep
	for _, r := range have {
		if !slices.Contains(want, r.Name) {
			extra = append(extra, r)
		}
	}
	for _, name := range want {
		if slices.ContainsFunc(have, func(r roleRep) bool { return r.Name == name }) {
			continue
		}
		var r roleRep
		err := g.target.http.get(ctx, "look up a client's role", "/clients/"+url.PathEscape(uuid)+"/roles/"+url.PathEscape(name), nil, &r)
		if isStatus(err, http.StatusNotFound) {
			return permanently(err, "make the role in the client, or map it to another")
		}
		if err != nil {
			return err
		}
		add = append(add, r)
	}
	return g.swapRoles(ctx, g.path(id, "/role-mappings/clients/"+url.PathEscape(uuid)), extra, add)
}

// remove deletes a group that nobody and nothing is in.
func (g *groupWork) remove(ctx context.Context, id string) error {
	tree, err := g.tree(ctx)
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if tree.byID[id] == nil {
		return nil
	}
	empty, err := g.empty(ctx, id)
	if err != nil {
		return err
	}
	if !empty || len(tree.children(id)) > 0 {
		return notEmpty("a group")
	}
	return g.delete(ctx, "delete a group", g.path(id, ""))
}
