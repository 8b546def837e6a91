package ldif

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/schemas"
)

// fakeSealer seals by hashing: enough to see what was sealed, for which cell.
type fakeSealer struct{ columns map[string]int }

func (f fakeSealer) Seal(table string, row schemas.RowID, column string, plaintext []byte) (schemas.Sealed, error) {
	f.columns[table+"."+column]++
	return sealed(table, row, column, string(plaintext)), nil
}

// constantSealer keeps no state, for Reads at the same time.
type constantSealer struct{}

func (constantSealer) Seal(string, schemas.RowID, string, []byte) (schemas.Sealed, error) {
	return schemas.Sealed{Box: []byte("box")}, nil
}

func sealed(table string, row schemas.RowID, column, plaintext string) schemas.Sealed {
	sum := sha256.Sum256([]byte(fmt.Sprint(table, row, column, plaintext)))
	return schemas.Sealed{MAC: [16]byte(sum[:16]), Box: []byte("box")}
}

// read is all that a source yields, by table and key.
type read struct {
	rows    map[string]map[string]map[string]any // table, key, column: value, nulls left out
	places  map[string]string                    // table/key
	batches int
	ids     map[string]schemas.RowID
}

func readSource(t *testing.T, s *Source, l extract.Limits) (read, error) {
	t.Helper()
	r := read{rows: map[string]map[string]map[string]any{}, places: map[string]string{}, ids: map[string]schemas.RowID{}}
	tables := map[string]schemas.Table{}
	for _, spec := range s.Tables() {
		tables[spec.Table.Name] = spec.Table
	}
	err := s.Read(context.Background(), l, func(b extract.Batch) error {
		r.batches++
		table := tables[b.Table]
		for i := range int(b.Record.NumRows()) {
			row := table.RowAt(b.Record, i)
			cells := map[string]any{}
			for c, v := range row.Values {
				if v != nil {
					cells[table.Columns[c].Name] = v
				}
			}
			if r.rows[b.Table] == nil {
				r.rows[b.Table] = map[string]map[string]any{}
			}
			r.rows[b.Table][row.Key] = cells
			r.places[b.Table+"/"+row.Key] = s.Describe(b.Origins[i])
			r.ids[b.Table+"/"+row.Key] = row.ID
		}
		return nil
	})
	return r, err
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func peopleConfig(files ...string) Config {
	return Config{Files: files, Tables: []TableConfig{
		{Name: "people", Where: Where{ObjectClass: []string{"person"}}, Key: "entryUUID", Columns: []ColumnConfig{
			{Name: "entryUUID"}, {Name: "uid", Type: "string"}, {Name: "sn"}, {Name: "mail", Type: "strings"}, {Name: "jpegPhoto", Type: "binary"},
			{Name: "userCertificate;binary", Type: "binaries"}, {Name: "userPassword", Type: "secrets"}, {Name: "pin", Secret: true},
			{Name: "pwdReset", Type: "bool"}, {Name: "uidNumber", Type: "int"}, {Name: "createTimestamp", Type: "timestamp"}}},
		{Name: "groups", Where: Where{ObjectClass: []string{"groupOfNames"}, Under: "OU=Groups, dc=x"}, Key: "dn", KeyCase: "fold",
			Columns: []ColumnConfig{{Name: "member", Type: "strings"}}},
	}}
}

const peopleLDIF = `version: 1

dn: dc=x
objectClass: domain
dc: x

dn: uid=fry,ou=people,dc=x
objectclass: top
objectclass: Person
entryUUID: u1
UID: fry
sn: Fry
mail: fry@x
mail: philip@x
jpegPhoto:: /9j/4A==
userCertificate;binary:: AAE=
userPassword: {SSHA}abc
userPassword: second
pin: 1234
pwdReset: TRUE
uidNumber: 1001
createTimestamp: 20240102030405Z
favouriteDrink: Slurm
favouriteDrink: Cola

dn: uid=amy,ou=people,dc=x
objectClass: person
entryUUID: u2
uid: amy
uid: amy.wong
sn:
pwdReset: maybe
uidNumber: 007
createTimestamp: yesterday
userPassword;x-old: legacy
description: see otpauth://totp/amy?secret=ABC
mail: {SSHA}oops
sambaNTPassword: 0123456789ABCDEF

dn: cn=Crew,ou=Groups,dc=x
objectClass: groupOfNames
member: uid=fry,ou=people,dc=x

dn: cn=stray,ou=elsewhere,dc=x
objectClass: groupOfNames
entryUUID: u9
member: uid=fry,ou=people,dc=x

`

func TestSourceRows(t *testing.T) {
	file := write(t, t.TempDir(), "people.ldif", peopleLDIF)
	seals := fakeSealer{columns: map[string]int{}}
	s, err := Open(peopleConfig(file), Options{Namespace: "ns", Sealer: seals})
	if err != nil {
		t.Fatal(err)
	}
	got, err := readSource(t, s, extract.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	u1, u2 := schemas.NewRowID("ns", "legacy:people", "u1"), schemas.NewRowID("ns", "legacy:people", "u2")
	want := map[string]map[string]map[string]any{
		"people": {
			"u1": {"dn": "uid=fry,ou=people,dc=x", "objectClass": []string{"top", "Person"}, "entryUUID": "u1", "uid": "fry", "sn": "Fry",
				"mail": []string{"fry@x", "philip@x"}, "jpegPhoto": []byte{0xff, 0xd8, 0xff, 0xe0}, "userCertificate;binary": [][]byte{{0, 1}},
				"userPassword": []schemas.Sealed{sealed("people", u1, "userPassword", "{SSHA}abc"), sealed("people", u1, "userPassword", "second")},
				"pin":          []schemas.Sealed{sealed("people", u1, "pin", "1234")},
				"pwdReset":     true, "uidNumber": int64(1001), "createTimestamp": int64(1704164645000000),
				"other": map[string][][]byte{"favouritedrink": {[]byte("Slurm"), []byte("Cola")}}},
			"u2": {"dn": "uid=amy,ou=people,dc=x", "objectClass": []string{"person"}, "entryUUID": "u2", "sn": "",
				"problems": []string{"uid", "pwdReset", "uidNumber", "createTimestamp"},
				"other": map[string][][]byte{"uid": {[]byte("amy"), []byte("amy.wong")}, "pwdReset": {[]byte("maybe")},
					"uidNumber": {[]byte("007")}, "createTimestamp": {[]byte("yesterday")}},
				"other_sealed": map[string][]schemas.Sealed{
					"userpassword;x-old": {sealed("people", u2, `other_sealed["userpassword;x-old"]`, "legacy")},
					"description":        {sealed("people", u2, `other_sealed["description"]`, "see otpauth://totp/amy?secret=ABC")},
					"mail":               {sealed("people", u2, `other_sealed["mail"]`, "{SSHA}oops")},
					"sambantpassword":    {sealed("people", u2, `other_sealed["sambantpassword"]`, "0123456789ABCDEF")},
				}},
		},
		"groups": {"cn=crew,ou=groups,dc=x": {"dn": "cn=Crew,ou=Groups,dc=x", "objectClass": []string{"groupOfNames"}, "member": []string{"uid=fry,ou=people,dc=x"}}},
		"entries": {
			"dc=x": {"dn": "dc=x", "objectClass": []string{"domain"}, "other": map[string][][]byte{"dc": {[]byte("x")}}},
			"u9": {"dn": "cn=stray,ou=elsewhere,dc=x", "objectClass": []string{"groupOfNames"},
				"other": map[string][][]byte{"entryuuid": {[]byte("u9")}, "member": {[]byte("uid=fry,ou=people,dc=x")}}},
		},
	}
	if diff := cmp.Diff(want, got.rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if got.ids["people/u1"] != u1 || got.ids["groups/cn=crew,ou=groups,dc=x"] != schemas.NewRowID("ns", "legacy:groups", "cn=crew,ou=groups,dc=x") {
		t.Errorf("row ids are not those of their keys: %v", got.ids)
	}
	if place := got.places["people/u2"]; place != file+":26" {
		t.Errorf("amy stands at %s, want line 26", place)
	}
	if got, want := s.Stats(), (extract.Stats{Files: 1, Entries: 5, Bytes: int64(len(peopleLDIF)), Tables: map[string]extract.TableStats{
		"people": {Rows: 2, Sealed: map[string]int64{"userPassword": 1, "pin": 1, "userpassword;x-old": 1, "sambantpassword": 1},
			SealedByPattern: map[string]int64{"description": 1, "mail": 1}, Misfits: map[string]int64{"uid": 1, "pwdReset": 1, "uidNumber": 1, "createTimestamp": 1}},
		"groups": {Rows: 1}, "entries": {Rows: 2}}}); !cmp.Equal(want, got) {
		t.Errorf("stats (-want +got):\n%s", cmp.Diff(want, got))
	}
	for _, want := range []string{"table groups: key dn can change", "uid does not fit its column in 1 rows, the first at " + file + ":26", "description looks like a secret in 1 rows"} {
		if all := strings.Join(s.Warnings(), "\n"); !strings.Contains(all, want) {
			t.Errorf("no warning %q in:\n%s", want, all)
		}
	}
}

func TestSourceBatchesAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "dn: uid=u%d,dc=x\nobjectClass: person\nentryUUID: u%d\nsn: %s\n\n", i, i, strings.Repeat("x", 1000))
	}
	file := write(t, t.TempDir(), "people.ldif", b.String())
	for _, tt := range []struct {
		limits extract.Limits
		want   int
	}{{extract.Limits{Rows: 10}, 10}, {extract.Limits{Bytes: 5000}, 20}, {extract.Limits{}, 1}, {extract.Limits{Bytes: 1}, 100}} {
		s, err := Open(peopleConfig(file), Options{Namespace: "ns"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := readSource(t, s, tt.limits)
		if err != nil || got.batches != tt.want || len(got.rows["people"]) != 100 {
			t.Errorf("limits %+v: %d batches with %d rows, %v: want %d with 100", tt.limits, got.batches, len(got.rows["people"]), err, tt.want)
		}
	}
}

func TestSourceErrors(t *testing.T) {
	person := func(attrs string) string { return "dn: uid=fry,dc=x\nobjectClass: person\n" + attrs + "\n" }
	for _, tt := range []struct {
		name, text string
		change     func(*Config)
		want       string // of the error, behind file:line
		is         error
	}{
		{"key missing", person("uid: fry\n"), nil, `:1: entry "uid=fry,dc=x": attribute entryUUID: table people: the key attribute is missing`, errNoKeyAttribute},
		{"key empty", person("entryUUID:\n"), nil, `:3: entry "uid=fry,dc=x": attribute entryuuid: the key is empty`, nil},
		{"key twice", person("entryUUID: a\nentryUUID: b\n"), nil, `:3: entry "uid=fry,dc=x": attribute entryuuid: the key has several values`, nil},
		{"key is binary", person("entryUUID:: /w==\n"), nil, `:3: entry "uid=fry,dc=x": attribute entryuuid: the key is no text`, nil},
		{"key looks secret", person("entryUUID: {SSHA}abc\n"), nil, `:3: entry "uid=fry,dc=x": attribute entryuuid: the key looks like a secret`, nil},
		{"secret without a key", person("entryUUID: a\nuserPassword: x\n"), nil, `:4: entry "uid=fry,dc=x": attribute userPassword: a secret, and no key to seal secrets with`, extract.ErrNoKey},
		{"hidden secret without a key", person("entryUUID: a\nsn: {SSHA}abc\n"), nil, `:4: entry "uid=fry,dc=x": attribute sn: a secret, and no key`, extract.ErrNoKey},
		{"text is not UTF-8", person("entryUUID: a\nsn:: /w==\n"), nil, `:4: entry "uid=fry,dc=x": attribute sn: a value that is not UTF-8`, errNotText},
		{"list of texts is not UTF-8", person("entryUUID: a\nmail: x\nmail:: /w==\n"), nil, `:4: entry "uid=fry,dc=x": attribute mail: a value that is not UTF-8`, errNotText},
		{"dn is a secret", "dn: cn={SSHA}abc,dc=x\nobjectClass: person\nentryUUID: a\n\n", nil, `:1: entry "cn={SSHA}abc,dc=x": the dn holds what looks like a secret`, nil},
		{"dn does not parse", "dn: rubbish\nobjectClass: groupOfNames\n\n", nil, `:1: entry "rubbish": not a distinguished name`, nil},
		{"damaged file", person("entryUUID: a\njpegPhoto:: AAA\n"), nil, `:4: entry "uid=fry,dc=x": attribute jpegPhoto: base64 that does not decode`, nil},
		{"line over the limit", person("entryUUID: a\nsn: " + strings.Repeat("x", 100) + "\n"), func(c *Config) { c.MaxLineBytes = 50 }, `:4: entry "uid=fry,dc=x": attribute sn: a line longer than 50 bytes`, nil},
		{"only comments", "# nothing here\n", nil, ": has no entries", extract.ErrEmpty},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, t.TempDir(), "people.ldif", tt.text)
			c := peopleConfig(file)
			if tt.change != nil {
				tt.change(&c)
			}
			s, err := Open(c, Options{Namespace: "ns"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = readSource(t, s, extract.Limits{})
			if err == nil || !strings.HasPrefix(err.Error(), file+tt.want) || !strings.HasSuffix(err.Error(), ")") {
				t.Fatalf("got  %v\nwant %s%s... and a next step", err, file, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Fatalf("%v is not %v", err, tt.is)
			}
		})
	}
}

func TestSourceOpenErrors(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "good.ldif", peopleLDIF)
	empty := write(t, dir, "empty.ldif", "")
	for _, tt := range []struct {
		name  string
		files []string
		want  string
		is    error
	}{
		{"no files", nil, "no files configured", extract.ErrEmpty},
		{"missing file", []string{good, filepath.Join(dir, "gone.ldif")}, filepath.Join(dir, "gone.ldif") + ": does not exist", os.ErrNotExist},
		{"glob without match", []string{filepath.Join(dir, "*.txt")}, "no file matches", os.ErrNotExist},
		{"bad glob", []string{filepath.Join(dir, "[")}, "not a file pattern", filepath.ErrBadPattern},
		{"directory", []string{dir}, dir + ": is a directory", nil},
		{"empty file", []string{empty}, empty + ": has no entries", extract.ErrEmpty},
		{"empty file in a glob", []string{filepath.Join(dir, "*.ldif")}, empty + ": has no entries", extract.ErrEmpty},
		{"device", []string{"/dev/null"}, "/dev/null: is not a regular file", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(peopleConfig(tt.files...), Options{Namespace: "ns"})
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Fatalf("got %v, want %s (%v)", err, tt.want, tt.is)
			}
		})
	}
}

