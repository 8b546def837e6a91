package sandbox

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

//go:embed realm.json
var stockRealm []byte

// Names of the two clients that every realm has.
const (
	migratorClient = "parallelrun-migrator"
	proofClient    = "parallelrun-proof"
)

// RealmOptions say what a new realm is like. The zero value is one ready for a migration.
type RealmOptions struct {
	Name                string // "": "demo"
	ID                  string // "": chosen by the server
	NoOrganizations     bool   // leave organizations switched off
	UnmanagedAttributes string // the profile's unmanagedAttributePolicy; "": ADMIN_EDIT; "DISABLED": none, the real server's default
	Roles               []string
	MigratorSecret      string // "": chosen by the server
	ProofSecret         string // "": chosen by the server
}

// Client is a confidential client of a realm.
type Client struct {
	ID     string // what a token request calls client_id
	Secret string
}

// Realm tells how to reach one realm.
type Realm struct {
	Name     string
	ID       string
	Migrator Client // service account with the rights of a migration
	Proof    Client // password grant
}

// NewRealm makes a realm.
func (s *Server) NewRealm(o RealmOptions) (Realm, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Name == "" {
		o.Name = "demo"
	}
	if s.realms[o.Name] != nil {
		return Realm{}, fmt.Errorf("sandbox: there is a realm %q already", o.Name)
	}
	e := entry{Kind: "realm", Time: s.opts.Now(), Drawn: s.drawn}
	body, err := json.Marshal(o)
	if err != nil {
		return Realm{}, err
	}
	if err := s.record(e, body); err != nil {
		return Realm{}, err
	}
	return s.makeRealm(o, e.Time).describe(), nil
}

// Realm describes a realm of this server.
func (s *Server) Realm(name string) (Realm, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	re := s.realms[name]
	if re == nil {
		return Realm{}, false
	}
	return re.describe(), true
}

func (re *realm) describe() Realm {
	m, p := re.clients[migratorClient], re.clients[proofClient]
	return Realm{Name: re.name, ID: re.id, Migrator: Client{m.id, m.secret}, Proof: Client{p.id, p.secret}}
}

func (s *Server) makeRealm(o RealmOptions, now time.Time) *realm {
	re := &realm{
		id: o.ID, name: o.Name, rep: map[string]any{}, clients: map[string]*client{},
		organizationsEnabled: !o.NoOrganizations, nextID: s.newID,
		roles: map[string]*role{}, rolesByID: map[string]*role{}, users: map[string]*user{}, emails: map[string]*user{}, groups: map[string]*group{},
		orgs: map[string]*organization{}, orgsByName: map[string]*organization{}, orgsByAlias: map[string]*organization{}, domains: map[string]*organization{},
	}
	if re.id == "" {
		re.id = s.newID()
	}
	if err := json.Unmarshal(stockRealm, &re.rep); err != nil {
		panic(err) // embedded
	}
	delete(re.rep, "accessTokenLifespan") // the server's option holds until somebody sets it
	policy := "ADMIN_EDIT"
	switch o.UnmanagedAttributes {
	case "":
	case "DISABLED":
		policy = ""
	default:
		policy = o.UnmanagedAttributes
	}
	re.profile = stockProfile(policy)
	re.top = &group{id: s.newID()}
	s.realms[re.name] = re
	c := &call{s: s, re: re}
	re.defaultRole = c.makeRole("default-roles-" + strings.ToLower(re.name))
	re.defaultRole.description = new("${role_default-roles}")
	for _, stock := range [][2]string{{"offline_access", "${role_offline-access}"}, {"uma_authorization", "${role_uma_authorization}"}} {
		r := c.makeRole(stock[0])
		r.description = &stock[1]
		re.defaultRole.contain(r)
	}
	for _, name := range o.Roles {
		c.makeRole(name)
	}
	account := &user{realm: re, id: s.newID(), username: "service-account-" + migratorClient, created: now.UnixMilli(), flags: enabled | service}
	s.addUser(account)
	account.grant(re.defaultRole)
	re.clients[migratorClient] = &client{id: migratorClient, secret: s.secret(o.MigratorSecret), account: account}
	re.clients[proofClient] = &client{id: proofClient, secret: s.secret(o.ProofSecret), passwords: true}
	return re
}

func (s *Server) secret(chosen string) string {
	if chosen != "" {
		return chosen
	}
	b := s.draw()
	return fmt.Sprintf("%x", b[:16])
}

func (re *realm) tokenLifespan(otherwise time.Duration) time.Duration {
	if v, set := re.rep["accessTokenLifespan"].(float64); set && v > 0 {
		return time.Duration(v) * time.Second
	}
	return otherwise
}

func (c *call) getRealm() reply {
	rep := maps.Clone(c.re.rep)
	rep["id"], rep["realm"], rep["organizationsEnabled"] = c.re.id, c.re.name, c.re.organizationsEnabled
	rep["defaultRole"] = c.re.briefRole(c.re.defaultRole)
	rep["accessTokenLifespan"] = int(c.re.tokenLifespan(c.s.opts.TokenLifespan) / time.Second)
	return ok(rep)
}

func (c *call) putRealm() reply {
	sent, err := decodeRealm(c.body, c.re.rep)
	switch {
	case errors.Is(err, errEmpty):
		return unknownError()
	case err != nil:
		return decodeFailed(err)
	}
	if name, has := sent["realm"].(string); has && name != c.re.name {
		return unknownError() // a realm is not renamed here; the real server would
	}
	if on, has := sent["organizationsEnabled"].(bool); has {
		c.re.organizationsEnabled = on
	}
	rep := maps.Clone(c.re.rep)
	for name, value := range sent {
		switch name {
		case "id", "realm", "organizationsEnabled", "defaultRole", "users", "clients", "roles", "groups":
		case "attributes":
			merged := maps.Clone(asMap(rep[name]))
			maps.Copy(merged, asMap(value))
			rep[name] = merged
		case "eventsExpiration":
			if rep[name] = value; value == float64(0) {
				delete(rep, name)
			}
		default:
			if value != nil {
				rep[name] = value
			}
		}
	}
	c.re.rep = rep
	return noContent()
}

// version is the one that is imitated.
const version = "26.7.4"

func (s *Server) serverInfo(r *http.Request) reply {
	s.mu.Lock()
	_, authenticated := s.bearer(r)
	s.mu.Unlock()
	if !authenticated {
		return fail(401, plainError{"HTTP 401 Unauthorized"})
	}
	if r.Method != http.MethodGet {
		return fail(405, plainError{"HTTP 405 Method Not Allowed"})
	}
	order := func(n int) map[string]int { return map[string]int{"order": n} }
	return ok(map[string]any{
		"systemInfo":  map[string]string{"version": version},
		"profileInfo": map[string]any{"name": "default", "disabledFeatures": []string{}, "previewFeatures": []string{}, "experimentalFeatures": []string{}},
		"providers": map[string]any{"password-hashing": map[string]any{"internal": true, "providers": map[string]any{
			"argon2": order(300), "pbkdf2": order(-100), "pbkdf2-sha512": order(200), "pbkdf2-sha256": order(100),
		}}},
	})
}
