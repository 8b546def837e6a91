package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/pipelines"
)

// What differs from one store to the next: digests (their MACs hang on the
// store's key), run ids, moments, the ids that the target chose.
var explainVaries = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\b\d{8}T\d{6}-\d{3}-[0-9a-f]{6}\b`), "RUN"},
	{regexp.MustCompile(`\b(snapshot|base|desired|observed|effective|plan) [0-9a-f]{12}\b`), "$1 DIGEST"},
	{regexp.MustCompile(`\bdone \d{4}-\S+Z`), "done AT"},
	{regexp.MustCompile(`\b((6 target:|target) id +)[0-9a-f-]{36}`), "${1}ID"},
}

// wantExplained compares the text of explain with a golden file.
func (s *site) wantExplained(golden string, args ...string) string {
	s.t.Helper()
	text := s.must(append([]string{"explain"}, args...)...).stdout
	for _, v := range explainVaries {
		text = v.re.ReplaceAllString(text, v.with)
	}
	path := filepath.Join("testdata", "explain", golden+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if text != string(want) {
		s.t.Errorf("explain %s differs from %s (-update rewrites it):\n%s", strings.Join(args, " "), path, text)
	}
	return text
}

// rejects reads the report of rows that do not stand.
func (s *site) rejects() [][]string {
	s.t.Helper()
	for _, path := range s.files("reports") {
		if filepath.Base(path) != "rejects.csv" {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			s.t.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			s.t.Fatal(err)
		}
		return rows
	}
	s.t.Fatal("no report of rejects")
	return nil
}

// firstReject is the key of the first row of an entity with a rule.
func (s *site) firstReject(entity, class, rule string) string {
	s.t.Helper()
	for _, r := range s.rejects() {
		if r[0] == entity && r[3] == class && r[4] == rule {
			return r[1]
		}
	}
	s.t.Fatalf("no row of %s is %s by %s", entity, class, rule)
	return ""
}

// editUser changes an account as an administrator of the target would.
func (s *site) editUser(username string, edit func(map[string]any)) {
	s.t.Helper()
	ask := func(method, path string, form url.Values, in any, token string, out any) {
		s.t.Helper()
		body := io.Reader(strings.NewReader(form.Encode()))
		kind := "application/x-www-form-urlencoded"
		if in != nil {
			data, err := json.Marshal(in)
			if err != nil {
				s.t.Fatal(err)
			}
			body, kind = strings.NewReader(string(data)), "application/json"
		}
		req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
		if err != nil {
			s.t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode >= 300 {
			s.t.Fatalf("%s %s: %d %v", method, path, resp.StatusCode, err)
		}
		if out == nil {
			return
		}
		if err := json.Unmarshal(data, out); err != nil {
			s.t.Fatal(err)
		}
	}
	r, _ := s.server.Realm(siteRealm)
	var grant struct {
		Token string `json:"access_token"`
	}
	ask(http.MethodPost, "/realms/"+siteRealm+"/protocol/openid-connect/token",
		url.Values{"grant_type": {"client_credentials"}, "client_id": {r.Migrator.ID}, "client_secret": {siteSecret}}, nil, "", &grant)
	var users []map[string]any
	ask(http.MethodGet, "/admin/realms/"+siteRealm+"/users?exact=true&username="+url.QueryEscape(username), nil, nil, grant.Token, &users)
	if len(users) != 1 {
		s.t.Fatalf("%d accounts %s", len(users), username)
	}
	edit(users[0])
	ask(http.MethodPut, fmt.Sprintf("/admin/realms/%s/users/%s", siteRealm, users[0]["id"]), nil, users[0], grant.Token, nil)
}

func explainGen() legacygen.Config {
	return legacygen.Config{Seed: 1, Users: 100, SecondUsers: 20, LargePhotos: -1}
}

// The way of one record of each kind, section by section.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := newSite(t, newTemplate(t, explainGen()))
	s.must("run", "--apply")
	plain := s.wantExplained("user", "users", "username=isla.vandyke.0")
	for _, want := range []string{"userPassword       sealed", "row.givenName", "stands; passed", "encoded: kept in an attribute", "create users", "done AT"} {
		if !strings.Contains(plain, want) {
			t.Errorf("a plain user: no %q", want)
		}
	}
	rejected := s.wantExplained("rejected", "users", s.firstReject("users", "rejected", "duplicate-email"))
	if !strings.Contains(rejected, "duplicate-email (email): the same email as key") {
		t.Error("a rejected user: the reason is not shown")
	}
	excluded := s.wantExplained("excluded", "people", s.firstReject("users", "excluded", "leavers"))
	if !strings.Contains(excluded, `row.accountStatus == "left"`) || !strings.Contains(excluded, "left out by the mapping's rule leavers") {
		t.Error("an excluded user: the rule is not shown")
	}
	s.wantExplained("department", "departments", s.firstDepartment())
}

// firstDepartment is the key of the department that the plain user is in.
func (s *site) firstDepartment() string {
	s.t.Helper()
	var e pipelines.Explanation
	if err := json.Unmarshal([]byte(s.must("explain", "users", "username=isla.vandyke.0", "--json").stdout), &e); err != nil {
		s.t.Fatal(err)
	}
	for _, r := range e.Entities[0].References {
		if r.Of == "memberships" && r.Field == "department" {
			return strings.TrimPrefix(r.Found, "departments ")
		}
	}
	s.t.Fatal("the user is in no department")
	return ""
}

// An account that the target disabled stays so, and explain says which word
// would bring it back; the target as it is now is read when asked.
func TestExplainWithheld(t *testing.T) {
	t.Parallel()
	s := newSite(t, newTemplate(t, explainGen()))
	s.must("run", "--apply")
	s.editUser("isla.vandyke.0", func(u map[string]any) {
		u["enabled"] = false
		u["firstName"] = "Edited"
	})
	s.must("plan")
	text := s.wantExplained("withheld", "users", "username=isla.vandyke.0", "--target-now")
	for _, want := range []string{
		"withheld: the target narrowed it, and legacy did not give it anew; --allow enable brings it back",
		"the target changed it and is brought back: legacy owns the field", "now: it is there",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
}

// Two source rows of one person are shown both, with what came from which.
func TestExplainMerged(t *testing.T) {
	t.Parallel()
	s := newSite(t, newTemplate(t, explainGen()))
	s.edit("mapping.yaml", "    template: person\n", "    template: person\n    merge: {by: row.employeeNumber}\n")
	first := s.firstPerson()
	second := regexp.MustCompile(`(?m)^(entryUUID: )\S+$`).ReplaceAllString(first, "${1}00000000-1111-2222-3333-444444444444")
	second = regexp.MustCompile(`(?m)^dn: employeeNumber=\d+`).ReplaceAllString(second, "dn: employeeNumber=9999999")
	second = regexp.MustCompile(`(?m)^(uid|mail): .*\n`).ReplaceAllString(second, "") + "\ndescription: of the second row"
	s.append("legacy.ldif", "\n"+second+"\n")
	s.must("plan")
	text := s.wantExplained("merged", "people", "00000000-1111-2222-3333-444444444444")
	if !strings.Contains(text, "merged: ") || !strings.Contains(text, "because the mapping merges rows of one person") {
		t.Error("the merge is not shown")
	}
}

func (s *site) edit(name, old, with string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), old) {
		s.t.Fatalf("%s does not hold %q: %v", name, old, err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(data), old, with)), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) append(name, text string) {
	s.t.Helper()
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// firstPerson is the first account of the source, as LDIF.
func (s *site) firstPerson() string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "legacy.ldif"))
	if err != nil {
		s.t.Fatal(err)
	}
	for entry := range strings.SplitSeq(string(data), "\n\n") {
		if strings.Contains(entry, "uid: isla.vandyke.0\n") {
			return strings.TrimSpace(entry)
		}
	}
	s.t.Fatal("the person is not there")
	return ""
}

// Explain shows no secret of anybody, in text or JSON, from either end.
func TestExplainShowsNoSecret(t *testing.T) {
	t.Parallel()
	gen := explainGen()
	scanner := newLeakScanner(t, gen)
	s := newSite(t, newTemplate(t, gen))
	s.must("run", "--apply")
	scanner.addSealed(t, s.store(), "target/sandbox/base")
	people := 0
	data, err := os.ReadFile(filepath.Join(s.dir, "legacy.ldif"))
	if err != nil {
		t.Fatal(err)
	}
	for entry := range strings.SplitSeq(string(data), "\n\n") {
		m := regexp.MustCompile(`(?m)^entryUUID: (\S+)$`).FindStringSubmatch(entry)
		if m == nil || !strings.Contains(entry, "legacyAccount") {
			continue
		}
		if people++; people > 40 {
			break
		}
		args := []string{"explain", "users", m[1]}
		switch people % 3 {
		case 0:
			args = append(args, "--json")
		case 1:
			args = []string{"explain", "people", m[1], "--target-now"}
		}
		r := s.run(args...)
		if r.code != 0 {
			t.Fatalf("%v: %d\n%s", args, r.code, r.stderr)
		}
		if leaks := scanner.leaks([]byte(r.stdout + r.stderr)); len(leaks) > 0 {
			t.Errorf("%v: %q", args, leaks)
		}
		if strings.Contains(entry, "userPassword") && !strings.Contains(r.stdout, "sealed") {
			t.Errorf("%v: the password is not named", args)
		}
	}
	if people < 40 {
		t.Errorf("only %d people", people)
	}
}