// A file that grows while it is read is no snapshot of anything.
func TestSourceNoticesChange(t *testing.T) {
	file := write(t, t.TempDir(), "people.ldif", peopleLDIF)
	s, err := Open(peopleConfig(file), Options{Namespace: "ns", Sealer: fakeSealer{map[string]int{}}})
	if err != nil {
		t.Fatal(err)
	}
	grown := false
	err = s.Read(context.Background(), extract.Limits{Rows: 1}, func(extract.Batch) error {
		if grown {
			return nil
		}
		grown = true
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString("# more\n")
		return err
	})
	if !errors.Is(err, extract.ErrChanged) {
		t.Fatalf("got %v, want %v", err, extract.ErrChanged)
	}
}

func TestSourceStops(t *testing.T) {
	file := write(t, t.TempDir(), "people.ldif", peopleLDIF)
	s, err := Open(peopleConfig(file), Options{Namespace: "ns", Sealer: fakeSealer{map[string]int{}}})
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	if err := s.Read(context.Background(), extract.Limits{}, func(extract.Batch) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v, want the receiver's error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Read(ctx, extract.Limits{}, func(extract.Batch) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if s.Stats().Entries != 0 {
		t.Error("a Read that failed left its figures behind")
	}
}

func TestSourceMissingKeyGoesToEntries(t *testing.T) {
	file := write(t, t.TempDir(), "people.ldif", "dn: uid=fry,dc=x\nobjectClass: person\nuid: fry\n\n")
	c := peopleConfig(file)
	c.Tables[0].OnMissingKey = "entries"
	s, err := Open(c, Options{Namespace: "ns"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := readSource(t, s, extract.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"dn": "uid=fry,dc=x", "objectClass": []string{"person"}, "other": map[string][][]byte{"uid": {[]byte("fry")}}}
	if diff := cmp.Diff(want, got.rows["entries"]["uid=fry,dc=x"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if all := strings.Join(s.Warnings(), "\n"); !strings.Contains(all, "table people: 1 entries without entryUUID went to table entries, the first at "+file+":1") {
		t.Errorf("no warning of the stray entry in:\n%s", all)
	}
}

// Files are read in their order, each once, and every row knows its own.
func TestSourceSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"b", "a", "c"} {
		write(t, dir, n+".ldif", "dn: uid="+n+",dc=x\nobjectClass: person\nentryUUID: "+n+"\n\n")
	}
	s, err := Open(peopleConfig(filepath.Join(dir, "c.ldif"), filepath.Join(dir, "*.ldif")), Options{Namespace: "ns"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := readSource(t, s, extract.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"a", "b", "c"} {
		if p := got.places["people/"+n]; p != filepath.Join(dir, n+".ldif")+":1" {
			t.Errorf("%s stands at %s", n, p)
		}
	}
	if s.Stats().Files != 3 || s.Stats().Entries != 3 {
		t.Errorf("stats %+v, want 3 files with 3 entries", s.Stats())
	}
	if base := filepath.Base(s.files[0]); base != "c.ldif" {
		t.Errorf("%s comes first, want c.ldif", base)
	}
}

func TestSourceFoldsKeys(t *testing.T) {
	file := write(t, t.TempDir(), "p.ldif", "dn: uid=fry,dc=x\nobjectClass: person\nentryUUID: AbC\n\n")
	for keyCase, want := range map[string]string{"": "AbC", "exact": "AbC", "fold": "abc"} {
		c := peopleConfig(file)
		c.Tables[0].KeyCase = keyCase
		s, err := Open(c, Options{Namespace: "ns"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := readSource(t, s, extract.Limits{})
		if err != nil || got.rows["people"][want] == nil || got.ids["people/"+want] != schemas.NewRowID("ns", "legacy:people", want) {
			t.Errorf("key case %q: got %v, %v", keyCase, got.rows, err)
		}
	}
	c := peopleConfig(file)
	c.Tables[0].Columns[0].Type = "binary" // as for objectGUID
	s, err := Open(c, Options{Namespace: "ns"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readSource(t, s, extract.Limits{}); err != nil || got.rows["people"]["416243"] == nil {
		t.Errorf("binary key: got %v, %v", got.rows, err)
	}
}

func TestConfigCheck(t *testing.T) {
	table := func(change func(*TableConfig)) Config {
		c := peopleConfig()
		change(&c.Tables[0])
		return c
	}
	for _, tt := range []struct {
		name string
		c    Config
		want string
	}{
		{"no tables", Config{}, "no tables"},
		{"no name", table(func(t *TableConfig) { t.Name = "" }), "the name is empty"},
		{"name of the catch-all", table(func(t *TableConfig) { t.Name = "entries" }), "the catch-all's"},
		{"twice", table(func(t *TableConfig) { t.Name = "groups" }), "table groups: configured twice"},
		{"no key", table(func(t *TableConfig) { t.Key = "" }), "table people: no key"},
		{"secret key", table(func(t *TableConfig) { t.Key = "userPassword" }), "table people: key userPassword is a secret"},
		{"key declared secret elsewhere", table(func(t *TableConfig) { t.Key = "PIN" }), "table people: key PIN is a secret"},
		{"key case", table(func(t *TableConfig) { t.KeyCase = "lower" }), `table people: key case "lower": write exact or fold`},
		{"missing key", table(func(t *TableConfig) { t.OnMissingKey = "skip" }), `table people: missing key "skip"`},
		{"bad dn", table(func(t *TableConfig) { t.Where.Under = "people" }), "table people: condition under: not a distinguished name"},
		{"type", table(func(t *TableConfig) { t.Columns[0].Type = "text" }), `table people: column entryUUID: type "text"`},
		{"column twice", table(func(t *TableConfig) { t.Columns[1].Name = "SN" }), "table people: column sn: declared twice"},
		{"dn with another type", table(func(t *TableConfig) { t.Columns[1] = ColumnConfig{Name: "DN", Type: "int"} }), "table people: column DN: declared twice"},
		{"no name of an attribute", table(func(t *TableConfig) { t.Columns[1].Name = "first name" }), `table people: column "first name": no attribute name`},
		{"reserved", table(func(t *TableConfig) { t.Columns[1].Name = "Other" }), "table people: column Other: the name is taken"},
		{"password in the clear", table(func(t *TableConfig) { t.Columns[6].Type = "string" }), "table people: column userPassword: holds secrets"},
		{"secret in one table only", Config{SecretAttributes: []string{"MEMBER"}, Tables: peopleConfig().Tables}, "table groups: column member: holds secrets"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.c.Declare(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
		})
	}
	c := table(func(t *TableConfig) {
		t.Columns = append(t.Columns, ColumnConfig{Name: "dn"}, ColumnConfig{Name: "objectClass", Type: "strings"})
	})
	if _, err := c.Declare(); err != nil {
		t.Errorf("dn and objectClass may be declared: %v", err)
	}
}
