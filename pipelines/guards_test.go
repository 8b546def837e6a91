package pipelines

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

func TestShrank(t *testing.T) {
	limit := config.Limit{Rows: 5, Ratio: 0.2}
	for _, c := range []struct {
		before, now int64
		want        bool
	}{
		{100, 100, false},
		{100, 120, false},
		{100, 80, false}, // just the share
		{100, 79, true},
		{10, 5, false}, // just the rows
		{10, 4, true},
		{2, 1, false},
		{1, 0, true}, // empty is never believed
		{0, 0, false},
	} {
		if _, got := shrank(c.before, c.now, limit); got != c.want {
			t.Errorf("%d to %d: %v, want %v", c.before, c.now, got, c.want)
		}
	}
}

func TestReasons(t *testing.T) {
	if got, err := ParseReason("--x", " two\nlines\x1b\t"); err != nil || got != "two lines" {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", " \n", strings.Repeat("x", 501)} {
		_, err := ParseReason("--x", text)
		if f, ok := errors.AsType[*ui.Failure](err); !ok || f.Code != ui.Refused {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Two overrides of one run are both kept, each with who and when; those of
// another run are not its own.
func TestOverridesAreKept(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := &Runner{Store: newStore(t), Now: func() time.Time { now = now.Add(time.Minute); return now }}
	if got, err := r.recordOverrides(t.Context(), "run", RunOptions{}); err != nil || len(got) != 0 {
		t.Fatalf("out of nothing: %v, %v", got, err)
	}
	for _, o := range []RunOptions{{OverrideBrake: "first"}, {OverrideBrake: "second", WithoutSync: "third"}} {
		if _, err := r.recordOverrides(t.Context(), "run", o); err != nil {
			t.Fatal(err)
		}
	}
	got, err := r.recordOverrides(t.Context(), "run", RunOptions{})
	if err != nil || len(got) != 3 || !got.has(GuardBrake) || !got.has(GuardSync) {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i, want := range []string{"first", "second", "third"} {
		if o := got[i]; o.Reason != want || o.At.IsZero() || !strings.Contains(o.By, "@") {
			t.Errorf("got %+v, want reason %s", o, want)
		}
	}
	if other, err := readOverrides(t.Context(), r.Store, "run2"); err != nil || len(other) != 0 {
		t.Errorf("another run: %v, %v", other, err)
	}
}

func TestFreshSyncSign(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name         string
		age, behind  time.Duration
		want, failed string
	}{
		{"fresh", time.Minute, 2 * time.Minute, "ok", ""},
		{"stale", 6 * time.Minute, 6 * time.Minute, "", "no sign of life of the credential sync in the last 5m0s: the newest is of 2026-03-01 11:54:00 UTC"},
		{"just stale", 5 * time.Minute, 5 * time.Minute, "", "the newest is of 2026-03-01 11:55:00 UTC"},
		{"behind", time.Minute, time.Hour, "", "alive, but behind: it has carried over what changed up to 2026-03-01 11:00:00 UTC"},
		{"a clock a little ahead", -time.Minute, 0, "ok", ""},
		{"a clock far ahead", -time.Hour, 0, "", "from the future"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &backendtest.Memory{}
			if err := snapshots.Init(t.Context(), b, snapshots.InitOptions{}); err != nil {
				t.Fatal(err)
			}
			s, err := snapshots.Open(t.Context(), b, snapshots.Options{Now: func() time.Time { return now.Add(-c.age) }})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.SignSync(t.Context(), "live", now.Add(-c.behind)); err != nil {
				t.Fatal(err)
			}
			r := &Runner{Store: s, TargetName: "live", Now: func() time.Time { return now }}
			r.Config.CredentialSync.MaxAge = 5 * time.Minute
			err = r.checkSync(t.Context(), "run", &Outcome{})
			if c.want == "ok" && err != nil || c.want == "" && (err == nil || !strings.Contains(err.Error(), c.failed)) {
				t.Errorf("got %v", err)
			}
			if err := r.checkSync(t.Context(), "run", &Outcome{Overrides: []Override{{Guard: GuardSync}}}); err != nil {
				t.Errorf("overridden: %v", err)
			}
			if err := r.checkSync(t.Context(), "run", &Outcome{Overrides: []Override{{Guard: GuardBrake}}}); (err == nil) != (c.want == "ok") {
				t.Errorf("the brake's override passes the credential sync: %v", err)
			}
		})
	}
}

// Rows that can't be read may be anybody's: nobody is gone then, unless the
// operator says so.
func TestUnsureIsNotAbsent(t *testing.T) {
	l := &lookup{keys: []string{"a", "b"}}
	l.settle(map[string]*whereabouts{"a": {}, "b": {}}, "", "2 rows can't be read")
	if f := l.found; f.Absent != 0 || f.Unsure.Count != 2 || f.err("run", false) == nil || f.err("run", true) != nil {
		t.Errorf("got %+v, %v, %v", f, f.err("run", false), f.err("run", true))
	}
}

// A key that a rule makes can't be looked up, and is never called absent.
func TestUnaskedIsNotAbsent(t *testing.T) {
	l := &lookup{keys: []string{"a", "b", "c"}}
	l.settle(map[string]*whereabouts{"a": {}, "b": {extracted: true}, "c": {now: true}}, "a rule makes keys", "")
	f := l.found
	if f.Asked != 3 || f.Absent != 0 || f.Unasked != 1 || f.Unmapped.Count != 1 || f.Lost.Count != 1 {
		t.Errorf("got %+v", f)
	}
	if f.err("run", true) == nil {
		t.Error("an override passes rows that the extraction lost")
	}
}
