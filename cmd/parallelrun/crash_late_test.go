package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/faultproxy"
)

// newFirstRun is newUninterrupted behind a proxy: it tells the changes too.
func newFirstRun(t *testing.T) (*uninterrupted, []faultproxy.Request) {
	t.Helper()
	u := &uninterrupted{template: newTemplate(t, crashData)}
	f := newFront(t, u.template, "")
	journal := f.undisturbed()
	u.dump, u.base = f.dump(), f.baseDigests()
	return u, journal
}

// A resume takes the target from the dead process of its run at once, waits
// only for requests that the dead one may have begun, and then writes. One such
// request is committed while it waits: it is found, not doubled.
func TestResumeAwaitsLateCommits(t *testing.T) {
	t.Parallel()
	const limit = 2 * time.Second
	u, _ := newFirstRun(t)
	for _, name := range []string{"organization", "users", "member"} {
		if testing.Short() && name != "users" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			f := newFront(t, u.template, "")
			f.edit("transactionLimit: 200ms", "transactionLimit: "+limit.String())
			kind := firstWrites[0]
			for _, w := range firstWrites {
				if w.name == name {
					kind = w
				}
			}
			release, held := make(chan struct{}), false
			v := f.begin(func(v *victim, r faultproxy.Request) faultproxy.Fault {
				if held || !kind.is(r) {
					return faultproxy.Fault{}
				}
				held = true
				return faultproxy.Fault{Before: func() { v.kill(); <-release }, Lose: true}
			}, "run", "--apply")
			<-v.dead
			f.wantKilled(v)

			began, wrote := time.Now(), time.Duration(0)
			time.AfterFunc(limit/4, func() { close(release) })
			v = f.begin(func(_ *victim, r faultproxy.Request) faultproxy.Fault {
				if wrote == 0 && changes(r) {
					wrote = time.Since(began)
				}
				return faultproxy.Fault{}
			}, "resume")
			if r := f.end(v); r.code != 0 || !strings.Contains(r.stderr, "was held by a run that ended without giving it back") {
				t.Fatalf("exit code %d\n%s", r.code, r.stderr)
			}
			if wrote < limit || wrote > soon {
				t.Errorf("the resume wrote after %s, want at least the transaction limit (%s) and much less than the lease's minute", wrote, limit)
			}
			f.prove(u)
		})
	}
}

func (f *front) wantKilled(v *victim) {
	f.t.Helper()
	if code := v.cmd.ProcessState.ExitCode(); code != -1 {
		f.t.Fatalf("was not killed: exit code %d\n%s", code, v.stderr.String())
	}
}

// Answers that come after the program stopped waiting, to requests that were
// carried out in time or only later: each is settled by looking, in the run
// itself or by a resume.
func TestAnswersTooLate(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	wait := func() { time.Sleep(timeout + timeout/4) }
	u, _ := newFirstRun(t)
	for name, fault := range map[string]faultproxy.Fault{
		"carried-out-in-time": {After: wait},
		"carried-out-late":    {Before: wait},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, u.template, "")
			f.edit("transactionLimit: 200ms", "transactionLimit: 3s\n    limits: {requestTimeout: "+timeout.String()+"}")
			n := 0
			v := f.begin(func(_ *victim, r faultproxy.Request) faultproxy.Fault {
				if !changes(r) {
					return faultproxy.Fault{}
				}
				if n++; n%40 != 7 {
					return faultproxy.Fault{}
				}
				return fault
			}, "run", "--apply")
			if r := f.end(v); r.code != 0 {
				t.Logf("exit code %d, then resumed\n%s", r.code, r.stderr)
				f.resumeUntilDone()
			}
			f.prove(u)
		})
	}
}

// Refusals that pass: every kind of write is refused once with each of them,
// and the run comes to its end by itself.
func TestRefusedOnceEach(t *testing.T) {
	t.Parallel()
	u, _ := newFirstRun(t)
	for name, fault := range map[string]faultproxy.Fault{
		"busy":      {Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1"}}},
		"conflict":  {Status: http.StatusConflict},
		"no-answer": {Lose: true},
		"no-way":    {Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, u.template, "")
			struck := map[string]bool{}
			v := f.begin(func(_ *victim, r faultproxy.Request) faultproxy.Fault {
				for _, w := range firstWrites[2:] { // what prepares the realm is no row's
					if w.is(r) && !struck[w.name] {
						struck[w.name] = true
						return fault
					}
				}
				return faultproxy.Fault{}
			}, "run", "--apply")
			if r := f.end(v); r.code != 0 {
				t.Logf("exit code %d, then resumed\n%s", r.code, r.stderr)
				f.resumeUntilDone()
			}
			f.prove(u)
		})
	}
}

// A login proof that dies is made again; nothing else is.
func TestKilledAtTheProof(t *testing.T) {
	t.Parallel()
	u, _ := newFirstRun(t)
	for _, at := range []string{"login-proof false", "login-proof true"} {
		f := newFront(t, u.template, "")
		logins := []string{"--logins", "few.csv"}
		f.fewLogins(5)
		cmd := f.command(append([]string{"run", "--apply"}, logins...)...)
		cmd.Env = append(cmd.Env, killVariable+"="+at)
		if r := f.finish(cmd); r.code != -1 {
			t.Fatalf("%s: was not killed: exit code %d\n%s", at, r.code, r.stderr)
		}
		v := f.begin(func(_ *victim, r faultproxy.Request) faultproxy.Fault {
			if changes(r) {
				t.Errorf("%s: the resume sent %s %s", at, r.Method, r.Path)
			}
			return faultproxy.Fault{}
		}, append([]string{"resume"}, logins...)...)
		if r := f.end(v); r.code != 0 {
			t.Fatalf("%s: exit code %d\n%s", at, r.code, r.stderr)
		}
		// The realm is not compared: who logs in is hashed anew there.
		f.wantOneOutcomeEach()
		if diff := cmp.Diff(u.base, f.baseDigests()); diff != "" {
			t.Errorf("%s: the base is another (-want +got):\n%s", at, diff)
		}
	}
}

// Two signals: after the first, what is in flight is finished and recorded; the
// run and its target can be taken up at once, since the target was given back.
func TestInterruptGivesTheTargetBack(t *testing.T) {
	t.Parallel()
	u, journal := newFirstRun(t)
	f := newFront(t, u.template, "")
	n := 0
	v := f.begin(func(v *victim, r faultproxy.Request) faultproxy.Fault {
		if !changes(r) {
			return faultproxy.Fault{}
		}
		if n++; n == len(journal)/2 {
			return faultproxy.Fault{Before: func() {
				<-v.started
				_ = v.cmd.Process.Signal(os.Interrupt)
			}}
		}
		return faultproxy.Fault{}
	}, "run", "--apply")
	r := f.end(v)
	if r.code == 0 || r.code == -1 || !strings.Contains(r.stderr, "parallelrun resume") {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	sent := n
	v = f.begin(func(_ *victim, r faultproxy.Request) faultproxy.Fault {
		if changes(r) {
			n++
		}
		return faultproxy.Fault{}
	}, "resume")
	if r := f.end(v); r.code != 0 || strings.Contains(r.stderr, "without giving it back") {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	if n != len(journal) {
		t.Errorf("%d and %d requests, %d in an uninterrupted run: something was sent twice, or never", sent, n-sent, len(journal))
	}
	f.prove(u)
}
