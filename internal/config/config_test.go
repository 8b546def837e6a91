package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestProblems runs every testdata/problems/*.yaml and compares what is wrong
// with it to the .golden file beside it.
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/problems/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d cases, err %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := parse("migration.yaml", "/dir", data)
			var got strings.Builder
			for _, p := range problems {
				fmt.Fprintln(&got, p.Error())
				if p.Next != "" {
					fmt.Fprintln(&got, "  hint:", p.Next)
				}
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", got.String())
			if strings.Contains(got.String(), "hunter2") {
				t.Error("a secret of the file is shown")
			}
			if len(problems) == 0 {
				t.Error("nothing is wrong?")
			}
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s (-update rewrites it):\n%s", file, diff)
	}
}

func starterConfig(t testing.TB) string {
	t.Helper()
	data, err := starter.ReadFile("starter/migration.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func load(t testing.TB, text string) *Config {
	t.Helper()
	c, ps := parse("migration.yaml", "/dir", []byte(text))
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	return c
}

func TestStarter(t *testing.T) {
	c := load(t, starterConfig(t))
	if c.Store != "/dir/.parallelrun/store" {
		t.Errorf("store = %s", c.Store)
	}
	name, m, err := c.Migration("")
	if err != nil || name != "demo" {
		t.Fatalf("the only migration: %q, %v", name, err)
	}
	if m.Mapping != "/dir/mapping.yaml" {
		t.Errorf("mapping: %s", m.Mapping)
	}
	ldif := c.Sources[m.Source].LDIF
	if ldif == nil || ldif.Files[0] != "/dir/legacy.ldif" || len(ldif.Tables) != 4 {
		t.Fatalf("source: %+v", ldif)
	}
	if got := ldif.Tables[2]; got.Name != "people" || got.Columns["userPassword"] != "secrets" || got.Where.ObjectClass[0] != "legacyAccount" {
		t.Errorf("people: %+v", got)
	}
	if s := c.Targets[m.Target].Sandbox; s == nil || s.State != "/dir/.parallelrun/sandbox" {
		t.Errorf("sandbox: %+v", s)
	}
	if got := c.Keys.Identity.File(); got != "/dir/keys/identity.txt" {
		t.Errorf("identity: %s", got)
	}
	if r := m.Rejects; r.Limit("users") != 0.05 || r.Limit("credentials") != 0.5 {
		t.Errorf("rejects: %v", r)
	}
	if got := m.Brake.Limits()["deletes"]; got != (Limit{20, 0.02}) {
		t.Errorf("brake: %+v", got)
	}
	if !m.CredentialSync.None {
		t.Errorf("credential sync: %+v", m.CredentialSync)
	}
}

// TestStarterBucket: so is the store in a bucket.
func TestStarterBucket(t *testing.T) {
	text := strings.Replace(starterConfig(t), "\nstore: .parallelrun/store\n", "\n", 1)
	from := strings.Index(text, "# store: s3://")
	block, rest, _ := strings.Cut(text[from:], "\n\n")
	block = strings.NewReplacer("# store", "store", "# s3", "s3", "#   # ", "  ", "#   ", "  ").Replace(block)
	c := load(t, text[:from]+block+"\n\n"+rest)
	if c.Store != "s3://bucket/prefix" || c.S3.Region == "" || c.S3.Profile == "" || c.S3.Endpoint == "" || c.S3.PathStyle == nil ||
		c.S3.Checksums == "" || c.S3.Encryption.KMSKey == "" || c.S3.Timeout == 0 {
		t.Errorf("store %s, %+v", c.Store, c.S3)
	}
}

// TestStarterComments: the commented-out parts must be right as well, for they
// are what people copy.
func TestStarterComments(t *testing.T) {
	var lines []string
	for _, line := range strings.Split(starterConfig(t), "\n") {
		trimmed := strings.TrimLeft(line, " ")
		rest, ok := strings.CutPrefix(trimmed, "# ")
		indent := line[:len(line)-len(trimmed)]
		key, _, isKey := strings.Cut(strings.TrimLeft(rest, "# -{"), ":")
		if ok && isKey && isName(key) && indent != "" {
			line = indent + strings.Replace(rest, "# ", "", min(1, strings.Count(rest[:len(rest)-len(strings.TrimLeft(rest, " #"))], "#")))
		}
		lines = append(lines, line)
	}
	c := load(t, strings.Replace(strings.Join(lines, "\n"), "[age1..., ", "[age1abc, ", 1))
	staging, ok := c.Targets["staging"]
	if !ok || staging.URL == "" || staging.Auth.IsZero() || staging.Proof.IsZero() || staging.Limits.BatchUsers != 20 || staging.CAFile == "" {
		t.Errorf("staging: %+v", staging)
	}
	waves := c.Migrations["demo"].Waves
	if len(waves) != 5 || waves[0].Percent != Whole/2 || waves[3].Where == "" || c.Migrations["demo"].WaveSalt != "draw 2" {
		t.Errorf("waves: %+v", waves)
	}
	if c.Migrations["demo"].Memory != 512<<20 || len(c.Keys.Recipients) != 2 || !c.Keys.UsesKMS() || len(c.Sources["legacy"].LDIF.SecretAttributes) != 1 {
		t.Errorf("other commented keys were not taken: %+v", c.Migrations["demo"])
	}
}

func TestWaves(t *testing.T) {
	c := load(t, wavesFile("{name: a, percent: 12.5, keysFile: k.txt}", "{name: b, percent: 0.0001}", "{name: c, percent: 100, keys: ['7', x]}"))
	w := c.Migrations["m"].Waves
	if w[0].Percent != 125_000 || w[0].Percent.String() != "12.5" || w[0].KeysFile != "/dir/k.txt" {
		t.Errorf("a: %+v", w[0])
	}
	if w[1].Percent != 1 || w[1].Percent.String() != "0.0001" || w[2].Percent != Whole || w[2].Percent.String() != "100" || w[2].Keys[0] != "7" {
		t.Errorf("b, c: %+v", w[1:])
	}
	p := c.WaveProblem("m", 2, "keys", "what", "next")
	if p.Error() != "migration.yaml:9:35: what" || p.Path != "migrations.m.waves[2].keys" {
		t.Errorf("problem %s at %s", p, p.Path)
	}
}

func wavesFile(waves ...string) string {
	return `version: 1
store: s
sources: {a: {kind: ldif, namespace: one, files: [x], tables: [{name: people, key: dn}]}}
targets: {t: {dialect: keycloak, realm: r, sandbox: {state: st}}}
migrations:
  m: {source: a, target: t, mapping: m.yaml, waves: [
    ` + strings.Join(waves, ",\n    ") + `]}
`
}

func TestAliasesAndFlowStyle(t *testing.T) {
	c := load(t, `
version: 1
store: s
sources:
  a: &source {kind: ldif, namespace: one, files: [x], tables: [{name: people, key: dn}]}
  b: *source
targets: {t: {dialect: keycloak, realm: r, url: "http://h:8080/auth/", auth: {clientId: c, clientSecret: "${SECRET}"}}}
migrations: {m: {source: b, target: t, mapping: /abs/m.yaml, memory: 1073741824}}
`)
	if c.Sources["b"].LDIF.Tables[0].Name != "people" || c.Sources["b"].LDIF.Files[0] != "/dir/x" {
		t.Errorf("alias: %+v", c.Sources["b"].LDIF)
	}
	if got := c.Targets["t"]; got.URL != "http://h:8080/auth" || got.Auth.ClientSecret.String() != "${SECRET}" {
		t.Errorf("target: %+v", got)
	}
	if m := c.Migrations["m"]; m.Mapping != "/abs/m.yaml" || m.Memory != 1<<30 {
		t.Errorf("migration: %+v", m)
	}
}

func TestUnknownMigration(t *testing.T) {
	c := load(t, starterConfig(t))
	_, _, err := c.Migration("demos")
	if err == nil || !strings.Contains(err.Error(), `no migration named "demos"`) {
		t.Fatalf("err = %v", err)
	}
	if h := err.(*UnknownNameError).Hint(); h != `did you mean "demo"?` {
		t.Errorf("hint = %s", h)
	}
}

func TestParseStore(t *testing.T) {
	for in, want := range map[string]Place{
		"store":            {Dir: "store"},
		"/abs/store":       {Dir: "/abs/store"},
		"file:///a/store":  {Dir: "/a/store"},
		"s3://bucket":      {Bucket: "bucket"},
		"s3://bucket/":     {Bucket: "bucket"},
		"s3://bucket/a/b/": {Bucket: "bucket", Prefix: "a/b"},
	} {
		got, err := ParseStore(in)
		if err != nil || got != want {
			t.Errorf("ParseStore(%q) = %q, %v", in, got, err)
		}
		if again, err := ParseStore(got.String()); err != nil || again != got {
			t.Errorf("ParseStore(%q) = %q, %v", got, again, err)
		}
	}
	for _, in := range []string{"gs://bucket/x", "file://host/x", "https://h/x", "s3:///x", "s3://key:secret@bucket/x", "s3://bucket/x?endpoint=y"} {
		if got, err := ParseStore(in); err == nil {
			t.Errorf("ParseStore(%q) = %q, no error", in, got)
		}
	}
}

// The key of a bucket reaches no message, whatever is wrong with it.
func TestCustomerKey(t *testing.T) {
	for value, ok := range map[string]bool{
		"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=":   true,
		"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=\n": true,
		"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz":       false,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345!":              false,
	} {
		t.Setenv("BUCKET_KEY", value)
		secret, err := ParseSecret("${BUCKET_KEY}", "")
		if err != nil {
			t.Fatal(err)
		}
		key, err := S3Encryption{CustomerKey: secret}.Key()
		if ok != (err == nil) || ok && len(key) != 32 {
			t.Errorf("%q: %d bytes, %v", value, len(key), err)
		}
		if err != nil && (strings.Contains(err.Error(), value[:8]) || !errors.Is(err, ErrCustomerKey)) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// FuzzLoad: no input may crash the loader or yield a configuration together
// with problems, and no problem may lie outside of the file.
func FuzzLoad(f *testing.F) {
	data, err := starter.ReadFile("starter/migration.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	cases, _ := filepath.Glob("testdata/problems/*.yaml")
	for _, c := range cases {
		b, err := os.ReadFile(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, ps := parse("f", "/dir", data)
		if (c == nil) == (len(ps) == 0) {
			t.Fatalf("config %v with problems %v", c != nil, ps)
		}
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 2
		for _, p := range ps {
			if p.Line < 0 || p.Line > lines || p.What == "" {
				t.Errorf("problem outside of the file's %d lines: %+v", lines, p)
			}
		}
	})
}
