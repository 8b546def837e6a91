package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
)

// extractView is the data of `extract`.
type extractView struct {
	Source   string `json:"source"`
	Snapshot string `json:"snapshot"`
	extract.Stats
	Warnings []string `json:"warnings,omitempty"`
	Written  int64    `json:"bytes_written"`
	Spilled  int64    `json:"spilled_bytes"`
}

func (v extractView) Text(p *ui.Page) {
	t := ui.NewTable("TABLE", "ROWS", "UNREAD")
	for _, name := range slices.Sorted(maps.Keys(v.Tables)) {
		t.Row(name, ui.Count(v.Tables[name].Rows), ui.Count(v.Tables[name].Unread))
	}
	p.Table(t)
	p.Blank()
	p.Line("snapshot %s of source %s: %s read, %s written", shortDigest(v.Snapshot), v.Source, ui.Bytes(v.Bytes), ui.Bytes(v.Written))
	for _, w := range v.Warnings {
		p.Line("  %s", w)
	}
}

func newExtract(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "extract [source]",
		Short: "Read a source into a snapshot, and do no more",
		Long: "Read a source (the only one, unless it is named) into a snapshot of stage legacy, named\n" +
			"source/NAME/legacy. Nothing is mapped and no target is asked; compare it with others by\n" +
			"`snapshots diff`. Runs read the source by themselves.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.extract(cmd.Context(), append(args, "")[0])
		},
	}
}

func (a *app) extract(ctx context.Context, source string) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	name, _, err := c.Source(source)
	if err != nil {
		return err
	}
	m := config.Migration{}
	got, err := pipelines.Extract(ctx, c, name, pipelines.OpenOptions{Memory: a.memory(m), Workers: a.workers(m), Progress: a.progress(), Tool: build().Version})
	if err != nil {
		return err
	}
	return a.out.Print(extractView{Source: name, Snapshot: got.Snapshot.String(), Stats: got.Stats, Warnings: got.Warnings, Written: got.Put.Bytes, Spilled: got.Spilled})
}
