package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
)

// storageView is the data of `snapshots storage`.
type storageView struct {
	Store string `json:"store"`
	*snapshots.Storage
	Snapshots []storageLine `json:"snapshots"`

	tables bool
}

// storageLine is one snapshot's share.
type storageLine struct {
	snapshotLine
	snapshots.SnapshotStorage
	// Frees is what dropping it would free, zero if it is held.
	Frees int64 `json:"drop_frees_bytes"`
}

func (v storageView) Text(p *ui.Page) {
	t := ui.NewTable("TIME", "DATASET", "STAGE", "DIGEST", "LOGICAL", "SHARED", "UNIQUE", "DROP FREES", "HELD BY")
	for _, s := range v.Snapshots {
		frees := ui.Bytes(s.Frees)
		if len(s.By) > 0 {
			frees = "-"
		}
		t.Row(s.Time.Format(time.DateTime), s.Dataset, s.Stage, shortDigest(s.Digest), ui.Bytes(s.Logical), ui.Bytes(s.Shared), ui.Bytes(s.Unique), frees, firstOf(s.By))
		if !v.tables {
			continue
		}
		for _, tab := range s.Tables {
			t.Row("", "", "", "  "+tab.Table, ui.Bytes(tab.Logical), ui.Bytes(tab.Shared), ui.Bytes(tab.Unique), "", "")
		}
	}
	if len(v.Snapshots) > 0 {
		p.Table(t)
		p.Blank()
	}
	p.Line("%s, %s if each had its own; stored: %s in %s objects", counted(len(v.Snapshots), "snapshot"), ui.Bytes(v.Logical), ui.Bytes(v.Stored.Bytes), ui.Count(v.Stored.Objects))
	if v.Rest.Objects > 0 {
		p.Line("%s objects, %s, are of no snapshot: drafts and garbage (`parallelrun gc plan` lists them)", ui.Count(v.Rest.Objects), ui.Bytes(v.Rest.Bytes))
	}
	for _, place := range slices.Sorted(maps.Keys(v.Places)) {
		p.Line("  %-12s %s in %s objects", place, ui.Bytes(v.Places[place].Bytes), ui.Count(v.Places[place].Objects))
	}
}

func newSnapshotsStorage(a *app) *cobra.Command {
	var tables bool
	cmd := &cobra.Command{
		Use:   "storage",
		Short: "Count which snapshots take how many bytes, and what dropping them frees",
		Long: "Count which snapshots take how many bytes: logical ones, as if each had its own objects; shared ones, of\n" +
			"objects that others need too; unique ones, which dropping the snapshot frees. What a name or a checkpoint\n" +
			"holds can't be dropped. --tables counts per table. It changes nothing.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, st, err := a.readState(cmd.Context())
			if err != nil {
				return err
			}
			r, err := s.Storage(cmd.Context())
			if err != nil {
				return err
			}
			v := storageView{Store: s.Location(), Storage: r, Snapshots: []storageLine{}, tables: tables}
			named := st.Names()
			for _, one := range r.Snapshots {
				line := storageLine{snapshotLine: lineOf(one.SnapshotInfo, named[one.Digest]), SnapshotStorage: one}
				if len(one.By) == 0 {
					line.Frees = one.Unique
				}
				v.Snapshots = append(v.Snapshots, line)
			}
			return a.out.Print(v)
		},
	}
	cmd.Flags().BoolVar(&tables, "tables", false, "count per table as well")
	return cmd
}

// firstOf names the first of what holds a snapshot, and counts the others: a
// snapshot that many checkpoints hold would make the table unreadable.
func firstOf(by []string) string {
	switch len(by) {
	case 0:
		return ""
	case 1:
		return by[0]
	}
	return by[0] + fmt.Sprintf(" and %d more", len(by)-1)
}
