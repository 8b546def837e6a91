package demo

import (
	"context"
	"errors"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
	"github.com/parallelrun/parallelrun/internal/ui"
)

// Files of a real server's secrets, beside the configuration.
const (
	migratorSecretFile = "keys/migrator-secret.txt"
	proofSecretFile    = "keys/proof-secret.txt"
)

// target is the starting set for the scenario and its target. A real Keycloak
// is started, if asked for; the returned function stops it.
func (p *play) target(ctx context.Context) (files map[string][]byte, stop func() error, err error) {
	if !p.Keycloak {
		files, err = changed(p.Files, scenarioChanges)
		return files, func() error { return nil }, err
	}
	p.scene("a real Keycloak on PostgreSQL, started for this demo")
	since := time.Now()
	s, err := keycloak.Start(ctx, keycloak.Options{})
	if err != nil {
		return nil, nil, err
	}
	realm, err := s.NewRealm(ctx, keycloak.RealmOptions{Name: "demo"})
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	p.say("ready after %s at %s", ui.Elapsed(time.Since(since)), s.URL)
	p.sum.Target = keycloakTarget
	files, err = changed(p.Files, append(realChanges(s.URL, realm.Migrator.ID, realm.Proof.ID), scenarioChanges...))
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	files[migratorSecretFile], files[proofSecretFile] = []byte(realm.Migrator.Secret+"\n"), []byte(realm.Proof.Secret+"\n")
	return files, s.Close, nil
}
