package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
)

type wireRole struct {
	ID          string               `json:"id"`
	Name        string               `json:"name"`
	Description *string              `json:"description,omitempty"`
	Composite   bool                 `json:"composite"`
	ClientRole  bool                 `json:"clientRole"`
	ContainerID string               `json:"containerId"`
	Attributes  *map[string][]string `json:"attributes,omitempty"`
}

func (re *realm) briefRole(r *role) wireRole {
	return wireRole{ID: r.id, Name: r.name, Description: r.description, Composite: len(r.composites) > 0, ContainerID: re.id}
}

func (re *realm) fullRole(r *role) wireRole {
	w := re.briefRole(r)
	attributes := r.attributes
	if attributes == nil {
		attributes = map[string][]string{}
	}
	w.Attributes = &attributes
	return w
}

// roleFields are the fields of a role, those given read.
func roleFields(read fields) fields {
	known := fields{
		"id": nil, "name": nil, "description": nil, "composite": nil, "composites": nil, "clientRole": nil, "containerId": nil, "attributes": nil,
		"scopeParamRequired": nil,
	}
	for name, f := range read {
		known[name] = f
	}
	return known
}

func (c *call) makeRole(name string) *role {
	r := &role{id: c.s.newID(), name: name, members: map[*user]struct{}{}, groups: map[*group]struct{}{}}
	c.re.roles[name] = r
	c.re.rolesByID[r.id] = r
	return r
}

func (c *call) routeRoles(seg []string) reply {
	if len(seg) == 0 {
		return c.dispatch(methods{"GET": c.listRoles, "POST": c.json(c.postRole)})
	}
	r := c.re.roles[seg[0]]
	switch {
	case len(seg) == 1:
		return c.dispatch(methods{"GET": func() reply {
			if r == nil {
				return notFound("Could not find role")
			}
			return ok(c.re.fullRole(r))
		}, "DELETE": func() reply {
			if r == nil {
				return notFound("Could not find role")
			}
			c.deleteRole(r)
			return noContent()
		}})
	case len(seg) == 2 && seg[1] == "composites":
		return c.composites(r, notFound("Could not find role"))
	case len(seg) == 2 && seg[1] == "users":
		return c.dispatch(methods{"GET": func() reply {
			if r == nil {
				return notFound("Could not find role")
			}
			var none []*user
			list, refused := page(c, sortedMembers(r.members, &none), 100)
			if refused != nil {
				return *refused
			}
			return ok(convert(list, withAccess(c.userWire(false))))
		}})
	}
	return noResource()
}

func (c *call) deleteRole(r *role) {
	for u := range r.members {
		u.roles = slices.DeleteFunc(slices.Clone(u.roles), func(x *role) bool { return x == r })
	}
	for g := range r.groups {
		g.roles = slices.DeleteFunc(slices.Clone(g.roles), func(x *role) bool { return x == r })
	}
	for _, whole := range c.re.roles {
		whole.release(r)
	}
	delete(c.re.roles, r.name)
	delete(c.re.rolesByID, r.id)
}

func (c *call) listRoles() reply {
	search := strings.ToLower(strings.TrimSpace(c.query.Get("search")))
	var list []*role
	for _, r := range c.re.roles {
		if search == "" || strings.Contains(strings.ToLower(r.name), search) || r.description != nil && strings.Contains(strings.ToLower(*r.description), search) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *role) int { return cmp.Compare(a.name, b.name) })
	// Only both together page the list; one alone is ignored.
	if c.query.Has("first") && c.query.Has("max") {
		var refused *reply
		if list, refused = page(c, list, -1); refused != nil {
			return *refused
		}
	}
	if c.query.Has("briefRepresentation") && !c.isTrue("briefRepresentation") {
		return ok(convert(list, c.re.fullRole))
	}
	return ok(convert(list, c.re.briefRole))
}

func (c *call) postRole() reply {
	var name, description *string
	var attributes map[string][]string
	var ignored bool
	err := c.read("RoleRepresentation", roleFields(fields{
		"name": text(&name), "description": text(&description), "attributes": textLists(&attributes, &ignored),
	}))
	switch {
	case errors.Is(err, errEmpty):
		return unknownError()
	case err != nil:
		return decodeFailed(err)
	case name == nil:
		return fail(400, plainError{"role has no name"})
	case badText(*name, 255) || description != nil && badText(*description, 255):
		return unknownError()
	case c.re.roles[*name] != nil:
		return message(409, "Role with name "+*name+" already exists")
	}
	r := c.makeRole(*name)
	r.description, r.attributes = description, attributes
	if *name == "" {
		return created(".")
	}
	return created("./" + url.PathEscape(*name))
}

func (c *call) routeUserRoles(u *user, seg []string) reply {
	if len(seg) == 0 {
		return c.dispatch(methods{"GET": func() reply {
			if len(u.roles) == 0 {
				return ok(struct{}{})
			}
			return ok(map[string]any{"realmMappings": convert(u.roles, c.re.briefRole)})
		}})
	}
	if seg[0] != "realm" || len(seg) != 1 {
		return noResource()
	}
	return c.roleMappings(u.roles, u.grant, u.revoke)
}

// roleMappings answers for a user or a group.
func (c *call) roleMappings(held []*role, grant, revoke func(*role)) reply {
	return c.dispatch(methods{
		"GET": func() reply { return ok(convert(held, c.re.briefRole)) },
		"POST": c.json(func() reply {
			roles, refused := c.roleRefs()
			if refused != nil {
				if refused.status == 0 {
					return unknownError()
				}
				return *refused
			}
			for _, r := range roles {
				grant(r)
			}
			return noContent()
		}),
		"DELETE": func() reply {
			roles, refused := c.roleRefs()
			if refused != nil && refused.status == 0 {
				roles = slices.Clone(held) // no body: all of them
			} else if refused != nil {
				return *refused
			}
			for _, r := range roles {
				revoke(r)
			}
			return noContent()
		},
	})
}

func (g *group) grant(r *role) {
	if _, has := r.groups[g]; !has {
		r.groups[g] = struct{}{}
		g.roles = append(slices.Clone(g.roles), r)
	}
}

func (g *group) revoke(r *role) {
	delete(r.groups, g)
	g.roles = slices.DeleteFunc(slices.Clone(g.roles), func(x *role) bool { return x == r })
}

func (re *realm) flag(name string) bool {
	v, _ := re.rep[name].(bool)
	return v
}

// decodeRealm reads the fields of a realm that this server knows; the others it keeps as they are.
func decodeRealm(body []byte, known map[string]any) (map[string]any, error) {
	raw, err := parse(body)
	if err != nil {
		return nil, err
	}
	if isNull(raw) {
		return nil, errEmpty
	}
	sent := map[string]any{}
	readers := fields{}
	keep := func(name string) func(json.RawMessage) error {
		return func(raw json.RawMessage) error {
			var v any
			if err := json.Unmarshal(raw, &v); err != nil {
				return errShape
			}
			sent[name] = v
			return nil
		}
	}
	for name := range known {
		readers[name] = keep(name)
	}
	for _, name := range []string{
		"id", "realm", "displayName", "displayNameHtml", "passwordPolicy", "organizationsEnabled", "defaultRole", "loginTheme",
		"accountTheme", "adminTheme", "emailTheme", "users", "clients", "roles", "groups", "supportedLocales", "defaultLocale", "defaultGroups", "eventsExpiration",
	} {
		readers[name] = keep(name)
	}
	err = object(raw, "RealmRepresentation", readers)
	return sent, err
}
