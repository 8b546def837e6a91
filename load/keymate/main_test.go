package keymate_test

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/parallelrun/parallelrun/internal/sandbox"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak/keycloaktest"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/keymate"
	"github.com/parallelrun/parallelrun/schemas"
)

func TestMain(m *testing.M) { keycloaktest.Main(m) }

const namespace = "test"

type config = keymate.Config

var tables = schemas.Entities()

// row makes a row of an entity table from its columns by name.
func row(table string, id schemas.RowID, key string, cells map[string]any) schemas.Row {
	t := tables[table]
	r := schemas.Row{ID: id, Key: key, Values: make([]any, len(t.Columns))}
	for name, v := range cells {
		i := t.Column(name)
		if i < 0 {
			panic("no column " + table + "." + name)
		}
		r.Values[i] = v
	}
	return r
}

func entity(table, key string, cells map[string]any) schemas.Row {
	return row(table, schemas.NewRowID(namespace, table, key), key, cells)
}

func get(table string, r schemas.Row, column string) any {
	t := tables[table]
	return r.Values[t.Column(column)]
}

func set(table string, r schemas.Row, column string, v any) schemas.Row {
	r.Values = slices.Clone(r.Values)
	t := tables[table]
	r.Values[t.Column(column)] = v
	return r
}

func ref(table, key string) string { return schemas.NewRowID(namespace, table, key).String() }

// plainSecrets takes a sealed box for its own contents.
type plainSecrets struct{}

func (plainSecrets) Open(_ string, _ schemas.RowID, _ string, s schemas.Sealed) ([]byte, error) {
	return slices.Clone(s.Box), nil
}

func sealed(m schemas.SecretMaterial) schemas.Sealed {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(b)
	return schemas.Sealed{MAC: [16]byte(sum[:16]), Box: b}
}

func pbkdf2Password(user schemas.Row, password string, changed time.Time) schemas.Row {
	salt := []byte("salt of " + user.Key)
	hash, err := pbkdf2.Key(sha256.New, password, salt, 1000, 32)
	if err != nil {
		panic(err)
	}
	return credential(user, schemas.PBKDF2SHA256, map[string][]string{schemas.ParamIterations: {"1000"}}, schemas.SecretMaterial{Hash: hash, Salt: salt}, changed)
}

func argon2Password(user schemas.Row, password string, changed time.Time) schemas.Row {
	salt := []byte("0123456789abcdef")
	const memory, iterations, parallelism = 256, 2, 1
	hash := argon2.IDKey([]byte(password), salt, iterations, memory, parallelism, 24)
	return credential(user, schemas.Argon2ID, map[string][]string{
		schemas.ParamIterations: {strconv.Itoa(iterations)}, schemas.ParamMemory: {strconv.Itoa(memory)},
		schemas.ParamParallelism: {strconv.Itoa(parallelism)}, schemas.ParamVersion: {"19"}, schemas.ParamHashLength: {"24"},
	}, schemas.SecretMaterial{Hash: hash, Salt: salt}, changed)
}

func credential(user schemas.Row, algorithm string, parameters map[string][]string, m schemas.SecretMaterial, changed time.Time) schemas.Row {
	return row(schemas.Credentials, schemas.CredentialID(user.ID, "password"), schemas.CredentialKey(user.Key, "password"), map[string]any{
		"user": user.ID.String(), "type": "password", "algorithm": algorithm, "parameters": parameters,
		"secret": sealed(m), "changed_at": changed.UnixMicro(), "version": int64(3), "state": "active",
	})
}

func membership(userKey, orgKey, deptKey string, cells map[string]any) schemas.Row {
	all := map[string]any{"user": ref(schemas.Users, userKey), "organization": ref(schemas.Organizations, orgKey)}
	dept := ""
	if deptKey != "" {
		dept = ref(schemas.Departments, deptKey)
		all["department"] = dept
	}
	for k, v := range cells {
		all[k] = v
	}
	return row(schemas.Memberships, schemas.MembershipID(schemas.NewRowID(namespace, schemas.Users, userKey), ref(schemas.Organizations, orgKey), dept),
		schemas.MembershipKey(userKey, orgKey, deptKey), all)
}

