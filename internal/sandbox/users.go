package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// wireUser is a user as the server writes it; the fields' order is the server's.
type wireUser struct {
	ID                         string              `json:"id"`
	Username                   string              `json:"username"`
	FirstName                  *string             `json:"firstName,omitempty"`
	LastName                   *string             `json:"lastName,omitempty"`
	Email                      string              `json:"email,omitempty"`
	EmailVerified              bool                `json:"emailVerified"`
	Attributes                 map[string][]string `json:"attributes,omitempty"`
	Enabled                    bool                `json:"enabled"`
	CreatedTimestamp           int64               `json:"createdTimestamp"`
	TOTP                       *bool               `json:"totp,omitempty"`
	FederationLink             string              `json:"federationLink,omitempty"`
	DisableableCredentialTypes *[]string           `json:"disableableCredentialTypes,omitempty"`
	RequiredActions            *[]string           `json:"requiredActions,omitempty"`
	NotBefore                  *int64              `json:"notBefore,omitempty"`
	Access                     map[string]bool     `json:"access,omitempty"`
	MembershipType             string              `json:"membershipType,omitempty"`
}

var (
	accessInList = map[string]bool{"manage": true}
	accessInGet  = map[string]bool{"manageGroupMembership": true, "resetPassword": true, "view": true, "mapRoles": true, "impersonate": false, "manage": true}
)

func briefUser(u *user) wireUser {
	w := wireUser{
		ID: u.id, Username: u.username, Email: u.email,
		EmailVerified: u.has(emailVerified), Enabled: u.has(enabled), CreatedTimestamp: u.created,
	}
	if u.has(hasFirst) {
		w.FirstName = new(u.first)
	}
	if u.has(hasLast) {
		w.LastName = new(u.last)
	}
	return w
}

func fullUser(u *user) wireUser {
	w := briefUser(u)
	w.FederationLink = u.federationLink
	w.Attributes = u.realm.profile.visible(u)
	w.TOTP = new(u.firstCredential("otp") != nil)
	w.DisableableCredentialTypes = &[]string{}
	actions := u.actions
	if actions == nil {
		actions = []string{}
	}
	w.RequiredActions = &actions
	w.NotBefore = new(u.notBefore)
	return w
}

func withAccess(wire func(*user) wireUser) func(*user) wireUser {
	return func(u *user) wireUser {
		w := wire(u)
		w.Access = accessInList
		return w
	}
}

// userWire is how a list of users is to be written.
func (c *call) userWire(briefByDefault bool) func(*user) wireUser {
	brief := briefByDefault
	if c.query.Has("briefRepresentation") {
		brief = c.isTrue("briefRepresentation")
	}
	if brief {
		return briefUser
	}
	return fullUser
}

func (c *call) routeUsers(seg []string) reply {
	if len(seg) == 0 {
		return c.dispatch(methods{"GET": c.listUsers, "POST": c.json(c.postUser)})
	}
	if len(seg) == 1 && seg[0] == "count" && c.method == "GET" {
		return c.countUsers()
	}
	if seg[0] == "profile" {
		if len(seg) == 1 {
			return c.dispatch(methods{"GET": func() reply { return ok(c.re.profile.rep) }, "PUT": c.json(c.putProfile)})
		}
		return noResource()
	}
	u := c.s.users[seg[0]]
	if u == nil || u.realm != c.re {
		return notFound("User not found")
	}
	switch {
	case len(seg) == 1:
		return c.dispatch(methods{
			"GET": func() reply {
				w := fullUser(u)
				w.Access = accessInGet
				return ok(w)
			},
			"PUT":    c.json(func() reply { return c.putUser(u) }),
			"DELETE": func() reply { c.s.removeUser(u); return noContent() },
		})
	case seg[1] == "credentials":
		return c.routeCredentials(u, seg[2:])
	case seg[1] == "reset-password" && len(seg) == 2:
		return c.dispatch(methods{"PUT": c.json(func() reply { return c.resetPassword(u) })})
	case seg[1] == "logout" && len(seg) == 2:
		return c.dispatch(methods{"POST": func() reply {
			u.notBefore = c.now.Unix()
			return noContent()
		}})
	case seg[1] == "federated-identity" && len(seg) == 2:
		return c.dispatch(methods{"GET": func() reply { return ok([]string{}) }}) // there are no identity providers
	case seg[1] == "role-mappings":
		return c.routeUserRoles(u, seg[2:])
	case seg[1] == "groups":
		return c.routeUserGroups(u, seg[2:])
	}
	return noResource()
}

func (c *call) listUsers() reply {
	list, refused := c.selectUsers()
	if refused != nil {
		return *refused
	}
	if !strings.HasPrefix(c.query.Get("search"), "id:") {
		if list, refused = page(c, list, 100); refused != nil {
			return *refused
		}
	}
	return ok(convert(list, withAccess(c.userWire(false))))
}

