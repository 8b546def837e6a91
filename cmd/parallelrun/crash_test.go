package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/internal/sandbox"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/schemas"
)

// killVariable names a step boundary, as "load true" (after step load).
const killVariable = "PARALLELRUN_TEST_KILL"

// killAtBoundary makes the program kill itself, as a power cut would, at the
// boundary that the variable names.
func killAtBoundary() {
	at := os.Getenv(killVariable)
	if at == "" {
		return
	}
	boundary = func(step string, done bool) {
		if fmt.Sprint(step, " ", done) == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

var crashSeed = flag.Uint64("crashseed", 0, "replay the random crash with this seed")

// uninterrupted is what a run comes to that nobody disturbs.
type uninterrupted struct {
	template string
	dump     string
	base     map[string]string // digest by table
	requests int64
}

var crashData = legacygen.Config{Seed: 7, Users: 200, SecondUsers: 20, LargePhotos: -1}

func newUninterrupted(t *testing.T) *uninterrupted {
	t.Helper()
	u := &uninterrupted{template: newTemplate(t, crashData)}
	s := newSite(t, u.template)
	var n atomic.Int64
	s.server.SetFault(func(*http.Request) sandbox.Fault { n.Add(1); return sandbox.Fault{} })
	s.must("run", "--apply")
	u.requests, u.dump, u.base = n.Load(), s.dump(), s.baseDigests()
	return u
}

// baseDigests are the digests of the entity tables of what is confirmed.
func (s *site) baseDigests() map[string]string {
	s.t.Helper()
	sn, err := s.store().Snapshot(s.t.Context(), pipelines.BaseRef("sandbox"))
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range schemas.LoadOrder {
		table, _ := sn.Stored(name)
		out[name] = fmt.Sprint(table.Digest)
	}
	return out
}

// resumeUntilDone resumes the latest run, unattended, until it is done. A run
// that was killed before it had a record is begun anew.
func (s *site) resumeUntilDone() {
	s.t.Helper()
	var r result
	for range 8 {
		r = s.run("resume")
		if r.code == 0 {
			return
		}
		if strings.Contains(r.stderr, "no runs yet") {
			r = s.run("run", "--apply")
			if r.code == 0 {
				return
			}
		}
	}
	s.t.Fatalf("not done after 8 resumes: exit code %d\n%s\n%s", r.code, r.stdout, r.stderr)
}

// wantAs compares a site with the uninterrupted run: the target, the base, the
// ledger, and that another run finds nothing to do.
func (s *site) wantAs(u *uninterrupted) {
	s.t.Helper()
	s.wantSame(u)
	var again struct {
		Plan struct{ Operations int64 } `json:"plan"`
	}
	if err := json.Unmarshal([]byte(s.must("run", "--json").stdout), &again); err != nil {
		s.t.Fatal(err)
	}
	if again.Plan.Operations != 0 {
		s.t.Errorf("another run would do %d operations", again.Plan.Operations)
	}
}

// wantSame is wantAs without the other run.
func (s *site) wantSame(u *uninterrupted) {
	s.t.Helper()
	if diff := cmp.Diff(strings.Split(u.dump, "\n"), strings.Split(s.dump(), "\n")); diff != "" {
		s.t.Errorf("the target is not as after an uninterrupted run (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(u.base, s.baseDigests()); diff != "" {
		s.t.Errorf("the base is another (-want +got):\n%s", diff)
	}
	s.wantCompleteLedger()
}

// wantCompleteLedger checks that every operation of the latest run is done, as
// the store alone tells it.
func (s *site) wantCompleteLedger() {
	s.t.Helper()
	st := s.store()
	rec, err := pipelines.ReadRecord(s.t.Context(), st, "latest")
	if err != nil {
		s.t.Fatal(err)
	}
	plan, err := load.OpenPlan(s.t.Context(), st, rec.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	ledger, err := load.ReadLedger(s.t.Context(), st, plan)
	if err != nil {
		s.t.Fatal(err)
	}
	open := 0
	for op, err := range plan.AllOperations(s.t.Context(), st) {
		if err != nil {
			s.t.Fatal(err)
		}
		if r, ok := ledger.Result(&op); !ok || r != load.OutcomeDone {
			open++
		}
	}
	if open > 0 {
		s.t.Errorf("%d operations have no outcome, or not the right one", open)
	}
}

// A kill at every boundary of a step, before and after it.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	u := newUninterrupted(t)
	steps := []string{"extract", "transform", "observe", "plan", "load", "fold", "verify", "done"}
	if testing.Short() {
		steps = []string{"plan", "fold"}
	}
	for _, step := range steps {
		for _, done := range []bool{false, true} {
			at := fmt.Sprint(step, " ", done)
			t.Run(strings.ReplaceAll(at, " ", "-"), func(t *testing.T) {
				s := newSite(t, u.template)
				cmd := s.command("run", "--apply")
				cmd.Env = append(cmd.Env, killVariable+"="+at)
				if r := s.finish(cmd); r.code != -1 {
					t.Fatalf("was not killed: exit code %d\n%s", r.code, r.stderr)
				}
				s.resumeUntilDone()
				s.wantAs(u)
			})
		}
	}
}

// killer kills the program around a request: before the server looks at it, or
// after it has committed and before the answer is sent.
type killer struct {
	mu    sync.Mutex
	cmd   *exec.Cmd
	at    int64 // number of the request among those that match, from 0
	after bool
	match func(*http.Request) bool
	seen  int64
	done  bool
}

// Waits around a kill. They only make it likely that the moment is the one
// meant; whenever it strikes, the outcome must be the same.
const (
	killDelay = 60 * time.Millisecond
	killHold  = 3 * time.Second
)

func (k *killer) fault(r *http.Request) sandbox.Fault {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.done || k.match != nil && !k.match(r) {
		return sandbox.Fault{}
	}
	k.seen++
	if k.seen <= k.at {
		return sandbox.Fault{}
	}
	k.done = true
	process := k.cmd.Process
	time.AfterFunc(killDelay, func() { _ = process.Kill() })
	if k.after {
		return sandbox.Fault{LateDelay: killHold}
	}
	return sandbox.Fault{Delay: killHold}
}

// runKilled runs the program until the killer strikes, or to its end.
func (s *site) runKilled(k *killer, args ...string) result {
	s.t.Helper()
	cmd := s.command(args...)
	k.cmd = cmd
	k.mu.Lock() // until the process is known
	var once sync.Once
	unlock := func() { once.Do(k.mu.Unlock) }
	defer unlock()
	s.server.SetFault(k.fault)
	defer s.server.SetFault(nil)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	unlock()
	_ = cmd.Wait()
	return result{code: cmd.ProcessState.ExitCode(), stderr: stderr.String()}
}

func writes(method, suffix string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == method && strings.HasSuffix(r.URL.Path, suffix)
	}
}

func under(method string, parts ...string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		path := r.URL.Path
		for _, p := range parts {
			i := strings.Index(path, p)
			if i < 0 {
				return false
			}
			path = path[i+len(p):]
		}
		return r.Method == method
	}
}

// A kill between a commit in the target and its entry in the ledger, for every
// kind of write.
func TestKilledBetweenCommitAndLedger(t *testing.T) {
	t.Parallel()
	u := newUninterrupted(t)
	for name, match := range map[string]func(*http.Request) bool{
		"import of users": func(r *http.Request) bool {
			return writes(http.MethodPost, "/partialImport")(r) && r.ContentLength > 200
		},
		"organization":       writes(http.MethodPost, "/organizations"),
		"root department":    under(http.MethodPost, "/organizations/", "/groups"),
		"child department":   under(http.MethodPost, "/organizations/", "/groups/", "/children"),
		"department's parts": under(http.MethodPut, "/organizations/", "/groups/"),
		"roles":              under(http.MethodPost, "/role-mappings/"),
		"group":              writes(http.MethodPost, "/groups"),
		"member":             writes(http.MethodPost, "/members"),
		"department member":  under(http.MethodPut, "/organizations/", "/groups/", "/members/"),
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			s := newSite(t, u.template)
			k := &killer{after: true, match: match, at: 1}
			if name == "organization" {
				k.at = 0
			}
			if r := s.runKilled(k, "run", "--apply"); r.code != -1 {
				t.Fatalf("was not killed (%d matching requests): exit code %d\n%s", k.seen, r.code, r.stderr)
			}
			s.resumeUntilDone()
			s.wantAs(u)
		})
	}
}

