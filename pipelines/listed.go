package pipelines

import (
	"context"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/snapshots"
)

// ListedRow is a row of one of a plan's lists. It holds no values.
type ListedRow struct {
	List    string   `json:"list"`
	Table   string   `json:"table"`
	ID      string   `json:"id"` // as diffs write it
	Key     string   `json:"key,omitempty"`
	Columns []string `json:"columns,omitempty"`
	Kinds   []string `json:"kinds,omitempty"` // words of --allow
	Reason  string   `json:"reason,omitempty"`
}

// Text writes a row for people.
func (r ListedRow) Text(p *ui.Page) {
	about := slices.DeleteFunc([]string{strings.Join(r.Columns, ", "), strings.Join(r.Kinds, ", "), r.Reason}, func(s string) bool { return s == "" })
	p.Line("%s  %s %s: %s", r.List, r.Table, r.Key, strings.Join(about, "; "))
}

// Listed shows the rows of some of the lists of a run's stored plan.
func Listed(ctx context.Context, s *snapshots.Store, run string, lists []string, show func(ListedRow) error) error {
	for _, list := range lists {
		if !slices.Contains(load.Lists, list) {
			return ui.Refusef("known: "+strings.Join(load.Lists, ", "), "no plan has a list %q", list)
		}
	}
	_, m, err := planOf(ctx, s, run)
	if err != nil {
		return err
	}
	for _, list := range lists {
		for f, err := range m.Findings(ctx, s, list) {
			if err != nil {
				return err
			}
			if err := show(ListedRow{List: list, Table: f.Table, ID: f.ID.String(), Key: f.Key, Columns: f.Columns, Kinds: f.Kinds, Reason: f.Reason}); err != nil {
				return err
			}
		}
	}
	return nil
}
