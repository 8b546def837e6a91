package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/duckdb"
	"github.com/parallelrun/parallelrun/snapshots/iceberg"
)

func newSnapshotsExport(a *app) *cobra.Command {
	var o iceberg.Options
	var apply, script bool
	cmd := &cobra.Command{
		Use:   "export {--iceberg folder | --duckdb} [snapshot...]",
		Short: "Open snapshots to other programs, without copying a row",
		Long: "Open snapshots to other programs, where they lie (docs/open.md).\n\n" +
			"--duckdb prints SQL that gives each table of a snapshot a view over its parts: of one snapshot, or\n" +
			"of several with a schema each. Pipe it into DuckDB, or keep it as a file.\n\n" +
			"--iceberg writes Apache Iceberg metadata into a folder: an Iceberg table for each table of each\n" +
			"dataset and stage, with all snapshots of it as history and names as tags. A snapshot that is named\n" +
			"here chooses its dataset and stage, and is what readers see first; without one all are exported,\n" +
			"newest first seen. Snapshots stored in layers are written whole in the store first. A later export\n" +
			"into the same folder adds what came since, and leaves out what was dropped. The files stay the\n" +
			"store's: they are safe while the snapshots are kept, which --pin sees to. Without --apply it is\n" +
			"only shown.",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case script == (o.Dir != ""):
				return ui.Refusef("add --iceberg FOLDER or --duckdb", "say how: as Iceberg tables, or as a script for DuckDB")
			case script:
				return a.exportScript(cmd.Context(), args)
			}
			o.Names = args
			return a.exportIceberg(cmd.Context(), o, apply)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&script, "duckdb", false, "print SQL for DuckDB")
	f.StringVar(&o.Dir, "iceberg", "", "write Iceberg metadata into this folder")
	f.StringVar(&o.Location, "location", "", "the folder as readers will see it, such as s3://bucket/tables, if it is to be copied there")
	f.IntVar(&o.Last, "last", 0, "only so many snapshots of each history, the newest, and those since one that is named (0: all)")
	f.BoolVar(&o.WholeOnly, "whole-only", false, "leave layered snapshots out instead of writing them whole")
	f.StringVar(&o.Pin, "pin", "", "keep the exported snapshots: those without a name get one, NAME/ and digits of the digest")
	f.BoolVar(&apply, "apply", false, "write the tables; without it, only show what would be written")
	return cmd
}

// exportScript prints SQL.
func (a *app) exportScript(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return ui.Refusef("name one or more, as `parallelrun snapshots list` shows them", "no snapshot is named")
	}
	if a.out.JSON() {
		return ui.Refusef("leave one of them out", "--json and --duckdb do not go together")
	}
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	var script duckdb.Script
	for _, name := range names {
		sn, err := s.Snapshot(ctx, name)
		if err != nil {
			return err
		}
		schema := ""
		if len(names) > 1 {
			schema = name
		}
		if err := script.Add(ctx, s, sn, schema); err != nil {
			if errors.Is(err, duckdb.ErrLayered) {
				return ui.Refusef("write it whole first: parallelrun snapshots compact "+name+" --apply", "%s: %w", name, err)
			}
			return err
		}
	}
	_, err = script.WriteTo(a.stdout)
	return err
}

// exportView is the data of `snapshots export --iceberg`.
type exportView struct {
	Folder    string          `json:"folder"`
	Applied   bool            `json:"applied"`
	Histories []exportHistory `json:"histories"`
	// Compact are the snapshots that are written whole first.
	Compact []exportLayered `json:"compact"`
	// Unpinned have no name that keeps them.
	Unpinned  []string        `json:"unpinned"`
	Pinned    []string        `json:"pinned"`
	Bytes     int64           `json:"bytes_written,omitempty"` // into the store, by writing whole
	Tables    []exportedTable `json:"tables"`
	NoTags    []string        `json:"no_tags,omitempty"`
	rows      int64
	tables    int
	snapshots int
}

