package snapshots_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

func wave(name string, open bool) snapshots.WaveAction {
	return snapshots.WaveAction{Migration: "acme", Target: "live", Wave: name, Open: open, By: "ann@host"}
}

// A wave is complete from one entry to the next that opens it again; each is
// refused where it changes nothing, and a reader sees the same.
func TestWaveFolds(t *testing.T) {
	m := &backendtest.Memory{}
	s := openOn(t, initOn(t, m))
	say := func(a snapshots.WaveAction) error {
		_, err := s.Commit(t.Context(), snapshots.Change{Reason: "it is so", Actions: []snapshots.Action{a}})
		return err
	}
	names := func() string {
		var out []string
		for _, w := range state(t, openOn(t, m)).CompleteWaves("acme", "live") {
			out = append(out, w.Wave)
		}
		return strings.Join(out, " ")
	}
	other := wave("pilot", false)
	other.Migration = "other"
	elsewhere := wave("pilot", false)
	elsewhere.Target = "test"
	for _, step := range []struct {
		a         snapshots.WaveAction
		want, err string
	}{
		{wave("pilot", true), "", `wave "pilot" is not complete`},
		{wave("pilot", false), "pilot", ""},
		{wave("pilot", false), "pilot", `wave "pilot" is complete already, since`},
		{other, "pilot", ""},
		{elsewhere, "pilot", ""},
		{wave("admins", false), "admins pilot", ""},
		{wave("pilot", true), "admins", ""},
		{wave("pilot", true), "admins", `wave "pilot" was opened again by ann@host`},
		{wave("pilot", false), "admins pilot", ""},
	} {
		err := say(step.a)
		if _, ok := errors.AsType[*snapshots.WaveStateError](err); ok != (step.err != "") || err != nil && !strings.Contains(err.Error(), step.err) {
			t.Errorf("%+v: %v, want %q", step.a, err, step.err)
		}
		if got := names(); got != step.want {
			t.Errorf("after %+v: complete are %q, want %q", step.a, got, step.want)
		}
	}
	info := state(t, s).Waves[snapshots.WaveKey{Migration: "acme", Target: "live", Wave: "pilot"}]
	if info.By != "ann@host" || info.Reason != "it is so" || info.N == 0 || info.Time.IsZero() {
		t.Errorf("%+v", info)
	}
	for _, bad := range []snapshots.WaveAction{{Migration: "acme", Target: "live", Wave: "w"}, {Migration: "acme", Target: "live", By: "x"}} {
		if err := say(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
