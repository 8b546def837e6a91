package contract_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parallelrun/parallelrun/internal/contract"
	"github.com/parallelrun/parallelrun/internal/sandbox"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak/keycloaktest"
)

func TestMain(m *testing.M) { keycloaktest.Main(m) }

// transport keeps connections for the whole test and no longer.
func client(t testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * time.Minute}
}

func sandboxTarget(t testing.TB) *contract.Target {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{TokenLifespan: 5 * time.Minute}) // as long as the real server's
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); s.Close() })
	url, err := s.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := s.Realm("demo")
	return &contract.Target{
		Name: "sandbox", URL: url, Realm: r.Name, HTTP: client(t),
		Migrator: contract.Client{ID: r.Migrator.ID, Secret: r.Migrator.Secret}, Proof: contract.Client{ID: r.Proof.ID, Secret: r.Proof.Secret},
	}
}

func keycloakTarget(t testing.TB) *contract.Target {
	t.Helper()
	r := keycloaktest.Realm(t, keycloak.RealmOptions{})
	return &contract.Target{
		Name: "keycloak", URL: r.Server.URL, Realm: r.Name, HTTP: client(t),
		Migrator: contract.Client{ID: r.Migrator.ID, Secret: r.Migrator.Secret}, Proof: contract.Client{ID: r.Proof.ID, Secret: r.Proof.Secret},
	}
}

// TestSandbox plays the contract to the sandbox alone: it needs nothing of the machine.
func TestSandbox(t *testing.T) {
	shared := sandboxTarget(t)
	for _, c := range contract.Cases {
		t.Run(c.Name, func(t *testing.T) {
			target := shared
			if c.OwnRealm {
				target = sandboxTarget(t)
			}
			play(t, c, target)
		})
	}
}

// TestKeycloakAndSandbox plays the contract to a real Keycloak first and to the sandbox second, and compares their whole answers.
func TestKeycloakAndSandbox(t *testing.T) {
	real, imitation := keycloakTarget(t), sandboxTarget(t)
	for _, c := range contract.Cases {
		t.Run(c.Name, func(t *testing.T) {
			first, second := real, imitation
			if c.OwnRealm {
				first, second = keycloakTarget(t), sandboxTarget(t)
			}
			play(t, c, first, second)
		})
	}
}

// play checks every target's answers, and later targets' against the first's.
func play(t *testing.T, c contract.Case, targets ...*contract.Target) {
	t.Helper()
	common := contract.NewVars(contract.Prefix())
	vars := make([]contract.Vars, len(targets))
	for i, target := range targets {
		vars[i] = common.For(target)
	}
	for n, step := range c.Steps {
		var reference string
		for i, target := range targets {
			answer, err := target.Do(t.Context(), step, vars[i])
			if err != nil {
				t.Fatalf("step %d: %s %s: %v", n, step.Method, step.Path, err)
			}
			at := fmt.Sprintf("step %d on %s: %s %s %.200s", n, target.Name, step.Method, step.Path, step.Body)
			if complaint := step.Check(answer, vars[i]); complaint != "" {
				t.Errorf("%s\n    %s", at, complaint)
			}
			normal := answer.Normal(vars[i])
			if i == 0 {
				reference = normal
			} else if !step.Loose && normal != reference {
				t.Errorf("%s\n    differs from %s (-%s +%s):\n%s", at, targets[0].Name, targets[0].Name, target.Name, cmp.Diff(strings.Split(reference, "\n"), strings.Split(normal, "\n")))
			}
			step.Keep(answer, vars[i])
		}
	}
}

// TestRandom sends seeded random requests to both servers, each to a realm of its own, and compares the answers.
func TestRandom(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 4, 5, 6} {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { compareRandom(t, seed, 250) })
	}
}

