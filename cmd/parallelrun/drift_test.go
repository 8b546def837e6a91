package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/contract"
	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/internal/sandbox"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/pipelines/demo"
)

// partVariable makes the parts of a drift small.
const partVariable = "PARALLELRUN_TEST_DRIFT_PART"

func smallParts() {
	if n, err := strconv.ParseInt(os.Getenv(partVariable), 10, 64); err == nil {
		driftPart = n
	}
}

// driftSite is a loaded site whose target is edited by hand.
type driftSite struct {
	*site
	realm *contract.Target
	vars  contract.Vars
}

func newDriftSite(t *testing.T, users int) *driftSite {
	t.Helper()
	s := newSite(t, newTemplate(t, legacygen.Config{Seed: 7, Users: users, SecondUsers: 20, LargePhotos: -1}))
	r, _ := s.server.Realm(siteRealm)
	realm := &contract.Target{Name: "sandbox", URL: s.url, Realm: siteRealm, Migrator: contract.Client{ID: r.Migrator.ID, Secret: r.Migrator.Secret}}
	d := &driftSite{site: s, realm: realm, vars: contract.NewVars("x").For(realm)}
	s.must("run", "--apply")
	return d
}

// admin is a change that an administrator makes.
func (d *driftSite) admin(method, path, body string) string {
	d.t.Helper()
	a, err := d.realm.Do(d.t.Context(), contract.Step{Method: method, Path: path, Body: body}, d.vars)
	if err != nil || a.Status/100 != 2 {
		d.t.Fatalf("%s %s: status %d, %v: %s", method, path, a.Status, err, a.Body)
	}
	return a.Body
}

func (d *driftSite) eventsOn() {
	d.t.Helper()
	d.admin("PUT", "", `{"adminEventsEnabled":true,"eventsEnabled":true}`)
}

func (d *driftSite) meddle(titles, memberships int) {
	d.t.Helper()
	at := pipelines.Endpoint{URL: d.url, Realm: siteRealm, ClientID: d.realm.Migrator.ID, ClientSecret: d.realm.Migrator.Secret}
	if err := demo.Meddle(d.t.Context(), at, titles, memberships); err != nil {
		d.t.Fatal(err)
	}
}

// drift runs the command, which must end with the exit code.
func (d *driftSite) drift(code int, args ...string) pipelines.Drift {
	d.t.Helper()
	r := d.run(append([]string{"drift", "--json"}, args...)...)
	if r.code != code {
		d.t.Fatalf("drift %v: exit code %d, want %d\n%s\n%s", args, r.code, code, r.stdout, r.stderr)
	}
	var out pipelines.Drift
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil {
		d.t.Fatalf("drift %v: %v\n%s", args, err, r.stdout)
	}
	return out
}

// refused runs the command, which must refuse with the texts.
func (d *driftSite) refused(args []string, texts ...string) {
	d.t.Helper()
	r := d.run(append([]string{"drift"}, args...)...)
	if r.code != 2 {
		d.t.Errorf("drift %v: exit code %d, want 2\n%s\n%s", args, r.code, r.stdout, r.stderr)
	}
	if strings.Contains(r.stdout, "as it was") {
		d.t.Errorf("drift %v: a refusal says that nothing changed:\n%s", args, r.stdout)
	}
	for _, text := range texts {
		if !strings.Contains(r.stderr, text) {
			d.t.Errorf("drift %v: stderr lacks %q:\n%s", args, text, r.stderr)
		}
	}
}

// driftedKeys are the legacy keys of the users that a drift found changed.
func (d *driftSite) driftedKeys(found pipelines.Drift) []string {
	d.t.Helper()
	keys := map[string]bool{}
	for _, table := range []string{"users", "memberships"} {
		r := d.run("snapshots", "diff", found.Compared.String(), found.Observed.String(), "--rows", "--json", "--table", table)
		for line := range strings.Lines(r.stdout) {
			var row struct{ Key string }
			unmarshal(d.t, line, &row)
			if key, _, _ := strings.Cut(row.Key, "/"); key != "" {
				keys[key] = true
			}
		}
	}
	var out []string
	for k := range keys {
		out = append(out, k)
	}
	return out
}

