package pipelines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Declared is what was last said of a wave, if anything ever was.
type Declared struct {
	Complete bool      `json:"complete"` // else it was opened again
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Reason   string    `json:"reason"`
	Despite  string    `json:"despite,omitempty"`
}

// Completion is what it means to declare a wave complete, or to open it again,
// and whether that was recorded.
type Completion struct {
	Migration string `json:"migration"`
	Target    string `json:"target"`
	Wave      string `json:"wave"`
	// Reopens: the wave is opened again.
	Reopens bool `json:"reopens,omitempty"`
	// Assigned users are in the wave, InTarget of them in the target's base; New
	// ones would be in it by the newest desired state.
	Assigned int64 `json:"assigned"`
	InTarget int64 `json:"in_target"`
	New      int64 `json:"new"`
	// Ends are what is open in the wave; nil where it is opened again.
	Ends *OpenEnds `json:"open_ends,omitempty"`
	// Kept are users of whom the newest plan kept fields as Keymate has them.
	Kept    *Keys  `json:"kept,omitempty"`
	Despite string `json:"despite,omitempty"`
	// Entry is the log entry that says so, zero as long as none does.
	Entry uint64 `json:"entry,omitempty"`
}

// CompleteOptions are what an operator says of a wave.
type CompleteOptions struct {
	// Reason stands in the log; empty: there is a default.
	Reason string
	// Despite is why the wave is complete although ends are open.
	Despite string
	// Record: else only say what it would mean.
	Record bool
}

// OpenEndsError means that a wave can't be complete yet: mend what is open, or
// say why it is complete all the same.
type OpenEndsError struct {
	Wave  string
	Lines []string
}

func (e *OpenEndsError) Error() string {
	text := fmt.Sprintf("wave %s is not done:", e.Wave)
	for _, l := range e.Lines {
		text += "\n  " + l
	}
	return text
}

// Hint says what to do.
func (e *OpenEndsError) Hint() string {
	return fmt.Sprintf("`parallelrun run --wave %s --apply` goes on with it; if it is complete all the same, --override-open \"the reason\"", e.Wave)
}

// Complete declares a wave complete: from the next plan on Keymate owns the
// profiles of its users. A wave that nobody of is in the target is refused, one
// with open ends (*OpenEndsError) unless the operator says why.
func (r *Runner) Complete(ctx context.Context, wave string, o CompleteOptions) (*Completion, error) {
	w, err := r.openWave(ctx, wave)
	if err != nil {
		return nil, err
	}
	if d := w.count.Declared; d != nil && d.Complete {
		return nil, &snapshots.WaveStateError{Wave: wave, Have: w.state.Waves[r.waveKey(wave)]}
	}
	if w.count.InTarget == 0 {
		return nil, ui.Refusef("`parallelrun run --wave "+wave+" --apply` loads it", "nobody of wave %s is in target %s: it was never run", wave, r.TargetName)
	}
	out := w.completion()
	if out.Ends, err = w.openEnds(ctx); err != nil {
		return nil, err
	}
	if lines := out.Ends.lines(out.New); o.Record && o.Despite == "" && len(lines) > 0 {
		return nil, &OpenEndsError{Wave: wave, Lines: lines}
	} else if len(lines) > 0 {
		out.Despite = o.Despite
	}
	if o.Record {
		out.Entry, err = w.declare(ctx, snapshots.WaveAction{Despite: out.Despite}, reasonOr(o.Reason, "wave "+wave+" is complete"))
	}
	return out, err
}

// Reopen gives the profiles of a complete wave's users back to legacy. What
// Keymate took away from them meanwhile stays away until a run is told to allow
// it.
func (r *Runner) Reopen(ctx context.Context, wave string, o CompleteOptions) (*Completion, error) {
	w, err := r.openWave(ctx, wave)
	if err != nil {
		return nil, err
	}
	if d := w.count.Declared; d == nil || !d.Complete {
		return nil, &snapshots.WaveStateError{Wave: wave, Have: w.state.Waves[r.waveKey(wave)]}
	}
	out := w.completion()
	out.Reopens = true
	if out.Kept, err = w.kept(ctx); err != nil {
		return nil, err
	}
	if o.Record {
		out.Entry, err = w.declare(ctx, snapshots.WaveAction{Open: true}, reasonOr(o.Reason, "wave "+wave+" is opened again"))
	}
	return out, err
}

