package sandbox

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Events are what the realm remembers of changes, once it is told to: an admin event for each change by the Admin API, a user event for
// each login. They are as the real server words them, without a representation; they go with their age only.
type adminEvent struct {
	ID        string            `json:"id"`
	Time      int64             `json:"time"`
	RealmID   string            `json:"realmId"`
	Auth      authDetails       `json:"authDetails"`
	Operation string            `json:"operationType"`
	Resource  string            `json:"resourceType"`
	Path      string            `json:"resourcePath,omitempty"`
	Details   map[string]string `json:"details,omitempty"`
}

type authDetails struct {
	RealmID   string `json:"realmId"`
	ClientID  string `json:"clientId"`
	UserID    string `json:"userId"`
	IPAddress string `json:"ipAddress"`
}

type userEvent struct {
	ID        string            `json:"id"`
	Time      int64             `json:"time"`
	Type      string            `json:"type"`
	RealmID   string            `json:"realmId"`
	ClientID  string            `json:"clientId"`
	UserID    string            `json:"userId,omitempty"`
	SessionID string            `json:"sessionId,omitempty"`
	IPAddress string            `json:"ipAddress"`
	Error     string            `json:"error,omitempty"`
	Details   map[string]string `json:"details,omitempty"`
}

// loopback is where every client of a sandbox is taken to be.
const loopback = "127.0.0.1"

// eventTypes are those that a realm keeps unless it names its own.
var eventTypes = func() []string {
	withErrors := "LOGIN REGISTER LOGOUT CODE_TO_TOKEN CLIENT_LOGIN FEDERATED_IDENTITY_LINK REMOVE_FEDERATED_IDENTITY UPDATE_EMAIL UPDATE_PROFILE " +
		"UPDATE_PASSWORD UPDATE_TOTP VERIFY_EMAIL VERIFY_PROFILE REMOVE_TOTP GRANT_CONSENT UPDATE_CONSENT REVOKE_GRANT SEND_VERIFY_EMAIL " +
		"SEND_RESET_PASSWORD SEND_IDENTITY_PROVIDER_LINK RESET_PASSWORD RESTART_AUTHENTICATION IDENTITY_PROVIDER_LINK_ACCOUNT " +
		"IDENTITY_PROVIDER_LOGIN IDENTITY_PROVIDER_FIRST_LOGIN IDENTITY_PROVIDER_POST_LOGIN IMPERSONATE CUSTOM_REQUIRED_ACTION EXECUTE_ACTIONS " +
		"EXECUTE_ACTION_TOKEN CLIENT_REGISTER CLIENT_UPDATE CLIENT_DELETE CLIENT_INITIATED_ACCOUNT_LINKING TOKEN_EXCHANGE OAUTH2_DEVICE_AUTH " +
		"OAUTH2_DEVICE_VERIFY_USER_CODE OAUTH2_DEVICE_CODE_TO_TOKEN AUTHREQID_TO_TOKEN PERMISSION_TOKEN DELETE_ACCOUNT " +
		"USER_DISABLED_BY_PERMANENT_LOCKOUT USER_DISABLED_BY_TEMPORARY_LOCKOUT OAUTH2_EXTENSION_GRANT FEDERATED_IDENTITY_OVERRIDE_LINK " +
		"UPDATE_CREDENTIAL REMOVE_CREDENTIAL INVITE_ORG VERIFIABLE_CREDENTIAL_REQUEST VERIFIABLE_CREDENTIAL_OFFER_REQUEST " +
		"VERIFIABLE_CREDENTIAL_CREATE_OFFER VERIFIABLE_CREDENTIAL_PRE_AUTHORIZED_GRANT JWT_AUTHORIZATION_GRANT"
	alone := []string{"PERMISSION_TOKEN", "USER_DISABLED_BY_PERMANENT_LOCKOUT", "USER_DISABLED_BY_TEMPORARY_LOCKOUT"}
	var all []string
	for _, t := range strings.Fields(withErrors) {
		all = append(all, t)
		if !slices.Contains(alone, t) {
			all = append(all, t+"_ERROR")
		}
	}
	return all
}()

var operationTypes = []string{"CREATE", "UPDATE", "DELETE", "ACTION"}

