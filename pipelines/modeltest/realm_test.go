package modeltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/internal/sandbox"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/keymate"
	"github.com/parallelrun/parallelrun/schemas"
)

var roleNames = []string{"auditor", "reader", "writer"}

// realm is the target as its administrators see it: what they edit and what
// they look at goes over its API, by none of the loader's code.
type realm struct {
	config keymate.Config // how the tool reaches it
	wires  http.RoundTripper
	userID func(schemas.RowID) string
	token  string
}

// inProcess answers requests without a network.
type inProcess struct{ server http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	defer func() {
		if p := recover(); p != nil {
			if e, ok := p.(error); !ok || !errors.Is(e, http.ErrAbortHandler) {
				panic(p)
			}
			resp, err = nil, io.ErrUnexpectedEOF
		}
	}()
	w := httptest.NewRecorder()
	p.server.ServeHTTP(w, r)
	resp = w.Result()
	resp.Request = r
	return resp, nil
}

// newSandbox makes a realm of a sandbox in this process.
func newSandbox() (*realm, error) {
	s, err := sandbox.New(sandbox.Options{Realm: sandbox.RealmOptions{Name: "model", Roles: roleNames}, TokenLifespan: 1 << 40})
	if err != nil {
		return nil, err
	}
	at, _ := s.Realm("model")
	return newRealm(inProcess{s}, keymate.Config{URL: "http://sandbox.invalid", Realm: at.Name,
		ClientID: at.Migrator.ID, ClientSecret: at.Migrator.Secret, ProofClientID: at.Proof.ID, ProofClientSecret: at.Proof.Secret,
		TransactionLimit: 1}), nil
}

func newRealm(wires http.RoundTripper, cfg keymate.Config) *realm {
	return &realm{config: cfg, wires: wires}
}

