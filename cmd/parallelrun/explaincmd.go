package main

import (
	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/pipelines"
)

func newExplain(a *app) *cobra.Command {
	f := runFlags{}
	o := pipelines.ExplainOptions{}
	cmd := &cobra.Command{
		Use:   "explain table key",
		Short: "Show one record's way from source to target, rule by rule",
		Long: "Show what became of one record in a run: its source row, the rule that took it and what each\n" +
			"expression came to, the checks, what the target's dialect makes of it, which rule decided each\n" +
			"column, the operation with its outcome, and what the target holds. The table is an entity\n" +
			"(users, departments, ...) or a legacy table; the key is the legacy key, for users also\n" +
			"username=NAME or email=ADDRESS. Secrets are named and never shown. Nothing is written.\n\n" +
			"The mapping and the snapshots are those of the run. Where a mapping computes keys or merges rows,\n" +
			"and to find a user by name, a whole table is read: the output says so.\n\n" +
			"Exit code 2: there is no such table, key or run.",
		Args: exactly("table", "key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Table, o.Key = args[0], args[1]
			return a.withRunner(cmd.Context(), &f, func(r *pipelines.Runner) error {
				e, err := r.Explain(cmd.Context(), o)
				if err != nil {
					return err
				}
				a.close()
				return a.out.Print(e)
			})
		},
	}
	cmd.Flags().StringVar(&f.migration, "migration", "", "migration of the configuration (default: the only one)")
	cmd.Flags().StringVar(&o.Run, "run", "", "run to look at (default: the latest that has a plan)")
	cmd.Flags().BoolVar(&o.TargetNow, "target-now", false, "read the row from the target as it is now, too")
	return cmd
}
