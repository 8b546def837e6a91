package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
)

// importRequest is the body of a partialImport. Unknown keys beside the users are ignored, unknown ones inside a user are not.
type importRequest struct {
	policy  string // "" if it was null
	users   []*userBody
	roles   []string
	refused *reply
}

func readImport(body []byte) *importRequest {
	r := &importRequest{policy: "FAIL"}
	broken := importDecodeFailed()
	raw, err := parse(body)
	if err != nil || kind(raw) != '{' {
		r.refused = &broken
		return r
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		r.refused = &broken
		return r
	}
	if err := r.read(m); err != nil {
		r.refused = &broken
	}
	return r
}

func (r *importRequest) read(m map[string]json.RawMessage) error {
	if raw, has := m["ifResourceExists"]; has {
		var policy *string
		if err := text(&policy)(raw); err != nil {
			return err
		}
		r.policy = ""
		if policy != nil {
			r.policy = *policy
			if !slices.Contains([]string{"FAIL", "SKIP", "OVERWRITE"}, r.policy) {
				return errShape
			}
		}
	}
	if raw, has := m["users"]; has {
		err := each(func(raw json.RawMessage) error {
			b := &userBody{isNull: isNull(raw)}
			r.users = append(r.users, b)
			if b.isNull {
				return nil
			}
			return object(raw, "UserRepresentation", b.fields())
		}, func() {})(raw)
		if err != nil {
			return err
		}
	}
	if raw, has := m["roles"]; has && !isNull(raw) {
		var realm json.RawMessage
		known := fields{"realm": func(raw json.RawMessage) error { realm = raw; return nil }, "client": nil, "application": nil}
		if err := object(raw, "RolesRepresentation", known); err != nil {
			return err
		}
		if realm != nil {
			return each(func(raw json.RawMessage) error {
				var name *string
				if err := object(raw, "RoleRepresentation", roleFields(fields{"name": text(&name)})); err != nil {
					return err
				}
				r.roles = append(r.roles, deref(name))
				return nil
			}, func() {})(realm)
		}
	}
	return nil
}

type importResult struct {
	Action       string `json:"action"`
	ResourceType string `json:"resourceType"`
	ResourceName string `json:"resourceName"`
	ID           string `json:"id"`
}

type importReply struct {
	Overwritten int            `json:"overwritten"`
	Added       int            `json:"added"`
	Skipped     int            `json:"skipped"`
	Results     []importResult `json:"results"`
}

// planned is one user of an import, checked but not written.
type planned struct {
	body     *userBody
	name     string // as the results show it
	action   string
	existing *user // that SKIP names, or OVERWRITE deletes
	user     *user
	creds    []*credential
	roles    []string
	groups   []*group
}

// partialImport writes users past the profile: no validation, no default role. All or nothing.
func (c *call) partialImport() reply {
	req := c.users
	if req == nil {
		req = readImport(c.body)
	}
	if req.refused != nil {
		return *req.refused
	}
	plan, refused := c.planImport(req)
	if refused != nil {
		return *refused
	}
	out := importReply{Results: []importResult{}}
	for _, name := range req.roles {
		if r := c.re.roles[name]; r != nil {
			out.Skipped++
			out.Results = append(out.Results, importResult{"SKIPPED", "REALM_ROLE", name, r.id})
			continue
		}
		out.Added++
		out.Results = append(out.Results, importResult{"ADDED", "REALM_ROLE", name, c.makeRole(name).id})
	}
	for _, p := range plan {
		if p.action == "OVERWRITTEN" && !p.existing.has(deleted) {
			c.s.removeUser(p.existing)
		}
	}
	for _, p := range plan {
		var id string
		switch p.action {
		case "SKIPPED":
			out.Skipped++
			id = p.existing.id
		case "OVERWRITTEN":
			out.Overwritten++
			id = c.write(p)
		default:
			out.Added++
			id = c.write(p)
		}
		out.Results = append(out.Results, importResult{p.action, "USER", p.name, id})
	}
	return ok(out)
}

