package snapshots_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

func acquire(t *testing.T, s *snapshots.Store, run string) *snapshots.Lease {
	t.Helper()
	l, err := s.AcquireLease(t.Context(), "live", snapshots.LeaseOptions{Run: run, TransactionLimit: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantHeld(t *testing.T, s *snapshots.Store, run, by string) {
	t.Helper()
	_, err := s.AcquireLease(t.Context(), "live", snapshots.LeaseOptions{Run: run})
	var held *snapshots.LeaseHeldError
	if !errors.As(err, &held) || held.Holder.Run != by {
		t.Errorf("run %s: got %v, want it held by %s", run, err, by)
	}
}

func TestLeaseLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := initOn(t, &backendtest.Memory{})
		l := acquire(t, openOn(t, m), "r1")
		if l.Epoch() != 1 || l.Wait() != 0 || l.Check() != nil {
			t.Errorf("epoch %d, wait %v, %v", l.Epoch(), l.Wait(), l.Check())
		}
		wantHeld(t, openOn(t, m), "r2", "r1")
		time.Sleep(time.Hour) // renewed all the while
		if err := l.Check(); err != nil {
			t.Errorf("after an hour: %v", err)
		}
		wantHeld(t, openOn(t, m), "r2", "r1")
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		var lost *snapshots.LeaseLostError
		if err := l.Check(); !errors.As(err, &lost) {
			t.Errorf("after release: %v", err)
		}
		l2 := acquire(t, openOn(t, m), "r2")
		if l2.Epoch() != 2 || l2.Wait() != 0 {
			t.Errorf("after a release: epoch %d, wait %v", l2.Epoch(), l2.Wait())
		}
		l2.Close()
	})
}

// A holder that stops renewing loses its lease before another can have it.
func TestLeaseTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := initOn(t, &backendtest.Memory{})
		old := acquire(t, openOn(t, m), "r1")
		old.Close() // as a process that hangs
		time.Sleep(59 * time.Second)
		if err := old.Check(); err != nil {
			t.Errorf("within the TTL: %v", err)
		}
		wantHeld(t, openOn(t, m), "r2", "r1")
		time.Sleep(2 * time.Second)
		if err := old.Check(); err == nil || !strings.Contains(err.Error(), "could not be renewed") {
			t.Errorf("after the TTL: %v", err)
		}
		var watched snapshots.Holder
		began := time.Now()
		l, err := openOn(t, m).AcquireLease(t.Context(), "live", snapshots.LeaseOptions{Run: "r2", TransactionLimit: 5 * time.Minute,
			Waiting: func(h snapshots.Holder, _ time.Duration) { watched = h }})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if l.Epoch() != 2 || l.Wait() != 6*time.Minute || watched.Run != "r1" || time.Since(began) != time.Minute {
			t.Errorf("epoch %d, wait %v, watched %q for %v", l.Epoch(), l.Wait(), watched.Run, time.Since(began))
		}
		if err := old.Release(t.Context()); err == nil {
			t.Error("the old holder released the new one's lease")
		}
		if err := l.Check(); err != nil {
			t.Errorf("new holder: %v", err)
		}
	})
}

// A holder that lives, but whose clock is far off, is not robbed.
func TestLeaseClockSkew(t *testing.T) {
	for name, skew := range map[string]time.Duration{"behind": -3 * time.Hour, "ahead": 3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := initOn(t, &backendtest.Memory{})
				s, err := snapshots.Open(t.Context(), m, snapshots.Options{Now: func() time.Time { return time.Now().Add(skew) }})
				if err != nil {
					t.Fatal(err)
				}
				l := acquire(t, s, "r1")
				defer l.Close()
				wantHeld(t, openOn(t, m), "r2", "r1")
				if err := l.Check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The old holder sees that another took over, even if its own renewals go on.
func TestLeaseLostToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := initOn(t, &backendtest.Memory{})
		old := acquire(t, openOn(t, m), "r1")
		defer old.Close()
		_, err := openOn(t, m).Commit(t.Context(), snapshots.Change{Actions: []snapshots.Action{
			snapshots.LeaseAction{Target: "live", Epoch: 2, Holder: snapshots.Holder{Run: "r2", Session: "s2", Host: "elsewhere"}}}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(16 * time.Second) // the next renewal
		if err := old.Check(); err == nil || !strings.Contains(err.Error(), "run r2 on host elsewhere") {
			t.Errorf("got %v", err)
		}
	})
}

// Renewals that fail for a while cost nothing; for a TTL, the lease.
func TestLeaseStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := initOn(t, &backendtest.Memory{})
		failing, mu := false, sync.Mutex{}
		f := &backendtest.Fault{Backend: m, Plan: func(int, string, string) (backendtest.Kind, bool) {
			mu.Lock()
			defer mu.Unlock()
			return backendtest.Fail, failing
		}}
		set := func(v bool) { mu.Lock(); failing = v; mu.Unlock() }
		l := acquire(t, openOn(t, f), "r1")
		defer l.Close()
		set(true)
		time.Sleep(40 * time.Second)
		set(false)
		time.Sleep(2 * time.Minute)
		if err := l.Check(); err != nil {
			t.Errorf("after a short failure: %v", err)
		}
		set(true)
		time.Sleep(61 * time.Second)
		if l.Check() == nil {
			t.Error("a lease that can't be renewed is still believed")
		}
		set(false)
		time.Sleep(time.Minute)
		if l.Check() == nil {
			t.Error("a lost lease came back")
		}
	})
}

