package pipelines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Retention is what the configured policy makes of a store: each snapshot and
// run, with why it is kept or that it is not.
type Retention struct {
	Entry     uint64 // of the log, that it was made from
	Snapshots []RetainedSnapshot
	Runs      []RetainedRun
	// Frees is what only the dropped snapshots need.
	Frees snapshots.Tally
}

// RetainedSnapshot is a snapshot by its last commit.
type RetainedSnapshot struct {
	snapshots.SnapshotInfo
	Why []string // it is kept; none: it is to be dropped
}

// RetainedRun is a run or a drift.
type RetainedRun struct {
	ID  string
	Why []string // it is kept; none: it is to be dropped
}

// Drops are the snapshots and runs that are not kept.
func (p *Retention) Drops() (of []snapshots.Digest, runs []string) {
	for _, s := range p.Snapshots {
		if len(s.Why) == 0 {
			of = append(of, s.Digest)
		}
	}
	for _, r := range p.Runs {
		if len(r.Why) == 0 {
			runs = append(runs, r.ID)
		}
	}
	return of, runs
}

// PlanRetention holds a store against a policy; nil keeps all. Which days and
// weeks there are follows from the times in the log, not from the clock.
func PlanRetention(ctx context.Context, s *snapshots.Store, policy *config.Retention) (*Retention, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	runs, err := readRunStates(ctx, s, st)
	if err != nil {
		return nil, err
	}
	k := &keeping{st: st, runs: runs, snapshots: map[snapshots.Digest][]string{}, keptRuns: map[string][]string{}}
	k.byName()
	k.byPolicy(policy)
	k.byTargets()
	k.byWaves()
	k.byRuns()
	out := k.plan()
	k.runFiles(policy, out)
	drops, _ := out.Drops()
	out.Frees, err = s.Frees(ctx, drops)
	return out, err
}

// Retain drops what the policy does not keep, in one entry of the log. If
// anything was committed meanwhile, the policy is asked anew. The entry is zero
// if there is nothing to drop.
func Retain(ctx context.Context, s *snapshots.Store, policy *config.Retention) (*Retention, uint64, error) {
	errMoved := errors.New("committed meanwhile")
	for {
		p, err := PlanRetention(ctx, s, policy)
		if err != nil {
			return nil, 0, err
		}
		a := snapshots.DropAction{By: snapshots.DroppedByRetention}
		if a.Snapshots, a.Runs = p.Drops(); len(a.Snapshots)+len(a.Runs) == 0 {
			return p, 0, nil
		}
		n, err := s.Commit(ctx, snapshots.Change{
			Reason:  fmt.Sprintf("retention: %d snapshots and the files of %d runs", len(a.Snapshots), len(a.Runs)),
			Actions: []snapshots.Action{a},
			Check: func(st snapshots.State) error {
				if st.N != p.Entry {
					return errMoved
				}
				return nil
			},
		})
		if !errors.Is(err, errMoved) {
			return p, n, err
		}
	}
}

// keeping collects why snapshots and runs are kept.
type keeping struct {
	st        snapshots.State
	runs      []runState
	snapshots map[snapshots.Digest][]string
	keptRuns  map[string][]string
}

func (k *keeping) keep(d snapshots.Digest, why string) {
	if _, ok := k.st.Snapshots[d]; ok && !slices.Contains(k.snapshots[d], why) {
		k.snapshots[d] = append(k.snapshots[d], why)
	}
}

func (k *keeping) byName() {
	for d, by := range k.st.Needed() {
		for _, why := range by {
			k.keep(d, why)
		}
	}
}

// byPolicy keeps what the policy counts, per dataset and stage, and the newest
// of each in any case: the next one is written upon it.
func (k *keeping) byPolicy(policy *config.Retention) {
	type group struct{ dataset, stage string }
	groups := map[group][]snapshots.SnapshotInfo{}
	for _, info := range slices.Backward(k.st.History) {
		g := group{info.Dataset, info.Stage}
		if !slices.ContainsFunc(groups[g], func(have snapshots.SnapshotInfo) bool { return have.Digest == info.Digest }) {
			groups[g] = append(groups[g], info)
		}
	}
	for g, all := range groups {
		k.keep(all[0].Digest, fmt.Sprintf("newest %s of %s", g.stage, g.dataset))
		times := make([]time.Time, len(all))
		for i, info := range all {
			times[i] = info.Time
		}
		for i, why := range kept(policy.For(g.dataset, g.stage), times) {
			if why != "" {
				k.keep(all[i].Digest, fmt.Sprintf("%s of %s of %s", why, g.stage, g.dataset))
			}
		}
	}
}

