package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/diffprint"
)

// diffFlags say what to compare and what to show.
type diffFlags struct {
	rows    bool
	stat    bool
	counts  bool
	tables  []string
	columns []string
	where   string
	limit   int64
	format  string
	output  string
	base    string
	old     string
}

const diffHelp = "Counts by default; --rows shows every row that differs with its fields, --counts reads no rows at all\n" +
	"and leaves out how often each column changed. --where chooses rows by an expression (CEL) over\n" +
	"`old` and `new` (empty where the row is not there), `kind`, `table`, `key`, `id` and the list `changed`:\n" +
	"  --where 'kind == \"update\" && \"enabled\" in changed && !new.enabled'\n" +
	"Tables that it does not fit are left out and named. --format csv and html hold the rows, parquet a\n" +
	"file for each table. Secrets are compared and never shown. Exit code 1 if they differ."

func newSnapshotsDiff(a *app) *cobra.Command {
	cmd, f := newDiff(a.diff, &cobra.Command{
		Short: "Compare two snapshots, or two with what both come from",
		Long: "Compare two snapshots, by names or digests: what is so in b and was not so in a. What a\n" +
			"checkpoint pins is named checkpoint/NAME/ROLE, such as checkpoint/before-pilot/base.\n" + diffHelp + "\n\n" +
			"With --base it says of every row and field that changed since: only a changed it, only b did,\n" +
			"both to the same (same), both without a clash (both), or both differently (conflict). Expressions\n" +
			"know `base`, `a`, `b`, `side`, `kind_a` and `kind_b` then, in place of `old`, `new` and `kind`.",
	})
	cmd.Flags().StringVar(&f.base, "base", "", "compare three ways: what a and b each changed since this snapshot")
	return cmd
}

// newDiff completes a command that compares two named things.
func newDiff(diff func(ctx context.Context, a, b string, f diffFlags) error, cmd *cobra.Command) (*cobra.Command, *diffFlags) {
	f := &diffFlags{}
	cmd.Use, cmd.Args = "diff a b", exactly("a", "b")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return diff(cmd.Context(), args[0], args[1], *f) }
	f.register(cmd)
	return cmd, f
}

func (f *diffFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.rows, "rows", false, "show every row that differs, with its fields")
	cmd.Flags().BoolVar(&f.stat, "stat", false, "show the counts (as without --rows)")
	cmd.Flags().BoolVar(&f.counts, "counts", false, "only count rows, from the indexes")
	cmd.Flags().StringSliceVar(&f.tables, "table", nil, "compare these tables only")
	cmd.Flags().StringSliceVar(&f.columns, "column", nil, "compare these columns only")
	cmd.Flags().StringVar(&f.where, "where", "", "only rows for which this expression holds")
	cmd.Flags().Int64Var(&f.limit, "limit", 0, "show this many rows at most (0: all, in HTML 5,000); all are counted")
	cmd.Flags().StringVar(&f.format, "format", "", "text, json, csv, parquet or html")
	cmd.Flags().StringVar(&f.old, "old", "", "digests: with --format parquet, do not read old rows: neither which columns changed nor keys of deleted rows are told")
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "write to this file instead of stdout (parquet: a folder)")
}

// check refuses what does not go together.
func (f *diffFlags) check(a *app) error {
	if f.format == "" {
		f.format = "text"
		if a.out.JSON() {
			f.format = "json"
		}
	}
	has := func(list string) bool { return strings.Contains(" "+list+" ", " "+f.format+" ") }
	switch {
	case !has("text json csv parquet html"):
		return ui.Refusef("use text, json, csv, parquet or html", "--format %q is not known", f.format)
	case a.out.JSON() && f.format != "json":
		return ui.Refusef("leave one of them out", "--json and --format %s do not go together", f.format)
	case f.counts && (f.rows || f.where != "" || len(f.columns) > 0 || f.base != "" || !has("text json")):
		return ui.Refusef("leave --counts out", "--counts reads no rows, and so goes with no --rows, --where, --column or --base, as text or JSON")
	case f.old != "" && f.old != "digests":
		return ui.Refusef("the one choice is --old digests", "--old %q is not known", f.old)
	case f.old != "" && (f.format != "parquet" || f.where != "" || len(f.columns) > 0):
		return ui.Refusef("leave --old out", "--old digests goes with --format parquet alone, and with no --where or --column, which ask for old rows")
	case f.limit < 0:
		return ui.Refusef("0 means all", "--limit %d is less than nothing", f.limit)
	case f.format == "parquet" && f.output == "":
		return ui.Refusef("add --output FOLDER", "--format parquet writes a file for each table")
	case f.format == "parquet" && f.base != "":
		return ui.Refusef("use csv, json or html", "%w", diffprint.ErrNoThreeWay)
	}
	if has("csv parquet html") {
		f.rows = true
	}
	return nil
}