func reasonOr(reason, other string) string {
	if reason == "" {
		return other
	}
	return reason
}

func (r *Runner) waveKey(wave string) snapshots.WaveKey {
	return snapshots.WaveKey{Migration: r.Name, Target: r.TargetName, Wave: wave}
}

// completeWaves are the waves whose users' profiles Keymate owns, by name.
func (r *Runner) completeWaves(ctx context.Context) ([]string, error) {
	st, err := r.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	return waveNames(st.CompleteWaves(r.Name, r.TargetName)), nil
}

func waveNames(infos []snapshots.WaveInfo) []string {
	var out []string
	for _, w := range infos {
		out = append(out, w.Wave)
	}
	return out
}

// sameOwners refuses a plan that was made while other waves were complete: it
// would write over profiles that are Keymate's now.
func (r *Runner) sameOwners(ctx context.Context, run string, complete []string) error {
	now, err := r.completeWaves(ctx)
	if err != nil || slices.Equal(now, complete) {
		return err
	}
	for _, w := range now {
		if !slices.Contains(complete, w) {
			return &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("plan of run %s: %w: wave %s was declared complete since it was made", run, ErrOwnersChanged, w), Next: "make a new plan"}
		}
	}
	return &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("plan of run %s: %w: a wave was opened again since it was made", run, ErrOwnersChanged), Next: "make a new plan"}
}

// ErrOwnersChanged means that a plan was made by other owners than hold now:
// make a new one.
var ErrOwnersChanged = errors.New("other owners hold now")

// openedWave is one wave as the store shows it.
type openedWave struct {
	*Runner
	state      snapshots.State
	list       *WaveList
	count      WaveCount
	assignment *snapshots.Snapshot
}

// openWave finds a wave. An unknown one is a *config.UnknownNameError.
func (r *Runner) openWave(ctx context.Context, wave string) (*openedWave, error) {
	w := &openedWave{Runner: r}
	var err error
	if w.state, err = r.Store.State(ctx); err != nil {
		return nil, err
	}
	if w.list, err = r.WaveList(ctx); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(w.list.Waves, func(c WaveCount) bool { return c.Wave == wave })
	if i < 0 {
		return nil, w.list.unknown(wave, "migration "+r.Name)
	}
	w.count = w.list.Waves[i]
	w.assignment, err = r.Assignment(ctx)
	return w, err
}

func (w *openedWave) completion() *Completion {
	return &Completion{Migration: w.Name, Target: w.TargetName, Wave: w.count.Wave, Assigned: w.count.Total, InTarget: w.count.InTarget, New: w.count.New}
}

// declare records what is said of the wave, if nobody else is at work on the
// target and all is still as it was looked at.
func (w *openedWave) declare(ctx context.Context, a snapshots.WaveAction, reason string) (uint64, error) {
	a.Migration, a.Target, a.Wave, a.By = w.Name, w.TargetName, w.count.Wave, operator()
	return w.Store.Commit(ctx, snapshots.Change{
		Reason: reason, Actions: []snapshots.Action{a},
		Check: func(now snapshots.State) error {
			if l, ok := now.Leases[w.TargetName]; ok && !l.Released {
				return ui.Refusef("wait for its end; if it was killed, `parallelrun resume "+l.Holder.Run+"`", "run %s holds target %s: it goes by the owners that it was planned with", l.Holder.Run, w.TargetName)
			}
			for _, name := range []string{BaseRef(w.TargetName), AssignmentRef(w.Name)} {
				if now.Refs[name].Digest != w.state.Refs[name].Digest {
					return ui.Refusef("look at the wave again", "%s moved on meanwhile", name)
				}
			}
			return nil
		},
	})
}
