package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/snapshots"
)

// retainView is the data of `snapshots retain`.
type retainView struct {
	Applied   bool            `json:"applied"`
	Entry     uint64          `json:"entry,omitempty"`
	Snapshots []retainedLine  `json:"snapshots"`
	Runs      []retainedRun   `json:"runs"`
	Frees     snapshots.Tally `json:"frees"`

	dropped, droppedRuns int
	all                  bool
}

// retainedLine is a snapshot; without a reason it is dropped.
type retainedLine struct {
	snapshotLine
	Drop bool     `json:"drop"`
	Why  []string `json:"kept_for"`
}

type retainedRun struct {
	Run  string   `json:"run"`
	Drop bool     `json:"drop"`
	Why  []string `json:"kept_for"`
}

func (v retainView) Text(p *ui.Page) {
	t := ui.NewTable("TIME", "DATASET", "STAGE", "DIGEST", "KEPT FOR")
	rows := 0
	row := func(why []string, cells ...any) {
		if len(why) > 0 && !v.all {
			return
		}
		text := strings.Join(why, ", ")
		if len(why) == 0 {
			text = "- (to be dropped)"
			if v.Applied {
				text = "- (dropped)"
			}
		}
		rows++
		t.Row(append(cells, text)...)
	}
	for _, s := range v.Snapshots {
		row(s.Why, s.Time.Format(time.DateTime), s.Dataset, s.Stage, shortDigest(s.Digest))
	}
	for _, r := range v.Runs {
		row(r.Why, "", "", "run", r.Run)
	}
	if rows > 0 {
		p.Table(t)
		p.Blank()
	}
	switch {
	case v.dropped+v.droppedRuns == 0:
		p.Line("all %d snapshots and the files of %d runs are kept; --all says what for", len(v.Snapshots), len(v.Runs))
	case v.Applied:
		p.Line("dropped: %s of %d, and the files of %s of %d (log entry %d)", counted(v.dropped, "snapshot"), len(v.Snapshots), counted(v.droppedRuns, "run"), len(v.Runs), v.Entry)
		p.Line("`parallelrun gc --apply` frees %s that only they needed", ui.Bytes(v.Frees.Bytes))
	default:
		p.Line("would drop %s of %d, and the files of %s of %d: %s are theirs alone", counted(v.dropped, "snapshot"), len(v.Snapshots), counted(v.droppedRuns, "run"), len(v.Runs), ui.Bytes(v.Frees.Bytes))
		p.Line("nothing was dropped; `parallelrun snapshots retain --apply` does it, --all says what the others are kept for")
	}
}

func newSnapshotsRetain(a *app) *cobra.Command {
	var apply, all bool
	cmd := &cobra.Command{
		Use:   "retain",
		Short: "Drop the snapshots and runs that the retention policy does not keep",
		Long: "Drop the snapshots and runs that retention: of the configuration does not keep (docs/gc.md). Whatever\n" +
			"names, checkpoints, the state of a target, complete waves and unfinished runs need is kept in any case,\n" +
			"and so is the newest of each dataset and stage. What is dropped can't be named any more; `gc` frees its\n" +
			"bytes. Without --apply it is only shown.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.retain(cmd.Context(), apply, all) },
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "drop; without it nothing is changed")
	cmd.Flags().BoolVar(&all, "all", false, "list what is kept too, and what for")
	return cmd
}

func (a *app) retain(ctx context.Context, apply, all bool) error {
	policy, err := a.retention()
	if err != nil {
		return err
	}
	if policy == nil {
		return ui.Refusef("add for example `retention: {last: 3, daily: 14, weekly: 8}` (docs/gc.md)", "%s says nothing of retention: all snapshots are kept", a.flags.config)
	}
	s, st, err := a.readState(ctx)
	if err != nil {
		return err
	}
	v := retainView{Applied: apply, Snapshots: []retainedLine{}, Runs: []retainedRun{}, all: all}
	var p *pipelines.Retention
	if apply {
		p, v.Entry, err = pipelines.Retain(ctx, s, policy)
	} else {
		p, err = pipelines.PlanRetention(ctx, s, policy)
	}
	if err != nil {
		return err
	}
	v.Frees = p.Frees
	named := st.Names()
	for _, sn := range p.Snapshots {
		v.Snapshots = append(v.Snapshots, retainedLine{lineOf(sn.SnapshotInfo, named[sn.Digest]), len(sn.Why) == 0, append([]string{}, sn.Why...)})
	}
	for _, r := range p.Runs {
		v.Runs = append(v.Runs, retainedRun{r.ID, len(r.Why) == 0, append([]string{}, r.Why...)})
	}
	of, runs := p.Drops()
	v.dropped, v.droppedRuns = len(of), len(runs)
	return a.out.Print(v)
}

// droppedView is the data of `snapshots drop`.
type droppedView struct {
	snapshotLine
	Dropped bool            `json:"dropped"`
	Frees   snapshots.Tally `json:"frees"`
	Entry   uint64          `json:"drop_entry,omitempty"`
}

func (v droppedView) Text(p *ui.Page) {
	what := fmt.Sprintf("snapshot %s (%s of %s, %s)", shortDigest(v.Digest), v.Stage, v.Dataset, v.Time.Format(time.DateTime))
	if v.Dropped {
		p.Line("%s is dropped (log entry %d); `parallelrun gc --apply` frees %s", what, v.Entry, ui.Bytes(v.Frees.Bytes))
		return
	}
	p.Line("would drop %s: %s are its alone", what, ui.Bytes(v.Frees.Bytes))
	p.Line("nothing was dropped; `parallelrun snapshots drop %s --apply` does it", shortDigest(v.Digest))
}

func newSnapshotsDrop(a *app) *cobra.Command {
	var apply bool
	var reason string
	cmd := &cobra.Command{
		Use:   "drop snapshot",
		Short: "Forget a snapshot that nothing needs",
		Long: "Forget a snapshot, so that gc can free what only it needs. One that a name, a checkpoint, the state of a\n" +
			"target, a complete wave or an unfinished run needs is refused. Without --apply it is only shown.",
		Args: exactly("snapshot"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.drop(cmd.Context(), args[0], reason, apply) },
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "drop it; without it nothing is changed")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who ask for it later")
	return cmd
}

func (a *app) drop(ctx context.Context, name, reason string, apply bool) error {
	s, st, err := a.readState(ctx)
	if err != nil {
		return err
	}
	info, err := st.Resolve(name)
	if err != nil {
		return err
	}
	v := droppedView{snapshotLine: lineOf(info, st.Names()[info.Digest]), Dropped: apply}
	v.Entry, v.Frees, err = pipelines.Drop(ctx, s, info.Digest, pipelines.DropOptions{Reason: reason, Apply: apply})
	if err != nil {
		return err
	}
	return a.out.Print(v)
}
