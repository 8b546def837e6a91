//go:build !race

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak/keycloaktest"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/schemas"
)

// restoreVariable is how many people are restored, in place of a few hundred;
// fifty of them then log in. The realm that is lost is then a sandbox's, since
// filling a real one takes as long again.
const restoreVariable = "PARALLELRUN_TEST_RESTORE_USERS"

// keycloakTarget is a realm of a real server as a target of a site, which gets
// its secrets as files.
func (s *site) keycloakTarget(r *keycloak.Realm) realmTarget {
	s.t.Helper()
	file := func(name, secret string) string {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(secret), 0o600); err != nil {
			s.t.Fatal(err)
		}
		return "file:" + name
	}
	return realmTarget{url: r.Server.URL, realm: r.Name, client: r.Migrator.ID, proofClient: r.Proof.ID,
		secret: file(r.Name+"-migrator", r.Migrator.Secret), proofSecret: file(r.Name+"-proof", r.Proof.Secret)}
}

// largeRealm is a realm that takes long to delete.
func largeRealm(t *testing.T) *keycloak.Realm {
	t.Helper()
	r, err := keycloaktest.Server(t).NewRealm(t.Context(), keycloak.RealmOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
		defer cancel()
		if err := r.Delete(ctx); err != nil {
			t.Errorf("delete the realm %s: %v", r.Name, err)
		}
	})
	return r
}

// A realm of a real Keycloak is lost, and a checkpoint of it fills an empty
// realm of the same server: the database holds the same of both, and people log
// in with their legacy passwords.
func TestRestoreIntoEmptyRealmOfKeycloak(t *testing.T) {
	users, logins := 200, 10
	many, err := strconv.Atoi(os.Getenv(restoreVariable))
	if err == nil {
		users, logins = many, 50
	}
	template := newTemplate(t, legacygen.Config{Seed: 7, Users: users, LargePhotos: 1})
	empty := largeRealm(t)
	var s *site
	var lost *keycloak.Realm
	if many > 0 {
		s = newSite(t, template)
	} else {
		s, lost = &site{t: t, dir: template}, largeRealm(t)
		s.addTarget("sandbox", s.keycloakTarget(lost))
	}
	s.addTarget("spare", s.keycloakTarget(empty))
	first := s.outcome("run", "--apply", "--migration", "demo")
	s.must("checkpoint", "create", "good", "--migration", "demo")

	plan := s.outcome("restore", "good", "--plan", "--migration", "spare")
	if plan.Estimate == nil || len(plan.Estimate.Parts) == 0 || plan.Estimate.Parts[0].By.Run != first.ID {
		t.Fatalf("no estimate by the run that was measured: %+v", plan.Estimate)
	}
	restored, peak := s.restoreMeasured("good", "--migration", "spare")
	if restored.Verified == nil || restored.Verified.Differences != 0 || restored.Verified.Rows == 0 {
		t.Errorf("not as in the checkpoint: %+v", restored.Verified)
	}
	if lost != nil {
		wantSameContents(t, lost, empty)
	}
	s.fewLogins(2 * logins)
	proof := s.outcome("resume", "--logins", "few.csv", "--migration", "spare").Proof
	tried, in := int64(0), int64(0)
	for _, scheme := range proof.Schemes {
		tried, in = tried+scheme.Tried, in+scheme.OK+scheme.Pending
	}
	if tried < int64(logins) || in != tried || len(proof.Refused)+len(proof.Opened) > 0 {
		t.Errorf("%d of %d passwords were right, want all of at least %d; %d wrong ones let in", in, tried, logins, len(proof.Opened))
	}
	t.Logf("Keycloak %s; %d of %d logged in; peak memory %d MiB; reckoned %.0f s for load, fold and verify", keycloak.Version, in, tried, peak>>20, plan.Estimate.Seconds)
	t.Logf("%d users, %d operations; seconds by step %v; requests at once %.1f", restored.Counts()[schemas.Users].Yielded, restored.Planned.Operations, map[string]float64(restored.Took), restored.Loaded.Flying)
	for _, p := range restored.Loaded.Pace {
		t.Logf("%s %s: %d in %.1f s, %.1f/s", p.Table, p.Kind, p.Operations, p.Seconds, float64(p.Operations)/p.Seconds)
	}
}

// wantSameContents compares two realms in the database.
func wantSameContents(t *testing.T, a, b *keycloak.Realm) {
	t.Helper()
	want, got := holds(t, a), holds(t, b)
	for name := range contents {
		if diff := cmp.Diff(want[name], got[name]); diff != "" || len(want[name]) == 0 {
			t.Errorf("%s: %d rows, want %d (-lost +restored):\n%.2000s", name, len(got[name]), len(want[name]), diff)
		}
	}
}

// outcome runs the program and returns the outcome of its run.
func (s *site) outcome(args ...string) *pipelines.Outcome {
	s.t.Helper()
	return s.decoded(s.must(append(args, "--json")...).stdout)
}

func (s *site) decoded(stdout string) *pipelines.Outcome {
	s.t.Helper()
	out := &pipelines.Outcome{}
	if err := json.Unmarshal([]byte(stdout), out); err != nil {
		s.t.Fatalf("%v\n%s", err, stdout)
	}
	return out
}

// restoreMeasured restores, and returns the most memory that it took.
func (s *site) restoreMeasured(args ...string) (*pipelines.Outcome, int64) {
	s.t.Helper()
	cmd := s.command(append([]string{"restore", "--apply", "--json"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	peak, err := peakMemory(cmd)
	if err != nil {
		s.t.Fatalf("%v\n%s\n%s", err, stdout.String(), stderr.String())
	}
	return s.decoded(stdout.String()), peak
}