// kept says why each is kept, of times with the newest first; empty: it is not.
func kept(policy config.Keep, times []time.Time) []string {
	out := make([]string, len(times))
	if policy.IsZero() {
		for i := range out {
			out[i] = "no limit"
		}
		return out
	}
	for i := range min(policy.Last, len(times)) {
		out[i] = "last"
	}
	newestOf := func(n int, why string, period func(time.Time) string) {
		last := ""
		for i, at := range times {
			if p := period(at.UTC()); p != last && n > 0 {
				last, n = p, n-1
				out[i] = cmp.Or(out[i], why)
			}
		}
	}
	newestOf(policy.Daily, "daily", func(t time.Time) string { return t.Format(time.DateOnly) })
	newestOf(policy.Weekly, "weekly", func(t time.Time) string {
		year, week := t.ISOWeek()
		return fmt.Sprint(year, "-", week)
	})
	return out
}

// byTargets keeps what each target's base came from, as a checkpoint of it would
// pin, and what its run made; and the states that the next source is compared
// with before it is believed (shrunken).
func (k *keeping) byTargets() {
	for name, ref := range k.st.Refs {
		target := strings.TrimSuffix(strings.TrimPrefix(name, "target/"), "/"+StageBase)
		if BaseRef(target) != name {
			continue
		}
		k.baseOf("target "+target, origin(k.st, ref.Digest, StageBase, k.st.N))
		for _, base := range slices.Backward(k.st.History) {
			if base.Dataset != "target/"+target || base.Stage != StageBase || base.Run == "" {
				continue
			}
			made := k.madeBy(base.Run)
			legacy, desired := made[StageLegacy], made[StageDesired]
			if legacy.Digest.IsZero() || desired.Digest.IsZero() {
				continue
			}
			why := fmt.Sprintf("last source that target %s was loaded from", target)
			k.keep(base.Digest, why)
			k.keep(legacy.Digest, why)
			k.keep(desired.Digest, why)
			break
		}
	}
}

func (k *keeping) baseOf(why string, base snapshots.SnapshotInfo) {
	pins := map[string]snapshots.Digest{}
	pinOrigins(k.st, base, pins)
	for role, d := range pins {
		k.keep(d, fmt.Sprintf("%s (%s)", why, role))
	}
	if base.Run != "" {
		for stage, info := range k.madeBy(base.Run) {
			k.keep(info.Digest, fmt.Sprintf("%s (%s of its run)", why, stage))
		}
	}
}

// madeBy are the snapshots of a run by stage.
func (k *keeping) madeBy(run string) map[string]snapshots.SnapshotInfo {
	out := map[string]snapshots.SnapshotInfo{}
	for _, info := range k.st.History {
		if info.Run == run {
			out[info.Stage] = info
		}
	}
	return out
}

// byWaves keeps what stood in the target, and who was in the wave, when a wave
// was declared complete.
func (k *keeping) byWaves() {
	for key, wave := range k.st.Waves {
		if wave.Open {
			continue
		}
		why := fmt.Sprintf("complete wave %s of %s", key.Wave, key.Migration)
		for _, of := range []struct{ dataset, stage string }{{"target/" + key.Target, StageBase}, {"migration/" + key.Migration, StageAssignment}} {
			for _, info := range slices.Backward(k.st.History) {
				if info.Dataset == of.dataset && info.Stage == of.stage && info.N <= wave.N {
					k.keep(info.Digest, why)
					break
				}
			}
		}
	}
}

// byRuns keeps what runs need that may go on.
func (k *keeping) byRuns() {
	for _, r := range k.runs {
		if !r.open(k.st, k.runs) {
			continue
		}
		why := "run " + r.ID + " may go on"
		k.keptRuns[r.ID] = append(k.keptRuns[r.ID], "it may go on")
		for _, info := range k.madeBy(r.ID) {
			k.keep(info.Digest, why)
			for _, parent := range info.Parents {
				k.keep(parent, why)
			}
		}
		for _, d := range r.needs {
			k.keep(d, why)
		}
	}
}

