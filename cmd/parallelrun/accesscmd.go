package main

import (
	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
)

func newAccess(a *app) *cobra.Command {
	var f pipelines.AccessFilter
	wave := ""
	cmd := &cobra.Command{
		Use:   "access [run]",
		Short: "Show whose access a plan changes, and how",
		Long: "Show the access diff of a run's plan (default: the latest): for each user whose effective access\n" +
			"changes what is gained (+) and lost (-) and by which way, through groups, organizations, departments\n" +
			"and composite roles. New accounts are left out unless asked for. With --json every user is a line.",
		Args: between(0, "run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("wave") {
				f.Wave = &wave
			}
			s, err := a.readStore(cmd.Context())
			if err != nil {
				return err
			}
			run := "latest"
			if len(args) > 0 {
				run = args[0]
			}
			shown := 0
			err = pipelines.AccessOf(cmd.Context(), s, run, f, func(c load.AccessChange) error {
				shown++
				return a.out.Item(accessView{c})
			})
			if err == nil && shown == 0 {
				a.notef("no such change of access in this plan")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&wave, "wave", "", "users of this wave only; empty: those in none")
	cmd.Flags().StringVar(&f.User, "user", "", "the user with this legacy key only")
	cmd.Flags().BoolVar(&f.Widening, "widening", false, "users who gain access only")
	cmd.Flags().BoolVar(&f.New, "new", false, "new accounts as well")
	return cmd
}

// accessView is one user of `access`.
type accessView struct{ load.AccessChange }

func (v accessView) Text(p *ui.Page) {
	head := v.Key
	if v.Wave != "" {
		head += "  (wave " + v.Wave + ")"
	}
	if v.New {
		head += "  new"
	}
	if v.Dormant {
		head += "  the account is disabled: this counts once it is enabled"
	}
	p.Line("%s", head)
	for _, flag := range []struct {
		is   bool
		text string
	}{{v.Recreated, "+ made anew after it was deleted in the target"}, {v.Removed, "- deleted"}, {v.Enabled, "+ enabled"}, {v.Disabled, "- disabled"},
		{v.OlderPassword, "+ an older password"}} {
		if flag.is {
			p.Line("  %s", flag.text)
		}
	}
	for _, g := range v.Gained {
		p.Line("  + %s", g)
	}
	for _, g := range v.Lost {
		p.Line("  - %s", g)
	}
}
