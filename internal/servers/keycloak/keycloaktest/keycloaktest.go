// Package keycloaktest lends tests a real Keycloak: one server per test process, or one for a whole run of go test, and one realm per test.
//
// A test package that uses it hands its tests to [Main]:
//
//	func TestMain(m *testing.M) { keycloaktest.Main(m) }
//
// and its tests call [Realm]. The server starts with the first call and ends after the last test. Under the program withkeycloak
// (internal/servers/cmd/withkeycloak), all test processes share the server that it started.
package keycloaktest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
	"github.com/parallelrun/parallelrun/internal/servers/servertest"
)

var (
	mu      sync.Mutex
	started bool // the one attempt was made
	server  *keycloak.Server
	failure error
	inMain  bool
)

// Main runs the tests and then closes the server. It does not return.
func Main(m *testing.M) {
	inMain = true
	os.Exit(run(m))
}

// Tests is m with the server closed after it, for a TestMain that hands its tests to somebody else (testscript.Main).
func Tests(m *testing.M) interface{ Run() int } {
	inMain = true
	return tests{m}
}

type tests struct{ m *testing.M }

func (t tests) Run() int { return run(t.m) }

func run(m *testing.M) int {
	code := m.Run()
	mu.Lock()
	defer mu.Unlock()
	if server != nil {
		if err := server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close Keycloak:", err)
			return max(code, 1)
		}
	}
	return code
}

// Server returns the shared server. It ends the test by name if this machine cannot run one.
func Server(t testing.TB) *keycloak.Server {
	t.Helper()
	if !inMain {
		t.Fatal("keycloaktest.Server needs a TestMain that calls keycloaktest.Main, or nobody would close the server")
	}
	mu.Lock()
	defer mu.Unlock()
	if !started {
		started = true
		if path := os.Getenv(keycloak.StateEnv); path != "" {
			server, failure = keycloak.Attach(t.Context(), path)
		} else {
			// Not the test's context: the server outlives the test that asked first.
			server, failure = keycloak.Start(context.Background(), keycloak.Options{})
		}
	}
	servertest.Require(t, failure)
	return server
}

// Realm makes a realm for this test and deletes it afterwards.
func Realm(t testing.TB, o keycloak.RealmOptions) *keycloak.Realm {
	t.Helper()
	r, err := Server(t).NewRealm(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Delete(ctx); err != nil {
			t.Errorf("delete the realm %s: %v", r.Name, err)
		}
	})
	return r
}
