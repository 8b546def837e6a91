package modeltest

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak/keycloaktest"
	"github.com/parallelrun/parallelrun/load/keymate"
)

// onKeycloak is how many sequences a test run plays on the real server: the
// same as on the sandbox, a realm for each.
const onKeycloak = 4

// TestModelKeycloak plays the first of the sequences on a real Keycloak.
func TestModelKeycloak(t *testing.T) {
	keycloaktest.Server(t)
	fresh := func(context.Context) (*realm, error) {
		at := keycloaktest.Realm(t, keycloak.RealmOptions{Roles: roleNames})
		return newRealm(&http.Transport{MaxIdleConnsPerHost: 4}, keymate.Config{
			URL: at.Server.URL, Realm: at.Name, ClientID: at.Migrator.ID, ClientSecret: at.Migrator.Secret,
			ProofClientID: at.Proof.ID, ProofClientSecret: at.Proof.Secret, TransactionLimit: time.Second,
		}), nil
	}
	if *oneSeed >= 0 {
		report(t, playSeed(t.Context(), uint64(*oneSeed), workDir(t), fresh), t.Name())
		return
	}
	n := *sequences
	if n == 0 {
		n = onKeycloak
		if testing.Short() {
			n = 1
		}
	}
	for seed := *firstSeed; seed < *firstSeed+int64(n); seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			began := time.Now()
			f := playSeed(t.Context(), uint64(seed), workDir(t), fresh)
			t.Logf("%d actions in %s", f.played, time.Since(began).Round(time.Millisecond))
			if f.err != nil {
				report(t, f, "TestModelKeycloak")
			}
		})
	}
}
