package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
)

func newSnapshotsVerify(a *app) *cobra.Command {
	var quick, deep bool
	cmd := &cobra.Command{
		Use:   "verify [snapshot...]",
		Short: "Check that the store holds what its log says",
		Long: "Check that the store holds what its log says: the log's chain, the manifests, and the bytes of\n" +
			"every object of the named snapshots, or of all and of what checkpoints pin. --quick looks at names and sizes alone; --deep\n" +
			"decodes every row too and computes all digests anew. Exit code 5 if something is damaged.",
		RunE: func(cmd *cobra.Command, args []string) error {
			level := snapshots.VerifyBytes
			switch {
			case quick && deep:
				return ui.Refusef("choose one", "--quick and --deep exclude each other")
			case quick:
				level = snapshots.VerifyNames
			case deep:
				level = snapshots.VerifyRows
			}
			return a.verifyStore(cmd.Context(), args, level)
		},
	}
	cmd.Flags().BoolVar(&quick, "quick", false, "look at names and sizes alone")
	cmd.Flags().BoolVar(&deep, "deep", false, "decode every row and compute all digests anew")
	return cmd
}

// verifyView is the data of `snapshots verify`.
type verifyView struct {
	OK        bool  `json:"ok"`
	Entries   int   `json:"log_entries"`
	Snapshots int   `json:"snapshots"`
	Objects   int   `json:"objects"`
	Bytes     int64 `json:"bytes"`
	Rows      int64 `json:"rows_decoded,omitempty"`
	// Checkpoints whose files were looked at too.
	Checkpoints int           `json:"checkpoints,omitempty"`
	Findings    []findingView `json:"findings"`
}

// findingView is one thing that is damaged.
type findingView struct {
	Object   string `json:"object"`
	Snapshot string `json:"snapshot,omitempty"`
	Table    string `json:"table,omitempty"`
	// Checkpoint pins the object as an input.
	Checkpoint string `json:"checkpoint,omitempty"`
	What       string `json:"what"`
	Next       string `json:"hint,omitempty"`
}

func (v verifyView) Text(p *ui.Page) {
	for _, f := range v.Findings {
		p.Line("damaged: %s: %s", f.Object, f.What)
		if f.Table != "" {
			p.Line("  in table %s of snapshot %s", f.Table, shortDigest(f.Snapshot))
		}
		if f.Checkpoint != "" {
			p.Line("  in checkpoint %s", f.Checkpoint)
		}
		if f.Next != "" {
			p.Line("  hint: %s", f.Next)
		}
	}
	rows := ""
	if v.Rows > 0 {
		rows = ", " + ui.Count(v.Rows) + " rows decoded"
	}
	checkpoints := ""
	if v.Checkpoints > 0 {
		checkpoints = ", " + counted(v.Checkpoints, "checkpoint")
	}
	p.Line("%s, %s%s, %s (%s)%s: %s damaged", counted(v.Entries, "log entry"), counted(v.Snapshots, "snapshot"), checkpoints,
		counted(v.Objects, "object"), ui.Bytes(v.Bytes), rows, counted(len(v.Findings), "thing"))
}

func (a *app) verifyStore(ctx context.Context, names []string, level snapshots.VerifyLevel) error {
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = nil
	}
	step := a.progress().Step("verify", 0, "snapshots")
	report, err := s.Verify(ctx, snapshots.VerifyOptions{Level: level, Snapshots: names, Progress: func(snapshots.SnapshotInfo) { step.Add(1) }})
	if err != nil {
		return err
	}
	step.End()
	v := verifyView{OK: len(report.Findings) == 0, Entries: report.Entries, Snapshots: report.Snapshots, Objects: report.Objects,
		Bytes: report.Bytes, Rows: report.Rows, Checkpoints: report.Checkpoints, Findings: []findingView{}}
	for _, f := range report.Findings {
		fv := findingView{Object: f.Object, Table: f.Table, Checkpoint: f.Checkpoint, What: f.What, Next: f.Advice}
		if !f.Snapshot.IsZero() {
			fv.Snapshot = f.Snapshot.String()
		}
		v.Findings = append(v.Findings, fv)
	}
	if err := a.out.Print(v); err != nil || v.OK {
		return err
	}
	return &ui.Failure{Code: ui.Corrupt, Err: ui.ErrFound}
}
