package pipelines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/transform"
)

// LookedUp is what became of the people whom a plan disables because legacy no
// longer has them. Each is looked up before anything is written: only absence
// from the source is absence.
type LookedUp struct {
	Asked int64 `json:"asked"`
	// Absent: neither in what was extracted nor in the source now.
	Absent int64 `json:"absent"`
	// Lost: the source has them now, what was extracted does not.
	Lost Keys `json:"lost"`
	// Unmapped: what was extracted has their row, but no rule yields a user of
	// it any more.
	Unmapped Keys `json:"unmapped"`
	// Forgotten: the key came back as these people, and the decision that said so
	// is gone.
	Forgotten Keys `json:"forgotten"`
	// Misled: an alias says that the key is another now, which no extraction had.
	Misled Keys `json:"misled"`
	// Strayed: an alias makes their row another's, which the target never had.
	Strayed Keys `json:"strayed"`
	// Unsure: not found, but rows of the source can't be read that may be theirs,
	// as Doubt says.
	Unsure Keys   `json:"unsure"`
	Doubt  string `json:"doubt,omitempty"`
	// Unasked could not be looked up in the source, and Why.
	Unasked int64  `json:"unasked,omitempty"`
	Why     string `json:"why,omitempty"`
}

// Keys counts rows and names the first of them.
type Keys struct {
	Count int64    `json:"count"`
	First []string `json:"first,omitempty"`
}

const namedKeys = 5

func (k *Keys) add(key string) {
	k.Count++
	if len(k.First) < namedKeys {
		k.First = append(k.First, key)
	}
}

func (k *Keys) String() string {
	more := ""
	if n := k.Count - int64(len(k.First)); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return "keys " + strings.Join(k.First, ", ") + more
}

// lines are what the look-up came to, for reports; nil-safe.
func (l *LookedUp) lines() []string {
	if l == nil || l.Asked == 0 {
		return nil
	}
	if l.Absent == l.Asked {
		return []string{fmt.Sprintf("looked up %s absent users in the source: all absent", ui.Count(l.Asked))}
	}
	lines := []string{fmt.Sprintf("looked up %s absent users in the source: %s absent", ui.Count(l.Asked), ui.Count(l.Absent))}
	if l.Unasked > 0 {
		lines = append(lines, fmt.Sprintf("%s could not be looked up: %s", ui.Count(l.Unasked), l.Why))
	}
	return lines
}

// problems are those who are not gone at all; nil-safe.
func (l *LookedUp) problems() (lines []string) {
	if l == nil {
		return nil
	}
	if l.Lost.Count > 0 {
		lines = append(lines, fmt.Sprintf("users: %d would be disabled as gone whom the source has, though its extraction lost them (%s)", l.Lost.Count, &l.Lost))
	}
	if l.Unmapped.Count > 0 {
		lines = append(lines, fmt.Sprintf("users: %d would be disabled as gone whose row is in legacy, but no rule of the mapping yields them any more (%s)", l.Unmapped.Count, &l.Unmapped))
	}
	if l.Unsure.Count > 0 {
		lines = append(lines, fmt.Sprintf("users: %d would be disabled as gone who may not be: %s (%s)", l.Unsure.Count, l.Doubt, &l.Unsure))
	}
	if l.Forgotten.Count > 0 {
		lines = append(lines, fmt.Sprintf("users: %d would be disabled as gone who are the new holders of keys that came back, and no decision says so any more (%s)", l.Forgotten.Count, &l.Forgotten))
	}
	if l.Misled.Count > 0 {
		lines = append(lines, fmt.Sprintf("users: %d would be disabled as gone whose alias leads from a key that legacy does not have, nor had at the last load (%s)", l.Misled.Count, &l.Misled))
	}
	if l.Strayed.Count > 0 {
		lines = append(lines, fmt.Sprintf("users: %d would be disabled as gone because an alias makes their row that of an old key which the target never had (%s)", l.Strayed.Count, &l.Strayed))
	}
	return lines
}

