package sandbox

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// wireGroup is a group as the server writes it. Realm groups and organization groups, brief and full, differ in what they show.
type wireGroup struct {
	ID            string               `json:"id"`
	Name          string               `json:"name"`
	Description   *string              `json:"description,omitempty"`
	Path          string               `json:"path"`
	ParentID      string               `json:"parentId,omitempty"`
	SubGroupCount *int                 `json:"subGroupCount,omitempty"`
	SubGroups     []wireGroup          `json:"subGroups"`
	Attributes    *map[string][]string `json:"attributes,omitempty"`
	RealmRoles    *[]string            `json:"realmRoles,omitempty"`
	ClientRoles   *struct{}            `json:"clientRoles,omitempty"`
	Access        map[string]bool      `json:"access,omitempty"`
}

var accessInGroup = map[string]bool{"view": true, "viewMembers": true, "manageMembers": true, "manage": true, "manageMembership": true}

func briefGroup(g *group) wireGroup {
	w := wireGroup{ID: g.id, Name: g.name, Description: g.description, Path: g.path(), SubGroups: []wireGroup{}}
	if g.parent != nil && (g.parent.parent != nil || g.org != nil) {
		w.ParentID = g.parent.id
	}
	return w
}

func fullGroup(g *group) wireGroup {
	w := briefGroup(g)
	attributes := g.attributes
	if attributes == nil {
		attributes = map[string][]string{}
	}
	names := convert(g.roles, func(r *role) string { return r.name })
	w.Attributes, w.RealmRoles, w.ClientRoles = &attributes, &names, &struct{}{}
	return w
}

// counted adds what lists of realm groups show.
func counted(wire func(*group) wireGroup) func(*group) wireGroup {
	return func(g *group) wireGroup {
		w := wire(g)
		w.SubGroupCount = new(len(g.children))
		w.Access = accessInGroup
		return w
	}
}

func (c *call) groupWire(briefByDefault bool) func(*group) wireGroup {
	brief := briefByDefault
	if c.query.Has("briefRepresentation") {
		brief = c.isTrue("briefRepresentation")
	}
	if brief {
		return briefGroup
	}
	return fullGroup
}

// groupBody is a group as somebody sent it. Roles and sub-groups in it are accepted and ignored.
type groupBody struct {
	id, name, description *string
	attributes            map[string][]string
}

// readGroup reads a body; handled is the answer to one that is missing or has no name.
func (c *call) readGroup() (*groupBody, *reply) {
	var b groupBody
	var ignored bool
	err := c.read("GroupRepresentation", fields{
		"id": text(&b.id), "name": text(&b.name), "description": text(&b.description), "attributes": textLists(&b.attributes, &ignored),
		"path": nil, "parentId": nil, "subGroupCount": nil, "subGroups": nil, "realmRoles": nil, "clientRoles": nil, "access": nil, "members": nil,
		"organization": nil,
	})
	var refused reply
	switch {
	case errors.Is(err, errEmpty):
		refused = unknownError()
	case err != nil:
		refused = decodeFailed(err)
	case b.name == nil || strings.TrimSpace(*b.name) == "":
		refused = message(400, "Group name is missing")
	default:
		for name, values := range b.attributes {
			if len(values) == 0 {
				delete(b.attributes, name)
			}
		}
		return &b, nil
	}
	return nil, &refused
}

// badAttributes tells whether the database would refuse attributes of a group or an organization: unlike a user's, they hold 255 characters.
func badAttributes(m map[string][]string) bool {
	for name, values := range m {
		if badText(name, 255) || slices.ContainsFunc(values, func(v string) bool { return badText(v, 255) }) {
			return true
		}
	}
	return false
}

func (c *call) makeGroup(parent *group, b *groupBody) *group {
	g := &group{id: c.s.newID(), name: *b.name, description: b.description, org: parent.org, members: map[*user]struct{}{}}
	c.re.groups[g.id] = g
	parent.attach(g)
	return g
}

const onlyByOrganization = "Cannot manage organization related group via non Organization API."

