package pipelines

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// OpenConflict is a row of a plan, or one field of it, that a person has to
// decide: no rule settles it, or what legacy has would give access back.
type OpenConflict struct {
	Table string        `json:"table"`
	Key   string        `json:"key"`
	ID    schemas.RowID `json:"id"`
	Field string        `json:"field,omitempty"` // empty: the whole row
	Why   string        `json:"why"`
	// Legacy and Keymate are the values of both sides, secrets masked.
	Legacy  string `json:"legacy,omitempty"`
	Keymate string `json:"keymate,omitempty"`
	// Account is the id of an account that is in the way and could be adopted.
	Account string `json:"account,omitempty"`
	// Others are further accounts that are.
	Others []string `json:"others,omitempty"`
	// Owner is the legacy key of the user who has the account.
	Owner string `json:"owner,omitempty"`
}

// Text writes a conflict for people.
func (c OpenConflict) Text(p *ui.Page) {
	what := c.Table + " " + c.Key
	if c.Field != "" {
		what += " " + c.Field
	}
	p.Line("%s: %s", what, c.Why)
	if c.Legacy != "" || c.Keymate != "" {
		p.Line("    legacy:  %s", c.Legacy)
		p.Line("    keymate: %s", c.Keymate)
	}
	if c.Account != "" {
		p.Line("    account: %s", c.Account)
	}
	for _, other := range c.Others {
		p.Line("    account: %s", other)
	}
	if c.Owner != "" {
		p.Line("    it is users %s", c.Owner)
	}
}

// ConflictsOf shows what a run's stored plan leaves to decide, what it withholds
// first. What only follows from another row's conflict is left out.
func ConflictsOf(ctx context.Context, s *snapshots.Store, run string, show func(OpenConflict) error) error {
	_, m, err := planOf(ctx, s, run)
	if err != nil {
		return err
	}
	l := &conflictLister{show: show, seen: map[schemas.RowID]bool{}}
	if l.desired, err = snapshotOrEmpty(ctx, s, m.Desired); err != nil {
		return err
	}
	if l.observed, err = snapshotOrEmpty(ctx, s, m.Observed); err != nil {
		return err
	}
	for _, list := range []string{load.ListWithheld, load.ListConflicts} {
		for f, err := range m.Findings(ctx, s, list) {
			if err != nil {
				return err
			}
			if err := l.finding(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func snapshotOrEmpty(ctx context.Context, s *snapshots.Store, d snapshots.Digest) (load.Snapshot, error) {
	if d.IsZero() {
		return load.Empty, nil
	}
	return s.Snapshot(ctx, d.String())
}

// conflictLister turns a plan's findings into conflicts.
type conflictLister struct {
	desired, observed load.Snapshot
	show              func(OpenConflict) error
	seen              map[schemas.RowID]bool // rows that were shown: of conflicts, so they fit in memory
}

func (l *conflictLister) finding(ctx context.Context, f load.Finding) error {
	c := OpenConflict{Table: f.Table, Key: f.Key, ID: f.ID, Why: f.Reason, Owner: f.Owner}
	if len(f.Columns) == 0 {
		// "its user is in conflict" and the like fall with the row they name.
		if l.seen[f.ID] || strings.HasPrefix(f.Reason, "its ") {
			return nil
		}
		l.seen[f.ID] = true
		if err := l.account(ctx, f, &c); err != nil {
			return err
		}
		if err := l.createdAt(ctx, f, &c); err != nil {
			return err
		}
		if len(f.Kinds) > 0 {
			c.Why += ", which --allow " + strings.Join(f.Kinds, ",") + " brings back"
		}
		return l.show(c)
	}
	l.seen[f.ID] = true
	if c.Why == "" {
		c.Why = "narrowed in the target, and --allow " + strings.Join(f.Kinds, ",") + " was not given"
	}
	for _, field := range f.Columns {
		one := c
		one.Field = field
		var err error
		if one.Legacy, err = l.value(ctx, l.desired, f, field); err != nil {
			return err
		}
		if one.Keymate, err = l.value(ctx, l.observed, f, field); err != nil {
			return err
		}
		if err := l.show(one); err != nil {
			return err
		}
	}
	return nil
}

// account finds the accounts that are in the way of a user.
func (l *conflictLister) account(ctx context.Context, f load.Finding, c *OpenConflict) error {
	if f.Table != schemas.Users || f.Taken() {
		return nil
	}
	row, err := get(ctx, l.observed, load.ForeignAccounts, f.ID)
	if err != nil || row == nil {
		return err
	}
	shape, _ := l.observed.Table(load.ForeignAccounts)
	c.Account, _ = row.Values[shape.Column("target_id")].(string)
	if i := shape.Column("others"); i >= 0 {
		c.Others, _ = row.Values[i].([]string)
	}
	return nil
}

// createdAt shows when both holders of a key were created.
func (l *conflictLister) createdAt(ctx context.Context, f load.Finding, c *OpenConflict) (err error) {
	if f.Reason != load.RecycledKey {
		return nil
	}
	const field = "created_at"
	if c.Legacy, err = l.value(ctx, l.desired, f, field); err != nil {
		return err
	}
	if c.Keymate, err = l.value(ctx, l.observed, f, field); err != nil {
		return err
	}
	c.Legacy, c.Keymate = "created "+c.Legacy, "created "+c.Keymate
	return nil
}

// value shows a field of a row on one side, secrets masked.
func (l *conflictLister) value(ctx context.Context, sn load.Snapshot, f load.Finding, field string) (string, error) {
	row, err := get(ctx, sn, f.Table, f.ID)
	if err != nil || row == nil {
		return noValue, err
	}
	t, _ := sn.Table(f.Table)
	column, key, keyed := strings.Cut(field, `["`)
	i := t.Column(column)
	if i < 0 || i >= len(row.Values) {
		return "not given back", nil
	}
	if m, ok := row.Values[i].(map[string][]string); ok && keyed {
		key = strings.TrimSuffix(key, `"]`)
		return showNamed(key, m[key]), nil
	}
	return showCell(&t.Columns[i], row.Values[i]), nil
}

// WriteDecisions writes a file of decisions to edit: every open conflict with
// both values, and nothing decided yet.
func WriteDecisions(ctx context.Context, s *snapshots.Store, run string, w io.Writer) (n int, err error) {
	_, err = fmt.Fprint(w, "# Conflicts of a plan. For each say what to take: legacy (write its value), keymate\n"+
		"# (leave the target's), adopt (make the account that is there the user's own), new\n"+
		"# (the key came back as another person: a row of its own, and the former stays\n"+
		"# disabled), or later (decide nothing). Name this file as `decisions` of the migration.\nversion: 1\ndecisions:\n")
	if err != nil {
		return 0, err
	}
	err = ConflictsOf(ctx, s, run, func(c OpenConflict) error {
		n++
		_, err := io.WriteString(w, decisionEntry(c))
		return err
	})
	return n, err
}

// decisionEntry is a conflict as an entry of a file of decisions.
func decisionEntry(c OpenConflict) string {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "    %s: %s\n", key, strconv.Quote(value))
		}
	}
	fmt.Fprintf(&b, "  - table: %s\n", c.Table)
	line("key", c.Key)
	line("id", c.ID.String())
	line("field", c.Field)
	line("why", c.Why)
	line("legacy", c.Legacy)
	line("keymate", c.Keymate)
	line("account", c.Account)
	fmt.Fprintf(&b, "    take: %s\n", config.TakeLater)
	return b.String()
}
