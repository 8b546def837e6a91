package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/snapshots"
)

func newKeyDestroy(a *app) *cobra.Command {
	var apply bool
	cmd := &cobra.Command{
		Use:   "destroy epoch",
		Short: "End a key epoch and destroy its keys: what is sealed in it is lost for good",
		Long: "End a key epoch in the log, then destroy its wrapped keys: what is sealed in it can't be read by anyone\n" +
			"any more, wherever copies lie. It is refused while a known snapshot, a draft of a run that may go on, or a\n" +
			"run that holds a target needs the epoch, and for the newest one. Work that began in the epoch and is\n" +
			"committed later is refused. In a bucket with versions, expire the noncurrent ones below keys/, or the\n" +
			"keys are only hidden; copies of the store have keys of their own (docs/keys.md).",
		Args: exactly("epoch"),
		RunE: func(cmd *cobra.Command, args []string) error {
			epoch, err := epochArg(args[0])
			if err != nil {
				return err
			}
			return a.keyDestroy(cmd.Context(), epoch, apply)
		},
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "end it and destroy its keys; without it nothing is changed")
	return cmd
}

// keyDestroyView is the data of `key destroy`.
type keyDestroyView struct {
	Epoch uint32   `json:"epoch"`
	Files []string `json:"files"` // that are, or would be, destroyed
	// Left becomes unreadable, and nothing needs it.
	Left    *snapshots.EpochLeft `json:"left"`
	Applied bool                 `json:"applied"`
	Entry   uint64               `json:"entry,omitempty"`
	Ended   bool                 `json:"ended_before"`
}

func (v keyDestroyView) Text(p *ui.Page) {
	v.left(p)
	switch {
	case v.Applied && v.Entry > 0:
		p.Line("key epoch %d is ended (log entry %d), %s destroyed", v.Epoch, v.Entry, counted(len(v.Files), "key file"))
	case v.Applied:
		p.Line("key epoch %d was ended before; %s destroyed", v.Epoch, counted(len(v.Files), "key file"))
	default:
		for _, f := range v.Files {
			p.Line("would destroy %s", f)
		}
		p.Line("nothing known needs key epoch %d; nothing was changed; `parallelrun key destroy %d --apply` does it, for good", v.Epoch, v.Epoch)
	}
}

func (v keyDestroyView) left(p *ui.Page) {
	left := v.Left
	if len(left.Manifests) > 0 {
		t := ui.NewTable("MANIFEST", "WAS OF")
		for _, m := range left.Manifests {
			t.Row(m.Manifest.Short(), m.Was)
		}
		p.Table(t)
		p.Line("needed by nothing and not collected yet, readable by nobody without the key: secrets in %s with %s, %s (`parallelrun gc` collects them)",
			counted(int(left.Parts), "part"), counted(int(left.Rows), "row"), ui.Bytes(left.Bytes))
	}
	if left.Copies > 0 {
		p.Line("the same holds for the second copies of %s", counted(int(left.Copies), "part"))
	}
	if left.Unread > 0 {
		p.Line("not read, and not counted: %s that hold no known snapshot", counted(int(left.Unread), "manifest"))
	}
	if len(left.Manifests) > 0 || left.Copies > 0 || left.Unread > 0 {
		p.Blank()
	}
}

func (a *app) keyDestroy(ctx context.Context, epoch uint32, apply bool) error {
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	plan, err := s.PlanEndEpoch(ctx, epoch, pipelines.DraftRoots(s))
	if err != nil {
		return err
	}
	v := keyDestroyView{Epoch: epoch, Files: append([]string{}, plan.Files...), Left: plan.Left, Ended: plan.Ended, Applied: apply}
	if apply {
		if v.Entry, _, err = pipelines.EndEpoch(ctx, s, epoch); err != nil {
			return err
		}
	}
	return a.out.Print(v)
}
