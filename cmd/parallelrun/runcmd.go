package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
)

// runFlags are shared by the commands that begin or continue a run.
type runFlags struct {
	migration string
	apply     bool
	allow     []string
	widen     []string
	logins    string
	reports   string
	waves     []string
	sweep     bool
	everyone  bool
	over      overrideFlags
}

func (f *runFlags) register(cmd *cobra.Command, writes bool) {
	cmd.Flags().StringVar(&f.migration, "migration", "", "migration of the configuration (default: the only one)")
	cmd.Flags().StringVar(&f.reports, "reports", "", "folder for reports (default: reports, beside the configuration)")
	if !writes {
		return
	}
	cmd.Flags().BoolVar(&f.apply, "apply", false, "write to the target; without it the plan is all")
	cmd.Flags().StringVar(&f.logins, "logins", "", "CSV of legacy key and password, to prove logins at the end")
}

func (f *runFlags) registerAllow(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.allow, "allow", nil,
		"what a plan otherwise withholds, comma-separated: "+strings.Join(load.AllowWords, ", "))
	cmd.Flags().StringArrayVar(&f.widen, "widen", nil,
		"access that this run may give beyond gates.widening: roles=A,B, users=N, or kinds= with "+strings.Join(load.GateKinds, ", "))
}

func (f *runFlags) registerReach(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.waves, "wave", nil, "only the users of these waves, comma-separated, with the ancestors and groups that they need")
	cmd.Flags().BoolVar(&f.sweep, "sweep", false, "the users whom no wave has taken (too)")
	cmd.Flags().BoolVar(&f.everyone, "everyone", false, "all users, whatever their wave")
}

// options are the flags as a run takes them.
func (f *runFlags) options() (pipelines.RunOptions, error) {
	widen, err := pipelines.ParseWiden(f.widen)
	if err != nil {
		return pipelines.RunOptions{}, err
	}
	logins, err := loginsOf(f)
	return f.over.options(pipelines.RunOptions{Apply: f.apply, Allow: f.allow, Widen: widen, Waves: f.waves, Sweep: f.sweep, Everyone: f.everyone, Logins: logins}), err
}

// withRunner opens the configured migration for the time of fn.
func (a *app) withRunner(ctx context.Context, f *runFlags, fn func(*pipelines.Runner) error) (err error) {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	_, m, err := c.Migration(f.migration)
	if err != nil {
		return err
	}
	r, err := pipelines.Open(ctx, c, pipelines.OpenOptions{
		Migration: f.migration, Memory: a.memory(m), Workers: a.workers(m), Progress: a.progress(), Tool: build().Version, ReportDir: f.reports,
		Boundary: boundary, DriftPart: driftPart, LeaseTTL: leaseTTL,
	})
	if err != nil {
		return mappingErr(err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return fn(r)
}

// boundary is told before and after each step of a run; tests stop the process
// there.
var boundary func(step string, done bool)

// leaseTTL is how long a target's holder is believed, zero for the default;
// tests can't wait for minutes.
var leaseTTL time.Duration

// loginsOf reads the samples that a flag names, nil for none.
func loginsOf(f *runFlags) (pipelines.LoginSamples, error) {
	if f.logins == "" {
		return nil, nil
	}
	return pipelines.ReadLogins(f.logins)
}

// finish prints an outcome and turns it into the command's error.
func (a *app) finish(out *pipelines.Outcome, err error) error {
	if out != nil && (err == nil || out.Planned != nil) {
		a.close() // the data comes after the last line of progress
		if printErr := a.out.Print(out.View()); err == nil {
			err = printErr
		}
	}
	if err != nil {
		if out != nil && out.State == pipelines.Stopped {
			a.notef("run %s stopped; `parallelrun resume %s` goes on", out.ID, out.ID)
		}
		return err
	}
	if !out.Clean() {
		return ui.ErrFound
	}
	return nil
}

func newRun(a *app) *cobra.Command {
	f := runFlags{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Take a migration from its source to its target, and prove it",
		Long: "Extract the source, transform it, observe the target, plan, load, and verify by reading back.\n" +
			"Every state on the way is a snapshot in the store. Without --apply the run ends with its plan:\n" +
			"nothing is written to the target. A run that stopped goes on with `parallelrun resume`.\n\n" +
			"With waves configured, a run without --wave, --sweep or --everyone follows those who have moved\n" +
			"already; all others are deferred.\n\n" +
			"Exit code 1: rows failed or differ; 4: the outcome of some is unknown.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withRunner(cmd.Context(), &f, func(r *pipelines.Runner) error {
				o, err := f.options()
				if err != nil {
					return err
				}
				return a.finish(r.Run(cmd.Context(), o))
			})
		},
	}
	f.register(cmd, true)
	f.registerAllow(cmd)
	f.registerReach(cmd)
	f.over.register(cmd, true)
	return cmd
}

func newPlan(a *app) *cobra.Command {
	f := runFlags{}
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what a run would do, and store it as a plan",
		Long: "Do all of a run that writes nothing to the target, and store the plan. `parallelrun load --apply`\n" +
			"carries it out as it stands; it refuses when the target was loaded by another run meanwhile.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withRunner(cmd.Context(), &f, func(r *pipelines.Runner) error {
				o, err := f.options()
				if err != nil {
					return err
				}
				return a.finish(r.Run(cmd.Context(), o))
			})
		},
	}
	f.register(cmd, false)
	f.registerAllow(cmd)
	f.registerReach(cmd)
	f.over.register(cmd, false)
	return cmd
}

func newLoad(a *app) *cobra.Command {
	f := runFlags{}
	cmd := &cobra.Command{
		Use:   "load [run]",
		Short: "Carry out a stored plan",
		Long: "Carry out the plan of a run (default: the latest), exactly as it was stored. Without --apply it is\n" +
			"shown again.",
		Args: between(0, "run"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.resume(cmd.Context(), &f, args, f.apply) },
	}
	f.register(cmd, true)
	f.over.register(cmd, true)
	return cmd
}

func newResume(a *app) *cobra.Command {
	f := runFlags{}
	cmd := &cobra.Command{
		Use:   "resume [run]",
		Short: "Go on with a run that stopped",
		Long: "Go on with a run (default: the latest) where it stopped. Steps that are done are not done again;\n" +
			"operations whose outcome is not known are looked up in the target before anything is sent.\n" +
			"A run that was started with --apply writes on; one that was not ends with its plan.",
		Args: between(0, "run"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.resume(cmd.Context(), &f, args, false) },
	}
	cmd.Flags().StringVar(&f.migration, "migration", "", "migration of the configuration (default: the only one)")
	cmd.Flags().StringVar(&f.reports, "reports", "", "folder for reports (default: reports, beside the configuration)")
	cmd.Flags().StringVar(&f.logins, "logins", "", "CSV of legacy key and password, to prove logins at the end")
	f.over.register(cmd, true)
	return cmd
}

func (a *app) resume(ctx context.Context, f *runFlags, args []string, apply bool) error {
	return a.withRunner(ctx, f, func(r *pipelines.Runner) error {
		logins, err := loginsOf(f)
		if err != nil {
			return err
		}
		id := "latest"
		if len(args) > 0 {
			id = args[0]
		}
		return a.finish(r.Resume(ctx, id, f.over.options(pipelines.RunOptions{Apply: apply, Logins: logins})))
	})
}