// resourceTypes are those that a query may name.
var resourceTypes = strings.Fields("REALM REALM_ROLE REALM_ROLE_MAPPING REALM_SCOPE_MAPPING AUTH_FLOW AUTH_EXECUTION_FLOW AUTH_EXECUTION " +
	"AUTHENTICATOR_CONFIG REQUIRED_ACTION REQUIRED_ACTION_CONFIG IDENTITY_PROVIDER IDENTITY_PROVIDER_MAPPER PROTOCOL_MAPPER USER USER_LOGIN_FAILURE " +
	"USER_SESSION USER_FEDERATION_PROVIDER USER_FEDERATION_MAPPER GROUP GROUP_MEMBERSHIP CLIENT CLIENT_INITIAL_ACCESS_MODEL CLIENT_ROLE " +
	"CLIENT_ROLE_MAPPING CLIENT_SCOPE CLIENT_SCOPE_MAPPING CLIENT_SCOPE_CLIENT_MAPPING CLUSTER_NODE COMPONENT AUTHORIZATION_RESOURCE_SERVER " +
	"AUTHORIZATION_RESOURCE AUTHORIZATION_SCOPE AUTHORIZATION_POLICY CUSTOM USER_PROFILE ORGANIZATION ORGANIZATION_MEMBERSHIP ORGANIZATION_GROUP " +
	"ORGANIZATION_GROUP_MEMBERSHIP")

type eventsConfig struct {
	Enabled      bool     `json:"eventsEnabled"`
	Expiration   int64    `json:"eventsExpiration,omitempty"`
	Listeners    any      `json:"eventsListeners"`
	Types        []string `json:"enabledEventTypes"`
	AdminEnabled bool     `json:"adminEventsEnabled"`
	AdminDetails bool     `json:"adminEventsDetailsEnabled"`
}

func (re *realm) eventTypes() []string {
	list, _ := re.rep["enabledEventTypes"].([]any)
	types := convert(list, func(v any) string { s, _ := v.(string); return s })
	if len(types) == 0 {
		return eventTypes
	}
	return types
}

func (re *realm) eventsExpiration() int64 {
	n, _ := re.rep["eventsExpiration"].(float64)
	return int64(n)
}

func (c *call) routeEvents(seg []string) reply {
	switch {
	case len(seg) == 0 && c.method == http.MethodGet:
		return c.listUserEvents()
	case len(seg) == 0 && c.method == http.MethodDelete:
		return forbidden()
	case len(seg) == 1 && seg[0] == "config" && c.method == http.MethodGet:
		return ok(eventsConfig{Enabled: c.re.flag("eventsEnabled"), Expiration: c.re.eventsExpiration(), Listeners: c.re.rep["eventsListeners"],
			Types: c.re.eventTypes(), AdminEnabled: c.re.flag("adminEventsEnabled"), AdminDetails: c.re.flag("adminEventsDetailsEnabled")})
	case len(seg) == 1 && seg[0] == "config" && c.method == http.MethodPut:
		return c.json(c.putEventsConfig)()
	}
	return noResource()
}

func (c *call) routeAdminEvents(seg []string) reply {
	switch {
	case len(seg) == 0 && c.method == http.MethodGet:
		return c.listAdminEvents()
	case len(seg) == 0 && c.method == http.MethodDelete:
		return forbidden()
	}
	return noResource()
}

func forbidden() reply { return fail(403, plainError{"HTTP 403 Forbidden"}) }

// putEventsConfig is not the migrator's right: manage-realm changes the same settings by PUT of the realm.
func (c *call) putEventsConfig() reply {
	err := c.read("RealmEventsConfigRepresentation", fields{"eventsEnabled": nil, "eventsExpiration": nil, "eventsListeners": nil,
		"enabledEventTypes": nil, "adminEventsEnabled": nil, "adminEventsDetailsEnabled": nil})
	if err != nil && !errors.Is(err, errEmpty) {
		return decodeFailed(err)
	}
	return forbidden()
}

// eventQuery is what both lists of events share.
type eventQuery struct {
	from, to  int64 // ms, both included; to 0: no end
	ascending bool
}

func (c *call) eventQuery() (q eventQuery, refused *reply) {
	refuse := func(text string) (eventQuery, *reply) { r := fail(400, plainError{text}); return q, &r }
	for name, to := range map[string]*int64{"dateFrom": &q.from, "dateTo": &q.to} {
		text := c.query.Get(name)
		if text == "" {
			continue
		}
		ms, err := strconv.ParseInt(text, 10, 64)
		if day, dayErr := time.Parse(time.DateOnly, text); err != nil && dayErr == nil {
			if ms, err = day.UnixMilli(), nil; name == "dateTo" {
				ms += 24*time.Hour.Milliseconds() - 1
			}
		}
		if err != nil {
			return refuse("Invalid value for '" + name + "', expected format is yyyy-MM-dd or an Epoch timestamp")
		}
		*to = ms
	}
	switch c.query.Get("direction") {
	case "", "desc":
	case "asc":
		q.ascending = true
	default:
		return refuse("Invalid value for sortDirection, expected value is asc or desc")
	}
	return q, nil
}