func (c *call) countUsers() reply {
	if len(c.query) == 0 {
		return ok(c.re.count)
	}
	list, refused := c.selectUsers()
	if refused != nil {
		return *refused
	}
	n := 0
	for _, u := range list {
		if !u.has(service) {
			n++
		}
	}
	return ok(n)
}

// selectUsers are those that the query asks for, in the order of their usernames; those of search=id: in the order given.
func (c *call) selectUsers() ([]*user, *reply) {
	q := c.query
	if ids, byID := strings.CutPrefix(q.Get("search"), "id:"); byID {
		var list []*user
		for _, id := range strings.Fields(ids) {
			if u := c.s.users[id]; u != nil && u.realm == c.re {
				list = append(list, u)
			}
		}
		return list, nil
	}
	exact := c.isTrue("exact")
	conditions := map[string]string{}
	for _, name := range []string{"username", "email", "firstName", "lastName"} {
		if q.Has(name) {
			conditions[name] = strings.ToLower(q.Get(name))
		}
	}
	if exact && conditions["username"] != "" {
		return matching(c.re.users[conditions["username"]], conditions), nil
	}
	if exact && conditions["email"] != "" {
		return matching(c.re.emails[conditions["email"]], conditions), nil
	}
	wanted, refused := attributeQuery(q.Get("q"))
	if refused != nil {
		return nil, refused
	}
	// Service accounts show only where somebody looks for a name.
	services := len(conditions) > 0
	search := strings.ToLower(strings.TrimSpace(q.Get("search")))
	var list []*user
	for _, u := range c.re.inOrder() {
		if u.has(service) && !services {
			continue
		}
		if search != "" && !found(u, search, exact) {
			continue
		}
		if meets(u, conditions, exact) && hasAttributes(u, wanted) {
			list = append(list, u)
		}
	}
	return list, nil
}

func matching(u *user, conditions map[string]string) []*user {
	if u == nil || !meets(u, conditions, true) {
		return nil
	}
	return []*user{u}
}

func meets(u *user, conditions map[string]string, exact bool) bool {
	for name, want := range conditions {
		if want == "" {
			continue
		}
		have := map[string]string{"username": u.username, "email": u.email, "firstName": strings.ToLower(u.first), "lastName": strings.ToLower(u.last)}[name]
		if exact && have != want || !exact && !strings.Contains(have, strings.Trim(want, "*")) {
			return false
		}
	}
	return true
}

func found(u *user, search string, exact bool) bool {
	for _, have := range []string{u.username, u.email, strings.ToLower(u.first), strings.ToLower(u.last)} {
		if exact && have == search || !exact && strings.Contains(have, search) {
			return true
		}
	}
	return false
}

// attributeQuery reads q=key:value key:"value with blanks".
func attributeQuery(q string) (map[string]string, *reply) {
	wanted := map[string]string{}
	for q = strings.TrimSpace(q); q != ""; q = strings.TrimSpace(q) {
		var key, value string
		var isPair bool
		if key, q, isPair = strings.Cut(q, ":"); !isPair {
			break
		}
		if strings.HasPrefix(q, `"`) {
			value, q, _ = strings.Cut(q[1:], `"`)
		} else {
			value, q, _ = strings.Cut(q, " ")
		}
		wanted[strings.Trim(key, `"`)] = value
	}
	return wanted, nil
}

func hasAttributes(u *user, wanted map[string]string) bool {
	for name, want := range wanted {
		values, _ := u.attribute(name)
		if !slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, want) }) {
			return false
		}
	}
	return true
}

// userBody is a user as somebody sent it.
type userBody struct {
	id, username, email, firstName, lastName, federationLink *string
	enabled, emailVerified                                   *bool
	created                                                  *int64
	attributes                                               map[string][]string
	nullAmongOthers                                          bool
	actions, realmRoles, groups                              []*string
	credentials                                              []*credentialBody
	clientRoles                                              map[string][]string
	isNull                                                   bool
}

func (b *userBody) fields() fields {
	var ignored bool
	return fields{
		"id": text(&b.id), "username": text(&b.username), "email": text(&b.email), "firstName": text(&b.firstName), "lastName": text(&b.lastName),
		"federationLink": text(&b.federationLink), "enabled": truth(&b.enabled), "emailVerified": truth(&b.emailVerified),
		"createdTimestamp": whole(&b.created), "attributes": textLists(&b.attributes, &b.nullAmongOthers),
		"requiredActions": textPtrs(&b.actions), "realmRoles": textPtrs(&b.realmRoles), "groups": textPtrs(&b.groups),
		"credentials": each(func(raw json.RawMessage) error {
			if isNull(raw) {
				b.credentials = append(b.credentials, nil)
				return nil
			}
			cred := &credentialBody{}
			b.credentials = append(b.credentials, cred)
			return object(raw, "CredentialRepresentation", cred.fields())
		}, func() { b.credentials = []*credentialBody{} }),
		"clientRoles": textLists(&b.clientRoles, &ignored),
		"self":        nil, "origin": nil, "totp": nil, "serviceAccountClientId": nil, "disableableCredentialTypes": nil, "federatedIdentities": nil,
		"clientConsents": nil, "notBefore": nil, "applicationRoles": nil, "socialLinks": nil, "access": nil, "userProfileMetadata": nil,
		"verifiableCredentials": nil, "membershipType": nil, "organizations": nil,
	}
}

