package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots/doctor"
)

func newStore(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Examine the place where the store lies",
		Args:  cobra.ArbitraryArgs,
		RunE:  group,
	}
	cmd.AddCommand(newStoreDoctor(a))
	return cmd
}

func newStoreDoctor(a *app) *cobra.Command {
	var rounds int
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Prove that the store's place keeps what commits rely on",
		Long: "Prove that the store's place, a bucket above all, keeps what commits rely on: that a key which has an\n" +
			"object takes no other, also when writers race; that what was written is seen at once, in reads and in\n" +
			"lists; that damaged bytes are refused. It writes small objects under doctor/, which stay and may be\n" +
			"removed at any time, and touches nothing else. Exit code 1 if a promise is broken: keep no store there.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.storeDoctor(cmd.Context(), rounds) },
	}
	cmd.Flags().IntVar(&rounds, "rounds", 10, "how often 32 writers race for one key")
	return cmd
}

// doctorView is the data of `store doctor`.
type doctorView struct {
	OK bool `json:"ok"`
	doctor.Report
}

func (v doctorView) Text(p *ui.Page) {
	p.Line("store %s", v.Location)
	p.Blank()
	table := ui.NewTable("probe", "result", "promise")
	for _, probe := range v.Probes {
		table.Row(probe.Name, string(probe.Result), probe.Promise)
	}
	p.Table(table)
	for _, probe := range v.Probes {
		if probe.What != "" {
			p.Line("%s: %s", probe.Name, probe.What)
		}
	}
	p.Blank()
	p.Line("%s of probes lie under %s and may be removed at any time", counted(int(v.Objects), "object"), v.Prefix)
}

func (a *app) storeDoctor(ctx context.Context, rounds int) error {
	var step *ui.Step
	report, err := doctor.Run(ctx, doctor.Options{Rounds: rounds, Open: a.openPlace, Progress: func(string) {
		if step == nil {
			step = a.progress().Step("doctor", 0, "probes")
		}
		step.Add(1)
	}})
	if err != nil {
		return storeError(err)
	}
	step.End()
	broken := report.Broken()
	if err := a.out.Print(doctorView{len(broken) == 0, report}); err != nil || len(broken) == 0 {
		return err
	}
	return &ui.Failure{Code: ui.Failed, Next: broken[0].Next, Err: brokenPlace(report.Location, broken)}
}

func brokenPlace(location string, broken []doctor.Probe) error {
	var names []string
	for _, p := range broken {
		names = append(names, fmt.Sprintf("%q", p.Name))
	}
	return fmt.Errorf("%s is no place for a store: %s failed", location, strings.Join(names, ", "))
}
