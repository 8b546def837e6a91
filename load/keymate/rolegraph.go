package keymate

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

var _ load.RoleReader = (*Target)(nil)

// roleNode is a role with what tells whose it is and whether it contains
// others.
type roleNode struct {
	roleRep
	Composite   bool   `json:"composite"`
	ClientRole  bool   `json:"clientRole"`
	ContainerID string `json:"containerId"`
}

// RoleGraph reads which roles contain which, and what the realm's groups
// grant: one listing of roles and of groups, one of roles for each client that
// is named, and one request for each role that contains others.
func (t *Target) RoleGraph(ctx context.Context, ids load.IDs, clients []string) (*load.RoleGraph, error) {
	w := &roleWalk{target: t, seen: map[string]bool{}, clients: map[string]string{},
		out: &load.RoleGraph{Composites: map[load.Role][]load.Role{}}}
	err := list(ctx, t.http, "list the realm's roles", "/roles", url.Values{"briefRepresentation": {"true"}}, func(r roleNode) error {
		return w.meet(r)
	})
	if err != nil {
		return nil, err
	}
	more, err := w.groups(ctx, ids)
	if err != nil {
		return nil, err
	}
	names := slices.Concat(clients, more)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if err := w.client(ctx, name); err != nil {
			return nil, err
		}
	}
	for len(w.queue) > 0 {
		next := w.queue[0]
		w.queue = w.queue[1:]
		if err := w.contents(ctx, next); err != nil {
			return nil, err
		}
	}
	return w.out, nil
}

// roleWalk follows composite roles, each once.
type roleWalk struct {
	target  *Target
	out     *load.RoleGraph
	seen    map[string]bool // roles by id
	queue   []roleNode
	clients map[string]string // client ids by UUID
}

// meet remembers a role that contains others.
func (w *roleWalk) meet(r roleNode) error {
	if r.Composite && !w.seen[r.ID] {
		w.seen[r.ID] = true
		w.queue = append(w.queue, r)
	}
	return nil
}

// groups reads what the realm's groups grant, and returns the clients whose
// roles are among it.
func (w *roleWalk) groups(ctx context.Context, ids load.IDs) (clients []string, err error) {
	o := &observer{target: w.target, scope: load.Scope{IDs: ids}}
	if o.census.groups, err = w.target.realmGroups(ctx); err != nil {
		return nil, err
	}
	o.identify()
	w.out.Groups = make(map[schemas.RowID][]load.Role, len(o.census.groups.byID))
	for id, g := range o.census.groups.byID {
		var roles []load.Role
		for _, name := range g.RealmRoles {
			roles = append(roles, load.Role{Name: name})
		}
		for client, names := range g.ClientRoles {
			clients = append(clients, client)
			for _, name := range names {
				roles = append(roles, load.Role{Client: client, Name: name})
			}
		}
		if len(roles) > 0 {
			w.out.Groups[o.census.names[id].id] = roles
		}
	}
	return clients, nil
}

// client meets the roles of a client. One that is not there, or that the
// service account may not see, is noted: whoever has its roles may have more.
func (w *roleWalk) client(ctx context.Context, name string) error {
	var found []struct{ ID, ClientID string }
	err := w.target.http.get(ctx, "look up a client", "/clients", url.Values{"clientId": {name}}, &found)
	uuid := ""
	for _, c := range found {
		if c.ClientID == name {
			uuid = c.ID
		}
	}
	if err == nil && uuid != "" {
		w.clients[uuid] = name
		err = list(ctx, w.target.http, "list a client's roles", "/clients/"+url.PathEscape(uuid)+"/roles", url.Values{"briefRepresentation": {"true"}},
			func(r roleNode) error { return w.meet(r) })
	}
	if hidden(err) || err == nil && uuid == "" {
		w.out.Unread = append(w.out.Unread, "what the roles of client "+name+" contain (it is not there, or the service account lacks view-clients)")
		return nil
	}
	return err
}

// hidden says that the server would not show something.
func hidden(err error) bool {
	return isStatus(err, http.StatusForbidden) || isStatus(err, http.StatusNotFound)
}

// contents reads what a composite role contains itself.
func (w *roleWalk) contents(ctx context.Context, r roleNode) error {
	self, err := w.role(ctx, r)
	if err != nil {
		return err
	}
	var inside []roleNode
	err = list(ctx, w.target.http, "read what a role contains", "/roles-by-id/"+url.PathEscape(r.ID)+"/composites", nil, func(in roleNode) error {
		inside = append(inside, in)
		return w.meet(in)
	})
	if hidden(err) { // deleted since it was listed, or not for us to see
		w.out.Unread = append(w.out.Unread, "what role "+self.String()+" contains")
		return nil
	}
	if err != nil {
		return err
	}
	for _, in := range inside {
		role, err := w.role(ctx, in)
		if err != nil {
			return err
		}
		w.out.Composites[self] = append(w.out.Composites[self], role)
	}
	return nil
}

// role names a role. A client that may not be looked up goes by its UUID.
func (w *roleWalk) role(ctx context.Context, r roleNode) (load.Role, error) {
	if !r.ClientRole {
		return load.Role{Name: r.Name}, nil
	}
	name, known := w.clients[r.ContainerID]
	if !known {
		var c struct{ ClientID string }
		err := w.target.http.get(ctx, "look up a client", "/clients/"+url.PathEscape(r.ContainerID), nil, &c)
		if err != nil && !hidden(err) {
			return load.Role{}, err
		}
		if name = c.ClientID; name == "" {
			name = r.ContainerID
		}
		w.clients[r.ContainerID] = name
	}
	return load.Role{Client: name, Name: r.Name}, nil
}
