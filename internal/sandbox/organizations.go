package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

type wireOrganization struct {
	ID          string               `json:"id"`
	Name        string               `json:"name"`
	Alias       string               `json:"alias"`
	Enabled     bool                 `json:"enabled"`
	Description *string              `json:"description,omitempty"`
	RedirectURL *string              `json:"redirectUrl,omitempty"`
	Attributes  *map[string][]string `json:"attributes,omitempty"`
	Domains     []wireDomain         `json:"domains,omitempty"`
}

type wireDomain struct {
	Name     string `json:"name"`
	Verified bool   `json:"verified"`
}

func briefOrganization(o *organization) wireOrganization {
	w := wireOrganization{ID: o.id, Name: o.name, Alias: o.alias, Enabled: o.enabled, Description: o.description, RedirectURL: o.redirectURL}
	for _, d := range o.domains {
		w.Domains = append(w.Domains, wireDomain{d.name, d.verified})
	}
	return w
}

func fullOrganization(o *organization) wireOrganization {
	w := briefOrganization(o)
	attributes := o.attributes
	if attributes == nil {
		attributes = map[string][]string{}
	}
	w.Attributes = &attributes
	return w
}

func (c *call) organizationWire() func(*organization) wireOrganization {
	if c.query.Has("briefRepresentation") && !c.isTrue("briefRepresentation") {
		return fullOrganization
	}
	return briefOrganization
}

func (c *call) routeOrganizations(seg []string) reply {
	if !c.re.organizationsEnabled {
		return message(404, "Organizations not enabled for this realm.")
	}
	if len(seg) == 0 {
		return c.dispatch(methods{"GET": c.listOrganizations, "POST": c.json(c.postOrganization)})
	}
	if len(seg) == 1 && seg[0] == "count" && c.method == "GET" {
		return ok(len(c.selectOrganizations()))
	}
	if seg[0] == "members" && len(seg) == 3 && seg[2] == "organizations" {
		return c.dispatch(methods{"GET": func() reply { return c.organizationsOf(seg[1]) }})
	}
	o := c.re.orgs[seg[0]]
	if o == nil {
		return message(404, "Organization not found.")
	}
	switch {
	case len(seg) == 1:
		return c.dispatch(methods{
			"GET":    func() reply { return ok(fullOrganization(o)) },
			"PUT":    c.json(func() reply { return c.putOrganization(o) }),
			"DELETE": func() reply { c.deleteOrganization(o); return noContent() },
		})
	case seg[1] == "members":
		return c.routeMembers(o, seg[2:])
	case seg[1] == "groups":
		return c.routeOrganizationGroups(o, seg[2:])
	}
	return noResource()
}

func (c *call) selectOrganizations() []*organization {
	q := c.query
	search, exact := q.Get("search"), c.isTrue("exact")
	wanted, _ := attributeQuery(q.Get("q"))
	var list []*organization
	for _, o := range c.re.orgs {
		if len(wanted) > 0 {
			if o.matches(wanted) {
				list = append(list, o)
			}
			continue
		}
		if search == "" || o.found(search, exact) {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b *organization) int { return cmp.Compare(a.name, b.name) })
	return list
}

func (o *organization) matches(wanted map[string]string) bool {
	for name, want := range wanted {
		switch name {
		case "alias":
			if o.alias != want {
				return false
			}
		case "name":
			if o.name != want {
				return false
			}
		default:
			if !slices.Contains(o.attributes[name], want) {
				return false
			}
		}
	}
	return true
}

func (o *organization) found(search string, exact bool) bool {
	texts := []string{o.name}
	for _, d := range o.domains {
		texts = append(texts, d.name)
	}
	return slices.ContainsFunc(texts, func(t string) bool {
		return exact && t == search || !exact && strings.Contains(strings.ToLower(t), strings.ToLower(search))
	})
}

