package keycloak_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak/keycloaktest"
	"github.com/parallelrun/parallelrun/internal/servers/postgres"
	"github.com/parallelrun/parallelrun/internal/servers/servertest"
)

func TestMain(m *testing.M) { keycloaktest.Main(m) }

func scratchFolders(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(os.TempDir(), "parallelrun-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if err := os.Chmod(os.Getenv("TMPDIR"), 0o755); err != nil { // PostgreSQL's user has to pass
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(os.Getenv("TMPDIR")), 0o755); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s, err := keycloak.Start(t.Context(), keycloak.Options{})
	servertest.Require(t, err)
	defer s.Close()
	t.Logf("ready after %s", time.Since(start).Round(100*time.Millisecond))
	if len(scratchFolders(t)) != 2 {
		t.Errorf("scratch folders while running: %q, want two", scratchFolders(t))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left := scratchFolders(t); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if resp, err := http.Get(s.ManagementURL + "/health/ready"); err == nil {
		resp.Body.Close()
		t.Error("the server still answers after Close")
	}
}

func TestRealm(t *testing.T) {
	r := keycloaktest.Realm(t, keycloak.RealmOptions{Roles: []string{"employee"}})
	ctx := t.Context()
	var realm struct {
		ID                   string
		OrganizationsEnabled bool
	}
	if err := r.Admin(ctx, http.MethodGet, "", nil, &realm); err != nil {
		t.Fatal(err)
	}
	if realm.ID == "" || realm.ID != r.ID || !realm.OrganizationsEnabled {
		t.Errorf("realm %+v, want id %q and organizations", realm, r.ID)
	}
	var profile struct{ UnmanagedAttributePolicy string }
	if err := r.Admin(ctx, http.MethodGet, "/users/profile", nil, &profile); err != nil || profile.UnmanagedAttributePolicy != "ADMIN_EDIT" {
		t.Errorf("profile %+v, %v; want ADMIN_EDIT", profile, err)
	}
	var roles []struct{ Name string }
	if err := r.Admin(ctx, http.MethodGet, "/roles", nil, &roles); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(roles, struct{ Name string }{"employee"}) {
		t.Errorf("roles %v lack employee", roles)
	}
	token, err := r.Token(ctx)
	if err != nil || strings.Count(token, ".") != 2 {
		t.Errorf("token %q, %v", token, err)
	}
	// The migrator can do what a migration needs.
	for _, path := range []string{"", "/users/count", "/users/profile", "/organizations", "/groups", "/roles"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Server.URL+"/admin/realms/"+r.Name+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("GET %q as the migrator: %s", path, resp.Status)
		}
	}
	rows, err := postgres.Query(ctx, r.Server.DB(), "SELECT name FROM realm WHERE id = '"+r.ID+"'")
	if err != nil || len(rows) != 1 || rows[0][0] != r.Name {
		t.Errorf("SQL on the server's database: %q, %v", rows, err)
	}
}

func TestAttach(t *testing.T) {
	s := keycloaktest.Server(t)
	path := filepath.Join(t.TempDir(), "state.json")
	if err := s.WriteState(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("state file: %v, %v; want mode 0600", info.Mode(), err)
	}
	second, err := keycloak.Attach(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Admin(t.Context(), http.MethodGet, "/admin/serverinfo", nil, nil); err != nil {
		t.Error(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Admin(t.Context(), http.MethodGet, "/admin/serverinfo", nil, nil); err != nil {
		t.Errorf("closing an attached server ended it: %v", err)
	}
	if _, err := keycloak.Attach(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("attached to nothing")
	}
}

func TestUnavailable(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("JAVA_HOME", "")
	_, err := keycloak.Start(t.Context(), keycloak.Options{})
	if !errors.Is(err, servers.ErrUnavailable) {
		t.Fatalf("error %v should match ErrUnavailable", err)
	}
	if missing, ok := errors.AsType[*servers.Unavailable](err); !ok || missing.Missing != "java" {
		t.Errorf("error %v should say that java is missing", err)
	}
}
