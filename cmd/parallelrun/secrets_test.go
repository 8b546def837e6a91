package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
	"github.com/parallelrun/parallelrun/transform/password"
)

// leakScanner looks for secrets as they are, in hex, and in base64 at each of
// its three alignments.
type leakScanner struct {
	needles map[string]string // encoded form to what it is
	prefix  map[string][]string
}

// prefixLen is how many bytes of a needle find its candidates.
const prefixLen = 6

func newLeakScanner(t *testing.T, gen legacygen.Config) *leakScanner {
	t.Helper()
	s := &leakScanner{needles: map[string]string{}, prefix: map[string][]string{}}
	n := 0
	for secret, err := range legacygen.Secrets(gen) {
		if err != nil {
			t.Fatal(err)
		}
		s.add([]byte(secret), fmt.Sprint("secret ", n))
		s.addParts(secret, fmt.Sprint("secret ", n))
		n++
	}
	if n < 100 {
		t.Fatalf("only %d secrets to look for", n)
	}
	return s
}

// addParts adds hash and salt of a stored password: a target keeps them apart.
func (s *leakScanner) addParts(stored, name string) {
	if rest, ok := strings.CutPrefix(stored, "{SSHA}"); ok {
		if raw, err := base64.StdEncoding.DecodeString(rest); err == nil {
			s.add(raw, name+"'s digest and salt")
			s.add(raw[:20], name+"'s digest")
		}
	}
	if p, err := password.Parse([]byte(stored)); err == nil {
		s.addMaterial(p.Material, name)
	}
}

func (s *leakScanner) addMaterial(m schemas.SecretMaterial, name string) {
	s.add(m.Hash, name+"'s hash")
	s.add(m.Salt, name+"'s salt")
	s.add([]byte(m.Encoded), name+"'s encoded form")
}

// addSealed adds what is sealed in a store's credentials: hashes among it that
// the migration itself made of clear text.
func (s *leakScanner) addSealed(t *testing.T, st *snapshots.Store, snapshot string) {
	t.Helper()
	sn, err := st.Snapshot(t.Context(), snapshot)
	if err != nil {
		t.Fatal(err)
	}
	table, _ := sn.Table(schemas.Credentials)
	before, column := len(s.needles), table.Column("secret")
	for row, err := range sn.Scan(t.Context(), table.Name, parts.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		plain, err := st.Keyring().Open(table.Name, row.ID, "secret", row.Values[column].(schemas.Sealed))
		if err != nil {
			t.Fatal(err)
		}
		var m schemas.SecretMaterial
		if err := json.Unmarshal(plain, &m); err != nil {
			t.Fatal(err)
		}
		s.addMaterial(m, "credential "+row.Key)
	}
	if len(s.needles) == before {
		t.Error("no hash was made of clear text: nothing more to look for")
	}
}

func (s *leakScanner) add(secret []byte, name string) {
	forms := map[string]string{"as it is": string(secret), "in hex": hex.EncodeToString(secret), "in HEX": strings.ToUpper(hex.EncodeToString(secret))}
	for skip := range 3 {
		if len(secret) < skip+9 {
			break
		}
		whole := secret[skip:]
		whole = whole[:len(whole)/3*3] // full groups look alike with any padding
		forms[fmt.Sprint("in base64, alignment ", skip)] = base64.StdEncoding.EncodeToString(whole)
		forms[fmt.Sprint("in URL base64, alignment ", skip)] = base64.URLEncoding.EncodeToString(whole)
	}
	for how, form := range forms {
		if len(form) < prefixLen {
			continue
		}
		if _, there := s.needles[form]; !there {
			s.needles[form] = name + " " + how
			s.prefix[form[:prefixLen]] = append(s.prefix[form[:prefixLen]], form)
		}
	}
}

// leaks names the secrets in data.
func (s *leakScanner) leaks(data []byte) (out []string) {
	for i := 0; i+prefixLen <= len(data); i++ {
		for _, form := range s.prefix[string(data[i:i+prefixLen])] {
			if bytes.HasPrefix(data[i:], []byte(form)) {
				out = append(out, s.needles[form])
			}
		}
	}
	return out
}

// What a migration leaves on disk and prints holds none of the passwords and
// hashes that went through it; its input and the key aside.
func TestNoSecretInTheClear(t *testing.T) {
	t.Parallel()
	gen := legacygen.Config{Seed: 3, Users: 300, SecondUsers: 20, LargePhotos: 1}
	scanner := newLeakScanner(t, gen)
	s := newSite(t, newTemplate(t, gen))
	printed := ""
	for _, args := range [][]string{
		{"run", "--apply", "--logins", "logins.csv", "--log-level", "debug", "--memory", "64MiB"},
		{"run", "--json", "--log-level", "debug"},
		{"runs", "show", "--json"},
		{"snapshots", "diff", "migration/demo/desired", "target/sandbox/base", "--rows"},
		{"snapshots", "diff", "source/legacy/legacy", "migration/demo/desired", "--rows", "--json"},
	} {
		r := s.run(args...)
		printed += r.stdout + r.stderr
	}
	scanner.addSealed(t, s.store(), "target/sandbox/base")
	if leaks := scanner.leaks([]byte(printed)); len(leaks) > 0 {
		t.Errorf("printed: %q", leaks)
	}
	s.wantNoLeaks(scanner)
	s.wantNoLeaksInRows(scanner)
}

// input are the files that hold secrets because somebody put them there.
var input = map[string]bool{"legacy.ldif": true, "logins.csv": true, "identity.txt": true}

