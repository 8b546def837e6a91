package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

func newKeyReseal(a *app) *cobra.Command {
	var apply bool
	cmd := &cobra.Command{
		Use:   "reseal [snapshot...]",
		Short: "Seal secrets of older key epochs anew in the newest",
		Long: "Seal secrets of older key epochs anew in the newest, in all snapshots or in those named. Parts without\n" +
			"such secrets stay as they are. Digests, names and checkpoints stay too, since MACs stand for secrets in\n" +
			"them. It is safe beside running work and gc, may be stopped at any point and be run again. The files of\n" +
			"before stay until gc collects them.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.keyReseal(cmd.Context(), args, apply) },
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "write; without it, only show what would be written")
	return cmd
}

// keyResealView is the data of `key reseal`.
type keyResealView struct {
	Epoch     uint32         `json:"epoch"`
	Snapshots []resealedView `json:"snapshots"`
	parts.Sealed
	Applied bool     `json:"applied"`
	Entries []uint64 `json:"entries,omitempty"`
	Bytes   int64    `json:"bytes_written,omitempty"`
}

// resealedView is a snapshot that holds secrets of older epochs.
type resealedView struct {
	Digest  string `json:"digest"`
	Dataset string `json:"dataset"`
	Stage   string `json:"stage"`
}

func (v keyResealView) Text(p *ui.Page) {
	n := len(v.Snapshots)
	switch {
	case n == 0:
		p.Line("nothing is sealed in an older key epoch than %d: there is nothing to do", v.Epoch)
	case v.Applied:
		are := "are"
		if n == 1 {
			are = "is"
		}
		p.Line("%s %s sealed in key epoch %d now: %s written (log %s)", counted(n, "snapshot"), are, v.Epoch, ui.Bytes(v.Bytes), entries(v.Entries))
		p.Line("the files of before are garbage: `parallelrun gc` collects them; then end the old epoch with: parallelrun key destroy")
	default:
		t := ui.NewTable("SNAPSHOT", "STAGE", "DATASET")
		for _, s := range v.Snapshots {
			t.Row(shortDigest(s.Digest), s.Stage, s.Dataset)
		}
		p.Table(t)
		p.Blank()
		p.Line("%s with %s, %s, would be sealed anew in key epoch %d", counted(int(v.Parts), "part"), counted(int(v.Rows), "row"), ui.Bytes(v.Sealed.Bytes), v.Epoch)
		p.Line("nothing was changed; `parallelrun key reseal --apply` does it")
	}
}

// entries names entries of the log.
func entries(all []uint64) string {
	if len(all) == 1 {
		return "entry " + ui.Count(int64(all[0]))
	}
	return "entries " + ui.Count(int64(all[0])) + " to " + ui.Count(int64(all[len(all)-1]))
}

func (a *app) keyReseal(ctx context.Context, names []string, apply bool) error {
	k, err := a.openKeys(ctx)
	if err != nil {
		return err
	}
	o := snapshots.ResealOptions{Workers: a.flags.workers}
	st, err := k.Store.State(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := st.Resolve(name)
		if err != nil {
			return err
		}
		o.Only = append(o.Only, info.Digest)
	}
	plan, err := k.Store.PlanReseal(ctx, o)
	if err != nil {
		return err
	}
	v := keyResealView{Epoch: plan.Epoch, Snapshots: []resealedView{}, Sealed: plan.Sealed}
	for _, info := range plan.Snapshots {
		v.Snapshots = append(v.Snapshots, resealedView{info.Digest.String(), info.Dataset, info.Stage})
	}
	if apply && len(v.Snapshots) > 0 {
		step := a.progress().Step("reseal", plan.Parts, "parts")
		done, err := k.Store.Reseal(ctx, plan, func() { step.Add(1) })
		step.End()
		if err != nil {
			return err
		}
		v.Applied, v.Entries, v.Bytes = true, done.Entries, done.Put.Bytes
	}
	return a.out.Print(v)
}
