package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
)

// initView is the data of `init`.
type initView struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"`
	Next  []string `json:"next"`
}

func (v initView) Text(p *ui.Page) {
	p.Line("wrote into %s:", v.Dir)
	for _, f := range v.Files {
		p.Line("  %s", f)
	}
	p.Blank()
	p.Line("next:")
	for _, n := range v.Next {
		p.Line("  %s", n)
	}
}

func newInit(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "init [dir]",
		Short: "Write a commented configuration, mapping and templates to start from",
		Long: "Write a commented set of files to start from: migration.yaml, mapping.yaml and templates.\n" +
			"It runs as it is on the demo data, with a target that this program serves itself.\n" +
			"Files that are there already are never overwritten: then nothing is written at all.",
		Args: between(0, "dir"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			files, err := writeStarter(dir)
			if err != nil {
				return err
			}
			return a.out.Print(initView{Dir: dir, Files: files, Next: nextSteps(dir)})
		},
	}
}

// nextSteps are commands to copy.
func nextSteps(dir string) []string {
	var cd []string
	if filepath.Clean(dir) != "." {
		cd = []string{"cd " + dir}
	}
	return append(cd,
		"parallelrun key init          # the key that the store's secrets are sealed with",
		"parallelrun config check      # says what is still missing",
		"parallelrun run               # shows what would be done; --apply does it",
	)
}