func (q eventQuery) holds(at int64) bool { return at >= q.from && (q.to == 0 || at <= q.to) }

// only reads a list of names in the query; a name that the server does not know makes it fall over.
func (c *call) only(parameter string, known []string) (names []string, refused *reply) {
	for _, name := range c.query[parameter] {
		if !slices.Contains(known, name) {
			r := unknownError()
			return nil, &r
		}
	}
	return c.query[parameter], nil
}

func allows(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }

func (c *call) listAdminEvents() reply {
	operations, refused := c.only("operationTypes", operationTypes)
	if refused != nil {
		return *refused
	}
	resources, refused := c.only("resourceTypes", resourceTypes)
	if refused != nil {
		return *refused
	}
	oldest := int64(0)
	attributes := asMap(c.re.rep["attributes"])
	if s, err := strconv.ParseInt(fmt.Sprint(attributes["adminEventsExpiration"]), 10, 64); err == nil && s > 0 {
		oldest = c.now.UnixMilli() - s*1000
	}
	return listEvents(c, c.re.adminEvents, oldest, func(e adminEvent) (int64, bool) {
		return e.Time, allows(operations, e.Operation) && allows(resources, e.Resource)
	})
}

func (c *call) listUserEvents() reply {
	types, refused := c.only("type", eventTypes)
	if refused != nil {
		return *refused
	}
	oldest := int64(0)
	if s := c.re.eventsExpiration(); s > 0 {
		oldest = c.now.UnixMilli() - s*1000
	}
	return listEvents(c, c.re.userEvents, oldest, func(e userEvent) (int64, bool) { return e.Time, allows(types, e.Type) })
}

func listEvents[E any](c *call, all []E, oldest int64, look func(E) (at int64, wanted bool)) reply {
	q, refused := c.eventQuery()
	if refused != nil {
		return *refused
	}
	list := make([]E, 0, len(all))
	for _, e := range all {
		if at, wanted := look(e); wanted && at >= oldest && q.holds(at) {
			list = append(list, e)
		}
	}
	if !q.ascending {
		slices.Reverse(list)
	}
	if list, refused = page(c, list, 100); refused != nil {
		return *refused
	}
	return ok(list)
}

// run routes the call and remembers what it changed.
func (c *call) run() reply {
	logged := c.re != nil && c.re.flag("adminEventsEnabled")
	// What it was before, as far as the event needs it.
	var email, name string
	if logged {
		email, name = c.subject()
	}
	answer := c.route()
	if !logged || c.method == http.MethodGet || !answer.ok() || c.unchanged {
		return answer
	}
	if len(c.seg) > 0 && c.seg[0] == "partialImport" {
		c.importEvents(answer)
		return answer
	}
	if e, is := c.event(answer); is {
		if strings.HasSuffix(e.Resource, "_MEMBERSHIP") {
			e.Details = map[string]string{"username": name}
			if email != "" {
				e.Details["email"] = email
			}
		}
		c.remember(e)
	}
	return answer
}

// subject is the user that a change of a membership is about.
func (c *call) subject() (email, name string) {
	id := ""
	switch s := c.seg; {
	case len(s) == 3 && s[0] == "organizations" && s[2] == "members":
		id = strings.ReplaceAll(strings.TrimSpace(string(c.body)), `"`, "")
	case len(s) > 1 && s[0] == "users":
		id = s[1]
	case len(s) > 1 && s[len(s)-2] == "members":
		id = s[len(s)-1]
	}
	if u := c.s.users[id]; u != nil {
		return u.email, u.username
	}
	return "", ""
}

// importEvents: an import logs a change of the realm for each user that it writes, none for those it skips. An account that
// it overwrote is not named, only the one that stands in its place.
func (c *call) importEvents(answer reply) {
	out, _ := answer.body.(importReply)
	for _, r := range out.Results {
		e := adminEvent{Operation: map[string]string{"ADDED": "CREATE", "OVERWRITTEN": "UPDATE"}[r.Action], Resource: "REALM", Path: "users/" + r.ID}
		if r.ResourceType == "REALM_ROLE" {
			e.Path = "roles/" + r.ResourceName
		}
		if e.Operation != "" {
			c.remember(e)
		}
	}
}

