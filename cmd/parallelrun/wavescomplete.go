package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/pipelines"
)

func newWavesComplete(a *app) *cobra.Command {
	f := completeFlags{}
	cmd := f.command(a, (*pipelines.Runner).Complete, &cobra.Command{
		Use:   "complete wave",
		Short: "Declare a wave complete: from then on Keymate owns its users' profiles",
		Long: "Declare a wave complete. From the next plan on, what the target holds of its users stays (their\n" +
			"roles and groups too), whatever legacy says of them. Memberships and passwords go on as before; whom\n" +
			"legacy disables, or no longer has, is disabled all the same.\n\n" +
			"A wave that nobody of is in the target is refused; so is one of which users are not loaded yet, are in\n" +
			"conflict, failed or are of unknown outcome, or that was undone, unless --override-open says why.\n" +
			"Without --apply the command says what it would mean. Only the store is written.",
	})
	f.despite.flag = "--override-open"
	cmd.Flags().Var(&f.despite, "override-open", "declare it although ends are open, for a reason that is recorded")
	return cmd
}

func newWavesReopen(a *app) *cobra.Command {
	f := completeFlags{}
	return f.command(a, (*pipelines.Runner).Reopen, &cobra.Command{
		Use:   "reopen wave",
		Short: "Give the profiles of a complete wave's users back to legacy",
		Long: "Open a complete wave again: legacy owns its users' profiles. Where they differ, the next run that\n" +
			"writes brings legacy's values back. Access that Keymate took away meanwhile stays away unless that run\n" +
			"is given --allow. Without --apply the command says what it would mean. Only the store is written.",
	})
}

// completeFlags are those of `waves complete` and `waves reopen`.
type completeFlags struct {
	migration       string
	reason, despite reason
	apply           bool
}

// command adds to a command what both have.
func (f *completeFlags) command(a *app, do func(*pipelines.Runner, context.Context, string, pipelines.CompleteOptions) (*pipelines.Completion, error), cmd *cobra.Command) *cobra.Command {
	cmd.Args = exactly("wave")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o := pipelines.CompleteOptions{Record: f.apply, Reason: f.reason.text, Despite: f.despite.text}
		return a.withStored(cmd.Context(), f.migration, func(r *pipelines.Runner) error {
			out, err := do(r, cmd.Context(), args[0], o)
			return a.printAfter(out, err)
		})
	}
	migrationFlag(cmd, &f.migration)
	cmd.Flags().BoolVar(&f.apply, "apply", false, "record it")
	f.reason.flag = "--reason"
	cmd.Flags().Var(&f.reason, "reason", "why, for those who read the log later")
	return cmd
}
