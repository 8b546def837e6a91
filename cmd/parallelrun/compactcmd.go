package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
)

// compactView is the data of `snapshots compact`.
type compactView struct {
	Snapshot string         `json:"snapshot"`
	Tables   []compactTable `json:"tables"` // that are layered
	Applied  bool           `json:"applied"`
	Manifest string         `json:"manifest"` // that holds the snapshot now
	Entry    uint64         `json:"entry,omitempty"`
	Bytes    int64          `json:"bytes_written,omitempty"`
}

// compactTable is a table that is stored as changes upon others.
type compactTable struct {
	Table   string `json:"table"`
	Rows    int64  `json:"rows"`
	Layers  int    `json:"layers"`
	Changes int64  `json:"changes"`
}

func (v compactView) Text(p *ui.Page) {
	if len(v.Tables) == 0 {
		p.Line("snapshot %s has no layers: there is nothing to compact", shortDigest(v.Snapshot))
		return
	}
	t := ui.NewTable("TABLE", "ROWS", "LAYERS", "CHANGES")
	for _, x := range v.Tables {
		t.Row(x.Table, ui.Count(x.Rows), x.Layers, ui.Count(x.Changes))
	}
	p.Table(t)
	p.Blank()
	if v.Applied {
		p.Line("snapshot %s is whole now: %s written (log entry %d)", shortDigest(v.Snapshot), ui.Bytes(v.Bytes), v.Entry)
		return
	}
	p.Line("these tables would be written whole; do it with --apply")
}

func newSnapshotsCompact(a *app) *cobra.Command {
	var apply bool
	cmd := &cobra.Command{
		Use:   "compact snapshot",
		Short: "Write a snapshot's layered tables whole",
		Long: "Write a snapshot's layered tables whole, so that other programs can open its parts as they are and\n" +
			"reading needs no merge. Its digest, names and place in the list stay. Runs do this by themselves when\n" +
			"a table has too many layers. The files of before stay until gc finds that no\n" +
			"other snapshot lies upon them.",
		Args: exactly("snapshot"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.compact(cmd.Context(), args[0], apply) },
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "write; without it, only show what would be written")
	return cmd
}

func (a *app) compact(ctx context.Context, name string, apply bool) error {
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	sn, err := s.Snapshot(ctx, name)
	if err != nil {
		return err
	}
	v := compactView{Snapshot: sn.Digest().String(), Manifest: sn.Manifest().String(), Tables: []compactTable{}}
	for _, t := range sn.Layered() {
		v.Tables = append(v.Tables, compactTable{Table: t.Name, Rows: t.Rows, Layers: len(t.Layers), Changes: t.Changes()})
	}
	if apply && len(v.Tables) > 0 {
		done, err := s.Compact(ctx, sn, snapshots.WriterOptions{Memory: int64(a.flags.memory) / 2, Workers: a.flags.workers})
		if err != nil {
			return err
		}
		v.Applied, v.Manifest, v.Entry, v.Bytes = true, done.Manifest.String(), done.Entry, done.Put.Bytes
	}
	return a.out.Print(v)
}