func (c *call) listOrganizations() reply {
	list, refused := page(c, c.selectOrganizations(), 10)
	if refused != nil {
		return *refused
	}
	return ok(convert(list, c.organizationWire()))
}

type organizationBody struct {
	name, alias, description, redirectURL *string
	enabled                               bool
	attributes                            map[string][]string
	domains                               map[string]domain
	emptyDomain                           bool
}

func (c *call) readOrganization() (*organizationBody, error) {
	b := organizationBody{enabled: true, domains: map[string]domain{}}
	var on *bool
	var ignored bool
	err := c.read("OrganizationRepresentation", fields{
		"id": nil, "members": nil, "identityProviders": nil, "groups": nil,
		"name": text(&b.name), "alias": text(&b.alias), "description": text(&b.description), "redirectUrl": text(&b.redirectURL),
		"enabled": truth(&on), "attributes": textLists(&b.attributes, &ignored),
		"domains": each(func(raw json.RawMessage) error {
			var name *string
			var verified *bool
			if kind(raw) == '"' { // a bare name will do
				if err := text(&name)(raw); err != nil {
					return err
				}
			} else if err := object(raw, "OrganizationDomainRepresentation", fields{"name": text(&name), "verified": truth(&verified), "matchSubdomains": nil}); err != nil {
				return err
			}
			if name == nil || strings.TrimSpace(*name) == "" {
				b.emptyDomain = true
				return nil
			}
			d := domain{strings.ToLower(*name), verified != nil && *verified}
			b.domains[d.name] = d
			return nil
		}, func() {}),
	})
	if on != nil {
		b.enabled = *on
	}
	for name, values := range b.attributes {
		if len(values) == 0 {
			delete(b.attributes, name)
		}
	}
	return &b, err
}

// aliasComplaint says why a text cannot be an alias; "" if it can.
func aliasComplaint(alias string) string {
	for _, r := range alias {
		switch {
		case r == ' ' || r == '\t' || r == '\n':
			return "Empty Space not allowed."
		case strings.ContainsRune(reservedInAlias, r):
			return "Character '" + string(r) + "' not allowed."
		}
	}
	return ""
}

const reservedInAlias = `:/?#@!$&()*+,;=[]\`

var domainName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(\*\.)?([a-z0-9\x{80}-\x{ffff}]([a-z0-9\x{80}-\x{ffff}-]*[a-z0-9\x{80}-\x{ffff}])?\.)*[a-z0-9\x{80}-\x{ffff}]([a-z0-9\x{80}-\x{ffff}-]*[a-z0-9\x{80}-\x{ffff}])?$`)
})

// checkOrganization finds what is wrong with the parts that creating and changing share.
func (c *call) checkOrganization(b *organizationBody, self *organization) *reply {
	refuse := func(r reply) *reply { return &r }
	if b.redirectURL != nil && *b.redirectURL != "" {
		if u, err := url.Parse(*b.redirectURL); err != nil || u.Scheme == "" || u.Host == "" {
			return refuse(message(400, "Organization redirect URL is not valid."))
		}
	}
	if b.emptyDomain {
		return refuse(message(400, "Domain name cannot be empty"))
	}
	for _, name := range slices.Sorted(maps.Keys(b.domains)) {
		if !domainName().MatchString(name) {
			return refuse(message(400, "Invalid domain format: "+name))
		}
		if other := c.re.domains[name]; other != nil && other != self {
			return refuse(message(400, "Domain "+name+" is already linked to organization "+other.name+" in realm "+c.re.name))
		}
	}
	if badText(*b.name, 255) || b.description != nil && badText(*b.description, 4000) || badAttributes(b.attributes) {
		return refuse(unknownError())
	}
	return nil
}

const (
	nameTaken  = "A organization with the same name already exists."
	aliasTaken = "A organization with the same alias already exists"
)