// event words a change: its path is the request's, with the new id where something of the realm's own was made.
func (c *call) event(answer reply) (adminEvent, bool) {
	e := adminEvent{Operation: map[string]string{http.MethodPost: "CREATE", http.MethodPut: "UPDATE", http.MethodDelete: "DELETE"}[c.method], Path: escaped(c.seg)}
	last := answer.location[strings.LastIndexByte(answer.location, '/')+1:]
	s := c.seg
	if len(s) == 0 {
		e.Resource, e.Path = "REALM", ""
		return e, true
	}
	if len(s) == 1 && c.method == http.MethodPost {
		e.Path += "/" + last
	}
	switch n := len(s); {
	case n >= 2 && s[n-2] == "role-mappings":
		e.Resource = "REALM_ROLE_MAPPING"
	case s[0] == "roles":
		e.Resource = "REALM_ROLE"
	case s[0] == "groups":
		e.Resource = "GROUP"
	case s[0] == "users":
		c.userEvent(&e)
	case n > 2 && s[0] == "organizations" && s[2] == "members":
		e.Resource = "ORGANIZATION_MEMBERSHIP"
	case n > 4 && s[0] == "organizations" && s[4] == "members":
		e.Resource, e.Operation = "ORGANIZATION_GROUP_MEMBERSHIP", map[string]string{"UPDATE": "CREATE", "DELETE": "DELETE"}[e.Operation]
	case n > 2 && s[0] == "organizations" && s[2] == "groups":
		e.Resource = "ORGANIZATION_GROUP"
	case s[0] == "organizations":
		e.Resource = "ORGANIZATION"
	default:
		return e, false
	}
	return e, true
}

func (c *call) userEvent(e *adminEvent) {
	s := c.seg
	e.Resource = "USER"
	switch {
	case len(s) == 2 && s[1] == "profile":
		e.Resource = "USER_PROFILE"
	case len(s) == 4 && s[2] == "groups":
		e.Resource = "GROUP_MEMBERSHIP"
		if e.Operation == "UPDATE" {
			e.Operation = "CREATE"
		}
	case len(s) > 2: // reset-password, logout, a credential
		e.Operation = "ACTION"
	}
	if len(s) == 4 && s[2] == "credentials" {
		e.Details = map[string]string{"credential_id": s[3], "credential_type": c.removedKind}
	}
}

func escaped(seg []string) string {
	return strings.Join(convert(seg, url.PathEscape), "/")
}

func (c *call) remember(e adminEvent) {
	re := c.re
	e.ID, e.Time, e.RealmID = c.s.eventID(re, "admin", len(re.adminEvents)), c.now.UnixMilli(), re.id
	account := ""
	if m := re.clients[migratorClient]; m != nil && m.account != nil {
		account = m.account.id
	}
	client := c.s.derive("client " + re.id + " " + migratorClient)
	e.Auth = authDetails{RealmID: re.id, ClientID: formatUUID([16]byte(client[:16])), UserID: account, IPAddress: loopback}
	re.adminEvents = append(re.adminEvents, e)
}

// eventID depends on nothing but the event's place, so that a replay makes the same and no other id moves.
func (s *Server) eventID(re *realm, kind string, n int) string {
	m := hmac.New(sha256.New, s.seed[:])
	fmt.Fprintf(m, "event %s %s %d", re.id, kind, n)
	return formatUUID([16]byte(m.Sum(nil)[:16]))
}

// loginEvent remembers a login, or that it failed. The caller holds the lock.
func (s *Server) loginEvent(re *realm, cl *client, u *user, name, session, failure string) error {
	e := userEvent{Type: "LOGIN", ClientID: cl.id, SessionID: session, Error: failure, Details: map[string]string{
		"auth_method": "openid-connect", "grant_type": "password", "client_auth_method": "client-secret", "username": cmp.Or(name, "null"),
	}}
	if failure != "" {
		e.Type = "LOGIN_ERROR"
	} else {
		token, refresh := s.derive("token of "+session), s.derive("refresh token of "+session)
		e.Details["scope"], e.Details["refresh_token_type"] = "email profile", "Refresh"
		e.Details["token_id"], e.Details["refresh_token_id"] = formatUUID([16]byte(token[:16])), formatUUID([16]byte(refresh[:16]))
	}
	if !re.flag("eventsEnabled") || !slices.Contains(re.eventTypes(), e.Type) {
		return nil
	}
	if u != nil {
		e.UserID = u.id
	}
	e.ID, e.Time, e.RealmID, e.IPAddress = s.eventID(re, "user", len(re.userEvents)), s.opts.Now().UnixMilli(), re.id, loopback
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := s.record(entry{Kind: "event", Realm: re.name, Drawn: s.drawn}, data); err != nil {
		return err
	}
	re.userEvents = append(re.userEvents, e)
	return nil
}
