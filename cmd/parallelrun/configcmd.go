package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
)

func newConfig(a *app) *cobra.Command {
	return newGroup("config", "The configuration", newConfigCheck(a))
}

// checkView is the data of `config check`.
type checkView struct {
	File     string          `json:"file"`
	OK       bool            `json:"ok"`
	Problems config.Problems `json:"problems"`
}

func (v checkView) Text(p *ui.Page) {
	for _, problem := range v.Problems {
		p.Line("%s", problem.Error())
		if problem.Next != "" {
			p.Line("  hint: %s", problem.Next)
		}
	}
	if v.OK {
		p.Line("%s: no problem found", v.File)
		return
	}
	p.Blank()
	p.Line("%s: %s", v.File, counted(len(v.Problems), "problem"))
}

// counted writes a number with its noun: 1 problem, 2 problems, 3 entries.
func counted(n int, noun string) string {
	plural := noun + "s"
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		plural = stem + "ies"
	}
	if n == 1 {
		plural = noun
	}
	return ui.Count(int64(n)) + " " + plural
}

func newConfigCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and everything that it names",
		Long: "Check the configuration: its shape, that the files it names are there, that the variables it\n" +
			"names are set, that mappings compile. Nothing is written and no target is spoken to.\n" +
			"Exit code 2 if there is a problem.",
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return a.checkConfig() },
	}
}

func (a *app) checkConfig() error {
	c, err := a.loadConfig()
	problems, ok := err.(config.Problems)
	if err != nil && !ok {
		return err
	}
	if err == nil {
		problems = c.Check(config.Checker{Store: pipelines.CheckStore, Mapping: checkMapping, Waves: checkWaves, Adopt: checkAdopt, Aliases: checkAliases, Source: checkSource, Ownership: checkOwnership, Identity: checkIdentity})
	}
	if problems == nil {
		problems = config.Problems{}
	}
	view := checkView{File: a.flags.config, OK: len(problems) == 0, Problems: problems}
	if err := a.out.Print(view); err != nil || view.OK {
		return err
	}
	return &ui.Failure{Code: ui.Refused, Err: ui.ErrFound}
}

func checkIdentity(v config.SecretValue) error {
	_, err := seal.ParseIdentity([]byte(v.Reveal()))
	return err
}