func (c *call) postOrganization() reply {
	b, err := c.readOrganization()
	switch {
	case errors.Is(err, errEmpty):
		return message(400, "Organization cannot be null.")
	case err != nil:
		return decodeFailed(err)
	case b.name == nil || strings.TrimSpace(*b.name) == "":
		return message(400, "Name can not be null")
	}
	alias := *b.name
	if b.alias != nil && strings.TrimSpace(*b.alias) != "" {
		alias = *b.alias
		if complaint := aliasComplaint(alias); complaint != "" {
			return fail(400, plainError{complaint})
		}
	} else if complaint := aliasComplaint(alias); complaint != "" {
		return message(400, "Name cannot be used as alias: "+complaint)
	}
	switch {
	case badText(*b.name, 0) || badText(alias, 0):
		return unknownError()
	case c.re.orgsByName[*b.name] != nil:
		return message(409, nameTaken)
	case c.re.orgsByAlias[alias] != nil:
		return message(409, aliasTaken)
	case badText(alias, 255):
		return unknownError()
	}
	if refused := c.checkOrganization(b, nil); refused != nil {
		return *refused
	}
	o := &organization{id: c.s.newID(), alias: alias, members: map[*user]struct{}{}}
	o.root = &group{id: c.s.newID(), org: o}
	c.re.orgs[o.id] = o
	c.re.orgsByAlias[alias] = o
	c.setOrganization(o, b)
	if b.attributes != nil {
		o.attributes = b.attributes
	}
	return created("./" + o.id)
}

func (c *call) setOrganization(o *organization, b *organizationBody) {
	delete(c.re.orgsByName, o.name)
	o.name, o.description, o.redirectURL, o.enabled = *b.name, b.description, b.redirectURL, b.enabled
	c.re.orgsByName[o.name] = o
	for _, d := range o.domains {
		delete(c.re.domains, d.name)
	}
	o.domains = nil
	for _, name := range slices.Sorted(maps.Keys(b.domains)) {
		o.domains = append(o.domains, b.domains[name])
		c.re.domains[name] = o
	}
}

func (c *call) putOrganization(o *organization) reply {
	b, err := c.readOrganization()
	switch {
	case errors.Is(err, errEmpty):
		return message(400, "Organization cannot be null.")
	case err != nil:
		return decodeFailed(err)
	case b.name == nil || strings.TrimSpace(*b.name) == "":
		return message(409, nameTaken) // so the server words it
	}
	if other := c.re.orgsByName[*b.name]; other != nil && other != o {
		return message(409, nameTaken)
	}
	alias := *b.name
	if b.alias != nil && strings.TrimSpace(*b.alias) != "" {
		alias = *b.alias
	}
	if alias != o.alias {
		return message(400, "Cannot change the alias")
	}
	if refused := c.checkOrganization(b, o); refused != nil {
		return *refused
	}
	c.setOrganization(o, b)
	if b.attributes != nil {
		o.attributes = b.attributes
	}
	return noContent()
}

func (c *call) deleteOrganization(o *organization) {
	for u := range o.members {
		u.organizations = slices.DeleteFunc(u.organizations, func(x *organization) bool { return x == o })
	}
	o.root.walk(c.re.forgetGroup)
	for _, d := range o.domains {
		delete(c.re.domains, d.name)
	}
	delete(c.re.orgs, o.id)
	delete(c.re.orgsByName, o.name)
	delete(c.re.orgsByAlias, o.alias)
}

func (c *call) organizationsOf(id string) reply {
	u := c.s.users[id]
	if u == nil || u.realm != c.re {
		return noResource()
	}
	list := slices.Clone(u.organizations)
	slices.SortFunc(list, func(a, b *organization) int { return cmp.Compare(a.name, b.name) })
	return ok(convert(list, c.organizationWire()))
}

func asMember(wire func(*user) wireUser) func(*user) wireUser {
	return func(u *user) wireUser {
		w := wire(u)
		w.MembershipType = "UNMANAGED"
		return w
	}
}

