package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
)

// restoreFlags are shared by restore and undo.
type restoreFlags struct {
	runFlags
	pipelines.RestoreOptions
	to   string
	plan bool
}

func (f *restoreFlags) register(cmd *cobra.Command) {
	f.runFlags.register(cmd, true)
	f.registerAllow(cmd)
	cmd.Flags().BoolVar(&f.plan, "plan", false, "show what would be done (the default)")
	f.over.register(cmd, true)
	cmd.Flags().BoolVar(&f.Overwrite, "overwrite", false, "bring back what others changed in the target too")
	cmd.Flags().BoolVar(&f.DeleteCreated, "delete-created", false, "delete rows that we made since and nobody changed, instead of disabling users")
}

// options are the flags as a restore takes them.
func (f *restoreFlags) options() (o pipelines.RestoreOptions, err error) {
	if f.plan && f.apply {
		return o, ui.Refusef("choose one", "--plan and --apply exclude each other")
	}
	o = f.RestoreOptions
	o.RunOptions, err = f.runFlags.options()
	return o, err
}

func (a *app) restore(ctx context.Context, f *restoreFlags, begin func(*pipelines.Runner, pipelines.RestoreOptions) (*pipelines.Outcome, error)) error {
	return a.withRunner(ctx, &f.runFlags, func(r *pipelines.Runner) error {
		o, err := f.options()
		if err != nil {
			return err
		}
		return a.finish(begin(r, o))
	})
}

const restoreLong = "What we did since is undone where that takes access away. What others changed in the target since\n" +
	"stays unless --overwrite; what would give access back (enable, roles, groups, links, an older\n" +
	"password, an account that is gone) is withheld unless --allow names it. Users who are not in the\n" +
	"checkpoint are disabled, or with --delete-created deleted if we made them and nobody changed them.\n" +
	"The plan lists all of it, and how long it will take at the pace that was measured last; without\n" +
	"--apply that is all. It obeys brake, lease and ledger as any run,\n" +
	"and is resumed as any run."

func newRestore(a *app) *cobra.Command {
	f := restoreFlags{}
	cmd := &cobra.Command{
		Use:   "restore <checkpoint>",
		Short: "Bring a target back to a checkpoint",
		Long: "Bring the target back to what stood in it when the checkpoint was taken, or fill an empty target\n" +
			"from it.\n\n" + restoreLong,
		Args: exactly("checkpoint"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.restore(cmd.Context(), &f, func(r *pipelines.Runner, o pipelines.RestoreOptions) (*pipelines.Outcome, error) {
				return r.Restore(cmd.Context(), args[0], o)
			})
		},
	}
	f.register(cmd)
	return cmd
}

func newUndo(a *app) *cobra.Command {
	f := restoreFlags{}
	cmd := &cobra.Command{
		Use:   "undo <wave>",
		Short: "Bring one wave's users back to before its first run",
		Long: "Bring the rows of one wave's users back to the checkpoint that was taken before the wave's first\n" +
			"run. All others stay as they are.\n\n" + restoreLong,
		Args: exactly("wave"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.restore(cmd.Context(), &f, func(r *pipelines.Runner, o pipelines.RestoreOptions) (*pipelines.Outcome, error) {
				return r.Undo(cmd.Context(), args[0], f.to, o)
			})
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.to, "to", "", "checkpoint to go back to (default: the one before the wave's first run)")
	return cmd
}
