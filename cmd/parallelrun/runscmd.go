package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
)

func newRuns(a *app) *cobra.Command {
	return newGroup("runs", "Runs and what became of them", newRunsList(a), newRunsShow(a))
}

// runsView is the data of `runs list`.
type runsView struct {
	Runs []pipelines.Summary `json:"runs"`
}

func (v runsView) Text(p *ui.Page) {
	t := ui.NewTable("RUN", "MIGRATION", "TARGET", "STATE", "LAST STEP", "STARTED")
	for _, r := range v.Runs {
		t.Row(r.ID, r.Migration, r.Target, string(r.State), r.LastStep, r.Created.Local().Format("2006-01-02 15:04:05"))
	}
	p.Table(t)
	if len(v.Runs) == 0 {
		p.Line("no runs yet; start one with `parallelrun run`")
	}
}

func newRunsList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the runs, the newest last",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.readStore(cmd.Context())
			if err != nil {
				return err
			}
			runs, err := pipelines.Summaries(cmd.Context(), s)
			if err != nil {
				return err
			}
			return a.out.Print(runsView{Runs: runs})
		},
	}
}

func newRunsShow(a *app) *cobra.Command {
	var lists []string
	cmd := &cobra.Command{
		Use:   "show [run]",
		Short: "Show what a run (default: the latest) came to",
		Long: "Show what a run (default: the latest) came to. --list names the rows of its plan's lists in place\n" +
			"of counting them, with the fields concerned and no values; with --json every row is a line.",
		Args: between(0, "run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.readStore(cmd.Context())
			if err != nil {
				return err
			}
			id := "latest"
			if len(args) > 0 {
				id = args[0]
			}
			if len(lists) > 0 {
				return pipelines.Listed(cmd.Context(), s, id, lists, func(r pipelines.ListedRow) error { return a.out.Item(r) })
			}
			out, err := pipelines.ReadOutcome(cmd.Context(), s, id)
			if err != nil {
				return err
			}
			return a.out.Print(out)
		},
	}
	cmd.Flags().StringSliceVar(&lists, "list", nil, "name the rows of these lists of the plan, comma-separated: "+strings.Join(load.Lists, ", "))
	return cmd
}
