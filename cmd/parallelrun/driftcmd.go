package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
)

// driftPart is how many users a part of a drift has, zero for the default;
// tests make small ones.
var driftPart int64

// driftFlags say whom to look at.
type driftFlags struct {
	runFlags
	full, resume bool
	since        string
	keys         []string
	keysFile     string
	rows         int
}

func newDrift(a *app) *cobra.Command {
	f := driftFlags{}
	cmd := &cobra.Command{
		Use:   "drift [--resume [drift]]",
		Short: "Compare the target with what was last confirmed in it",
		Long: "Read back from the target what runs have confirmed there, and compare: what others changed behind\n" +
			"our back shows as a diff, with what was looked at and what was not. Nothing is written to the target.\n\n" +
			"By default everybody is looked at, in parts that are kept: a drift that stopped goes on with --resume.\n" +
			"--since looks at those alone whom the target's events name since an earlier drift: its id, or \"last\".\n" +
			"It needs the realm's admin and user events, and refuses where they can't tell all. --keys and\n" +
			"--keys-file look at chosen users.\n\n" +
			"Exit code 1 if there are differences.",
		Args: between(0, "drift"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args); err != nil {
				return err
			}
			return a.withRunner(cmd.Context(), &f.runFlags, func(r *pipelines.Runner) error {
				return a.finishDrift(a.drift(cmd.Context(), r, f, args))
			})
		},
	}
	f.register(cmd, false)
	flags := cmd.Flags()
	flags.BoolVar(&f.full, "full", false, "look at everybody, and at the whole structure (the default)")
	flags.StringVar(&f.since, "since", "", "look at whom events name since this drift, or since the \"last\"")
	flags.StringSliceVar(&f.keys, "keys", nil, "look at the users with these legacy keys, comma-separated")
	flags.StringVar(&f.keysFile, "keys-file", "", "look at the users whose legacy keys are in this file, one per line")
	flags.BoolVar(&f.resume, "resume", false, "go on with a drift (default: the latest that stopped)")
	flags.IntVar(&f.rows, "rows", 3, "changed rows to show per table")
	return cmd
}

// check refuses scopes that exclude each other.
func (f *driftFlags) check(cmd *cobra.Command, args []string) error {
	var given []string
	for _, name := range []string{"full", "since", "keys", "keys-file", "resume"} {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	switch {
	case len(given) > 1:
		return ui.Refusef("choose one", "%s and %s exclude each other", given[0], given[1])
	case len(args) > 0 && !f.resume:
		return ui.Refusef("usage: "+cmd.UseLine(), "%s: %q is one argument too many", cmd.CommandPath(), args[0])
	case cmd.Flags().Changed("since") && f.since == "":
		return ui.Refusef("give the id of a drift, or last", "--since names nothing")
	}
	return nil
}

func (a *app) drift(ctx context.Context, r *pipelines.Runner, f driftFlags, args []string) (*pipelines.Drift, error) {
	if f.resume {
		id := ""
		if len(args) > 0 {
			id = args[0]
		}
		return r.ResumeDrift(ctx, id, f.rows)
	}
	o := pipelines.DriftOptions{Rows: f.rows, Since: f.since}
	for _, k := range f.keys {
		o.Keys = append(o.Keys, pipelines.DriftKey{Key: k, At: "--keys"})
	}
	if f.keysFile != "" {
		keys, err := pipelines.ReadDriftKeys(f.keysFile)
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			return nil, ui.Refusef("write one legacy key per line", "%s: no key in it", f.keysFile)
		}
		o.Keys = keys
	}
	return r.Drift(ctx, o)
}

// finishDrift prints a drift and turns it into the command's error.
func (a *app) finishDrift(d *pipelines.Drift, err error) error {
	if err != nil {
		_, refused := errors.AsType[*ui.Failure](err)
		_, blind := errors.AsType[*load.FeedError](err)
		if s, ok := errors.AsType[*pipelines.DriftStoppedError](err); ok && !refused && !blind {
			a.notef("drift %s stopped; `parallelrun drift --resume %s` goes on", s.ID, s.ID)
		}
		return err
	}
	a.close()
	if err := a.out.Print(d); err != nil {
		return err
	}
	if d.Differences > 0 {
		return ui.ErrFound
	}
	return nil
}