// The three scopes find the same drift, and a drift goes on from the last.
func TestDriftScopesAgree(t *testing.T) {
	t.Parallel()
	d := newDriftSite(t, 400)
	d.eventsOn()
	if first := d.drift(0); first.Differences != 0 || !first.Scope.Cursor {
		t.Fatalf("before anybody edited: %+v", first)
	}
	d.meddle(200, 3)
	since := d.drift(1, "--since", "last")
	full := d.drift(1, "--full")
	keys := filepath.Join(d.dir, "keys.txt")
	if err := os.WriteFile(keys, []byte(strings.Join(d.driftedKeys(full), "\n")+"\n\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	chosen := d.drift(1, "--keys-file", keys)
	want := []pipelines.TableDrift{{Table: "memberships", Deleted: 3}, {Table: "users", Updated: 200}}
	for name, got := range map[string]pipelines.Drift{"full": full, "since": since, "keys": chosen} {
		if diff := cmp.Diff(want, got.ByTable); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if n := since.Scope.Users; n < 200 || n > 203 {
		t.Errorf("--since looked at %d users, want the 200 to 203 that were edited", n)
	}
	if since.Scope.Structure || !full.Scope.Structure || chosen.Scope.Structure {
		t.Errorf("structure looked at: since %t, full %t, keys %t", since.Scope.Structure, full.Scope.Structure, chosen.Scope.Structure)
	}
	if full.Scope.Users != full.Scope.UsersBase || chosen.Scope.Users != since.Scope.Users || chosen.Scope.Cursor {
		t.Errorf("scopes: full %+v, keys %+v", full.Scope, chosen.Scope)
	}
	named := d.drift(1, "--since", since.Scope.SinceRun)
	if diff := cmp.Diff(want, named.ByTable); diff != "" {
		t.Errorf("since a named drift (-want +got):\n%s", diff)
	}
}

// What is deleted takes people's places away without an event for each of them.
func TestDriftSinceDeletedStructure(t *testing.T) {
	t.Parallel()
	d := newDriftSite(t, 150)
	d.eventsOn()
	d.drift(0)
	var orgs, groups []struct{ ID string }
	unmarshal(t, d.admin("GET", "/organizations", ""), &orgs)
	unmarshal(t, d.admin("GET", "/organizations/"+orgs[0].ID+"/groups", ""), &groups)
	d.admin("DELETE", "/organizations/"+orgs[0].ID+"/groups/"+groups[0].ID, "")
	d.admin("DELETE", "/roles/a-reader", "")
	d.admin("POST", "/users", `{"username":"stranger","enabled":true}`)
	since, full := d.drift(1, "--since", "last"), d.drift(1, "--full")
	if diff := cmp.Diff(full.ByTable, since.ByTable); diff != "" || full.Differences < 10 {
		t.Errorf("since finds another drift than full, of %d (-full +since):\n%s", full.Differences, diff)
	}
	if since.Scope.Others != 1 || !since.Scope.Structure || since.Scope.Users >= since.Scope.UsersBase {
		t.Errorf("scope %+v", since.Scope)
	}
	// A member who was added is named by user name alone.
	var users []struct{ ID, Username string }
	unmarshal(t, d.admin("GET", "/users?max=300&briefRepresentation=true", ""), &users)
	joined := 0
	for _, u := range users {
		var of []struct{ ID string }
		unmarshal(t, d.admin("GET", "/organizations/members/"+u.ID+"/organizations", ""), &of)
		if len(of) == 1 && of[0].ID == orgs[0].ID && joined < 2 {
			d.admin("POST", "/organizations/"+orgs[1].ID+"/members", u.ID)
			joined++
		}
	}
	var whole pipelines.Drift
	since, whole = d.drift(1, "--since", since.Run), d.drift(1)
	if diff := cmp.Diff(whole.ByTable, since.ByTable); diff != "" || joined != 2 || whole.Differences != full.Differences+2 {
		t.Errorf("%d joined an organization; %d differences before, %d now; --since finds another drift than full (-full +since):\n%s",
			joined, full.Differences, whole.Differences, diff)
	}
}

func unmarshal(t *testing.T, body string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), to); err != nil {
		t.Fatal(err)
	}
}

// Where events can't tell all, --since refuses, and says what to do.
func TestDriftSinceRefused(t *testing.T) {
	t.Parallel()
	d := newDriftSite(t, 150)
	last := []string{"--since", "last"}
	d.refused(last, "no such drift", "--full")
	if off := d.drift(0); off.Scope.Cursor || off.Scope.NoCursor == "" {
		t.Errorf("a drift without events left a cursor: %+v", off.Scope)
	}
	d.refused(last, "none of target sandbox left a cursor", "switch on")
	d.admin("PUT", "", `{"adminEventsEnabled":true}`)
	if off := d.drift(0); off.Scope.Cursor {
		t.Errorf("a drift without user events left a cursor: %+v", off.Scope)
	}
	d.eventsOn()
	before := d.drift(0)
	since := []string{"--since", before.Run}
	d.drift(0, since...)
	d.refused([]string{"--since", "20200101T000000-000-abcdef"}, `no such drift: "20200101T000000-000-abcdef"`, "the newest is")
	d.refused([]string{"--since", d.drift(0, "--keys", d.anyKey()).Run}, "left no cursor")

	d.admin("PUT", "", `{"enabledEventTypes":["LOGIN"]}`)
	d.refused(since, "user events of type REGISTER", "--full")
	d.admin("PUT", "", `{"enabledEventTypes":[]}`)
	d.refused(since, "settings of the realm changed", "--full")

	again := d.drift(0)
	d.admin("PUT", "", `{"adminEventsEnabled":false}`)
	d.refused([]string{"--since", again.Run}, "does not save admin events", "--full")
	d.eventsOn() // what happened between is lost
	d.refused([]string{"--since", again.Run}, "settings of the realm changed", "--full")

	d.admin("PUT", "", `{"eventsExpiration":5}`)
	short := d.drift(0)
	d.refused([]string{"--since", short.Run}, "keeps user events for 5s", "--full")
	d.admin("PUT", "", `{"eventsExpiration":0,"attributes":{"adminEventsExpiration":"5"}}`)
	short = d.drift(0)
	d.refused([]string{"--since", short.Run}, "keeps admin events for 5s", "--full")
	d.admin("PUT", "", `{"attributes":{"adminEventsExpiration":"0"}}`)

	short = d.drift(0)
	d.admin("POST", "/partialImport", `{"ifResourceExists":"OVERWRITE","users":[{"username":"brand-new"}]}`)
	d.drift(0, "--since", short.Run)
	d.admin("POST", "/partialImport", `{"ifResourceExists":"OVERWRITE","users":[{"username":"brand-new"}]}`)
	d.refused([]string{"--since", short.Run}, "an import overwrote accounts", "--full")
	d.refused([]string{"--resume"}, "none of target sandbox stopped")
}

// anyKey is the legacy key of a user that was loaded.
func (d *driftSite) anyKey() string {
	d.t.Helper()
	var users []struct{ Attributes map[string][]string }
	unmarshal(d.t, d.admin("GET", "/users?max=1", ""), &users)
	return users[0].Attributes["legacyId"][0]
}

// A drift that was killed goes on with the parts that are left, and sees what
// an uninterrupted one sees.
func TestDriftKilledAndResumed(t *testing.T) {
	t.Parallel()
	d := newDriftSite(t, 150)
	d.meddle(20, 3)
	whole := d.drift(1)
	var looks atomic.Int64
	d.server.SetFault(func(r *http.Request) sandbox.Fault {
		if strings.Contains(r.URL.RawQuery, "search=id") {
			looks.Add(1)
		}
		return sandbox.Fault{}
	})
	small := func(args ...string) result {
		cmd := d.command(args...)
		cmd.Env = append(cmd.Env, partVariable+"=20")
		return d.finish(cmd)
	}
	if r := small("drift"); r.code != 1 {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	all := looks.Load()
	for _, at := range []string{"select true", "look/structure true", "look/3 true", "look/9 false", "merge false", "merge true", "done false"} {
		looks.Store(0)
		cmd := d.command("drift")
		cmd.Env = append(cmd.Env, partVariable+"=20", killVariable+"="+at)
		if r := d.finish(cmd); r.code != -1 {
			t.Fatalf("%s: was not killed: exit code %d\n%s", at, r.code, r.stderr)
		}
		// The parts are those that it began with, whatever this program would choose.
		got := d.drift(1, "--resume")
		if got.Observed != whole.Observed || got.Differences != whole.Differences || got.Scope.Users != whole.Scope.Users {
			t.Errorf("%s: observed %s with %d differences, want %s with %d", at, got.Observed.Short(), got.Differences, whole.Observed.Short(), whole.Differences)
		}
		if n := looks.Load(); n != all {
			t.Errorf("%s: %d look-ups of users in both attempts, want %d: a part was looked at twice or left out", at, n, all)
		}
		if again := d.drift(1, "--resume", got.Run); again.Observed != whole.Observed {
			t.Errorf("%s: shown again it is another", at)
		}
	}
	d.refused([]string{"--resume"}, "none of target sandbox stopped")
}

// A drift that the target stopped says how to go on, and does.
func TestDriftStoppedByTheTarget(t *testing.T) {
	t.Parallel()
	d := newDriftSite(t, 150)
	var n atomic.Int64
	d.server.SetFault(func(r *http.Request) sandbox.Fault {
		if strings.Contains(r.URL.RawQuery, "search=id") && n.Add(1) > 5 {
			return sandbox.Fault{Status: http.StatusForbidden}
		}
		return sandbox.Fault{}
	})
	cmd := d.command("drift")
	cmd.Env = append(cmd.Env, partVariable+"=20")
	r := d.finish(cmd)
	if r.code != 2 || !strings.Contains(r.stderr, "stopped; `parallelrun drift --resume ") || r.stdout != "" {
		t.Errorf("exit code %d\n%s\n%s", r.code, r.stdout, r.stderr)
	}
	d.server.SetFault(nil)
	if got := d.drift(0, "--resume"); got.Scope.Users != got.Scope.UsersBase {
		t.Errorf("scope %+v", got.Scope)
	}
}

// A drift does not go on once the target was loaded: our own writes are none.
func TestDriftBaseMoved(t *testing.T) {
	t.Parallel()
	d := newDriftSite(t, 150)
	cmd := d.command("drift")
	cmd.Env = append(cmd.Env, killVariable+"=look/structure true")
	if r := d.finish(cmd); r.code != -1 {
		t.Fatalf("was not killed: exit code %d\n%s", r.code, r.stderr)
	}
	d.editSource()
	d.must("run", "--apply")
	d.refused([]string{"--resume"}, "was loaded meanwhile", "start a new one")
	d.drift(0)
}

// editSource gives some people another title in the legacy system.
func (d *driftSite) editSource() {
	d.t.Helper()
	path := filepath.Join(d.dir, "legacy.ldif")
	data, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	changed := strings.Replace(string(data), "\ntitle: ", "\ntitle: Chief ", 20)
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// What a run has written and not confirmed yet shows as drift, with the run.
func TestDriftWhileARunIsUnderWay(t *testing.T) {
	t.Parallel()
	d := newDriftSite(t, 150)
	d.editSource()
	cmd := d.command("run", "--apply")
	cmd.Env = append(cmd.Env, killVariable+"=load true")
	if r := d.finish(cmd); r.code != -1 {
		t.Fatalf("was not killed: exit code %d\n%s", r.code, r.stderr)
	}
	rec, err := pipelines.ReadRecord(t.Context(), d.store(), "latest")
	if err != nil {
		t.Fatal(err)
	}
	if got := d.drift(1); got.Scope.Holder != rec.ID || got.Differences == 0 {
		t.Errorf("%d differences, held by %q, want some by run %s", got.Differences, got.Scope.Holder, rec.ID)
	}
	d.must("resume")
	if got := d.drift(0); got.Scope.Holder != "" {
		t.Errorf("held by %q after the run", got.Scope.Holder)
	}
}

// Keys that nobody knows are named with their place.
func TestDriftUnknownKeys(t *testing.T) {
	t.Parallel()
	d := newDriftSite(t, 150)
	known := d.anyKey()
	path := filepath.Join(d.dir, "keys.txt")
	if err := os.WriteFile(path, []byte(known+"\r\n\nnobody\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.refused([]string{"--keys-file", path}, fmt.Sprintf("%s:3: no user with the legacy key %q", path, "nobody"), "hint: ")
	d.refused([]string{"--keys", "nobody"}, `--keys: no user with the legacy key "nobody"`)
	d.refused([]string{"--keys-file", filepath.Join(d.dir, "none.txt")}, "none.txt")
	if got := d.drift(0, "--keys", known+","+known); got.Scope.Users != 1 || got.Scope.Structure {
		t.Errorf("scope %+v", got.Scope)
	}
}