func (c *call) planImport(req *importRequest) ([]*planned, *reply) {
	refuse := func(r reply) ([]*planned, *reply) { return nil, &r }
	re := c.re
	for _, name := range req.roles {
		if req.policy == "FAIL" && re.roles[name] != nil {
			return refuse(message(409, "Realm role '"+name+"' already exists."))
		}
	}
	// First who exists, for all of them.
	var plan []*planned
	for _, b := range req.users {
		if b.isNull {
			return refuse(unknownError())
		}
		p := &planned{body: b, action: "ADDED", name: deref(b.username)}
		if b.username == nil {
			p.name = deref(b.email)
		}
		byName, byEmail := c.existing(b)
		if b.username != nil && badText(*b.username, 0) || b.email != nil && badText(*b.email, 0) {
			return refuse(unknownError()) // the look-up in the database fails
		}
		if hit := byName; hit != nil || byEmail != nil {
			if hit == nil {
				hit = byEmail
			}
			switch req.policy {
			case "": // it was null, and now somebody looks at it
				return refuse(unknownError())
			case "FAIL":
				return refuse(message(409, "User with user name "+p.name+" already exists."))
			case "SKIP":
				if byName == nil && b.username != nil {
					return refuse(unknownError()) // found by e-mail, looked up by username: a null dereference
				}
				p.action = "SKIPPED"
			case "OVERWRITE":
				p.action = "OVERWRITTEN" // whoever it is
			}
			p.existing = hit
		}
		plan = append(plan, p)
	}
	gone := map[*user]bool{}
	for _, p := range plan {
		if p.action == "OVERWRITTEN" {
			gone[p.existing] = true
		}
	}
	// Then each of them, against the realm and the others of the body.
	ids, names, emails := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, p := range plan {
		if p.action == "SKIPPED" {
			continue
		}
		holds := func(m map[string]*user, key string) bool { x := m[key]; return x != nil && !gone[x] }
		// The row itself is written first, so a taken id or name shows before whatever else is wrong with the user.
		if b := p.body; b.username != nil && !badText(*b.username, 255) && (b.id == nil || !badText(*b.id, 36)) {
			name := strings.ToLower(*b.username)
			if names[name] || holds(re.users, name) || b.id != nil && (ids[*b.id] || holds(c.s.users, *b.id)) {
				return refuse(duplicate())
			}
		}
		if refused := c.planUser(p); refused != nil {
			return nil, refused
		}
		u := p.user
		taken := u.id != noID && (ids[u.id] || holds(c.s.users, u.id)) || names[u.username] || holds(re.users, u.username) ||
			u.email != "" && !re.flag("duplicateEmailsAllowed") && (emails[u.email] || holds(re.emails, u.email))
		if taken {
			return refuse(duplicate())
		}
		ids[u.id], names[u.username], emails[u.email] = true, true, true
	}
	return plan, nil
}

func (c *call) existing(b *userBody) (byName, byEmail *user) {
	if b.username != nil {
		byName = c.re.users[strings.ToLower(*b.username)]
	}
	if b.email != nil && *b.email != "" && !c.re.flag("duplicateEmailsAllowed") {
		byEmail = c.re.emails[strings.ToLower(*b.email)]
	}
	return byName, byEmail
}

// noID marks a user whose id the server chooses.
const noID = "\x00"

// planUser makes the user as it will be, or finds what the database would refuse.
func (c *call) planUser(p *planned) *reply {
	b, re := p.body, c.re
	broken := unknownError()
	if b.username == nil || b.nullAmongOthers {
		return &broken
	}
	u := &user{realm: re, id: noID, username: strings.ToLower(*b.username), created: c.now.UnixMilli()}
	if b.id != nil {
		u.id = *b.id
		u.set(idChosen, true)
	}
	u.setFirst(b.firstName)
	u.setLast(b.lastName)
	u.email = importedEmail(b.email)
	u.set(enabled, b.enabled != nil && *b.enabled)
	u.set(emailVerified, b.emailVerified != nil && *b.emailVerified)
	if b.created != nil {
		u.created = *b.created
		u.set(createdChosen, true)
	}
	if b.federationLink != nil {
		u.federationLink = *b.federationLink
	}
	if refused := u.importAttributes(b.attributes); refused != nil {
		return refused
	}
	for _, a := range b.actions {
		if a == nil || badText(*a, 255) {
			return &broken
		}
		u.require(*a)
	}
	if badText(u.username, 255) || badText(u.email, 255) || badText(u.first, 255) || badText(u.last, 255) ||
		b.id != nil && badText(*b.id, 36) || badText(u.federationLink, 255) {
		return &broken
	}
	creds, refused := c.prepareCredentials(u, b.credentials)
	if refused != nil {
		return refused
	}
	p.creds = creds
	for _, name := range b.realmRoles {
		if name == nil || badText(*name, 255) {
			return &broken
		}
		p.roles = append(p.roles, strings.TrimSpace(*name))
	}
	for client := range b.clientRoles {
		if re.clients[client] == nil && !slices.Contains(builtinClients, client) {
			return &broken
		}
	}
	for _, path := range b.groups {
		var g *group
		if path != nil {
			g = re.top.find(*path)
		}
		if g == nil {
			return &broken
		}
		p.groups = append(p.groups, g)
	}
	p.user = u
	return nil
}

var builtinClients = []string{"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"}

func importedEmail(email *string) string {
	if email == nil || strings.TrimSpace(*email) == "" {
		return ""
	}
	return strings.ToLower(*email)
}

// importAttributes sets attributes as an import does: those named like a basic field set that field.
func (u *user) importAttributes(attributes map[string][]string) *reply {
	broken := unknownError()
	kept := map[string][]string{}
	for name, values := range attributes {
		if badText(name, 255) || slices.ContainsFunc(values, func(v string) bool { return badText(v, 0) }) {
			return &broken
		}
		switch name {
		case "username":
			u.username = strings.ToLower(first(values))
		case "email":
			u.email = importedEmail(new(first(values)))
		case "firstName":
			u.setFirst(new(first(values)))
		case "lastName":
			u.setLast(new(first(values)))
		default:
			if len(values) > 0 {
				kept[name] = values
			}
		}
	}
	u.attributes = attributeList(kept)
	return nil
}

func (c *call) write(p *planned) string {
	u := p.user
	if u.id == noID {
		u.id = c.s.newID()
	}
	for i := range u.attributes {
		u.attributes[i].name = c.s.intern(u.attributes[i].name)
	}
	c.s.addUser(u)
	for _, cr := range p.creds {
		u.store(cr)
	}
	for _, name := range p.roles {
		r := c.re.roles[name]
		if r == nil {
			r = c.makeRole(name)
		}
		u.grant(r)
	}
	for _, g := range p.groups {
		g.add(u)
	}
	return u.id
}