// idMap is an id map in memory.
type idMap struct {
	mu     sync.Mutex
	target map[schemas.RowID]string
	row    map[string]idEntry
}

type idEntry struct {
	id  schemas.RowID
	key string
}

func newIDMap() *idMap {
	return &idMap{target: map[schemas.RowID]string{}, row: map[string]idEntry{}}
}

func (m *idMap) add(r schemas.Row, target string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.target[r.ID], m.row[target] = target, idEntry{r.ID, r.Key}
}

func (m *idMap) TargetID(id schemas.RowID) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.target[id]
	return s, ok
}

func (m *idMap) RowID(target string) (schemas.RowID, string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.row[target]
	return e.id, e.key, ok
}

// seen is a sink that keeps everything.
type seen struct {
	rows    map[string]map[schemas.RowID]schemas.Row
	targets map[schemas.RowID]string
	absent  []string
	foreign []load.ForeignAccount
}

func newSeen() *seen {
	return &seen{rows: map[string]map[schemas.RowID]schemas.Row{}, targets: map[schemas.RowID]string{}}
}

func (s *seen) Row(table string, r schemas.Row, target string) error {
	if s.rows[table] == nil {
		s.rows[table] = map[schemas.RowID]schemas.Row{}
	}
	s.rows[table][r.ID], s.targets[r.ID] = r, target
	return nil
}

func (s *seen) Absent(p load.UserProbe) error {
	s.absent = append(s.absent, p.Key)
	return nil
}

func (s *seen) Foreign(p load.UserProbe, f load.ForeignAccount) error {
	s.foreign = append(s.foreign, f)
	return nil
}

// world is a prepared realm with a target on it.
type world struct {
	t      *testing.T
	ctx    context.Context
	cfg    keymate.Config
	target *keymate.Target
	ids    *idMap

	sandbox bool
}

// options say what a world is like; the zero value is a realm made ready by
// Prepare.
type options struct {
	unmanaged string // the profile's policy; "": ADMIN_EDIT
	noOrgs    bool
	bare      bool // neither Prepare nor Preflight
	change    func(*keymate.Config)
}

// onEach runs a test on a real Keycloak first and on the sandbox second.
func onEach(t *testing.T, o options, test func(w *world)) {
	t.Helper()
	t.Run("keycloak", func(t *testing.T) { test(onKeycloak(t, o)) })
	t.Run("sandbox", func(t *testing.T) { test(onSandbox(t, o)) })
}

func onKeycloak(t *testing.T, o options) *world {
	t.Helper()
	r := keycloaktest.Realm(t, keycloak.RealmOptions{UnmanagedAttributes: o.unmanaged, NoOrganizations: o.noOrgs})
	grant(t, r, "view-clients", "view-identity-providers")
	return newWorld(t, o, keymate.Config{
		URL: r.Server.URL, Realm: r.Name, ClientID: r.Migrator.ID, ClientSecret: r.Migrator.Secret,
		ProofClientID: r.Proof.ID, ProofClientSecret: r.Proof.Secret,
	})
}

