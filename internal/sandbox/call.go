package sandbox

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// call is one request to the Admin API, past authentication. It runs under the server's lock.
type call struct {
	s      *Server
	re     *realm
	method string
	seg    []string // path below the realm
	query  url.Values
	media  string
	body   []byte
	now    time.Time
	url    string         // of the request, without query: what Location is relative to
	users  *importRequest // the body of a partialImport, read before the lock was taken

	unchanged   bool   // accepted, and nothing is another for it
	removedKind string // of the credential that went
}

// admin answers a request below /admin/realms/{realm}.
func (s *Server) admin(r *http.Request, realmName string, seg []string) reply {
	s.mu.Lock()
	c, authenticated := s.bearer(r)
	re := s.realms[realmName]
	s.mu.Unlock()
	switch {
	case !authenticated:
		return fail(401, plainError{"HTTP 401 Unauthorized"})
	case re == nil:
		return fail(404, plainError{"Realm not found."})
	case c.Realm != realmName || c.Party != migratorClient:
		return fail(403, plainError{"HTTP 403 Forbidden"})
	}
	body, refusal := s.body(r)
	if refusal != nil {
		return *refusal
	}
	_, below, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/admin/realms/"), "/")
	e := entry{
		Kind: "request", Time: s.opts.Now(), Method: r.Method, Realm: realmName, Path: below, Query: r.URL.RawQuery, Type: r.Header.Get("Content-Type"),
	}
	var users *importRequest
	if len(seg) == 1 && seg[0] == "partialImport" && r.Method == http.MethodPost {
		users = readImport(body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return unknownError()
	}
	e.Drawn = s.drawn
	cl, refusal := s.newCall(e.Method, e.Realm, e.Path, e.Query, e.Type, body, e.Time)
	if refusal != nil {
		return *refusal
	}
	cl.url = "http://" + r.Host + strings.TrimSuffix(r.URL.EscapedPath(), "/")
	cl.users = users
	answer := cl.run()
	if r.Method != http.MethodGet && answer.ok() {
		if err := s.record(e, body); err != nil {
			return unknownError()
		}
	}
	if strings.HasPrefix(answer.location, "./") {
		answer.location = cl.url + answer.location[1:]
	}
	return answer
}

func (s *Server) newCall(method, realmName, path, query, contentType string, body []byte, now time.Time) (*call, *reply) {
	seg, err := segments(path)
	if err != nil {
		r := fail(400, oauthError{"missingNormalization", "Request path not normalized"})
		return nil, &r
	}
	q, _ := url.ParseQuery(query) // what cannot be read is missing
	media, _, _ := mime.ParseMediaType(contentType)
	return &call{s: s, re: s.realms[realmName], method: method, seg: seg, query: q, media: media, body: body, now: now}, nil
}

func (c *call) route() reply {
	if c.re == nil {
		return fail(404, plainError{"Realm not found."})
	}
	if len(c.seg) == 0 {
		return c.dispatch(methods{"GET": c.getRealm, "PUT": c.json(c.putRealm)})
	}
	rest := c.seg[1:]
	switch c.seg[0] {
	case "partialImport":
		if len(rest) == 0 {
			return c.dispatch(methods{"POST": c.json(c.partialImport)})
		}
	case "users":
		return c.routeUsers(rest)
	case "roles":
		return c.routeRoles(rest)
	case "roles-by-id":
		return c.routeRolesByID(rest)
	case "groups":
		return c.routeGroups(rest)
	case "group-by-path":
		return c.dispatch(methods{"GET": func() reply { return groupByPath(c.re.top, rest, true) }})
	case "organizations":
		return c.routeOrganizations(rest)
	case "events":
		return c.routeEvents(rest)
	case "admin-events":
		return c.routeAdminEvents(rest)
	}
	return noResource()
}

func noResource() reply { return notFound("HTTP 404 Not Found") }

// methods are the handlers of one path.
type methods map[string]func() reply

func (c *call) dispatch(m methods) reply {
	h := m[c.method]
	if h == nil {
		return fail(405, plainError{"HTTP 405 Method Not Allowed"})
	}
	return h()
}

// json refuses a body that does not call itself JSON.
func (c *call) json(h func() reply) func() reply {
	return func() reply {
		if c.media != "application/json" {
			return fail(415, plainError{"The content-type header value did not match the value in @Consumes"})
		}
		return h()
	}
}

// errEmpty is a body that is absent or null.
var errEmpty = errors.New("empty body")

// read reads the body as an object.
func (c *call) read(representation string, known fields) error {
	if len(strings.TrimSpace(string(c.body))) == 0 {
		return errEmpty
	}
	raw, err := parse(c.body)
	if err != nil {
		return err
	}
	if isNull(raw) {
		return errEmpty
	}
	return object(raw, representation, known)
}

// number reads a query parameter; absent or not a number: the second result tells which.
func (c *call) number(name string, otherwise int) (int, bool) {
	if !c.query.Has(name) || c.query.Get(name) == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(c.query.Get(name))
	return n, err == nil
}

func (c *call) isTrue(name string) bool { return strings.EqualFold(c.query.Get(name), "true") }

// page cuts a list by first and max. A negative max means all.
func page[T any](c *call, list []T, defaultMax int) ([]T, *reply) {
	first, ok1 := c.number("first", 0)
	most, ok2 := c.number("max", defaultMax)
	if !ok1 || !ok2 {
		r := noResource()
		return nil, &r
	}
	if first > 0 {
		list = list[min(first, len(list)):]
	}
	if most >= 0 {
		list = list[:min(most, len(list))]
	}
	return list, nil
}

// convert makes wire values; the result is never nil, so that an empty list reads [].
func convert[T, W any](list []T, wire func(T) W) []W {
	out := make([]W, 0, len(list))
	for _, v := range list {
		out = append(out, wire(v))
	}
	return out
}

// roleNames reads the body of a role mapping: a list of roles with id and name.
func (c *call) roleRefs() ([]*role, *reply) {
	if len(strings.TrimSpace(string(c.body))) == 0 {
		return nil, &reply{}
	}
	raw, err := parse(c.body)
	if err != nil {
		r := decodeFailed(err)
		return nil, &r
	}
	if isNull(raw) {
		return nil, &reply{}
	}
	type ref struct{ id, name *string }
	var refs []ref
	err = each(func(raw json.RawMessage) error {
		var r ref
		if err := object(raw, "RoleRepresentation", roleFields(fields{"id": text(&r.id), "name": text(&r.name)})); err != nil {
			return err
		}
		refs = append(refs, r)
		return nil
	}, func() {})(raw)
	if err != nil {
		r := decodeFailed(err)
		return nil, &r
	}
	var roles []*role
	for _, r := range refs {
		var found *role
		if r.name != nil {
			found = c.re.roles[*r.name]
		}
		if found == nil || r.id == nil || *r.id != found.id {
			refused := notFound("Role not found")
			return nil, &refused
		}
		roles = append(roles, found)
	}
	return roles, nil
}
