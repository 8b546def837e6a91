package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

func newSnapshots(a *app) *cobra.Command {
	return newGroup("snapshots", "Look at the states in the store: list, show, compare, verify, repair, compact, name, open to others, count, drop",
		newSnapshotsList(a), newSnapshotsShow(a), newSnapshotsDiff(a), newSnapshotsVerify(a), newSnapshotsRepair(a), newSnapshotsCompact(a), newSnapshotsTag(a),
		newSnapshotsExport(a), newSnapshotsStorage(a), newSnapshotsRetain(a), newSnapshotsDrop(a))
}

// snapshotLine is one line of `snapshots list`.
type snapshotLine struct {
	Digest   string    `json:"digest"`
	Manifest string    `json:"manifest"`
	Dataset  string    `json:"dataset"`
	Stage    string    `json:"stage"`
	Time     time.Time `json:"time"`
	Entry    uint64    `json:"entry"`
	Run      string    `json:"run,omitempty"`
	Names    []string  `json:"names,omitempty"`
	Parents  []string  `json:"parents,omitempty"`
}

func lineOf(info snapshots.SnapshotInfo, names []string) snapshotLine {
	l := snapshotLine{Digest: info.Digest.String(), Manifest: info.Manifest.String(), Dataset: info.Dataset, Stage: info.Stage,
		Time: info.Time.UTC(), Entry: info.N, Run: info.Run, Names: names}
	for _, p := range info.Parents {
		l.Parents = append(l.Parents, p.String())
	}
	return l
}

// shortDigest is how digests are shown in tables; commands take it back.
func shortDigest(full string) string { return full[:min(12, len(full))] }

// listView is the data of `snapshots list`.
type listView struct {
	Store     string         `json:"store"`
	Snapshots []snapshotLine `json:"snapshots"`
}

func (v listView) Text(p *ui.Page) {
	if len(v.Snapshots) == 0 {
		p.Line("%s holds no snapshot that matches", v.Store)
		return
	}
	t := ui.NewTable("TIME", "DATASET", "STAGE", "DIGEST", "RUN", "NAMES")
	for _, s := range v.Snapshots {
		t.Row(s.Time.Format(time.DateTime), s.Dataset, s.Stage, shortDigest(s.Digest), s.Run, strings.Join(s.Names, ", "))
	}
	p.Table(t)
}

func newSnapshotsList(a *app) *cobra.Command {
	var dataset, stage string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List snapshots, oldest first",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, st, err := a.readState(cmd.Context())
			if err != nil {
				return err
			}
			v := listView{Store: s.Location(), Snapshots: []snapshotLine{}}
			named := st.Names()
			for _, info := range st.History {
				if dataset != "" && info.Dataset != dataset || stage != "" && info.Stage != stage {
					continue
				}
				v.Snapshots = append(v.Snapshots, lineOf(info, named[info.Digest]))
			}
			return a.out.Print(v)
		},
	}
	cmd.Flags().StringVar(&dataset, "dataset", "", "only those of this source, migration or target")
	cmd.Flags().StringVar(&stage, "stage", "", "only those of this stage: legacy, desired, observed, effective, base, assignment")
	return cmd
}

// showView is the data of `snapshots show`.
type showView struct {
	snapshotLine
	Tables []tableView `json:"tables"`
}

// tableView is one table of a snapshot.
type tableView struct {
	Name    string       `json:"name"`
	Rows    int64        `json:"rows"`
	Digest  string       `json:"digest"`
	Layers  int          `json:"layers"`
	Parts   int          `json:"parts"`
	Bytes   int64        `json:"bytes"`
	Columns []columnView `json:"columns"`
}

// columnView is one column of a table.
type columnView struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Set    bool   `json:"set,omitempty"`
	Refers string `json:"refers,omitempty"`
}

func (v showView) Text(p *ui.Page) {
	fields := []string{"snapshot", v.Digest, "stage", v.Stage, "dataset", v.Dataset, "committed", v.Time.Format(time.RFC3339), "manifest", v.Manifest}
	if v.Run != "" {
		fields = append(fields, "run", v.Run)
	}
	if len(v.Names) > 0 {
		fields = append(fields, "names", strings.Join(v.Names, ", "))
	}
	for _, parent := range v.Parents {
		fields = append(fields, "made from", parent)
	}
	p.Fields(fields...)
	p.Blank()
	t := ui.NewTable("TABLE", "ROWS", "COLUMNS", "LAYERS", "PARTS", "SIZE", "DIGEST")
	for _, tab := range v.Tables {
		t.Row(tab.Name, ui.Count(tab.Rows), len(tab.Columns), tab.Layers, tab.Parts, ui.Bytes(tab.Bytes), shortDigest(tab.Digest))
	}
	p.Table(t)
}

// columnsView is the data of `snapshots show --table`.
type columnsView struct{ tableView }