// Kills at random points, up to three in one run.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	u := newUninterrupted(t)
	seeds := uint64(20)
	if testing.Short() {
		seeds = 4
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		if *crashSeed != 0 && seed != *crashSeed {
			continue
		}
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) {
			t.Logf("replay: go test ./cmd/parallelrun -run TestKilledAnywhere -crashseed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			s := newSite(t, u.template)
			args := []string{"run", "--apply"}
			for range 1 + random.IntN(3) {
				r := s.runKilled(&killer{at: random.Int64N(u.requests), after: random.IntN(2) == 0}, args...)
				if r.code == 0 {
					break // the point lay behind its end
				}
				if r.code != -1 {
					t.Fatalf("exit code %d\n%s", r.code, r.stderr)
				}
				args = []string{"resume"}
			}
			s.resumeUntilDone()
			s.wantAs(u)
		})
	}
}

// A target that misbehaves without anybody being killed: the run comes to its
// end by itself, or by a resume.
func TestTargetMisbehaves(t *testing.T) {
	t.Parallel()
	u := newUninterrupted(t)
	write := func(r *http.Request) bool {
		return r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/admin/")
	}
	imports := writes(http.MethodPost, "/partialImport")
	for name, c := range map[string]struct {
		match func(*http.Request) bool
		nth   int64
		fault sandbox.Fault
	}{
		"replies lost after the commit": {write, 17, sandbox.Fault{LoseReply: true}},
		"busy, try later":               {write, 17, sandbox.Fault{Status: http.StatusServiceUnavailable, RetryAfter: 1}},
		"gateway error":                 {write, 17, sandbox.Fault{Status: http.StatusBadGateway}},
		// what a server says of two imports at once
		"conflict": {imports, 5, sandbox.Fault{Status: http.StatusConflict, Body: `{"errorMessage":"Duplicate resource error"}`}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, u.template)
			var n atomic.Int64
			s.server.SetFault(func(r *http.Request) sandbox.Fault {
				if c.match(r) && n.Add(1)%c.nth == 0 {
					return c.fault
				}
				return sandbox.Fault{}
			})
			r := s.run("run", "--apply")
			s.server.SetFault(nil)
			if r.code != 0 {
				t.Logf("exit code %d, then resumed\n%s", r.code, r.stderr)
				s.resumeUntilDone()
			}
			s.wantAs(u)
		})
	}
}

// SIGINT in the middle of a load: what was sent is recorded, the message names
// the way on, and the way on works.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	u := newUninterrupted(t)
	s := newSite(t, u.template)
	cmd, process := s.command("run", "--apply"), make(chan *os.Process, 1)
	var members atomic.Int64
	s.server.SetFault(func(r *http.Request) sandbox.Fault {
		if writes(http.MethodPost, "/members")(r) && members.Add(1) == 20 {
			_ = (<-process).Signal(os.Interrupt)
		}
		return sandbox.Fault{Delay: time.Millisecond}
	})
	r := s.finish(cmd, func(p *os.Process) { process <- p })
	s.server.SetFault(nil)
	if r.code != 1 || !strings.Contains(r.stderr, "parallelrun resume") {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	s.must("resume")
	s.wantAs(u)
}