func (c *call) routeMembers(o *organization, seg []string) reply {
	if len(seg) == 0 {
		return c.dispatch(methods{"GET": func() reply { return c.listMembers(o) }, "POST": c.json(func() reply { return c.postMember(o) })})
	}
	if len(seg) == 1 && seg[0] == "count" && c.method == "GET" {
		return ok(len(o.members))
	}
	u := c.s.users[seg[0]]
	if u == nil || u.realm != c.re {
		return noResource()
	}
	_, isMember := o.members[u]
	switch {
	case len(seg) == 2 && seg[1] == "organizations":
		return c.dispatch(methods{"GET": func() reply { return c.organizationsOf(u.id) }})
	case !isMember:
		return noResource()
	case len(seg) == 1:
		return c.dispatch(methods{
			"GET":    func() reply { return ok(asMember(fullUser)(u)) },
			"DELETE": func() reply { o.expel(u); return noContent() },
		})
	case len(seg) == 2 && seg[1] == "groups":
		return c.dispatch(methods{"GET": func() reply {
			var list []*group
			for _, g := range u.groups {
				if g.org == o {
					list = append(list, g)
				}
			}
			slices.SortFunc(list, func(a, b *group) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) })
			list, refused := page(c, list, -1)
			if refused != nil {
				return *refused
			}
			return ok(convert(list, c.groupWire(true)))
		}})
	}
	return noResource()
}

func (c *call) listMembers(o *organization) reply {
	if kind := c.query.Get("membershipType"); kind != "" && !strings.EqualFold(kind, "unmanaged") && !strings.EqualFold(kind, "managed") {
		return unknownError()
	}
	list := sortedMembers(o.members, &o.sorted)
	if strings.EqualFold(c.query.Get("membershipType"), "managed") {
		list = nil
	}
	if search := strings.ToLower(c.query.Get("search")); search != "" {
		exact := c.isTrue("exact")
		list = slices.DeleteFunc(slices.Clone(list), func(u *user) bool { return !found(u, search, exact) })
	}
	list, refused := page(c, list, 10)
	if refused != nil {
		return *refused
	}
	return ok(convert(list, asMember(c.userWire(true))))
}

// postMember takes the bare id of a user, in quotes or not.
func (c *call) postMember(o *organization) reply {
	id := strings.ReplaceAll(strings.TrimSpace(string(c.body)), `"`, "")
	u := c.s.users[id]
	if id == "" || u == nil || u.realm != c.re {
		return noResource()
	}
	if _, is := o.members[u]; is {
		return message(409, "User is already a member of the organization.")
	}
	o.members[u] = struct{}{}
	o.sorted = nil
	u.organizations = append(slices.Clone(u.organizations), o)
	return created("./" + u.id)
}

func (c *call) routeOrganizationGroups(o *organization, seg []string) reply {
	if len(seg) == 0 {
		return c.dispatch(methods{
			"GET":  func() reply { return c.listOrganizationGroups(o) },
			"POST": c.json(func() reply { return c.postOrganizationGroup(o) }),
		})
	}
	if seg[0] == "group-by-path" {
		return c.dispatch(methods{"GET": func() reply {
			g := o.root.find(strings.Join(seg[1:], "/"))
			if g == nil {
				return notFound("Group path does not exist")
			}
			return ok(briefGroup(g))
		}})
	}
	g := c.re.groups[seg[0]]
	if g == nil {
		return message(404, "Group does not exist")
	}
	if g.org != o {
		return message(400, "Group does not belong to the organization")
	}
	databaseFailed := message(400, "Database operation failed")
	switch {
	case len(seg) == 1:
		return c.dispatch(methods{
			"GET": func() reply { return ok(fullGroup(g)) },
			"PUT": c.json(func() reply {
				return c.putGroup(g, func(string) reply { return fail(409, oauthError{"conflict", "Duplicate resource error"}) }, unknownError())
			}),
			"DELETE": func() reply { c.re.removeGroup(g); return noContent() },
		})
	case len(seg) == 2 && seg[1] == "children":
		return c.dispatch(methods{
			"GET":  func() reply { return c.listChildren(g, briefGroup) },
			"POST": c.json(func() reply { return c.postOrganizationChild(o, g, databaseFailed) }),
		})
	case seg[1] == "members":
		return c.routeGroupMembers(o, g, seg[2:])
	case seg[1] == "role-mappings" && len(seg) == 2:
		return c.dispatch(methods{"GET": func() reply {
			if len(g.roles) == 0 {
				return ok(struct{}{})
			}
			return ok(map[string]any{"realmMappings": convert(g.roles, c.re.briefRole)})
		}})
	case seg[1] == "role-mappings" && len(seg) == 3 && seg[2] == "realm":
		return c.roleMappings(g.roles, g.grant, g.revoke)
	}
	return noResource()
}