func (c *call) readUser() (*userBody, *reply) {
	var b userBody
	switch err := c.read("UserRepresentation", b.fields()); err {
	case nil:
		return &b, nil
	case errEmpty:
		return nil, &reply{}
	default:
		r := decodeFailed(err)
		return nil, &r
	}
}

func (c *call) postUser() reply {
	b, refused := c.readUser()
	if refused != nil {
		if refused.status == 0 {
			return unknownError()
		}
		return *refused
	}
	if b.username == nil || strings.TrimSpace(*b.username) == "" {
		return message(400, "User name is missing")
	}
	change, refused := c.re.profile.change(c.re, nil, b)
	if refused != nil {
		return *refused
	}
	u := &user{realm: c.re, username: strings.ToLower(*b.username), created: c.now.UnixMilli()}
	creds, refused := c.prepareCredentials(u, b.credentials)
	if refused != nil {
		return *refused
	}
	if b.nullAmongOthers || badText(u.username, 255) || change.tooLong() {
		return unknownError()
	}
	var groups []*group
	for _, path := range b.groups {
		var g *group
		if path != nil {
			g = c.re.top.find(*path)
		}
		if g == nil {
			return unknownError()
		}
		groups = append(groups, g)
	}
	u.id = c.s.newID()
	if b.created != nil {
		u.created = *b.created
		u.set(createdChosen, true)
	}
	c.s.addUser(u)
	change.apply(c.s, u)
	c.updateFlags(u, b, false)
	u.grant(c.re.defaultRole)
	for _, g := range groups {
		g.add(u)
	}
	for _, cred := range creds {
		u.store(cred)
	}
	return created("./" + u.id)
}

func deref(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func couldNotUpdate() reply { return message(400, "Could not update user!") }

func (c *call) putUser(u *user) reply {
	b, refused := c.readUser()
	if refused != nil {
		if refused.status == 0 {
			return couldNotUpdate()
		}
		return *refused
	}
	change, refused := c.re.profile.change(c.re, u, b)
	if refused != nil {
		return *refused
	}
	if b.nullAmongOthers || change.tooLong() {
		return couldNotUpdate()
	}
	creds, refused := c.prepareCredentials(u, b.credentials)
	if refused != nil {
		if refused.status == 409 {
			return message(409, "User exists with same username or email")
		}
		return couldNotUpdate()
	}
	change.apply(c.s, u)
	c.updateFlags(u, b, true)
	for _, cred := range creds {
		u.store(cred)
	}
	return noContent()
}

var knownActions = []string{
	"CONFIGURE_RECOVERY_AUTHN_CODES", "CONFIGURE_TOTP", "TERMS_AND_CONDITIONS", "UPDATE_EMAIL", "UPDATE_PASSWORD", "UPDATE_PROFILE",
	"VERIFY_EMAIL", "VERIFY_PROFILE", "delete_account", "delete_credential", "idp_link", "update_user_locale", "webauthn-register", "webauthn-register-passwordless",
}

// updateFlags sets what is no attribute. Unknown required actions are dropped in silence.
func (c *call) updateFlags(u *user, b *userBody, existing bool) {
	if b.enabled != nil {
		u.set(enabled, *b.enabled)
	}
	if b.emailVerified != nil {
		u.set(emailVerified, *b.emailVerified)
	}
	if b.federationLink != nil {
		u.federationLink = *b.federationLink
	}
	if b.actions != nil {
		sent := map[string]bool{}
		for _, a := range b.actions {
			sent[deref(a)] = true
		}
		for _, a := range knownActions {
			if sent[a] {
				u.require(a)
			} else if existing {
				u.actions = slices.DeleteFunc(slices.Clone(u.actions), func(x string) bool { return x == a })
			}
		}
	}
	for _, cred := range b.credentials {
		if cred != nil && cred.kind != nil && *cred.kind == "password" && cred.temporary != nil && *cred.temporary {
			u.require("UPDATE_PASSWORD")
		}
	}
}

func (u *user) require(action string) {
	if !slices.Contains(u.actions, action) {
		u.actions = append(slices.Clone(u.actions), action)
	}
}

// badText tells whether PostgreSQL would refuse the text: it is too long, in characters, or holds a NUL.
func badText(s string, limit int) bool {
	return strings.IndexByte(s, 0) >= 0 || limit > 0 && utf8.RuneCountInString(s) > limit
}
