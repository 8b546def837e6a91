package keymate

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/parallelrun/parallelrun/load"
)

// directory remembers the names of the realm that requests need as ids, or the
// other way round. A name that is not found is looked for once more on the
// server, as it may have been made since.
type directory struct {
	target *Target

	mu      sync.Mutex
	roles   map[string]roleRep // realm roles by name
	clients map[string]string  // client ids to their UUIDs
	paths   map[string]string  // paths of realm groups by id; "" for one that no path leads to
}

// role returns a realm role by name.
func (d *directory) role(ctx context.Context, name string) (roleRep, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r, ok := d.roles[name]; ok {
		return r, true, nil
	}
	if err := d.readRoles(ctx); err != nil {
		return roleRep{}, false, err
	}
	r, ok := d.roles[name]
	return r, ok, nil
}

// roleNames lists the realm's roles as they are now.
func (d *directory) roleNames(ctx context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.readRoles(ctx); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(d.roles)), nil
}

// readRoles reads the realm's roles anew. The caller holds mu.
func (d *directory) readRoles(ctx context.Context) error {
	fresh := map[string]roleRep{}
	err := list(ctx, d.target.http, "list the realm's roles", "/roles", url.Values{"briefRepresentation": {"true"}}, func(r roleRep) error {
		fresh[r.Name] = r
		return nil
	})
	if err == nil {
		d.roles = fresh
	}
	return err
}

// rolesNamed returns realm roles, or the error that one is missing: an import
// would make it in silence.
func (d *directory) rolesNamed(ctx context.Context, names []string) ([]roleRep, error) {
	out := make([]roleRep, 0, len(names))
	for _, name := range names {
		r, ok, err := d.role(ctx, name)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, &load.Error{Class: load.Permanent, Op: "look up a role", Message: fmt.Sprintf("the realm has no role %q", name),
				Hint: "name it among the target's roles and let prepare make it, or map it to another"}
		}
		out = append(out, r)
	}
	return out, nil
}

// client returns the UUID of a client.
func (d *directory) client(ctx context.Context, name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id, ok := d.clients[name]; ok {
		return id, nil
	}
	var found []struct{ ID, ClientID string }
	err := d.target.http.get(ctx, "look up a client", "/clients", url.Values{"clientId": {name}}, &found)
	if err != nil {
		return "", err
	}
	for _, c := range found {
		if c.ClientID == name {
			if d.clients == nil {
				d.clients = map[string]string{}
			}
			d.clients[name] = c.ID
			return c.ID, nil
		}
	}
	return "", &load.Error{Class: load.Permanent, Op: "look up a client", Message: fmt.Sprintf("the realm has no client %q", name),
		Hint: "make it in the target or map its roles to another; or the service account lacks view-clients and does not see it"}
}

// groupPath returns the path under which an import finds a realm group; empty
// if the group is there but no path leads to it, because a name in it has a
// slash.
func (d *directory) groupPath(ctx context.Context, id string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.paths[id]; ok {
		return p, nil
	}
	tree, err := d.target.realmGroups(ctx)
	if err != nil {
		return "", err
	}
	d.paths = map[string]string{}
	for id := range tree.byID {
		d.paths[id] = tree.plainPath(id)
	}
	p, ok := d.paths[id]
	if !ok {
		return "", &load.Error{Class: load.Permanent, Op: "look up a group", Message: "the realm has no group " + id,
			Hint: "it was deleted in the target: observe and plan anew"}
	}
	return p, nil
}

// forget drops what may have changed: after an error, and after our own writes
// of groups.
func (d *directory) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.roles, d.clients, d.paths = nil, nil, nil
}

// plainPath is the path of a group if each of its names is without a slash.
func (t *groupTree) plainPath(id string) string {
	names := t.namesFromRoot(id)
	for _, n := range names {
		if strings.Contains(n, "/") {
			return ""
		}
	}
	return "/" + strings.Join(names, "/")
}
