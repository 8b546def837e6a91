package modeltest

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform"
)

const namespace = "model"

// The legacy system's tables. Field ids are the tests' own.
var (
	peopleTable = schemas.Table{Name: "people", Columns: []schemas.Column{
		{ID: 1001, Name: "login", Type: schemas.String},
		{ID: 1002, Name: "mail", Type: schemas.String},
		{ID: 1003, Name: "first", Type: schemas.String},
		{ID: 1004, Name: "title", Type: schemas.String},
		{ID: 1005, Name: "desk", Type: schemas.String},
		{ID: 1006, Name: "active", Type: schemas.Bool},
		{ID: 1007, Name: "external", Type: schemas.Bool},
		{ID: 1008, Name: "roles", Type: schemas.Strings},
		{ID: 1009, Name: "groups", Type: schemas.Strings},
		{ID: 1010, Name: "orgs", Type: schemas.Strings},
		{ID: 1011, Name: "units", Type: schemas.Strings},
		{ID: 1012, Name: "password", Type: schemas.Secret},
		{ID: 1013, Name: "changed", Type: schemas.Timestamp},
		{ID: 1014, Name: "born", Type: schemas.Timestamp},
	}}
	namedColumns = []schemas.Column{{ID: 1101, Name: "name", Type: schemas.String}, {ID: 1102, Name: "org", Type: schemas.String}}
	orgsTable    = schemas.Table{Name: "orgs", Columns: namedColumns}
	unitsTable   = schemas.Table{Name: "units", Columns: namedColumns}
	groupsTable  = schemas.Table{Name: "groups", Columns: namedColumns}
	legacyTables = []schemas.Table{orgsTable, unitsTable, groupsTable, peopleTable}
)

const mappingText = `version: 1
lookups:
  orgs: {table: orgs, by: key}
  units: {table: units, by: key}
  groups: {table: groups, by: key}
organizations:
  - rule: orgs
    from: orgs
    columns: {alias: key, name: row.name, enabled: 'true'}
departments:
  - rule: units
    from: units
    organization: {lookup: orgs, value: row.org}
    columns: {name: row.name}
groups:
  - rule: groups
    from: groups
    columns: {name: row.name}
users:
  - rule: people
    from: people
    exclude:
      - {rule: externals, when: row.external}
    columns:
      username: row.login
      email: row.mail
      email_verified: 'true'
      first_name: row.first
      last_name: '"Model"'
      enabled: row.active
      created_at: row.born
      realm_roles: row.roles
    attributes:
      title: row.title
      desk: row.desk
    groups: {lookup: groups, values: row.groups}
    memberships:
      - rule: units
        each: row.units
        organization: {lookup: orgs, value: '"acme"'}
        department: {lookup: units, value: item}
      - rule: orgs
        each: row.orgs
        organization: {lookup: orgs, value: item}
    credentials:
      - rule: password
        password: row.password
        columns: {changed_at: row.changed}
`

// loadMapping compiles the mapping, once for all sequences: it is read only.
var loadMapping = sync.OnceValues(func() (*transform.Mapping, error) {
	return transform.LoadMapping("mapping.yaml", transform.LoadOptions{
		Tables:   legacyTables,
		ReadFile: func(string) ([]byte, error) { return []byte(mappingText), nil },
	})
})

// source is the legacy system: what the model says it holds.
type source struct {
	people map[string]*person
	names  map[string]string // of units
	seal   extract.Sealer
}

var _ extract.Lookup = (*source)(nil)

func (s *source) Tables() []extract.TableSpec {
	var out []extract.TableSpec
	for _, t := range legacyTables {
		out = append(out, extract.TableSpec{Table: t, Key: "key"})
	}
	return out
}

func (s *source) Describe(origin int64) string { return fmt.Sprintf("row %d", origin) }

func (s *source) Close() error { return nil }

func (s *source) Read(_ context.Context, l extract.Limits, yield func(extract.Batch) error) error {
	for i, units := range [][]string{orgUnits, departmentUnits, groupUnits} {
		b := extract.NewBatcher(&legacyTables[i], l, yield)
		defer b.Release()
		for _, u := range units {
			row := schemas.Row{ID: schemas.LegacyRowID(namespace, legacyTables[i].Name, u), Key: u, Values: []any{s.names[u], text(parentOf(u))}}
			if err := b.Add(row, 0); err != nil {
				return err
			}
		}
		if err := b.Flush(); err != nil {
			return err
		}
	}
	return s.read(slices.Sorted(maps.Keys(s.people)), l, yield)
}

// Get yields those of the keys that are there.
func (s *source) Get(_ context.Context, table string, keys []string, yield func(extract.Batch) error) error {
	if table != peopleTable.Name {
		return fmt.Errorf("nobody should be asked for in table %s", table)
	}
	return s.read(keys, extract.Limits{}, yield)
}

func (s *source) read(keys []string, l extract.Limits, yield func(extract.Batch) error) error {
	b := extract.NewBatcher(&peopleTable, l, yield)
	defer b.Release()
	for _, key := range keys {
		if p := s.people[key]; p != nil {
			row, err := s.row(key, p)
			if err != nil {
				return err
			}
			if err := b.Add(row, 0); err != nil {
				return err
			}
		}
	}
	return b.Flush()
}

func (s *source) row(key string, p *person) (schemas.Row, error) {
	id := schemas.LegacyRowID(namespace, peopleTable.Name, key)
	orgs, units := []string{}, []string{}
	for _, place := range p.places.list() {
		if place == "acme" || place == "lumen" {
			orgs = append(orgs, place)
		} else {
			units = append(units, place)
		}
	}
	var password, changed any
	if p.pw != nil {
		sealed, err := s.seal.Seal(peopleTable.Name, id, "password", []byte(hashed(p.pw.text)))
		if err != nil {
			return schemas.Row{}, err
		}
		password, changed = sealed, p.pw.date*1000
	}
	return schemas.Row{ID: id, Key: key, Values: []any{p.login, text(p.email), text(p.first), text(p.title), text(p.desk), p.enabled, p.external,
		p.roles.list(), p.groups.list(), orgs, units, password, changed, p.born * 1000}}, nil
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// hashed is a password as the legacy system stores it: a salted hash, cheap,
// since these passwords are worth nothing.
func hashed(password string) string {
	salt := []byte("salt of " + password)
	hash, err := pbkdf2.Key(sha256.New, password, salt, 1, 32)
	if err != nil {
		panic(err)
	}
	adapted := base64.RawStdEncoding
	return fmt.Sprintf("{PBKDF2-SHA256}1$%s$%s", adapted.EncodeToString(salt), adapted.EncodeToString(hash))
}

// millis is a time as Keycloak keeps it.
func millis(t time.Time) int64 { return t.UnixMilli() }
