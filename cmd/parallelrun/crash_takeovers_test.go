package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/parallelrun/parallelrun/internal/contract"
	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/internal/sandbox"
)

// writesAccount matches what writes an account's own fields.
func writesAccount(r *http.Request) bool {
	_, rest, ok := strings.Cut(r.URL.Path, "/users/")
	return r.Method == http.MethodPut && ok && !strings.Contains(rest, "/")
}

// allowRenames lets user names be changed in the realm.
func (s *site) allowRenames() {
	s.t.Helper()
	r, _ := s.server.Realm(siteRealm)
	realm := &contract.Target{Name: "sandbox", URL: s.url, Realm: siteRealm, Migrator: contract.Client{ID: r.Migrator.ID, Secret: r.Migrator.Secret}}
	a, err := realm.Do(s.t.Context(), contract.Step{Method: http.MethodPut, Body: `{"editUsernameAllowed":true}`}, contract.Vars{})
	if err != nil || a.Status/100 != 2 {
		s.t.Fatalf("status %d: %v", a.Status, err)
	}
}

// A kill at every change of an account while names change hands, before the
// server looks at it or after it has committed, also between a temporary value
// and the name that follows: a resume settles it.
func TestKilledWhileNamesChangeHands(t *testing.T) {
	t.Parallel()
	script, err := txtar.ParseFile("testdata/script/swap-logins.txtar")
	if err != nil {
		t.Fatal(err)
	}
	source := func(s *site, name string) {
		t.Helper()
		for _, f := range script.Files {
			if f.Name == name {
				if err := os.WriteFile(filepath.Join(s.dir, "legacy.ldif"), f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatalf("the script has no file %s", name)
	}
	template := newTemplate(t, legacygen.Config{Users: 100, LargePhotos: -1})
	swapping := func(t *testing.T) *site {
		s := newSite(t, template)
		s.allowRenames()
		source(s, "legacy.ldif")
		s.must("run", "--apply")
		source(s, "swapped.ldif")
		return s
	}
	u, s := &uninterrupted{template: template}, swapping(t)
	var n atomic.Int64
	s.server.SetFault(func(r *http.Request) sandbox.Fault {
		if writesAccount(r) {
			n.Add(1)
		}
		return sandbox.Fault{}
	})
	s.must("run", "--apply")
	u.dump, u.base = s.dump(), s.baseDigests()
	if u.requests = n.Load(); u.requests < 8 {
		t.Fatalf("%d changes of accounts, want 6 and 2 temporary values", u.requests)
	}
	step := int64(1)
	if testing.Short() {
		step = 3
	}
	for at := int64(0); at < u.requests; at += step {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("at=%d/after=%v", at, after), func(t *testing.T) {
				s := swapping(t)
				k := &killer{at: at, after: after, match: writesAccount}
				if r := s.runKilled(k, "run", "--apply"); r.code != -1 {
					t.Fatalf("was not killed: exit code %d\n%s", r.code, r.stderr)
				}
				s.resumeUntilDone()
				s.wantAs(u)
				if strings.Contains(s.dump(), "parallelrun.invalid") {
					t.Error("a temporary value stays")
				}
			})
		}
	}
}
