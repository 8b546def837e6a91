package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/extract/ldif"
	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak/keycloaktest"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/schemas"
)

// planetData is a small real directory, kept outside of the repository.
const planetData = "../../../shared/data/planetexpress"

const planetMapping = `version: 1
passwords: {clear: reject}
lookups:
  organizations: {table: units, by: row.dn, match: dn}
  units: {table: units, by: row.dn, match: dn}
  people: {table: people, by: row.dn, match: dn}
organizations:
  - rule: company
    from: units
    columns: {alias: '"planetexpress"', name: '"Planet Express"', description: row.description, enabled: 'true'}
departments:
  - rule: units
    from: units
    organization: {lookup: organizations, value: row.dn}
    columns: {name: row.ou}
groups:
  - rule: groups
    from: groups
    members: {lookup: people, values: row.member}
    columns: {name: row.cn}
users:
  - rule: people
    from: people
    columns:
      username: row.uid
      email: first(row.mail)
      email_verified: 'false'
      first_name: row.givenName
      last_name: row.sn
      enabled: 'true'
    attributes:
      displayName: row.displayName
      description: row.description
      employeeType: row.employeeType
      ou: row.ou
      title: row.title
      mailAlias: row.mail.filter(m, m != first(row.mail))
      jpegPhoto: base64(row.jpegPhoto)
    memberships:
      - rule: unit
        organization: {lookup: organizations, value: dnParent(row.dn)}
        department: {lookup: units, value: dnParent(row.dn)}
        columns: {is_default: 'true'}
    credentials:
      - rule: password
        password: row.userPassword
`

// planetSite is a migration of the directory into a realm of a real Keycloak.
func planetSite(t *testing.T, realm *keycloak.Realm) *site {
	t.Helper()
	data, err := filepath.Abs(planetData)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := `version: 1
store: store
keys: {identity: "file:identity.txt"}
sources:
  planet:
    kind: ldif
    namespace: planetexpress
    files: ["` + data + `/*.ldif"]
    tables:
      - name: units
        where: {objectClass: [organizationalUnit]}
        key: dn
        keyCase: fold
        columns: {ou: string, description: string}
      - name: people
        where: {objectClass: [inetOrgPerson]}
        key: dn
        keyCase: fold
        columns: {uid: string, cn: string, sn: string, givenName: string, displayName: string, description: string, mail: strings,
          employeeType: strings, ou: strings, title: string, jpegPhoto: binary, userPassword: secrets}
      - name: groups
        where: {objectClass: [Group]}
        key: dn
        keyCase: fold
        columns: {cn: string, groupType: string, member: strings}
targets:
  keycloak:
    dialect: keycloak
    url: ` + realm.Server.URL + `
    realm: ` + realm.Name + `
    auth: {clientId: ` + realm.Migrator.ID + `, clientSecret: "${SITE_SECRET}"}
    defaultRole: true
    longAttributes: [jpegPhoto]
migrations:
  planet:
    source: planet
    target: keycloak
    mapping: mapping.yaml
    rejects: {maxRatio: {default: 0, credentials: 1}}
`
	for name, text := range map[string]string{config.DefaultName: c, "mapping.yaml": planetMapping} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := seal.NewIdentity(filepath.Join(dir, "identity.txt")); err != nil {
		t.Fatal(err)
	}
	return &site{t: t, dir: dir}
}

// planetUser is a user as the target's own API shows it.
type planetUser struct {
	ID         string              `json:"id"`
	Username   string              `json:"username"`
	Email      string              `json:"email"`
	FirstName  string              `json:"firstName"`
	LastName   string              `json:"lastName"`
	Enabled    bool                `json:"enabled"`
	Attributes map[string][]string `json:"attributes"`
}

