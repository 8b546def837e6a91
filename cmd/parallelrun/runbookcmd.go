package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/pipelines/runbook"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// runbookView is the data of `runbook`.
type runbookView struct {
	Migration string `json:"migration"`
	// File is where it was written; else the text is here.
	File     string `json:"file,omitempty"`
	Markdown string `json:"markdown,omitempty"`
}

func (v runbookView) Text(p *ui.Page) {
	if v.File != "" {
		p.Line("wrote the runbook of migration %s to %s", v.Migration, v.File)
		return
	}
	p.Line("%s", v.Markdown[:len(v.Markdown)-1])
}

func newRunbook(a *app) *cobra.Command {
	var migration, out string
	cmd := &cobra.Command{
		Use:   "runbook",
		Short: "Write the rollback runbook for this configuration",
		Long: "Write how to pause and continue, how to route people back to legacy, and how to restore from a\n" +
			"checkpoint and retry: with the exact commands for this configuration, what they print when all is\n" +
			"well, and the runs and snapshots of now. It is Markdown. A file that is there already is not\n" +
			"overwritten. The target is not asked.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runbook(cmd.Context(), migration, out)
		},
	}
	cmd.Flags().StringVar(&migration, "migration", "", "migration of the configuration (default: the only one)")
	cmd.Flags().StringVarP(&out, "out", "o", "", "file to write it to (default: print it)")
	return cmd
}

func (a *app) runbook(ctx context.Context, migration, out string) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	s, err := a.storeIfThere(ctx)
	if err != nil {
		return err
	}
	d, err := pipelines.RunbookData(ctx, c, migration, s, time.Now())
	if err != nil {
		return err
	}
	d.Config, d.StoreFlag = a.flags.config, a.flags.store != ""
	var text bytes.Buffer
	if err := runbook.Write(&text, d); err != nil {
		return err
	}
	if out == "" {
		return a.out.Print(runbookView{Migration: d.Migration, Markdown: text.String()})
	}
	err = writeNew(out, text.Bytes())
	if errors.Is(err, fs.ErrExist) {
		return ui.Refusef("name another file, or move this one away", "%s is there already", out)
	}
	if err != nil {
		return err
	}
	return a.out.Print(runbookView{Migration: d.Migration, File: out})
}

// storeIfThere opens the store for reading; nil where there is none yet.
func (a *app) storeIfThere(ctx context.Context) (*snapshots.Store, error) {
	s, err := a.readStore(ctx)
	if errors.Is(err, local.ErrNoStoreDir) || errors.Is(err, snapshots.ErrNoStore) {
		return nil, nil
	}
	return s, err
}
