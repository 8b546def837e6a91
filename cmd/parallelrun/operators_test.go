package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/snapshots"
)

// While one operator holds the target, a second one writes nothing, learns who
// the first is, and goes on when the target is free.
func TestSecondOperatorWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t, newTemplate(t, legacygen.Config{Seed: 2, Users: 100, SecondUsers: 10, LargePhotos: -1}))
	st := s.store()
	lease, err := st.AcquireLease(t.Context(), "sandbox", snapshots.LeaseOptions{Run: "run-of-the-first"})
	if err != nil {
		t.Fatal(err)
	}
	before := s.dump()
	r := s.run("run", "--apply")
	if r.code != 2 {
		t.Errorf("exit code %d, want 2", r.code)
	}
	for _, want := range []string{`^parallelrun: target "sandbox" is held by run run-of-the-first on host \S+ \(process \d+\)`, `^hint: `} {
		if !regexp.MustCompile("(?m)" + want).MatchString(r.stderr) {
			t.Errorf("stderr does not say %s:\n%s", want, r.stderr)
		}
	}
	if s.dump() != before {
		t.Error("the second operator wrote to the target")
	}
	if list := s.must("runs", "list").stdout; !strings.Contains(list, "stopped") || strings.Contains(list, "finished") {
		t.Errorf("the second operator's run did not stop:\n%s", list)
	}
	if r := s.run("plan"); r.code != 0 {
		t.Errorf("a plan, which writes nothing, is refused: exit code %d\n%s", r.code, r.stderr)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.must("resume", regexp.MustCompile(`parallelrun resume (\S+)` + "`").FindStringSubmatch(r.stderr)[1])
	if s.dump() == before {
		t.Error("nothing was written once the target was free")
	}
}

// A plan whose carrying out was cut short is known as such, and resume takes it
// to its end.
func TestCarriedPlanIsResumed(t *testing.T) {
	t.Parallel()
	s := newSite(t, newTemplate(t, legacygen.Config{Seed: 2, Users: 100, SecondUsers: 10, LargePhotos: -1}))
	s.must("plan")
	if list := s.must("runs", "list").stdout; !strings.Contains(list, "planned") {
		t.Errorf("the plan is not known as one:\n%s", list)
	}
	cmd := s.command("load", "--apply")
	cmd.Env = append(cmd.Env, killVariable+"=load true")
	if r := s.finish(cmd); r.code != -1 {
		t.Fatalf("was not killed: exit code %d\n%s", r.code, r.stderr)
	}
	if list := s.must("runs", "list").stdout; !strings.Contains(list, "stopped") {
		t.Errorf("the half carried out plan is not known as stopped:\n%s", list)
	}
	if out := s.must("resume").stdout; !strings.Contains(out, "(finished)") || !strings.Contains(out, "no difference") {
		t.Errorf("resume did not take it to its end:\n%s", out)
	}
}

// leaseVariable is how long a target's holder is believed, such as 3s.
const leaseVariable = "PARALLELRUN_TEST_LEASE"

func shortLease() {
	if d, err := time.ParseDuration(os.Getenv(leaseVariable)); err == nil {
		leaseTTL = d
	}
}