// StillThereError stops a run before its first write: people whom it would
// disable as gone are not gone. If the extraction lost them, nothing passes
// this plan: extract again by a new run. If only the mapping lost them, correct
// it, or override the brake.
type StillThereError struct {
	Run   string
	Found LookedUp
}

func (e *StillThereError) Error() string {
	return fmt.Sprintf("plan of run %s disables people who are not gone, nothing was written:\n  %s", e.Run, strings.Join(e.Found.problems(), "\n  "))
}

// Hint says what to do.
func (e *StillThereError) Hint() string {
	if e.Found.Lost.Count > 0 {
		return "the source changed or was not whole when it was read: start a new run with `parallelrun run`"
	}
	if e.Found.Unsure.Count > 0 {
		return fmt.Sprintf("correct the rows that can't be read and start a new run; if these people are known to be gone, `parallelrun load %s --apply --override-brake \"the reason\"`", e.Run)
	}
	if e.Found.Forgotten.Count > 0 {
		return "put the decisions with `take: new` back into the file of decisions"
	}
	if e.Found.Misled.Count > 0 {
		return "correct the new keys there; of people who have left, take the lines out"
	}
	if e.Found.Strayed.Count > 0 {
		return "correct the old keys there, or take the lines out"
	}
	return fmt.Sprintf("mend the rules, or exclude these rows by name (who is excluded stays as it is); if they shall be disabled, `parallelrun load %s --apply --override-brake \"the reason\"`", e.Run)
}

// err is what stops the run; nil-safe. An override stands for a mapping that is
// meant, never for an extraction that lost rows.
func (l *LookedUp) err(run string, overridden bool) error {
	if l == nil || l.Lost.Count == 0 && (l.Unmapped.Count+l.Unsure.Count+l.Forgotten.Count+l.Misled.Count+l.Strayed.Count == 0 || overridden) {
		return nil
	}
	return &StillThereError{Run: run, Found: *l}
}

// lookUp looks up everyone whom the plan disables as gone. It holds a bounded
// number of keys at a time.
func (r *Runner) lookUp(ctx context.Context, m *load.Manifest) (*LookedUp, error) {
	if users := m.Counts[schemas.Users]; users == nil || users.Classes[load.Disabled] == 0 {
		return nil, nil
	}
	st, err := r.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	digest, ok := snapshotOf(st, m.Run, r.sourceSet(), StageLegacy)
	if !ok {
		return nil, nil // the run read no source: nobody is gone from it
	}
	legacy, err := r.open(ctx, digest)
	if err != nil {
		return nil, err
	}
	var before *snapshots.Snapshot
	if was, _, ok := r.lastLoaded(st); ok {
		if before, err = r.open(ctx, was); err != nil {
			return nil, err
		}
	}
	base, err := r.base(ctx)
	if err != nil {
		return nil, err
	}
	l := &lookup{r: r, legacy: legacy, before: before, base: base, origins: r.Mapping.Origins(schemas.Users), room: r.Memory / 8}
	for _, rg := range m.Ranges {
		if rg.Section != load.SectionUsers && rg.Section != load.SectionTakeovers {
			continue
		}
		ops, err := m.ReadRange(ctx, r.Store, rg)
		if err != nil {
			return nil, err
		}
		if err := l.add(ctx, ops); err != nil {
			return nil, err
		}
	}
	if err := l.batch(ctx); err != nil {
		return nil, err
	}
	if l.found.Asked == 0 {
		return nil, nil
	}
	return &l.found, nil
}

// lookup looks keys of users up, a batch at a time.
type lookup struct {
	r       *Runner
	legacy  *snapshots.Snapshot
	before  *snapshots.Snapshot // of the last load; nil: there was none
	base    *snapshots.Snapshot // nil: none
	origins []transform.Origin
	keys    []string
	room    int64 // bytes left for keys
	found   LookedUp
}

// add takes those who are disabled as gone.
func (l *lookup) add(ctx context.Context, ops []load.Operation) error {
	const perKey = 256 // maps and headers
	for i := range ops {
		op := &ops[i]
		if op.Table != schemas.Users || !op.Gone || !op.Disables {
			continue
		}
		l.keys = append(l.keys, op.Key)
		if l.room -= int64(len(op.Key)) + perKey; l.room > 0 {
			continue
		}
		if err := l.batch(ctx); err != nil {
			return err
		}
		l.room = l.r.Memory / 8
	}
	return nil
}

