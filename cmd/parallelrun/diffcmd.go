package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/diffprint"
)

// diffFlags say what to compare and what to show.
type diffFlags struct {
	rows    bool
	stat    bool
	tables  []string
	columns []string
	limit   int64
}

func newSnapshotsDiff(a *app) *cobra.Command {
	return newDiff(a.diff, &cobra.Command{
		Short: "Compare two snapshots",
		Long: "Compare two snapshots, by names or digests: what is so in b and was not so in a. What a\n" +
			"checkpoint pins is named checkpoint/NAME/ROLE, such as checkpoint/before-pilot/base.\n" +
			"Secrets are compared and never shown. With --json every row and every table's counts are\n" +
			"a line of their own. Exit code 1 if they differ.",
	})
}

// newDiff completes a command that compares two named things.
func newDiff(diff func(ctx context.Context, a, b string, f diffFlags) error, cmd *cobra.Command) *cobra.Command {
	var f diffFlags
	cmd.Use, cmd.Args = "diff a b", exactly("a", "b")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return diff(cmd.Context(), args[0], args[1], f) }
	f.register(cmd)
	return cmd
}

func (f *diffFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.rows, "rows", false, "show every row that differs, with its fields")
	cmd.Flags().BoolVar(&f.stat, "stat", false, "show the counts (as without --rows)")
	cmd.Flags().StringSliceVar(&f.tables, "table", nil, "compare these tables only")
	cmd.Flags().StringSliceVar(&f.columns, "column", nil, "compare these columns only")
	cmd.Flags().Int64Var(&f.limit, "limit", 0, "show this many rows at most (0: all); all are counted")
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
	return a.compare(ctx, from, to, f)
}

// compare shows what differs, and says so with ui.ErrFound.
func (a *app) compare(ctx context.Context, from, to *snapshots.Snapshot, f diffFlags) error {
	stat, err := a.showDiff(ctx, from, to, f)
	if err != nil {
		return err
	}
	if stat.Changed() > 0 {
		return ui.ErrFound
	}
	return nil
}

// showDiff prints what differs from one snapshot to another.
func (a *app) showDiff(ctx context.Context, from, to *snapshots.Snapshot, f diffFlags) (snapshots.Stat, error) {
	printRow, printStat := diffprint.Row, diffprint.Stat
	if a.out.JSON() {
		printRow, printStat = diffprint.RowJSON, diffprint.StatJSON
	}
	var stat snapshots.Stat
	o := snapshots.DiffOptions{Tables: f.tables, Columns: f.columns, Stat: &stat}
	var shown int64
	for change, err := range snapshots.Diff(ctx, from, to, o) {
		if err != nil {
			return stat, err
		}
		if !f.rows || f.limit > 0 && shown >= f.limit {
			continue
		}
		shown++
		if err := printRow(a.stdout, change); err != nil {
			return stat, err
		}
	}
	if f.rows && stat.Changed() > shown {
		a.notef("%s rows shown of %s that differ", ui.Count(shown), ui.Count(stat.Changed()))
	}
	if stat.Changed() == 0 && !a.out.JSON() {
		a.notef("%s and %s do not differ in what was compared", from.Digest().Short(), to.Digest().Short())
	}
	if f.rows && !f.stat && !a.out.JSON() {
		return stat, nil
	}
	return stat, printStat(a.stdout, stat)
}