func compareRandom(t *testing.T, seed uint64, requests int) {
	real, imitation := keycloakTarget(t), sandboxTarget(t)
	g := contract.NewGenerator(seed)
	common := contract.NewVars(contract.Prefix())
	g.Variables(common, uuid.NewString)
	first, second := common.For(real), common.For(imitation)
	differences := 0
	for n := range requests {
		step := g.Next()
		want, err := real.Do(t.Context(), step, first)
		if err != nil {
			t.Fatalf("request %d: %s %s: %v", n, step.Method, step.Path, err)
		}
		got, err := imitation.Do(t.Context(), step, second)
		if err != nil {
			t.Fatalf("request %d: %s %s: %v", n, step.Method, step.Path, err)
		}
		if severalRefused(step, want, got) {
			continue
		}
		if a, b := want.Normal(first), got.Normal(second); a != b {
			t.Errorf("request %d: %s %s %s\n(-keycloak +sandbox):\n%s", n, step.Method, step.Path, step.Body, cmp.Diff(strings.Split(a, "\n"), strings.Split(b, "\n")))
			if differences++; differences == 10 {
				t.Fatal("and so on: once the two differ, what follows does")
			}
		}
		step.Keep(want, first)
		step.Keep(got, second)
	}
}

// severalRefused tells that both servers refused an import of several users. Which of several faults the real one names
// depends on the order of a hash set, so the words are not compared.
func severalRefused(s contract.Step, a, b contract.Answer) bool {
	return s.Path == "/partialImport" && strings.Count(s.Body, `"id":`) > 1 && a.Status >= 400 && b.Status >= 400
}

// TestBodyLimit sends a body of more than 10 MiB: the server answers 413 without a body, or hangs up while it is being sent.
func TestBodyLimit(t *testing.T) {
	for name, target := range map[string]func(testing.TB) *contract.Target{"sandbox": sandboxTarget, "keycloak": keycloakTarget} {
		t.Run(name, func(t *testing.T) {
			to := target(t)
			vars := contract.NewVars(contract.Prefix()).For(to)
			large := contract.Step{Method: "POST", Path: "/partialImport", Body: `{"users":[{"username":"{p}big","attributes":{"a":["{x:10485760}"]}}]}`}
			answer, err := to.Do(t.Context(), large, vars)
			if err == nil && (answer.Status != 413 || answer.Body != "") {
				t.Errorf("status %d with body %.100q, want 413 with none", answer.Status, answer.Body)
			}
			count := contract.Step{Method: "GET", Path: "/users/count"}
			if answer, err = to.Do(t.Context(), count, vars); err != nil || answer.Body != "0" {
				t.Errorf("count %+v, %v; want 0", answer, err)
			}
		})
	}
}

// TestClientGone hangs up on an import that has been sent: it is committed all the same, so a lost reply says nothing.
func TestClientGone(t *testing.T) {
	const people = 100
	for name, target := range map[string]func(testing.TB) *contract.Target{"sandbox": sandboxTarget, "keycloak": keycloakTarget} {
		t.Run(name, func(t *testing.T) {
			to := target(t)
			vars := contract.NewVars(contract.Prefix()).For(to)
			if _, err := to.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			var users []string
			for i := range people {
				users = append(users, fmt.Sprintf(`{"username":"{p}%d"}`, i))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
			defer cancel()
			// Sent or not, answered or not: the count below tells.
			_, err := to.Do(ctx, contract.Step{Method: "POST", Path: "/partialImport", Body: `{"ifResourceExists":"SKIP","users":[` + strings.Join(users, ",") + `]}`}, vars)
			t.Logf("the client saw: %v", err)
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				answer, err := to.Do(t.Context(), contract.Step{Method: "GET", Path: "/users/count"}, vars)
				if err != nil {
					t.Fatal(err)
				}
				if answer.Body == fmt.Sprint(people) {
					return
				}
				if answer.Body != "0" || time.Now().After(deadline) {
					t.Fatalf("count %s, want 0 and then %d", answer.Body, people)
				}
			}
		})
	}
}