// options are what the engine is asked for.
func (f *diffFlags) options(a *app) snapshots.DiffOptions {
	return snapshots.DiffOptions{
		Tables: f.tables, Columns: f.columns, Counts: f.counts, Rows: f.format == "html" || f.format == "parquet", OldDigests: f.old != "",
		Workers: a.workers(config.Migration{}), Memory: a.memory(config.Migration{}) / 2,
	}
}

func (a *app) diff(ctx context.Context, nameA, nameB string, f diffFlags) error {
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	from, err := s.Snapshot(ctx, nameA)
	if err != nil {
		return err
	}
	to, err := s.Snapshot(ctx, nameB)
	if err != nil {
		return err
	}
	if f.base == "" {
		return a.compare(ctx, namedSnapshot{nameA, from}, namedSnapshot{nameB, to}, f)
	}
	base, err := s.Snapshot(ctx, f.base)
	if err != nil {
		return err
	}
	return a.compareThree(ctx, namedSnapshot{f.base, base}, namedSnapshot{nameA, from}, namedSnapshot{nameB, to}, f)
}

// namedSnapshot is a snapshot and what the caller calls it.
type namedSnapshot struct {
	name string
	*snapshots.Snapshot
}

func (n namedSnapshot) String() string {
	if strings.HasPrefix(n.Digest().String(), n.name) {
		return n.Digest().Short()
	}
	return n.name + " (" + n.Digest().Short() + ")"
}

// compare shows what differs, and says so with ui.ErrFound.
func (a *app) compare(ctx context.Context, from, to namedSnapshot, f diffFlags) error {
	if err := f.check(a); err != nil {
		return err
	}
	o := f.options(a)
	if f.where != "" {
		filter, err := pipelines.CompileChanges(f.where, from.Snapshot, to.Snapshot, f.tables)
		if err != nil {
			return err
		}
		a.noteLeft(filter)
		o.Where, o.Tables = filter.Holds, filter.Tables()
	}
	out, err := a.diffOutput(ctx, f, from, to)
	if err != nil {
		return err
	}
	defer out.abandon()
	var stat snapshots.Stat
	o.Stat = &stat
	for change, err := range snapshots.Diff(ctx, from.Snapshot, to.Snapshot, o) {
		if err != nil {
			return err
		}
		if out.show() {
			if err := out.Row(change); err != nil {
				return err
			}
		}
	}
	if err := out.finish(stat.Changed(), func(p diffprint.Printer) error { return p.Stat(stat) }); err != nil {
		return err
	}
	if !stat.Differs() {
		if f.format == "text" {
			a.notef("%s and %s do not differ in what was compared", from.Digest().Short(), to.Digest().Short())
		}
		return nil
	}
	return ui.ErrFound
}

// compareThree is compare with what both come from.
func (a *app) compareThree(ctx context.Context, base, from, to namedSnapshot, f diffFlags) error {
	if err := f.check(a); err != nil {
		return err
	}
	o := f.options(a)
	var where func(snapshots.ThreeWayChange) (bool, error)
	if f.where != "" {
		filter, err := pipelines.CompileThreeWay(f.where, base.Snapshot, from.Snapshot, to.Snapshot, f.tables)
		if err != nil {
			return err
		}
		a.noteLeft(filter)
		where, o.Tables = filter.HoldsThree, filter.Tables()
	}
	out, err := a.diffOutput(ctx, f, base, from, to)
	if err != nil {
		return err
	}
	defer out.abandon()
	var stat snapshots.ThreeWayStat
	for change, err := range snapshots.ThreeWay(ctx, base.Snapshot, from.Snapshot, to.Snapshot, o, where, &stat) {
		if err != nil {
			return err
		}
		if out.show() {
			if err := out.ThreeWay(change); err != nil {
				return err
			}
		}
	}
	if err := out.finish(stat.Changed(), func(p diffprint.Printer) error { return p.ThreeWayStat(stat) }); err != nil {
		return err
	}
	if stat.Changed() == 0 {
		return nil
	}
	return ui.ErrFound
}

// noteLeft names the tables that differ and that an expression does not fit, a
// line for each reason.
func (a *app) noteLeft(f *pipelines.ChangeFilter) {
	var reasons []string
	tables := map[string][]string{}
	for _, t := range f.Left {
		if tables[t.Why] == nil {
			reasons = append(reasons, t.Why)
		}
		tables[t.Why] = append(tables[t.Why], t.Table)
	}
	for _, why := range reasons {
		a.notef("left out, as --where does not fit them (%s): %s", why, strings.Join(tables[why], ", "))
	}
}