// grant gets a token of the migrator's, for edits and looks.
func (r *realm) grant(ctx context.Context) error {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {r.config.ClientID}, "client_secret": {r.config.ClientSecret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.tokenURL(), strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	if _, err := r.send(req, &granted); err != nil {
		return err
	}
	r.token = granted.AccessToken
	return nil
}

func (r *realm) tokenURL() string {
	return r.config.URL + "/realms/" + r.config.Realm + "/protocol/openid-connect/token"
}

// statusError is an answer that is none of 2xx.
type statusError struct {
	what   string
	status int
	body   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: status %d: %s", e.what, e.status, e.body)
}

func (r *realm) send(req *http.Request, out any) (int, error) {
	resp, err := r.wires.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, &statusError{req.Method + " " + req.URL.Path, resp.StatusCode, string(data)}
	}
	if out == nil || len(data) == 0 {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, json.Unmarshal(data, out)
}

// do sends one request below the realm; a token that has run out is renewed.
func (r *realm) do(ctx context.Context, method, path string, in, out any) error {
	for again := false; ; again = true {
		var body []byte
		switch v := in.(type) {
		case nil:
		case string:
			body = []byte(v)
		default:
			var err error
			if body, err = json.Marshal(in); err != nil {
				return err
			}
		}
		req, err := http.NewRequestWithContext(ctx, method, r.config.URL+"/admin/realms/"+r.config.Realm+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+r.token)
		req.Header.Set("Content-Type", "application/json")
		status, err := r.send(req, out)
		if status != http.StatusUnauthorized || again {
			return err
		}
		if err := r.grant(ctx); err != nil {
			return err
		}
	}
}

// seen is what the realm holds: our accounts by legacy key, and the accounts of
// nobody by user name.
type seen struct {
	ours    map[string]*account
	foreign map[string]*account
	units   map[string]string // names, by legacy key
	unitIDs map[string]string
}

type wireUser struct {
	ID         string              `json:"id"`
	Username   string              `json:"username"`
	Email      string              `json:"email"`
	FirstName  string              `json:"firstName"`
	Enabled    bool                `json:"enabled"`
	Created    int64               `json:"createdTimestamp"`
	Attributes map[string][]string `json:"attributes"`
}

type wireID struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func one(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// look reads all that the realm holds. keys are those that accounts of ours can
// have.
func (r *realm) look(ctx context.Context, keys []string) (*seen, error) {
	ours := map[string]string{}
	for _, key := range keys {
		ours[r.userID(schemas.NewRowID(namespace, schemas.Users, key))] = key
	}
	var users []wireUser
	if err := r.do(ctx, "GET", "/users?max=1000&briefRepresentation=false", nil, &users); err != nil {
		return nil, err
	}
	s := &seen{ours: map[string]*account{}, foreign: map[string]*account{}, units: map[string]string{}, unitIDs: map[string]string{}}
	byID := map[string]*account{}
	for _, u := range users {
		a := &account{person: person{login: u.Username, email: u.Email, first: u.FirstName, title: one(u.Attributes["title"]), desk: one(u.Attributes["desk"]),
			enabled: u.Enabled, born: u.Created, roles: set{}, groups: set{}, places: set{}}, id: u.ID}
		byID[u.ID] = a
		if key, ok := ours[u.ID]; ok {
			s.ours[key] = a
		} else {
			s.foreign[u.Username] = a
		}
		if err := r.password(ctx, a); err != nil {
			return nil, err
		}
	}
	for _, role := range roleNames {
		if err := r.members(ctx, "/roles/"+role+"/users", byID, func(a *account) { a.roles.add(role) }); err != nil {
			return nil, err
		}
	}
	groups, err := r.lookAtUnits(ctx, s, "/groups")
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if err := r.members(ctx, "/groups/"+g.ID+"/members", byID, func(a *account) { a.groups.add(g.key()) }); err != nil {
			return nil, err
		}
	}
	return s, r.lookAtPlaces(ctx, s, byID)
}

// wireUnit is an organization, a department or a group.
type wireUnit struct {
	wireID
	Attributes map[string][]string `json:"attributes"`
}

// key is the legacy key that a unit of ours is anchored by.
func (u *wireUnit) key() string { return one(u.Attributes["legacyId"]) }

func (r *realm) lookAtUnits(ctx context.Context, s *seen, path string) ([]wireUnit, error) {
	var list []wireUnit
	if err := r.do(ctx, "GET", path+"?max=100&briefRepresentation=false", nil, &list); err != nil {
		return nil, err
	}
	for i := range list {
		u := &list[i]
		s.units[u.key()], s.unitIDs[u.key()] = u.Name, u.ID
	}
	return list, nil
}

func (r *realm) lookAtPlaces(ctx context.Context, s *seen, byID map[string]*account) error {
	orgs, err := r.lookAtUnits(ctx, s, "/organizations")
	if err != nil {
		return err
	}
	for _, o := range orgs {
		path := "/organizations/" + o.ID
		if err := r.members(ctx, path+"/members", byID, func(a *account) { a.places.add(o.key()) }); err != nil {
			return err
		}
		units, err := r.lookAtUnits(ctx, s, path+"/groups")
		if err != nil {
			return err
		}
		for _, u := range units {
			err := r.members(ctx, path+"/groups/"+u.ID+"/members", byID, func(a *account) {
				delete(a.places, o.key()) // of the department, and so of the organization
				a.places.add(u.key())
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *realm) members(ctx context.Context, path string, byID map[string]*account, take func(*account)) error {
	var users []wireID
	if err := r.do(ctx, "GET", path+"?max=1000", nil, &users); err != nil {
		return err
	}
	for _, u := range users {
		if a := byID[u.ID]; a != nil {
			take(a)
		}
	}
	return nil
}

// password reads when an account's password was set. Dates tell the passwords
// apart: no two of a sequence have one.
func (r *realm) password(ctx context.Context, a *account) error {
	var list []struct {
		ID      string `json:"id"`
		Type    string `json:"type"`
		Created int64  `json:"createdDate"`
	}
	if err := r.do(ctx, "GET", "/users/"+a.id+"/credentials", nil, &list); err != nil {
		return err
	}
	for _, c := range list {
		if c.Type == "password" {
			a.pw = &password{date: c.Created}
			a.pwID = c.ID
		}
	}
	return nil
}

// opens reports whether a password opens the account.
func (r *realm) opens(ctx context.Context, login, password string) (bool, error) {
	cfg := r.config
	cfg.Namespace, cfg.Transport = namespace, r.wires
	t, err := keymate.Open(cfg)
	if err != nil {
		return false, err
	}
	defer t.Close()
	res, err := t.Login(ctx, login, password)
	return slices.Contains([]load.LoginResult{load.LoginOK, load.LoginPending, load.LoginDisabled}, res), err
}
