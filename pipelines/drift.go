package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/diffprint"
)

// Drift is what others changed in a target since its base was confirmed: the
// diff of base and a fresh observation.
type Drift struct {
	Target      string           `json:"target"`
	Base        snapshots.Digest `json:"base"`
	Observed    snapshots.Digest `json:"observed"`
	From        time.Time        `json:"from"`
	To          time.Time        `json:"to"`
	Rows        int64            `json:"rows"`
	Differences int64            `json:"differences"`
	ByTable     []TableDrift     `json:"by_table,omitempty"`

	text string // stat and the first rows, for people
}

// TableDrift counts the differences of one table.
type TableDrift struct {
	Table    string `json:"table"`
	Inserted int64  `json:"inserted"`
	Updated  int64  `json:"updated"`
	Deleted  int64  `json:"deleted"`
}

// ErrNoBase means that nothing was ever confirmed in the target: load it first.
var ErrNoBase = errors.New("nothing was ever loaded into the target")

// Drift reads every row of the target's base back and compares. It shows the
// first rows of each table.
func (r *Runner) Drift(ctx context.Context, rows int) (*Drift, error) {
	base, err := r.base(ctx)
	if err != nil {
		return nil, err
	}
	if base == nil {
		return nil, &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("target %s: %w", r.TargetName, ErrNoBase), Next: "`parallelrun run --apply` loads it"}
	}
	profile, err := r.Target.Preflight(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := load.ReadIDMap(ctx, base)
	if err != nil {
		return nil, err
	}
	seen, err := r.look(ctx, "", load.ObserveInput{
		Structure: true, IDs: ids, Users: load.Probes(ctx, r.Target, base, load.Empty, load.Reach{}), Total: base.Rows(schemas.Users),
	}, profile, []snapshots.Digest{base.Digest()})
	if err != nil {
		return nil, err
	}
	observed, err := r.open(ctx, seen.Snapshot)
	if err != nil {
		return nil, err
	}
	out := &Drift{Target: r.TargetName, Base: base.Digest(), Observed: seen.Snapshot, From: seen.From, To: seen.To, Rows: base.Rows(schemas.Users)}
	err = out.compare(ctx, base, observed, rows)
	return out, err
}

// compare diffs the tables that both sides have.
func (d *Drift) compare(ctx context.Context, base, observed *snapshots.Snapshot, rows int) error {
	var tables []string
	for _, t := range schemas.LoadOrder {
		if _, ok := observed.Table(t); ok {
			tables = append(tables, t)
		}
	}
	var stat snapshots.Stat
	var shown bytes.Buffer
	perTable := map[string]int{}
	for change, err := range snapshots.Diff(ctx, base, observed, snapshots.DiffOptions{Tables: tables, Stat: &stat}) {
		if err != nil {
			return err
		}
		if perTable[change.Table]++; perTable[change.Table] <= rows {
			if err := diffprint.Row(&shown, change); err != nil {
				return err
			}
		}
	}
	for _, t := range stat.Tables {
		if n := t.Inserted + t.Updated + t.Deleted; n > 0 {
			d.Differences += n
			d.ByTable = append(d.ByTable, TableDrift{Table: t.Table, Inserted: t.Inserted, Updated: t.Updated, Deleted: t.Deleted})
		}
	}
	if err := diffprint.Stat(&shown, stat); err != nil {
		return err
	}
	d.text = shown.String()
	return nil
}

// Text writes the drift for people.
func (d *Drift) Text(p *ui.Page) {
	for line := range strings.Lines(d.text) {
		p.Line("%s", strings.TrimRight(line, "\n"))
	}
	p.Blank()
	if d.Differences == 0 {
		p.Line("target %s is as it was last confirmed", d.Target)
		return
	}
	p.Line("target %s drifted: %s rows differ from what was last confirmed", d.Target, ui.Count(d.Differences))
	p.Line("  parallelrun snapshots diff %s %s --rows", d.Base.Short(), d.Observed.Short())
}
