package snapshots_test

import (
	"os"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// The newest sign is found, whichever day it is of; signs of one moment do not
// collide; a target sees its own only.
func TestSyncSigns(t *testing.T) {
	b := &backendtest.Memory{}
	if err := snapshots.Init(t.Context(), b, snapshots.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{Now: func() time.Time { return now }, Writer: "sync@here"})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(target string, through time.Time) {
		t.Helper()
		if err := s.SignSync(t.Context(), target, through); err != nil {
			t.Fatal(err)
		}
	}
	last := func(target string, since time.Time) (snapshots.SyncSign, bool) {
		t.Helper()
		got, ok, err := s.LastSync(t.Context(), target, since)
		if err != nil {
			t.Fatal(err)
		}
		return got, ok
	}
	if got, ok := last("live", now); ok {
		t.Errorf("a sign out of nothing: %+v", got)
	}
	first := now
	sign("live", first.Add(-time.Hour))
	sign("live", first.Add(-time.Minute)) // in the same microsecond
	sign("live2", first)
	if got, ok := last("live", first.Add(-time.Hour)); !ok || !got.Through.Equal(first.Add(-time.Minute)) || got.Writer != "sync@here" || got.PID != os.Getpid() {
		t.Errorf("got %+v, %v", got, ok)
	}
	now = now.Add(2 * time.Second) // the next day
	sign("live", now)
	if got, ok := last("live", first); !ok || !got.Time.Equal(now) {
		t.Errorf("the next day: %+v, %v", got, ok)
	}
	now = now.Add(72 * time.Hour)
	if got, ok := last("live", now.Add(-time.Minute)); !ok || !got.Time.Equal(first.Add(2*time.Second)) {
		t.Errorf("an old sign is not told from none: %+v, %v", got, ok)
	}
	if _, _, err := s.LastSync(t.Context(), "a/../b", now); err == nil {
		t.Error("a name that is no key")
	}
}