func (k *keeping) plan() *Retention {
	out := &Retention{Entry: k.st.N}
	for _, info := range k.st.Snapshots {
		why := k.snapshots[info.Digest]
		slices.Sort(why)
		out.Snapshots = append(out.Snapshots, RetainedSnapshot{SnapshotInfo: info, Why: why})
	}
	slices.SortFunc(out.Snapshots, func(a, b RetainedSnapshot) int {
		return cmp.Or(cmp.Compare(a.N, b.N), cmp.Compare(a.Stage, b.Stage), slices.Compare(a.Digest[:], b.Digest[:]))
	})
	return out
}

// runFiles decides about the files of runs: those of runs whose snapshots are
// kept, that made checkpoints, hold a target or were the last to reach a wave
// stay, and as many as the policy counts.
func (k *keeping) runFiles(policy *config.Retention, out *Retention) {
	keep := func(run, why string) { k.keptRuns[run] = append(k.keptRuns[run], why) }
	dropped := map[snapshots.Digest]bool{}
	drops, _ := out.Drops()
	for _, d := range drops {
		dropped[d] = true
	}
	for _, info := range k.st.History {
		if !dropped[info.Digest] {
			keep(info.Run, fmt.Sprintf("it made the %s %s", info.Stage, info.Digest.Short()))
		}
	}
	for _, c := range k.st.CheckpointsByTime() {
		keep(c.Run, "it made checkpoint "+c.Name)
	}
	for _, target := range slices.Sorted(maps.Keys(k.st.Leases)) {
		if l := k.st.Leases[target]; !l.Released {
			keep(l.Holder.Run, "it holds target "+target)
		}
	}
	reached := map[string]bool{}
	times := make([]time.Time, 0, len(k.runs))
	for _, r := range slices.Backward(k.runs) {
		times = append(times, r.created)
		for _, wave := range r.reached() {
			if !reached[wave] {
				reached[wave] = true
				keep(r.ID, "the last to load "+wave)
			}
		}
	}
	keepRuns := config.Keep{}
	if policy != nil && policy.Runs != nil {
		keepRuns = *policy.Runs
	}
	why := kept(keepRuns, times)
	for i, r := range k.runs {
		if by := why[len(why)-1-i]; by != "" {
			keep(r.ID, by)
		}
		out.Runs = append(out.Runs, RetainedRun{ID: r.ID, Why: k.keptRuns[r.ID]})
	}
}

// DropOptions are what the operator says when a snapshot is dropped.
type DropOptions struct {
	Reason string // empty: that it was dropped by hand
	// Apply: drop it; else only find out whether that may be.
	Apply bool
}

// Drop forgets one snapshot, unless something needs it: then the error is a
// *snapshots.NeededError. It says what that frees, and the entry of the log.
func Drop(ctx context.Context, s *snapshots.Store, d snapshots.Digest, o DropOptions) (entry uint64, frees snapshots.Tally, err error) {
	allowed := func(st snapshots.State) error {
		runs, err := readRunStates(ctx, s, st)
		if err != nil {
			return err
		}
		k := &keeping{st: st, runs: runs, snapshots: map[snapshots.Digest][]string{}, keptRuns: map[string][]string{}}
		k.byName()
		k.byTargets()
		k.byWaves()
		k.byRuns()
		if why := k.snapshots[d]; len(why) > 0 {
			slices.Sort(why)
			return &snapshots.NeededError{Digest: d, By: why[0]}
		}
		return nil
	}
	st, err := s.State(ctx)
	if err != nil {
		return 0, frees, err
	}
	if err := allowed(st); err != nil {
		return 0, frees, err
	}
	if frees, err = s.Frees(ctx, []snapshots.Digest{d}); err != nil || !o.Apply {
		return 0, frees, err
	}
	entry, err = s.Commit(ctx, snapshots.Change{
		Reason:  cmp.Or(o.Reason, "dropped by hand"),
		Actions: []snapshots.Action{snapshots.DropAction{Snapshots: []snapshots.Digest{d}, By: operator()}},
		Check:   allowed,
	})
	return entry, frees, err
}
