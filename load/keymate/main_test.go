package keymate_test

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak/keycloaktest"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/keymate"
	"github.com/parallelrun/parallelrun/schemas"
)

func TestMain(m *testing.M) { keycloaktest.Main(m) }

const namespace = "test"

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
	realm  *keycloak.Realm
	target *keymate.Target
	ids    *idMap
}

func config(r *keycloak.Realm) keymate.Config {
	return keymate.Config{
		URL: r.Server.URL, Realm: r.Name, ClientID: r.Migrator.ID, ClientSecret: r.Migrator.Secret,
		ProofClientID: r.Proof.ID, ProofClientSecret: r.Proof.Secret,
		Namespace: namespace, Secrets: plainSecrets{}, DefaultRole: true,
		Roles: []string{"employee", "manager"}, LongAttributes: []string{"photo"}, AttributeLimit: 100_000,
	}
}

func newWorld(t *testing.T, o keycloak.RealmOptions, change func(*keymate.Config)) *world {
	t.Helper()
	r := keycloaktest.Realm(t, o)
	grant(t, r, "view-clients", "view-identity-providers")
	cfg := config(r)
	if change != nil {
		change(&cfg)
	}
	target, err := keymate.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	w := &world{t: t, ctx: t.Context(), realm: r, target: target, ids: newIDMap()}
	w.must(func() error { _, err := target.Prepare(w.ctx, true); return err }())
	w.must(func() error { _, err := target.Preflight(w.ctx); return err }())
	return w
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
