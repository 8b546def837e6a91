package pipelines

import (
	"context"
	"fmt"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
)

// StaleSyncError stops a run before it writes: the configuration says that a
// credential sync carries password changes over, and there is no fresh sign of
// it. Look after the sync, or say why the run goes on without it.
type StaleSyncError struct {
	Run, Target string
	MaxAge      time.Duration
	Last        *snapshots.SyncSign // nil: there never was one
	Now         time.Time
}

func (e *StaleSyncError) Error() string {
	text := fmt.Sprintf("target %s: no sign of life of the credential sync in the last %s", e.Target, e.MaxAge)
	switch {
	case e.Last == nil:
		return text + ": there never was one"
	case e.Last.Time.Sub(e.Now) >= e.MaxAge:
		return fmt.Sprintf("%s: the newest, of %s, is from the future (%s): one of the two clocks is wrong", text, e.Last.Writer, stamp(e.Last.Time))
	case e.Now.Sub(e.Last.Time) < e.MaxAge:
		return fmt.Sprintf("target %s: the credential sync (%s) is alive, but behind: it has carried over what changed up to %s, more than %s ago",
			e.Target, e.Last.Writer, stamp(e.Last.Through), e.MaxAge)
	}
	return fmt.Sprintf("%s: the newest is of %s (%s)", text, stamp(e.Last.Time), e.Last.Writer)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Hint says what to do.
func (e *StaleSyncError) Hint() string {
	return fmt.Sprintf("start the credential sync and `parallelrun resume %s`; to go on without it, add --without-sync \"the reason\"", e.Run)
}

// checkSync refuses a run without a fresh sign of life of the credential sync:
// a line in a configuration is no proof that passwords are carried over. A run
// whose load is over has nothing left to refuse.
func (r *Runner) checkSync(ctx context.Context, run string, out *Outcome) error {
	sync := r.Config.CredentialSync
	if !sync.Required() || overrides(out.Overrides).has(GuardSync) {
		return nil
	}
	if done, err := r.engine(run).Done(ctx, stepLoad, nil); done || err != nil {
		return err
	}
	now := r.now()
	sign, ok, err := r.Store.LastSync(ctx, r.TargetName, now.Add(-sync.MaxAge))
	if err != nil {
		return err
	}
	stale := &StaleSyncError{Run: run, Target: r.TargetName, MaxAge: sync.MaxAge, Now: now}
	if !ok {
		return stale
	}
	if stale.Last = &sign; !fresh(now, sign, sync.MaxAge) {
		return stale
	}
	return nil
}

func fresh(now time.Time, s snapshots.SyncSign, most time.Duration) bool {
	age, behind := now.Sub(s.Time), now.Sub(s.Through)
	return -most < age && age < most && behind < most
}

// syncRemarks tell the operator what nobody does.
func (r *Runner) syncRemarks() []string {
	if sync := r.Config.CredentialSync; sync.None || sync.Required() {
		return nil
	}
	return []string{"nobody syncs credentials: passwords that change in legacy arrive only with the next run (migrations." + r.Name +
		".credentialSync says none, or {maxAge: 5m} where a credential sync runs)"}
}