func (v columnsView) Text(p *ui.Page) {
	p.Line("%s: %s rows", v.Name, ui.Count(v.Rows))
	p.Blank()
	t := ui.NewTable("COLUMN", "TYPE", "ORDER", "REFERS TO")
	for _, c := range v.Columns {
		order := ""
		if c.Set {
			order = "none"
		}
		t.Row(c.Name, c.Type, order, c.Refers)
	}
	p.Table(t)
}

func viewTable(t parts.Table) tableView {
	v := tableView{Name: t.Name, Rows: t.Rows, Digest: t.Digest.String(), Columns: []columnView{}, Layers: len(t.Layers)}
	for _, l := range t.Layers {
		v.Parts += len(l.Parts)
		for _, part := range l.Parts {
			v.Bytes += part.Object.Bytes + part.Index.Bytes
		}
	}
	for _, c := range t.Columns {
		v.Columns = append(v.Columns, columnView{Name: c.Name, Type: c.Type.String(), Set: c.Set, Refers: c.Refs})
	}
	return v
}

func newSnapshotsShow(a *app) *cobra.Command {
	var table string
	cmd := &cobra.Command{
		Use:   "show snapshot",
		Short: "Show a snapshot's origin and tables",
		Long: "Show a snapshot's origin and tables. It is named by a name, its digest, or the digest's first digits.\n" +
			"What a checkpoint pins is named checkpoint/NAME/ROLE, such as checkpoint/before-pilot/base.",
		Args: exactly("snapshot"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.readStore(cmd.Context())
			if err != nil {
				return err
			}
			sn, err := s.Snapshot(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if table != "" {
				t, ok := sn.Stored(table)
				if !ok {
					return noTable(sn, table)
				}
				return a.out.Print(columnsView{viewTable(t)})
			}
			st, err := s.State(cmd.Context())
			if err != nil {
				return err
			}
			v := showView{snapshotLine: lineOf(sn.Info(), st.Names()[sn.Digest()]), Tables: []tableView{}}
			for _, name := range sn.Tables() {
				t, _ := sn.Stored(name)
				v.Tables = append(v.Tables, viewTable(t))
			}
			return a.out.Print(v)
		},
	}
	cmd.Flags().StringVar(&table, "table", "", "show this table's columns")
	return cmd
}

func noTable(sn *snapshots.Snapshot, table string) error {
	return ui.Refusef("it has "+strings.Join(sn.Tables(), ", "), "snapshot %s has no table %q", sn.Digest().Short(), table)
}

// tagView is the data of `snapshots tag`.
type tagView struct {
	Name     string `json:"name"`
	Snapshot string `json:"snapshot,omitempty"`
	Removed  bool   `json:"removed,omitempty"`
	Entry    uint64 `json:"entry"`
}

func (v tagView) Text(p *ui.Page) {
	if v.Removed {
		p.Line("%s is no name any more (log entry %d)", v.Name, v.Entry)
		return
	}
	p.Line("%s names %s (log entry %d)", v.Name, shortDigest(v.Snapshot), v.Entry)
}

func newSnapshotsTag(a *app) *cobra.Command {
	var move, remove bool
	cmd := &cobra.Command{
		Use:   "tag name [snapshot]",
		Short: "Give a snapshot a name",
		Long:  "Give a snapshot a name. A name that is taken is left alone unless --move is given; --delete takes the name away.",
		Args:  between(1, "name", "snapshot"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if remove == (len(args) == 2) {
				return ui.Refusef("usage: "+cmd.UseLine(), "%s: name a snapshot, or give --delete", cmd.CommandPath())
			}
			return a.tag(cmd.Context(), args, move)
		},
	}
	cmd.Flags().BoolVar(&move, "move", false, "move a name that is taken")
	cmd.Flags().BoolVar(&remove, "delete", false, "take the name away")
	return cmd
}

func (a *app) tag(ctx context.Context, args []string, move bool) error {
	name := args[0]
	if err := snapshots.CheckRefName(name); err != nil {
		return ui.Refusef("use letters, digits, dots, dashes and slashes", "%w", err)
	}
	s, st, err := a.readState(ctx)
	if err != nil {
		return err
	}
	old, taken := st.Refs[name]
	ref := snapshots.RefAction{Name: name, Old: &old.Digest}
	v := tagView{Name: name, Removed: len(args) == 1}
	switch {
	case v.Removed && !taken:
		return ui.Refusef("`parallelrun snapshots list` shows the names there are", "there is no name %q", name)
	case v.Removed:
	case taken && !move:
		return ui.Refusef("give --move to move it", "%q names %s already", name, old.Digest.Short())
	default:
		info, err := st.Resolve(args[1])
		if err != nil {
			return err
		}
		ref.Digest, v.Snapshot = info.Digest, info.Digest.String()
	}
	v.Entry, err = s.Commit(ctx, snapshots.Change{Reason: fmt.Sprintf("tag %s", name), Actions: []snapshots.Action{ref}})
	if err != nil {
		return err
	}
	return a.out.Print(v)
}
