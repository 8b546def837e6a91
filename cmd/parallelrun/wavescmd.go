package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/pipelines/waves"
)

func newWaves(a *app) *cobra.Command {
	return newGroup("waves", "Who moves when, and who owns whom: list, show, assign, complete, reopen",
		newWavesList(a), newWavesShow(a), newWavesAssign(a), newWavesComplete(a), newWavesReopen(a))
}

// withStored opens what the store alone can tell of a migration.
func (a *app) withStored(ctx context.Context, migration string, fn func(*pipelines.Runner) error) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	_, m, err := c.Migration(migration)
	if err != nil {
		return err
	}
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	r, err := pipelines.OpenStored(c, s, pipelines.OpenOptions{
		Migration: migration, Memory: a.memory(m), Workers: a.workers(m), Progress: a.progress(), Tool: build().Version, Boundary: boundary,
	})
	if err != nil {
		return err
	}
	return fn(r)
}

// printAfter prints data after the last line of progress.
func (a *app) printAfter(v ui.View, err error) error {
	a.close()
	if err != nil {
		return err
	}
	return a.out.Print(v)
}

func migrationFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "migration", "", "migration of the configuration (default: the only one)")
}

func newWavesList(a *app) *cobra.Command {
	var migration string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the waves in order, with how many users are in each",
		Long: "List the waves in order: how many users are assigned, would be new by the newest desired state, stand\n" +
			"in the target as last confirmed, are gone from legacy, or were rejected or excluded this time; whether\n" +
			"the wave is loaded, or complete; and how many users are in no wave.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStored(cmd.Context(), migration, func(r *pipelines.Runner) error {
				list, err := r.WaveList(cmd.Context())
				return a.printAfter(list, err)
			})
		},
	}
	migrationFlag(cmd, &migration)
	return cmd
}

func newWavesShow(a *app) *cobra.Command {
	var migration string
	var keys bool
	cmd := &cobra.Command{
		Use:   "show wave",
		Short: "Show a wave: its rule, its state, its users",
		Args:  exactly("wave"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStored(cmd.Context(), migration, func(r *pipelines.Runner) error {
				return a.showWave(cmd.Context(), r, args[0], keys)
			})
		},
	}
	migrationFlag(cmd, &migration)
	cmd.Flags().BoolVar(&keys, "keys", false, "print the legacy key of everybody in it, one a line (with --json: more of each)")
	return cmd
}

func (a *app) showWave(ctx context.Context, r *pipelines.Runner, wave string, keys bool) error {
	detail, err := r.WaveDetail(ctx, wave)
	if err != nil || !keys {
		return a.printAfter(detail, err)
	}
	a.close()
	return r.WaveUsers(ctx, wave, func(u pipelines.AssignedUser) error { return a.out.Item(u) })
}

func newWavesAssign(a *app) *cobra.Command {
	var migration, file string
	var plan, apply, move bool
	cmd := &cobra.Command{
		Use:   "assign",
		Short: "Assign users to waves, by the rules or by a list",
		Long: "Give every user of the newest desired state that is in no wave yet the first wave whose rule takes it,\n" +
			"or with --file what the list says. Who is in a wave stays there, whatever the rules become; a list\n" +
			"with --move alone moves people. Runs assign by the rules themselves. Without --apply the plan is\n" +
			"shown and nothing is recorded. The target is not spoken to.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case plan && apply:
				return ui.Refusef("choose one", "--plan and --apply exclude each other")
			case move && file == "":
				return ui.Refusef("the rules never move anybody; name a list with --file", "--move is about a list")
			}
			return a.withStored(cmd.Context(), migration, func(r *pipelines.Runner) error {
				return a.assignWaves(cmd.Context(), r, file, move, apply)
			})
		},
	}
	migrationFlag(cmd, &migration)
	cmd.Flags().BoolVar(&plan, "plan", false, "show what would be recorded (the default)")
	cmd.Flags().BoolVar(&apply, "apply", false, "record it")
	cmd.Flags().StringVar(&file, "file", "", "CSV with the header key,wave: assign these users, and nobody else")
	cmd.Flags().BoolVar(&move, "move", false, "let the list take users out of the waves that they are in")
	return cmd
}

func (a *app) assignWaves(ctx context.Context, r *pipelines.Runner, file string, move, apply bool) error {
	desired, err := r.Desired(ctx)
	if err != nil {
		return err
	}
	info := desired.Info()
	a.notef("users as of the newest desired state, %s of %s", info.Digest.Short(), info.Time.Local().Format("2006-01-02 15:04:05"))
	var out *pipelines.Assigned
	switch hand := (waves.Hand{File: file, Move: move}); {
	case file != "" && apply:
		out, err = r.AssignByHand(ctx, hand, desired.Digest())
	case file != "":
		out, err = r.PlanByHand(ctx, hand, desired.Digest())
	case apply:
		out, err = r.Assign(ctx, "", desired.Digest())
	default:
		out, err = r.PlanAssign(ctx, "", desired.Digest())
	}
	return a.printAfter(out, err)
}

// checkWaves compiles a migration's waves.
func checkWaves(c *config.Config, name string, m config.Migration) error {
	_, err := pipelines.LoadWaves(c, name, m)
	return err
}