func onSandbox(t *testing.T, o options) *world {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{Realm: sandbox.RealmOptions{Name: "box", UnmanagedAttributes: o.unmanaged, NoOrganizations: o.noOrgs}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	url, err := s.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, _ := s.Realm("box")
	w := newWorld(t, o, keymate.Config{
		URL: url, Realm: r.Name, ClientID: r.Migrator.ID, ClientSecret: r.Migrator.Secret,
		ProofClientID: r.Proof.ID, ProofClientSecret: r.Proof.Secret,
	})
	w.sandbox = true
	return w
}

func newWorld(t *testing.T, o options, cfg keymate.Config) *world {
	t.Helper()
	cfg.Namespace, cfg.Secrets, cfg.DefaultRole = namespace, plainSecrets{}, true
	cfg.Roles, cfg.LongAttributes, cfg.AttributeLimit = []string{"employee", "manager"}, []string{"photo"}, 100_000
	if o.change != nil {
		o.change(&cfg)
	}
	target, err := keymate.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	w := &world{t: t, ctx: t.Context(), cfg: cfg, target: target, ids: newIDMap()}
	if o.bare {
		return w
	}
	_, err = target.Prepare(w.ctx, true)
	w.must(err)
	_, err = target.Preflight(w.ctx)
	w.must(err)
	return w
}

// open makes a second target on the same realm.
func (w *world) open(change func(*keymate.Config)) *keymate.Target {
	w.t.Helper()
	cfg := w.cfg
	change(&cfg)
	target, err := keymate.Open(cfg)
	w.must(err)
	w.t.Cleanup(func() { target.Close() })
	return target
}

// rest sends a request of its own to the realm, as a person or another program
// would, and returns the status.
func (w *world) rest(method, path string, in, out any) int {
	w.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {w.cfg.ClientID}, "client_secret": {w.cfg.ClientSecret}}
	resp, err := http.PostForm(w.cfg.URL+"/realms/"+w.cfg.Realm+"/protocol/openid-connect/token", form)
	w.must(err)
	var grant struct {
		Token string `json:"access_token"`
	}
	w.must(json.NewDecoder(resp.Body).Decode(&grant))
	resp.Body.Close()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		w.must(err)
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(w.ctx, method, w.cfg.URL+"/admin/realms/"+w.cfg.Realm+path, body)
	w.must(err)
	req.Header.Set("Authorization", "Bearer "+grant.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err = http.DefaultClient.Do(req)
	w.must(err)
	defer resp.Body.Close()
	if out != nil && resp.StatusCode/100 == 2 {
		w.must(json.NewDecoder(resp.Body).Decode(out))
	}
	return resp.StatusCode
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// apply projects structure rows and creates them in order.
func (w *world) createStructure(table string, rows ...schemas.Row) []schemas.Row {
	w.t.Helper()
	out := make([]schemas.Row, len(rows))
	for i, r := range rows {
		out[i], _ = w.target.Project(table, r)
		id, err := w.target.Apply(w.ctx, load.Operation{Table: table, Kind: load.Create, ID: r.ID, Key: r.Key}, load.Subject{Row: out[i]}, w.ids)
		w.must(err)
		w.ids.add(r, id)
	}
	return out
}

func (w *world) observe(scope load.Scope) *seen {
	w.t.Helper()
	s := newSeen()
	if scope.IDs == nil {
		scope.IDs = w.ids
	}
	w.must(w.target.Observe(w.ctx, scope, s))
	return s
}

func probes(users ...schemas.Bundle) func(func(load.UserProbe, error) bool) {
	return func(yield func(load.UserProbe, error) bool) {
		for _, u := range users {
			name, _ := get(schemas.Users, u.User, "username").(string)
			email, _ := get(schemas.Users, u.User, "email").(string)
			if !yield(load.UserProbe{ID: u.User.ID, Key: u.User.Key, Username: name, Email: email}, nil) {
				return
			}
		}
	}
}

func grantIdentityProviders(t *testing.T, w *world) {
	t.Helper()
	s := keycloaktest.Server(t)
	grant(t, &keycloak.Realm{Server: s, Name: w.cfg.Realm, Migrator: keycloak.Client{ID: w.cfg.ClientID}}, "manage-identity-providers")
}

// grant gives the migrator more rights of realm-management.
func grant(t *testing.T, r *keycloak.Realm, names ...string) {
	t.Helper()
	admin := func(method, path string, in, out any) {
		t.Helper()
		if err := r.Admin(t.Context(), method, path, in, out); err != nil {
			t.Fatal(err)
		}
	}
	var clients []struct{ ID, ClientID string }
	admin("GET", "/clients?max=100", nil, &clients)
	uuid := map[string]string{}
	for _, c := range clients {
		uuid[c.ClientID] = c.ID
	}
	var account struct{ ID string }
	admin("GET", "/clients/"+uuid[r.Migrator.ID]+"/service-account-user", nil, &account)
	var roles []map[string]any
	for _, n := range names {
		var role map[string]any
		admin("GET", "/clients/"+uuid["realm-management"]+"/roles/"+n, nil, &role)
		roles = append(roles, role)
	}
	admin("POST", "/users/"+account.ID+"/role-mappings/clients/"+uuid["realm-management"], roles, nil)
}