func (c *call) routeGroups(seg []string) reply {
	if len(seg) == 0 {
		return c.dispatch(methods{"GET": c.listGroups, "POST": c.json(c.postGroup)})
	}
	if len(seg) == 1 && seg[0] == "count" && c.method == "GET" {
		n := 0
		c.re.top.walk(func(*group) { n++ })
		return ok(map[string]int{"count": n})
	}
	g := c.re.groups[seg[0]]
	if g == nil || g.parent == nil {
		return notFound("Could not find group by id")
	}
	if g.org != nil {
		return message(400, onlyByOrganization)
	}
	switch {
	case len(seg) == 1:
		return c.dispatch(methods{
			"GET": func() reply { return ok(counted(fullGroup)(g)) },
			"PUT": c.json(func() reply {
				return c.putGroup(g, func(name string) reply { return message(409, "Sibling group named '"+name+"' already exists.") }, unknownError())
			}),
			"DELETE": func() reply { c.re.removeGroup(g); return noContent() },
		})
	case len(seg) == 2 && seg[1] == "children":
		return c.dispatch(methods{
			"GET":  func() reply { return c.listChildren(g, counted(c.groupWire(false))) },
			"POST": c.json(func() reply { return c.postChild(g) }),
		})
	case len(seg) == 2 && seg[1] == "members":
		return c.dispatch(methods{"GET": func() reply {
			list, refused := page(c, sortedMembers(g.members, &g.sorted), 100)
			if refused != nil {
				return *refused
			}
			return ok(convert(list, c.userWire(false)))
		}})
	case seg[1] == "role-mappings" && len(seg) == 3 && seg[2] == "realm":
		return c.roleMappings(g.roles, g.grant, g.revoke)
	}
	return noResource()
}

// matchGroups finds the groups below root by the query's search and q, by name.
func (c *call) matchGroups(root *group) []*group {
	search, exact := c.query.Get("search"), c.isTrue("exact")
	wanted, _ := attributeQuery(c.query.Get("q"))
	var list []*group
	root.walk(func(g *group) {
		if exact && g.name != search || !exact && !likeName(g.name, search, root == c.re.top) {
			return
		}
		for name, want := range wanted {
			if !slices.Contains(g.attributes[name], want) {
				return
			}
		}
		list = append(list, g)
	})
	slices.SortFunc(list, func(a, b *group) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) })
	return list
}

// likeName compares a name with a search in which * stands for anything: somewhere in the name for the realm's groups, from its start for
// an organization's.
func likeName(name, search string, anywhere bool) bool {
	name, search = strings.ToLower(name), strings.ToLower(search)
	if anywhere {
		search = "*" + search
	}
	parts := strings.Split(search, "*")
	name, starts := strings.CutPrefix(name, parts[0])
	for _, part := range parts[1:] {
		_, rest, found := strings.Cut(name, part)
		starts, name = starts && found, rest
	}
	return starts
}

// hierarchy shows the groups found inside their ancestors.
func hierarchy(root *group, found []*group, wire func(*group) wireGroup) []wireGroup {
	shown := map[*group]bool{}
	for _, g := range found {
		for ; g != root; g = g.parent {
			shown[g] = true
		}
	}
	var build func(*group) []wireGroup
	build = func(parent *group) []wireGroup {
		out := []wireGroup{}
		for _, g := range parent.children {
			if shown[g] {
				w := wire(g)
				w.SubGroups = build(g)
				out = append(out, w)
			}
		}
		return out
	}
	return build(root)
}

func (c *call) listGroups() reply {
	wire := counted(c.groupWire(true))
	if c.query.Get("search") != "" || c.query.Get("q") != "" {
		found, refused := page(c, c.matchGroups(c.re.top), -1)
		if refused != nil {
			return *refused
		}
		if c.query.Get("populateHierarchy") == "false" {
			return ok(convert(found, wire))
		}
		return ok(hierarchy(c.re.top, found, wire))
	}
	list, refused := page(c, c.re.top.children, -1)
	if refused != nil {
		return *refused
	}
	return ok(convert(list, wire))
}

func (c *call) listChildren(g *group, wire func(*group) wireGroup) reply {
	list := g.children
	if search := c.query.Get("search"); search != "" {
		exact := c.isTrue("exact")
		list = slices.DeleteFunc(slices.Clone(list), func(x *group) bool {
			return exact && x.name != search || !exact && !strings.Contains(strings.ToLower(x.name), strings.ToLower(search))
		})
	}
	list, refused := page(c, list, 10)
	if refused != nil {
		return *refused
	}
	return ok(convert(list, wire))
}

