package snapshots

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// WaveAction declares a wave complete, or opens it again. From the former on the
// target owns the profiles of the wave's users; the latter gives them back to
// the legacy system.
type WaveAction struct {
	Migration string `json:"migration"`
	Target    string `json:"target"`
	Wave      string `json:"wave"`
	// Open: the wave is opened again.
	Open bool   `json:"open,omitempty"`
	By   string `json:"by"` // user@host
	// Despite is why the wave was declared complete although users of it were
	// not loaded, or waited for a decision; empty if there were none.
	Despite string `json:"despite,omitempty"`
}

// WaveKey names a wave of a migration to a target.
type WaveKey struct{ Migration, Target, Wave string }

// WaveInfo is the last that the log says of a wave.
type WaveInfo struct {
	WaveAction
	Reason string
	N      uint64 // log entry
	Time   time.Time
}

// Key names the wave.
func (a WaveAction) Key() WaveKey { return WaveKey{a.Migration, a.Target, a.Wave} }

const kindWave = "wave"

func (WaveAction) kind() string { return kindWave }
func (WaveAction) version() int { return 1 }

// WaveStateError: the wave is complete already, or it is not and was to be
// opened again. Nothing is to be done.
type WaveStateError struct {
	Wave string
	Have WaveInfo // zero: nothing was ever said of it
}

func (e *WaveStateError) Error() string {
	switch {
	case e.Have.N == 0:
		return fmt.Sprintf("wave %q is not complete (%s)", e.Wave, e.Hint())
	case e.Have.Open:
		return fmt.Sprintf("wave %q was opened again by %s at %s, it is not complete (%s)", e.Wave, e.Have.By, e.at(), e.Hint())
	}
	return fmt.Sprintf("wave %q is complete already, since %s by %s (%s)", e.Wave, e.at(), e.Have.By, e.Hint())
}

func (e *WaveStateError) at() string { return e.Have.Time.UTC().Format(time.RFC3339) }

// Hint says where to look.
func (*WaveStateError) Hint() string { return "`parallelrun waves list` shows the state of each" }

func (a WaveAction) check(st *State) error {
	if a.Migration == "" || a.Target == "" || a.Wave == "" || a.By == "" {
		return errors.New("wave action without migration, target, wave or who says so")
	}
	if have := st.Waves[a.Key()]; have.complete() != a.Open {
		return &WaveStateError{Wave: a.Wave, Have: have}
	}
	return nil
}

func (a WaveAction) apply(st *State, e *Entry) {
	st.Waves[a.Key()] = WaveInfo{WaveAction: a, Reason: e.Reason, N: e.N, Time: e.Time}
}

// complete is false for a wave of which nothing was ever said.
func (i WaveInfo) complete() bool { return i.N > 0 && !i.Open }

// CompleteWaves are the waves of a migration whose users' profiles the target
// owns, by name.
func (st State) CompleteWaves(migration, target string) []WaveInfo {
	all := slices.SortedFunc(maps.Values(st.Waves), func(a, b WaveInfo) int { return cmp.Compare(a.Wave, b.Wave) })
	return slices.DeleteFunc(all, func(i WaveInfo) bool { return i.Migration != migration || i.Target != target || !i.complete() })
}