func (s *site) wantNoLeaks(scanner *leakScanner) {
	s.t.Helper()
	files, leaks := s.leaked(scanner)
	if files < 50 {
		s.t.Fatalf("only %d files to look at", files)
	}
	for _, l := range leaks {
		s.t.Error(l)
	}
}

// leaked looks at every file of a site but its input.
func (s *site) leaked(scanner *leakScanner) (files int, leaks []string) {
	s.t.Helper()
	for _, path := range s.files(".") {
		if input[filepath.Base(path)] {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		files++
		for _, l := range scanner.leaks(data) {
			leaks = append(leaks, path+": "+l)
		}
	}
	return files, leaks
}

// wantNoLeaksInRows looks at every row of every snapshot, Parquet decoded,
// sealed values left sealed.
func (s *site) wantNoLeaksInRows(scanner *leakScanner) {
	s.t.Helper()
	st := s.store()
	state, err := st.State(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	rows := 0
	for digest := range state.Snapshots {
		sn, err := st.Snapshot(s.t.Context(), digest.String())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, table := range sn.Tables() {
			for row, err := range sn.Scan(s.t.Context(), table, parts.ScanOptions{}) {
				if err != nil {
					s.t.Fatal(err)
				}
				rows++
				text := fmt.Appendf(nil, "%s %s", row.Key, row.Values)
				if leaks := scanner.leaks(text); len(leaks) > 0 {
					s.t.Errorf("table %s, key %s: %q", table, row.Key, leaks)
				}
			}
		}
	}
	if rows < 1000 {
		s.t.Errorf("only %d rows looked at", rows)
	}
}

// What a killed run leaves behind, spill files among it, holds no secret
// either.
func TestNoSecretLeftByAKill(t *testing.T) {
	t.Parallel()
	gen := legacygen.Config{Seed: 3, Users: 300, SecondUsers: 20, LargePhotos: -1}
	scanner := newLeakScanner(t, gen)
	template := newTemplate(t, gen)
	for _, at := range []string{"transform true", "plan true", "load true"} {
		s := newSite(t, template)
		cmd := s.command("run", "--apply", "--memory", "64MiB")
		cmd.Env = append(cmd.Env, killVariable+"="+at)
		if r := s.finish(cmd); r.code != -1 {
			t.Fatalf("%s: was not killed: %d\n%s", at, r.code, r.stderr)
		}
		if _, leaks := s.leaked(scanner); len(leaks) > 0 {
			t.Errorf("%s: %q", at, leaks)
		}
	}
}

// The demo's own target keeps its state on disk; what the demo leaves there and
// prints holds no secret either. One that is planted there is found.
func TestDemoLeavesNoSecret(t *testing.T) {
	t.Parallel()
	gen := legacygen.Config{Seed: 3, Users: 300}
	scanner := newLeakScanner(t, gen)
	outer := &site{t: t, dir: t.TempDir()}
	s := &site{t: t, dir: filepath.Join(outer.dir, "demo")}
	printed := ""
	for _, more := range [][]string{{"--log-level", "debug"}, {"--json", "--memory", "64MiB"}} {
		r := outer.must(append([]string{"demo", "--users", "300", "--seed", "3"}, more...)...)
		printed += r.stdout + r.stderr
	}
	scanner.addSealed(t, s.store(), "target/sandbox/base")
	if leaks := scanner.leaks([]byte(printed)); len(leaks) > 0 {
		t.Errorf("printed: %q", leaks)
	}
	outer.wantNoLeaks(scanner)
	s.wantNoLeaksInRows(scanner)

	form := slices.Min(slices.Collect(maps.Keys(scanner.needles)))
	path := filepath.Join(s.dir, ".parallelrun", "planted")
	if err := os.WriteFile(path, []byte("x"+form+"x"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, leaks := outer.leaked(scanner)
	if !slices.Contains(leaks, path+": "+scanner.needles[form]) {
		t.Errorf("%s was planted, found is %q", scanner.needles[form], leaks)
	}
	// A stored password holds its own digest in base64, so one may be found twice.
	for _, l := range leaks {
		if !strings.HasPrefix(l, path+": ") {
			t.Errorf("found elsewhere: %s", l)
		}
	}
}

// The scanner finds what is planted, in every form: else it proves nothing.
func TestScannerFindsWhatIsPlanted(t *testing.T) {
	gen := legacygen.Config{Seed: 3, Users: 300, SecondUsers: 20, LargePhotos: -1}
	scanner := newLeakScanner(t, gen)
	var planted string
	for secret, err := range legacygen.Secrets(gen) {
		if err != nil {
			t.Fatal(err)
		}
		if len(secret) >= 12 {
			planted = secret
			break
		}
	}
	for name, text := range map[string]string{
		"raw":                  "x" + planted + "x",
		"hex":                  hex.EncodeToString([]byte(planted)),
		"HEX":                  strings.ToUpper(hex.EncodeToString([]byte(planted))),
		"base64":               base64.StdEncoding.EncodeToString([]byte(planted)),
		"base64 unpadded":      base64.RawStdEncoding.EncodeToString([]byte(planted)),
		"base64, one byte off": base64.StdEncoding.EncodeToString([]byte("y" + planted)),
		"base64, two off":      base64.URLEncoding.EncodeToString([]byte("yy" + planted + "z")),
	} {
		if len(scanner.leaks([]byte("... "+text+" ..."))) == 0 {
			t.Errorf("%s: not found", name)
		}
	}
}