func (c *call) listOrganizationGroups(o *organization) reply {
	wire := c.groupWire(true)
	searched := c.query.Get("search") != "" || c.query.Get("q") != ""
	list := o.root.children
	if searched {
		list = c.matchGroups(o.root)
	}
	list, refused := page(c, list, -1)
	if refused != nil {
		return *refused
	}
	if searched && c.isTrue("populateHierarchy") {
		return ok(hierarchy(o.root, list, wire))
	}
	return ok(convert(list, wire))
}

func (c *call) postOrganizationGroup(o *organization) reply {
	b, refused := c.readGroup()
	if refused != nil {
		return *refused
	}
	if b.id != nil {
		g := c.re.groups[*b.id]
		if g == nil {
			return notFound("Could not find group by id")
		}
		if g.org != o {
			return message(400, "Group does not belong to the organization")
		}
		return c.move(g, o.root, b)
	}
	if badText(*b.name, 255) {
		return message(400, "Database operation failed")
	}
	if o.root.child(*b.name) != nil {
		return message(409, "Group with the given name already exists.")
	}
	if badAttributes(b.attributes) {
		return unknownError()
	}
	g := c.makeGroup(o.root, b)
	g.attributes = b.attributes
	return reply{status: 201, body: briefGroup(g), location: "./" + g.id}
}

// postOrganizationChild drops the attributes sent, as the server does: a second call has to set them.
func (c *call) postOrganizationChild(o *organization, parent *group, databaseFailed reply) reply {
	b, refused := c.readGroup()
	if refused != nil {
		return *refused
	}
	if b.id != nil {
		g := c.re.groups[*b.id]
		if g == nil || g.org != o {
			return notFound("Could not find child by id")
		}
		return c.move(g, parent, b)
	}
	if badText(*b.name, 255) {
		return databaseFailed
	}
	if parent.child(*b.name) != nil {
		return message(409, "Sibling group with the given name already exists")
	}
	b.description = nil
	g := c.makeGroup(parent, b)
	return reply{status: 201, body: fullGroup(g), location: "./" + g.id}
}

func (c *call) routeGroupMembers(o *organization, g *group, seg []string) reply {
	if len(seg) == 0 {
		return c.dispatch(methods{"GET": func() reply {
			list, refused := page(c, sortedMembers(g.members, &g.sorted), -1)
			if refused != nil {
				return *refused
			}
			return ok(convert(list, asMember(c.userWire(false))))
		}})
	}
	if len(seg) != 1 {
		return noResource()
	}
	u := c.s.users[seg[0]]
	known := u != nil && u.realm == c.re
	return c.dispatch(methods{
		"PUT": func() reply {
			if !known {
				return message(404, "User does not exist")
			}
			if _, isMember := o.members[u]; !isMember {
				return message(400, "User is not member of the organization")
			}
			if _, has := g.members[u]; has {
				return message(409, "User is already a member of the group")
			}
			g.add(u)
			return noContent()
		},
		"DELETE": func() reply {
			if !known {
				return message(404, "User does not exist")
			}
			_, had := g.members[u]
			c.unchanged = !had
			g.remove(u)
			return noContent()
		},
	})
}
