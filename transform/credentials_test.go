package transform

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

// openCredential is the material of a written credential, opened as the loader
// does it.
func openCredential(t *testing.T, out *collector, key string) schemas.SecretMaterial {
	t.Helper()
	row := out.byKey(schemas.Credentials)[key]
	plain, err := testKeyring(t).Open(schemas.Credentials, row.ID, "secret", row.Values[tableOf(schemas.Credentials).Column("secret")].(schemas.Sealed))
	if err != nil {
		t.Fatal(err)
	}
	var m schemas.SecretMaterial
	if err := json.Unmarshal(plain, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestClearTextIsHashed(t *testing.T) {
	m := acme(t)
	person(m, "P2", "kim", cells{"changed": int64(1_600_000_000_000_000), "userPassword": sealed(t, "people", "P2", "userPassword", "{SSHA}broken", "open sesame")})
	mapping := loadText(t, directoryMapping, m)
	out, _ := runMapping(t, m, mapping, nil)
	material := openCredential(t, out, "P2/password")
	want, err := pbkdf2.Key(sha256.New, "open sesame", material.Salt, 1000, 32)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, material.Hash) || len(material.Salt) != 16 {
		t.Error("the hash does not verify the password")
	}
	for column, want := range map[string]any{"algorithm": schemas.PBKDF2SHA256, "state": "active", "type": "password",
		"changed_at": int64(1_600_000_000_000_000), "user": entityID(schemas.Users, "P2")} {
		if got := out.value(t, schemas.Credentials, "P2/password", column); got != want {
			t.Errorf("%s: got %v, want %v", column, got, want)
		}
	}
	if got := out.value(t, schemas.Credentials, "P2/password", "parameters").(map[string][]string); got[schemas.ParamIterations][0] != "1000" {
		t.Errorf("parameters %v", got)
	}
	again, _ := runMapping(t, m, mapping, nil)
	mac := func(c *collector) [16]byte {
		return c.value(t, schemas.Credentials, "P2/password", "secret").(schemas.Sealed).MAC
	}
	if mac(out) != mac(again) {
		t.Error("a second run makes another hash: the snapshot would differ")
	}
}

func TestClearTextIsRejected(t *testing.T) {
	m := acme(t)
	person(m, "P2", "kim", cells{"userPassword": sealed(t, "people", "P2", "userPassword", "open sesame")})
	out, _ := runMapping(t, m, loadText(t, strings.Replace(directoryMapping, "clear: hash", "clear: reject", 1), m), nil)
	if got := out.rules(schemas.Credentials, "P2/password"); len(got) != 1 || got[0] != RuleClearText {
		t.Errorf("rules %v", got)
	}
	if _, ok := out.byKey(schemas.Users)["P2"]; !ok {
		t.Error("the user must stay")
	}
}

func TestCredentialState(t *testing.T) {
	m := acme(t)
	for i, state := range []string{"must_change", "odd"} {
		key := fmt.Sprintf("P%d", i+2)
		person(m, key, "kim"+key, cells{"status": state, "userPassword": sealed(t, "people", key, "userPassword", "open sesame")})
	}
	text := strings.Replace(directoryMapping, "columns: {changed_at: row.changed}", "columns: {state: row.status}", 1)
	out, _ := runMapping(t, m, loadText(t, text, m), nil)
	if got := out.value(t, schemas.Credentials, "P2/password", "state"); got != "must_change" {
		t.Errorf("state %v", got)
	}
	if got := out.rules(schemas.Credentials, "P3/password"); len(got) != 1 || got[0] != RuleState {
		t.Errorf("rules %v", got)
	}
}

// A credential that can't move must not hide a later one that can.
func TestFirstMovableCredential(t *testing.T) {
	m := acme(t)
	person(m, "P2", "kim", cells{
		"userPassword": sealed(t, "people", "P2", "userPassword", "{SSHA}AAAA"),
		"other_sealed": map[string][]schemas.Sealed{"oldPassword": sealed(t, "people", "P2", `other_sealed["oldPassword"]`, "open sesame")}})
	text := directoryMapping + "      - rule: old\n        where: '\"oldPassword\" in row.other_sealed'\n        password: 'row.other_sealed[\"oldPassword\"]'\n"
	out, report := runMapping(t, m, loadText(t, text, m), nil)
	if _, ok := out.byKey(schemas.Credentials)["P2/password"]; !ok {
		t.Fatal("no credential")
	}
	if c := report.Entity(schemas.Credentials); c.Candidates != 2 || c.Yielded != 1 || c.Merged != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestRunNeedsAKeyForPasswords(t *testing.T) {
	m := acme(t)
	_, err := Run(t.Context(), Input{Legacy: m, Mapping: loadText(t, directoryMapping, m), Profile: testProfile(), Namespace: testNamespace}, &collector{})
	if err == nil || !strings.Contains(err.Error(), "parallelrun key init") {
		t.Errorf("got %v", err)
	}
}

// No password, hash or part of one stands anywhere outside of sealed cells:
// rows, rejects, report, CSV, errors and spill files.
func TestNoSecretGetsOut(t *testing.T) {
	m := acme(t)
	planted := []string{"plantedClearText1", "{SSHA}cGxhbnRlZEhhc2hXaXRoU2FsdFZhbHVl", "{FOO}plantedUnknownScheme", "{CRYPT}$2b$04$plantedBcryptHashValueuuKKKKKKKKKKKKKKKKKKKKKKKKKK", "\xffplantedBinary", "{PBKDF2-SHA256}plantedMalformed"}
	for i := range 3000 {
		key := "P" + strconv.Itoa(i+2)
		person(m, key, "user"+key, cells{"userPassword": sealed(t, "people", key, "userPassword", planted[i%len(planted)]),
			"mail": []string{map[bool]string{true: "broken", false: key + "@acme.example"}[i%7 == 0]}})
	}
	dir := t.TempDir()
	spill := &spillReader{dir: dir}
	in := Input{Legacy: m, Mapping: loadText(t, directoryMapping, m), Profile: testProfile(), Keyring: testKeyring(t), Namespace: testNamespace,
		Memory: 4 << 20, TempDir: dir, Workers: 2, Progress: func(string, int64) { spill.look() }}
	out := &collector{}
	report, err := Run(t.Context(), in, out)
	if err != nil {
		t.Fatal(err)
	}
	if report.Spilled == 0 || spill.seen.Len() == 0 {
		t.Fatal("nothing was spilled: the test looks at no spill file")
	}
	var all bytes.Buffer
	for _, rows := range out.rows {
		for _, r := range rows {
			fmt.Fprintf(&all, "%v %q %v\n", r.ID, r.Key, r.Values)
		}
	}
	b, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	all.Write(b)
	if _, err := WriteRejects(t.Context(), &all, &written{out}, true); err != nil {
		t.Fatal(err)
	}
	all.Write(spill.seen.Bytes())
	for _, p := range planted {
		p = p[strings.LastIndexByte(p, '}')+1:]
		for _, form := range []string{p, base64.StdEncoding.EncodeToString([]byte(p)), hex.EncodeToString([]byte(p))} {
			if bytes.Contains(all.Bytes(), []byte(form)) {
				t.Errorf("a planted password got out: %q", form)
			}
		}
	}
	// The search finds what is there: a name that is no secret.
	if !bytes.Contains(all.Bytes(), []byte("userp100")) {
		t.Error("the search itself finds nothing")
	}
}

// spillReader reads what lies in a folder, open files that have no name too.
type spillReader struct {
	dir  string
	mu   sync.Mutex
	seen bytes.Buffer
}

func (s *spillReader) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen.Len() > 8<<20 {
		return
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, fd := range fds {
		path := filepath.Join("/proc/self/fd", fd.Name())
		if target, err := os.Readlink(path); err == nil && strings.HasPrefix(target, s.dir) {
			if b, err := os.ReadFile(path); err == nil {
				s.seen.Write(b)
			}
		}
	}
}

// written shows what a run wrote as tables.
type written struct{ *collector }
