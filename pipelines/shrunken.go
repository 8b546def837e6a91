package pipelines

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Shrunk is a table of the source, or an entity, that has lost more rows since
// the target was last loaded than the configuration believes.
type Shrunk struct {
	Stage  string `json:"stage"` // legacy or desired
	Table  string `json:"table"`
	Before int64  `json:"before"`
	Now    int64  `json:"now"`
	Limit  string `json:"limit"`
}

func (s Shrunk) String() string {
	what := "entity " + s.Table
	if s.Stage == StageLegacy {
		what = "table " + s.Table + " of the source"
	}
	return fmt.Sprintf("%s: %d rows, where the last load had %d (limit %s)", what, s.Now, s.Before, s.Limit)
}

// ShrunkenError stops a run before its first write: the source, or what the
// mapping makes of it, is so much smaller than it was that rows were more
// likely lost on the way than removed.
type ShrunkenError struct {
	Run    string
	Shrunk []Shrunk
}

func (e *ShrunkenError) Error() string {
	lines := []string{fmt.Sprintf("run %s: the source has shrunk, nothing was written:", e.Run)}
	for _, s := range e.Shrunk {
		lines = append(lines, "  "+s.String())
	}
	return strings.Join(lines, "\n")
}

// Hint says what to do.
func (e *ShrunkenError) Hint() string {
	return fmt.Sprintf("see that the export is whole and the mapping right, then start a new run; if it is meant, `parallelrun resume %s --override-brake \"the reason\"`", e.Run)
}

func (t *Transformed) shrunkenErr(run string) error {
	if t == nil || len(t.Shrunk) == 0 {
		return nil
	}
	return &ShrunkenError{Run: run, Shrunk: t.Shrunk}
}

// shrunken compares the snapshots of a run with those that the target's base
// came from: of the last run that loaded this target by this migration.
func (r *Runner) shrunken(ctx context.Context, legacy, desired snapshots.Digest) ([]Shrunk, error) {
	st, err := r.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	wasLegacy, wasDesired, ok := r.lastLoaded(st)
	if !ok {
		return nil, nil
	}
	limit := r.Config.Brake.ShrinkLimit()
	var out []Shrunk
	for _, x := range []struct {
		stage    string
		was, now snapshots.Digest
	}{{StageLegacy, wasLegacy, legacy}, {StageDesired, wasDesired, desired}} {
		was, err := r.open(ctx, x.was)
		if err != nil {
			return nil, err
		}
		now, err := r.open(ctx, x.now)
		if err != nil {
			return nil, err
		}
		for _, table := range was.Tables() {
			if x.stage == StageDesired && !slices.Contains(schemas.LoadOrder, table) {
				continue // rejects may come and go
			}
			if s, is := shrank(was.Rows(table), now.Rows(table), limit); is {
				s.Stage, s.Table = x.stage, table
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// shrank holds two counts of a table against the limit. A table that has become
// empty is believed never.
func shrank(before, now int64, limit config.Limit) (Shrunk, bool) {
	lost := before - now
	s := Shrunk{Before: before, Now: now, Limit: fmt.Sprintf("%d rows and %g %%", limit.Rows, float64(int64(limit.Ratio*1e6+0.5))/1e4)}
	if before > 0 && now == 0 {
		s.Limit = "none may become empty"
		return s, true
	}
	return s, lost > limit.Rows && float64(lost) > limit.Ratio*float64(before)
}

// lastLoaded are the legacy and desired snapshots of the last run that made a
// base of this target and read the source for it.
func (r *Runner) lastLoaded(st snapshots.State) (legacy, desired snapshots.Digest, ok bool) {
	for _, base := range slices.Backward(st.History) {
		if base.Dataset != r.targetSet() || base.Stage != StageBase {
			continue
		}
		l, hasLegacy := snapshotOf(st, base.Run, r.sourceSet(), StageLegacy)
		d, hasDesired := snapshotOf(st, base.Run, r.migrationSet(), StageDesired)
		if hasLegacy && hasDesired {
			return l, d, true
		}
	}
	return legacy, desired, false
}

// snapshotOf is the snapshot that a run made of a stage.
func snapshotOf(st snapshots.State, run, dataset, stage string) (snapshots.Digest, bool) {
	for _, info := range slices.Backward(st.History) {
		if info.Run == run && info.Dataset == dataset && info.Stage == stage {
			return info.Digest, true
		}
	}
	return snapshots.Digest{}, false
}
