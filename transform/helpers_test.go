package transform

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/schemas"
)

const testNamespace = "test"

// memory is a legacy snapshot held in memory.
type memory struct {
	names  []string
	tables map[string]*schemas.Table
	rows   map[string][]schemas.Row
}

func newMemory(tables ...schemas.Table) *memory {
	m := &memory{tables: map[string]*schemas.Table{}, rows: map[string][]schemas.Row{}}
	for _, t := range tables {
		m.names = append(m.names, t.Name)
		m.tables[t.Name] = &t
	}
	return m
}

func (m *memory) Tables() []string { return m.names }

func (m *memory) Table(name string) (*schemas.Table, bool) {
	t, ok := m.tables[name]
	return t, ok
}

func (m *memory) Scan(_ context.Context, table string) iter.Seq2[schemas.Row, error] {
	return func(yield func(schemas.Row, error) bool) {
		for _, r := range m.rows[table] {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (m *memory) schemas() []schemas.Table {
	var out []schemas.Table
	for _, n := range m.names {
		out = append(out, *m.tables[n])
	}
	return out
}

// cells are a row's values by column name; absent ones are null.
type cells map[string]any

func (m *memory) add(table, key string, c cells) schemas.RowID {
	t := m.tables[table]
	r := schemas.Row{ID: schemas.NewRowID(testNamespace, "legacy:"+table, key), Key: key, Values: make([]any, len(t.Columns))}
	for name, v := range c {
		i := t.Column(name)
		if i < 0 {
			panic("no column " + name)
		}
		r.Values[i] = v
	}
	m.rows[table] = append(m.rows[table], r)
	return r.ID
}

// legacyTable makes a table; types are written name:type.
func legacyTable(name string, columns ...string) schemas.Table {
	var cols []schemas.Column
	for _, c := range columns {
		n, typ, _ := strings.Cut(c, ":")
		t, ok := schemas.ParseType(typ)
		if !ok {
			panic("no type " + typ)
		}
		cols = append(cols, schemas.Column{Name: n, Type: t})
	}
	t, err := schemas.NewLegacyTable(name, cols)
	if err != nil {
		panic(err)
	}
	return t
}

// directory is the legacy of most tests: a small organization.
func directory() *memory {
	return newMemory(
		legacyTable("orgs", "dn:string", "o:string", "title:string", "domains:list<string>"),
		legacyTable("units", "dn:string", "ou:string", "org:string", "above:string"),
		legacyTable("people", "dn:string", "uid:string", "mail:list<string>", "givenName:string", "sn:string", "status:string",
			"number:string", "unit:list<string>", "org:string", "photo:binary", "userPassword:list<secret>", "changed:timestamp", "memberOf:list<string>"),
		legacyTable("groups", "dn:string", "cn:string", "member:list<string>"),
	)
}

const directoryMapping = `
version: 1
passwords: {clear: hash, iterations: 1000}
lookups:
  orgs: {table: orgs, by: row.dn, match: dn}
  units: {table: units, by: row.dn, match: dn}
  people: {table: people, by: row.dn, match: dn}
  groups: {table: groups, by: row.dn, match: dn}
organizations:
  - rule: orgs
    from: orgs
    columns: {alias: row.o, name: row.title, domains: row.domains}
departments:
  - rule: units
    from: units
    organization: {lookup: orgs, value: row.org}
    parent: {lookup: units, value: row.above}
    columns: {name: row.ou}
groups:
  - rule: groups
    from: groups
    members: {lookup: [people, groups], values: row.member}
    columns: {name: row.cn}
users:
  - rule: people
    from: people
    exclude:
      - {rule: leavers, when: row.status == "left"}
    groups: {lookup: groups, values: row.memberOf}
    columns:
      username: row.uid
      email: first(row.mail)
      first_name: row.givenName
      last_name: row.sn
      enabled: row.status != "disabled"
    attributes:
      number: row.number
      photo: base64(row.photo)
    memberships:
      - rule: units
        each: row.unit
        organization: {lookup: orgs, value: row.org}
        department: {lookup: units, value: item}
        columns: {is_default: item == first(row.unit)}
      - rule: organization only
        where: size(row.unit) == 0 && row.org != ""
        organization: {lookup: orgs, value: row.org}
        columns: {is_default: true}
    credentials:
      - rule: password
        password: row.userPassword
        columns: {changed_at: row.changed}
`

func loadText(t testing.TB, text string, m *memory) *Mapping {
	t.Helper()
	mapping, err := loadFiles(map[string]string{"mapping.yaml": text}, m)
	if err != nil {
		t.Fatal(err)
	}
	return mapping
}

func loadFiles(files map[string]string, m *memory) (*Mapping, error) {
	return LoadMapping("mapping.yaml", LoadOptions{Tables: m.schemas(), ReadFile: func(path string) ([]byte, error) {
		if s, ok := files[filepath.ToSlash(path)]; ok {
			return []byte(s), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}})
}

func testProfile() schemas.TargetProfile {
	return schemas.TargetProfile{
		Dialect: "test", LowerCase: true, UniqueEmail: true, UndeclaredAttributes: true,
		PasswordSchemes: []string{schemas.PBKDF2SHA1, schemas.PBKDF2SHA256, schemas.PBKDF2SHA512, schemas.Argon2ID},
		MaxUsername:     255, MaxEmail: 255, MaxName: 255, MaxGroupName: 255, MaxAttributeName: 255,
		ReservedAttributes: []string{"legacyId"}, RequiredActions: []string{"UPDATE_PASSWORD", "VERIFY_EMAIL"},
	}
}

// collector keeps what is written.
type collector struct {
	mu   sync.Mutex
	rows map[string]map[schemas.RowID]schemas.Row
}

func (c *collector) WriteRow(_ context.Context, table string, row schemas.Row, _ int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows == nil {
		c.rows = map[string]map[schemas.RowID]schemas.Row{}
	}
	if c.rows[table] == nil {
		c.rows[table] = map[schemas.RowID]schemas.Row{}
	}
	if _, dup := c.rows[table][row.ID]; dup {
		return fmt.Errorf("table %s: row id %s comes twice", table, row.ID)
	}
	c.rows[table][row.ID] = row
	return nil
}

// byKey returns a table's rows by legacy key.
func (c *collector) byKey(table string) map[string]schemas.Row {
	out := map[string]schemas.Row{}
	for _, r := range c.rows[table] {
		out[r.Key] = r
	}
	return out
}

// value is one cell of a written row.
func (c *collector) value(t testing.TB, table, key, column string) any {
	t.Helper()
	row, ok := c.byKey(table)[key]
	if !ok {
		t.Fatalf("%s has no row %s; it has %v", table, key, slices.Sorted(maps.Keys(c.byKey(table))))
	}
	return row.Values[tableOf(table).Column(column)]
}

func tableOf(name string) *schemas.Table {
	if entity, ok := strings.CutSuffix(name, "_rejected"); ok {
		t := schemas.Rejected(entity)
		return &t
	}
	t := schemas.Entities()[name]
	return &t
}

// rules are the rules by which a key of an entity was rejected or excluded, nil
// if it was not.
func (c *collector) rules(entity, key string) []string {
	row, ok := c.byKey(schemas.RejectedTable(entity))[key]
	if !ok {
		return nil
	}
	return row.Values[1].([]string)
}

func runMapping(t testing.TB, m *memory, mapping *Mapping, change func(*Input)) (*collector, *Report) {
	t.Helper()
	in := Input{Legacy: m, Mapping: mapping, Profile: testProfile(), Keyring: testKeyring(t), Namespace: testNamespace, Workers: 2, TempDir: t.TempDir()}
	if change != nil {
		change(&in)
	}
	out := &collector{}
	report, err := Run(t.Context(), in, out)
	if err != nil {
		t.Fatal(err)
	}
	return out, report
}

// memoryFiles keeps wrapped keys.
type memoryFiles struct{ files map[string][]byte }

func (f *memoryFiles) Put(_ context.Context, name string, data []byte) error {
	if f.files[name] != nil {
		return fs.ErrExist
	}
	f.files[name] = data
	return nil
}

func (f *memoryFiles) Get(_ context.Context, name string) ([]byte, error) {
	if f.files[name] == nil {
		return nil, fs.ErrNotExist
	}
	return f.files[name], nil
}

func (f *memoryFiles) List(_ context.Context, prefix string) ([]string, error) {
	var out []string
	for _, n := range slices.Sorted(maps.Keys(f.files)) {
		if strings.HasPrefix(n, prefix) {
			out = append(out, n)
		}
	}
	return out, nil
}

func (f *memoryFiles) Delete(_ context.Context, name string) error {
	delete(f.files, name)
	return nil
}

var sharedKeyring = sync.OnceValues(func() (*seal.Keyring, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	identity, err := seal.ParseIdentity([]byte(id.String() + "\n"))
	if err != nil {
		return nil, err
	}
	files := &memoryFiles{files: map[string][]byte{}}
	if _, err := seal.Create(context.Background(), files, "test", identity.Recipients()...); err != nil {
		return nil, err
	}
	return seal.Unlock(context.Background(), files, identity)
})

func testKeyring(t testing.TB) *seal.Keyring {
	t.Helper()
	k, err := sharedKeyring()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed is a list of passwords as extract leaves them.
func sealed(t testing.TB, table, key, column string, values ...string) []schemas.Sealed {
	t.Helper()
	var out []schemas.Sealed
	for _, v := range values {
		s, err := testKeyring(t).Seal(table, schemas.NewRowID(testNamespace, "legacy:"+table, key), column, []byte(v))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}