type exportHistory struct {
	Dataset   string    `json:"dataset"`
	Stage     string    `json:"stage"`
	Snapshots int       `json:"snapshots"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Main      string    `json:"main"`
	Tables    []string  `json:"tables"`
	LeftOut   int       `json:"left_out"`
}

type exportLayered struct {
	Snapshot string `json:"snapshot"`
	Tables   int    `json:"tables"`
	Rows     int64  `json:"rows"`
}

type exportedTable struct {
	Dataset   string `json:"dataset"`
	Stage     string `json:"stage"`
	Table     string `json:"table"`
	Snapshots int    `json:"snapshots"`
	Metadata  string `json:"metadata"`
	Version   int    `json:"version"`
	Changed   bool   `json:"changed"`
}

func (v exportView) Text(p *ui.Page) {
	t := ui.NewTable("DATASET", "STAGE", "SNAPSHOTS", "SEEN FIRST", "TABLES")
	for _, h := range v.Histories {
		t.Row(h.Dataset, h.Stage, h.Snapshots, shortDigest(h.Main), len(h.Tables))
	}
	p.Table(t)
	for _, h := range v.Histories {
		if h.LeftOut > 0 {
			p.Line("left out of %s of %s: %s in layers", h.Stage, h.Dataset, counted(h.LeftOut, "snapshot"))
		}
	}
	p.Blank()
	if !v.Applied {
		v.textPlan(p)
		return
	}
	if len(v.Compact) > 0 {
		p.Line("%s written whole in the store: %s", counted(len(v.Compact), "snapshot"), ui.Bytes(v.Bytes))
	}
	if len(v.Pinned) > 0 {
		p.Line("%s pinned, such as %s", counted(len(v.Pinned), "snapshot"), v.Pinned[0])
	}
	changed := 0
	for _, t := range v.Tables {
		if t.Changed {
			changed++
		}
	}
	for _, name := range v.NoTags {
		p.Line("the name %s is no tag: Iceberg keeps it for what is seen first", name)
	}
	p.Line("%s in %s: %d written, %d as they were", counted(len(v.Tables), "Iceberg table"), v.Folder, changed, len(v.Tables)-changed)
	if len(v.Unpinned) > 0 {
		v.textUnpinned(p)
	}
}

func (v exportView) textPlan(p *ui.Page) {
	if len(v.Compact) > 0 {
		p.Line("%s in layers would be written whole in the store first: %s rows (--last N or --whole-only for fewer)",
			counted(len(v.Compact), "snapshot"), ui.Count(v.rows))
	}
	if len(v.Unpinned) > 0 {
		v.textUnpinned(p)
	}
	p.Line("would write %s with %s in all to %s; nothing was written, --apply does it",
		counted(v.tables, "Iceberg table"), counted(v.snapshots, "snapshot"), v.Folder)
}

func (v exportView) textUnpinned(p *ui.Page) {
	p.Line("%s without a name: once dropped, gc takes files that the tables need; --pin NAME keeps them", counted(len(v.Unpinned), "snapshot"))
}

func (a *app) exportIceberg(ctx context.Context, o iceberg.Options, apply bool) error {
	if o.Last < 0 {
		return ui.Refusef("0 means all", "--last %d is less than nothing", o.Last)
	}
	if o.Pin != "" {
		if err := snapshots.CheckRefName(o.Pin + "/0123456789ab"); err != nil {
			return ui.Refusef("choose another name", "--pin: %w", err)
		}
	}
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	p, err := iceberg.Look(ctx, s, o)
	if err != nil {
		return exportError(err)
	}
	v := planView(p, o)
	if !apply {
		return a.out.Print(v)
	}
	done, err := p.Apply(ctx, s, snapshots.WriterOptions{Memory: int64(a.flags.memory) / 2, Workers: a.flags.workers}, time.Now())
	if err != nil {
		return exportError(err)
	}
	v.Applied, v.Bytes, v.NoTags = true, done.Bytes, done.NoTags
	if o.Pin != "" {
		v.Pinned, v.Unpinned = append(v.Pinned, done.Pinned...), []string{}
	}
	for _, t := range done.Tables {
		v.Tables = append(v.Tables, exportedTable{t.Dataset, t.Stage, t.Table, t.Snapshots, t.Metadata, t.Version, t.Changed})
	}
	return a.out.Print(v)
}

func planView(p *iceberg.Plan, o iceberg.Options) exportView {
	v := exportView{Folder: o.Dir, Histories: []exportHistory{}, Compact: []exportLayered{}, Unpinned: []string{}, Pinned: []string{}, Tables: []exportedTable{}}
	for i := range p.Histories {
		h := &p.Histories[i]
		n := len(h.Snapshots)
		e := exportHistory{Dataset: h.Dataset, Stage: h.Stage, Snapshots: n, From: h.Snapshots[0].Time.UTC(), To: h.Snapshots[n-1].Time.UTC(),
			Main: h.Main.Digest.String(), Tables: append([]string{}, h.Tables()...), LeftOut: len(h.LeftOut)}
		v.Histories = append(v.Histories, e)
		v.tables, v.snapshots = v.tables+len(e.Tables), v.snapshots+n
	}
	for _, item := range p.Layered() {
		l := exportLayered{Snapshot: item.Digest.String(), Tables: len(item.Layered)}
		for _, t := range item.Layered {
			l.Rows += t.Rows
		}
		v.Compact, v.rows = append(v.Compact, l), v.rows+l.Rows
	}
	for _, item := range p.Unnamed() {
		v.Unpinned = append(v.Unpinned, item.Digest.String())
	}
	return v
}

// exportError adds the next step to what the export refuses.
func exportError(err error) error {
	switch {
	case errors.Is(err, iceberg.ErrTwoOfOne):
		return ui.Refusef("leave one of them out; the history has it anyway", "%w", err)
	case errors.Is(err, iceberg.ErrAllLayered):
		return ui.Refusef("leave --whole-only out", "%w", err)
	case errors.Is(err, iceberg.ErrNotOurs):
		return ui.Refusef("choose another folder", "%w", err)
	case errors.Is(err, iceberg.ErrTypeChanged):
		return ui.Refusef("export the snapshots since the change alone, with --last, into a folder of their own", "%w", err)
	case errors.Is(err, iceberg.ErrFolder):
		return ui.Refusef("choose a folder that you may write to and that has room", "%w", err)
	case errors.Is(err, iceberg.ErrRaced):
		return ui.Refusef("run it again", "%w", err)
	case errors.Is(err, iceberg.ErrPath):
		return ui.Refusef("use a folder whose path has none of them", "%w", err)
	}
	return err
}