// A machine that slept, or whose clock was set, has a lease that is too old,
// though its monotonic clock stood still.
func TestLeaseClocks(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name            string
		monotonic, wall time.Duration
		want            bool
	}{
		{"fresh", 59 * s, 59 * s, false}, {"old", 60 * s, 60 * s, true}, {"slept", 1 * s, 3600 * s, true},
		{"clock set forward", 59 * s, 61 * s, true}, {"clock set back", 59 * s, -61 * s, true}, {"clock set back while old", 60 * s, 0, true},
	} {
		if got := snapshots.TooOld(c.monotonic, c.wall, 60*s); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Of two operators who start at once, one gets the target.
func TestLeaseRace(t *testing.T) {
	for range 20 {
		m := initOn(t, &backendtest.Memory{})
		var wg sync.WaitGroup
		var mu sync.Mutex
		var won []*snapshots.Lease
		for _, run := range []string{"r1", "r2", "r3", "r4"} {
			s := openOn(t, m)
			wg.Go(func() {
				l, err := s.AcquireLease(t.Context(), "live", snapshots.LeaseOptions{Run: run})
				var held *snapshots.LeaseHeldError
				if err != nil && !errors.As(err, &held) {
					t.Errorf("run %s: %v", run, err)
				}
				if err == nil {
					mu.Lock()
					won = append(won, l)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d operators got the target", len(won))
		}
		for _, l := range won {
			l.Close()
		}
	}
}

// The same run goes on at once when its process is known to be dead.
func TestLeaseOfDeadProcess(t *testing.T) {
	if snapshots.ThisProcess().Machine == "" {
		t.Skip("this system does not tell processes apart")
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	dead := snapshots.ThisProcess()
	dead.Run, dead.Session, dead.PID = "r1", "s1", child.Process.Pid
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if !dead.Gone() || snapshots.ThisProcess().Gone() {
		t.Errorf("dead process gone: %v, this one gone: %v", dead.Gone(), snapshots.ThisProcess().Gone())
	}
	reused := snapshots.ThisProcess()
	reused.Started = "1"
	if !reused.Gone() {
		t.Error("a process number that came again passes for the old process")
	}
	elsewhere := dead
	elsewhere.Machine = "another"
	if elsewhere.Gone() {
		t.Error("a process of another machine is called dead")
	}
	m := initOn(t, &backendtest.Memory{})
	s := openOn(t, m)
	if _, err := s.Commit(t.Context(), snapshots.Change{Actions: []snapshots.Action{snapshots.LeaseAction{Target: "live", Epoch: 1, Holder: dead}}}); err != nil {
		t.Fatal(err)
	}
	session := `{"version":1,"session":"s1","n":1,"time":"` + time.Now().UTC().Format(time.RFC3339Nano) + `"}`
	if err := backendtest.Put(t.Context(), m, "sessions/s1/00000000000000000001.json", []byte(session)); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, s, "r2", "r1")
	l := acquire(t, s, "r1")
	defer l.Close()
	if l.Epoch() != 2 || l.Wait() != 5*time.Minute {
		t.Errorf("epoch %d, wait %v", l.Epoch(), l.Wait())
	}
	if l.Holder().PID != os.Getpid() {
		t.Errorf("holder %+v", l.Holder())
	}
}