func (c *call) postGroup() reply {
	b, refused := c.readGroup()
	if refused != nil {
		return *refused
	}
	if b.id != nil {
		g := c.re.groups[*b.id]
		if g == nil || g.org != nil || g.parent == nil {
			return notFound("Could not find child by id")
		}
		return c.move(g, c.re.top, b)
	}
	switch {
	case badText(*b.name, 255):
		return unknownError()
	case c.re.top.child(*b.name) != nil:
		return message(409, "Top level group named '"+*b.name+"' already exists.")
	case badAttributes(b.attributes):
		return unknownError()
	}
	g := c.makeGroup(c.re.top, b)
	g.attributes = b.attributes
	return created("./" + g.id)
}

// move is what a POST with an id means: that group comes here. Its name and attributes are taken over as well.
func (c *call) move(g, to *group, b *groupBody) reply {
	if other := to.child(*b.name); other != nil && other != g {
		return message(409, "Sibling group named '"+*b.name+"' already exists.")
	}
	for up := to; up != nil; up = up.parent {
		if up == g {
			return unknownError()
		}
	}
	g.detach()
	to.attach(g)
	return noContent()
}

func (c *call) postChild(parent *group) reply {
	b, refused := c.readGroup()
	if refused != nil {
		return *refused
	}
	if b.id != nil {
		g := c.re.groups[*b.id]
		if g == nil || g.org != nil || g.parent == nil {
			return notFound("Could not find child by id")
		}
		return c.move(g, parent, b)
	}
	switch {
	case badText(*b.name, 255):
		return unknownError()
	case parent.child(*b.name) != nil:
		return message(409, "Sibling group named '"+*b.name+"' already exists.")
	case badAttributes(b.attributes):
		return unknownError()
	}
	g := c.makeGroup(parent, b)
	g.attributes = b.attributes
	w := fullGroup(g)
	w.Access = accessInGroup
	return reply{status: 201, body: w, location: strings.TrimSuffix(c.url, parent.id+"/children") + g.id}
}

// putGroup changes name, description and attributes; attributes that are not sent stay.
func (c *call) putGroup(g *group, taken func(name string) reply, bad reply) reply {
	b, refused := c.readGroup()
	if refused != nil {
		return *refused
	}
	if other := g.parent.child(*b.name); other != nil && other != g {
		return taken(*b.name)
	}
	if badText(*b.name, 255) || badAttributes(b.attributes) {
		return bad
	}
	g.name, g.description = *b.name, b.description
	g.parent.sortChildren()
	if b.attributes != nil {
		g.attributes = b.attributes
	}
	return noContent()
}

func groupByPath(root *group, seg []string, _ bool) reply {
	g := root.find(strings.Join(seg, "/"))
	if g == nil {
		return notFound("Group path does not exist")
	}
	w := fullGroup(g)
	w.SubGroupCount = new(len(g.children))
	return ok(w)
}

func (c *call) routeUserGroups(u *user, seg []string) reply {
	if len(seg) == 0 {
		return c.dispatch(methods{"GET": func() reply {
			var list []*group
			for _, g := range u.groups {
				if g.org == nil {
					list = append(list, g)
				}
			}
			slices.SortFunc(list, func(a, b *group) int { return cmp.Compare(a.name, b.name) })
			list, refused := page(c, list, -1)
			if refused != nil {
				return *refused
			}
			return ok(convert(list, c.groupWire(true)))
		}})
	}
	if len(seg) != 1 {
		return noResource()
	}
	g := c.re.groups[seg[0]]
	change := func(do func(*user)) func() reply {
		return func() reply {
			if g == nil || g.parent == nil {
				return notFound("Group not found")
			}
			if g.org != nil {
				return message(400, "Cannot access organization related group via non Organization API.")
			}
			before := len(u.groups)
			do(u)
			c.unchanged = len(u.groups) == before
			return noContent()
		}
	}
	if g == nil {
		g = &group{}
	}
	return c.dispatch(methods{"PUT": change(g.add), "DELETE": change(g.remove)})
}