// A small real directory goes into a real Keycloak and is read back through
// its own API: photos byte for byte, every other attribute accounted for.
func TestPlanetExpress(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a Keycloak")
	}
	if _, err := os.Stat(planetData); err != nil {
		t.Skip("the Planet Express data is not here: ../shared/data/planetexpress")
	}
	realm := keycloaktest.Realm(t, keycloak.RealmOptions{})
	s := planetSite(t, realm)
	cmd := s.command("run", "--apply", "--json")
	cmd.Env = append(cmd.Env, "SITE_SECRET="+realm.Migrator.Secret)
	r := s.finish(cmd)
	if r.code != 0 {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	var out pipelines.Outcome
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil {
		t.Fatal(err)
	}
	if n := out.Report().Rule(schemas.Credentials, "hash-not-verifiable"); n != 7 {
		t.Errorf("%d {SSHA} passwords named as not verifiable, want 7", n)
	}
	if !slices.ContainsFunc(out.Extracted.Warnings, func(w string) bool { return strings.Contains(w, "dn") }) {
		t.Errorf("no warning that dn is no lasting key: %q", out.Extracted.Warnings)
	}
	var users []planetUser
	if err := realm.Admin(t.Context(), http.MethodGet, "/users?max=100&briefRepresentation=false", nil, &users); err != nil {
		t.Fatal(err)
	}
	got := map[string]planetUser{}
	for _, u := range users {
		got[u.Username] = u
	}
	people := planetPeople(t)
	if len(got) != len(people) {
		t.Errorf("%d users there, %d people in the directory", len(got), len(people))
	}
	for uid, want := range people {
		if diff := cmp.Diff(want, got[uid].seen()); diff != "" {
			t.Errorf("%s (-directory +Keycloak):\n%s", uid, diff)
		}
	}
	wantCrew(t, realm, got)
}

// seen is what of a user the directory speaks of. Photos are kept whole.
func (u planetUser) seen() map[string][]string {
	out := map[string][]string{"mail": {u.Email}, "givenName": {u.FirstName}, "sn": {u.LastName}}
	for name, values := range u.Attributes {
		switch name {
		case "mailAlias":
			out["mail"] = append(out["mail"], values...)
		case "displayName", "description", "employeeType", "ou", "title", "jpegPhoto":
			out[name] = slices.Sorted(slices.Values(values))
		}
	}
	return out
}

// accounted are attributes of people that the mapping leaves out on purpose:
// the run names them.
var accounted = map[string]bool{"objectclass": true, "cn": true, "uid": true, "userpassword": true}

// planetPeople reads the directory with nothing but the LDIF reader.
func planetPeople(t *testing.T) map[string]map[string][]string {
	t.Helper()
	files, err := filepath.Glob(planetData + "/*.ldif")
	if err != nil {
		t.Fatal(err)
	}
	people := map[string]map[string][]string{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		in := ldif.NewReader(f, file, ldif.ReaderOptions{})
		for {
			e, err := in.Next()
			if err != nil {
				break
			}
			values, uid := map[string][]string{}, ""
			for _, v := range e.Values {
				switch name := strings.ToLower(v.Name); {
				case name == "uid":
					uid = string(v.Data)
				case name == "jpegphoto":
					values[v.Name] = append(values[v.Name], base64.StdEncoding.EncodeToString(v.Data))
				case !accounted[name]:
					values[v.Name] = append(values[v.Name], string(v.Data))
				}
			}
			for name, list := range values {
				if name != "mail" {
					slices.Sort(list)
				}
			}
			if uid != "" {
				people[uid] = values
			}
		}
	}
	if len(people) != 7 {
		t.Fatalf("%d people in the directory", len(people))
	}
	return people
}

// wantCrew checks groups, organization and department of the people.
func wantCrew(t *testing.T, realm *keycloak.Realm, users map[string]planetUser) {
	t.Helper()
	groups := map[string][]string{
		"professor": {"admin_staff"}, "hermes": {"admin_staff"}, "fry": {"ship_crew"}, "leela": {"ship_crew"}, "bender": {"ship_crew"},
	}
	for name, u := range users {
		var have []struct{ Name string }
		if err := realm.Admin(t.Context(), http.MethodGet, "/users/"+u.ID+"/groups", nil, &have); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, g := range have {
			names = append(names, g.Name)
		}
		if diff := cmp.Diff(groups[name], names); diff != "" {
			t.Errorf("groups of %s (-want +got):\n%s", name, diff)
		}
		var organizations []struct{ ID, Alias string }
		if err := realm.Admin(t.Context(), http.MethodGet, "/organizations/members/"+u.ID+"/organizations", nil, &organizations); err != nil {
			t.Fatal(err)
		}
		if len(organizations) != 1 || organizations[0].Alias != "planetexpress" {
			t.Errorf("organizations of %s: %+v", name, organizations)
			continue
		}
		var departments []struct{ Name string }
		if err := realm.Admin(t.Context(), http.MethodGet, "/organizations/"+organizations[0].ID+"/members/"+u.ID+"/groups", nil, &departments); err != nil {
			t.Fatal(err)
		}
		if len(departments) != 1 || departments[0].Name != "people" {
			t.Errorf("departments of %s: %+v", name, departments)
		}
	}
}
