package main

import (
	"bufio"
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
)

func newConflicts(a *app) *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use:   "conflicts [run]",
		Short: "Show what a plan leaves for a person to decide",
		Long: "Show the conflicts of a run's plan (default: the latest) with the values of both sides, secrets\n" +
			"masked: what no rule settles, and what is withheld. --out writes them to a file to edit; named as\n" +
			"`decisions` of the migration, later runs obey it. With --json every conflict is a line.",
		Args: between(0, "run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			run := "latest"
			if len(args) > 0 {
				run = args[0]
			}
			return a.conflicts(cmd.Context(), run, file)
		},
	}
	cmd.Flags().StringVar(&file, "out", "", "write a file of decisions to edit; it must not exist")
	return cmd
}

func (a *app) conflicts(ctx context.Context, run, file string) error {
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	if file != "" {
		return a.writeDecisions(func(w *bufio.Writer) (int, error) { return pipelines.WriteDecisions(ctx, s, run, w) }, file)
	}
	shown := 0
	err = pipelines.ConflictsOf(ctx, s, run, func(c pipelines.OpenConflict) error {
		shown++
		return a.out.Item(c)
	})
	if err == nil && shown == 0 {
		a.notef("nothing to decide in this plan")
	}
	return err
}

// writeDecisions makes the file: what people decided before is never replaced.
func (a *app) writeDecisions(write func(*bufio.Writer) (int, error), file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return ui.Refusef("name another; decisions that were made stay", "%s is there already", file)
	}
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	n, err := write(w)
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	a.notef("%s written to %s; decide, and name the file as `decisions` of the migration", counted(n, "conflict"), file)
	return nil
}