// batch looks up the keys that were taken.
func (l *lookup) batch(ctx context.Context) error {
	if len(l.keys) == 0 {
		return nil
	}
	at := make(map[string]*whereabouts, len(l.keys))
	all, newest := sought{}, sought{}
	for _, k := range l.keys {
		at[k] = &whereabouts{}
		l.seek(k, at[k], all, newest)
		if err := l.stray(ctx, k, at[k]); err != nil {
			return err
		}
	}
	why, doubt := "", ""
	for _, o := range l.origins {
		if !o.OwnKey {
			why = fmt.Sprintf("rule %s makes keys of its own, which the source does not know", o.Rule)
			continue
		}
		if err := l.inSnapshot(ctx, l.legacy, o.Table, all, func(w *whereabouts) { w.extracted = true }); err != nil {
			return err
		}
		if err := l.inSnapshot(ctx, l.before, o.Table, newest, func(w *whereabouts) { w.before = true }); err != nil {
			return err
		}
		err := l.inSource(ctx, o.Table, all)
		if unsure, ok := errors.AsType[*extract.UnsureError](err); ok {
			doubt = unsure.Error()
		} else if errors.Is(err, errCantAsk) {
			why = err.Error()
		} else if err != nil {
			return err
		}
	}
	l.settle(at, why, doubt)
	return nil
}

// settle counts a batch, in the order of the plan.
func (l *lookup) settle(at map[string]*whereabouts, why, doubt string) {
	for _, k := range l.keys {
		l.found.Asked++
		switch w := at[k]; {
		case w.again && (w.extracted || w.now):
			l.found.Forgotten.add(k)
		case w.strayed != "":
			l.found.Strayed.add(w.strayed)
		case w.extracted:
			l.found.Unmapped.add(k)
		case w.now:
			l.found.Lost.add(k)
		case w.aliased != "" && !w.before:
			l.found.Misled.add(w.aliased)
		case doubt != "":
			l.found.Unsure.add(k)
			l.found.Doubt = doubt
		case why != "":
			l.found.Unasked++
			l.found.Why = why
		default:
			l.found.Absent++
		}
	}
	l.keys = l.keys[:0]
}

// inSnapshot looks into a snapshot that a run made of the source; nil: none.
func (l *lookup) inSnapshot(ctx context.Context, sn *snapshots.Snapshot, table string, keys sought, found func(*whereabouts)) error {
	if sn == nil || len(keys) == 0 {
		return nil
	}
	if _, ok := sn.Table(table); !ok {
		return nil
	}
	ids := make(map[schemas.RowID]string, len(keys))
	for k := range keys {
		ids[schemas.LegacyRowID(l.r.Namespace, table, k)] = k
	}
	for e, err := range sn.Index(ctx, table) {
		if err != nil {
			return err
		}
		for _, w := range keys[ids[e.ID]] {
			found(w)
		}
	}
	return nil
}

var errCantAsk = errors.New("this kind of source can't be asked for single rows")

// inSource asks the source itself, as it is now.
func (l *lookup) inSource(ctx context.Context, table string, keys sought) error {
	src, ok := l.r.Source.(extract.Lookup)
	if !ok {
		return errCantAsk
	}
	var shape *schemas.Table
	for _, spec := range src.Tables() {
		if spec.Table.Name == table {
			shape = &spec.Table
		}
	}
	if shape == nil {
		return fmt.Errorf("look up absent users: the source has no table %q", table)
	}
	ask := make([]string, 0, len(keys))
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if slices.ContainsFunc(keys[k], func(w *whereabouts) bool { return !w.extracted }) {
			ask = append(ask, k)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	return src.Get(ctx, table, ask, func(b extract.Batch) error {
		for i := range int(b.Record.NumRows()) {
			for _, w := range keys[shape.RowAt(b.Record, i).Key] {
				w.now = true
			}
		}
		return nil
	})
}
