package diffprint

import (
	"errors"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// home is what leads from a row to its departments: their ids, or the user
// whose memberships tell them. Ids are hex, as reference columns hold them.
type home struct {
	user        string
	departments []string
}

// sideRow is a row and the snapshot whose columns it has; nil for none.
type sideRow struct {
	sn  *snapshots.Snapshot
	row *parts.StoredRow
}

func homeOf(table string, id schemas.RowID, rows ...sideRow) (h home) {
	switch table {
	case schemas.Users, schemas.WaveAssignment:
		h.user = id.String()
	case schemas.Departments:
		h.departments = []string{id.String()}
	case schemas.Credentials:
		h.user = refOf(table, "user", rows)
	case schemas.Memberships:
		if d := refOf(table, "department", rows); d != "" {
			h.departments = []string{d}
		}
	}
	return h
}

// refOf is a reference of the first row that is there.
func refOf(table, column string, rows []sideRow) string {
	for _, r := range rows {
		if r.row == nil {
			continue
		}
		if t, ok := r.sn.Table(table); ok {
			if i := t.Column(column); i >= 0 && i < len(r.row.Values) {
				s, _ := r.row.Values[i].(string)
				return s
			}
		}
	}
	return ""
}

// departments finds the departments of the rows of the page, by name. Only they
// are held in memory; memberships are scanned through, two columns of them.
func (p *htmlPrinter) departments() error {
	users := map[string][]string{}
	for _, r := range p.page.Rows {
		if r.home.user != "" {
			users[r.home.user] = nil
		}
	}
	// The newest side tells first; of who is not there, an older one does.
	for _, sn := range slices.Backward(p.r.Snapshots) {
		if err := p.memberships(sn, users); err != nil {
			return err
		}
	}
	wanted := map[string]string{}
	for _, r := range p.page.Rows {
		if r.home.user != "" {
			r.home.departments = users[r.home.user]
		}
		for _, d := range r.home.departments {
			wanted[d] = ""
		}
	}
	for _, sn := range slices.Backward(p.r.Snapshots) {
		if err := p.names(sn, wanted); err != nil {
			return err
		}
	}
	for _, r := range p.page.Rows {
		for _, d := range r.home.departments {
			if name := wanted[d]; name != "" {
				r.Departments = append(r.Departments, name)
			}
		}
		slices.Sort(r.Departments)
		r.Departments = slices.Compact(r.Departments)
	}
	return nil
}

func (p *htmlPrinter) memberships(sn *snapshots.Snapshot, users map[string][]string) error {
	t, ok := sn.Table(schemas.Memberships)
	if !ok || len(users) == 0 {
		return nil
	}
	user, department := t.Column("user"), t.Column("department")
	if user < 0 || department < 0 {
		return nil
	}
	found := map[string][]string{}
	for row, err := range sn.Scan(p.ctx, schemas.Memberships, parts.ScanOptions{Columns: []string{"user", "department"}, KeepLarge: true}) {
		if err != nil {
			return err
		}
		u, _ := row.Values[user].(string)
		d, _ := row.Values[department].(string)
		if known, wanted := users[u]; wanted && known == nil && d != "" {
			found[u] = append(found[u], d)
		}
	}
	for u, d := range found {
		users[u] = d
	}
	return nil
}

// names fills in the paths of departments, each after its organization's alias.
func (p *htmlPrinter) names(sn *snapshots.Snapshot, wanted map[string]string) error {
	var ids []schemas.RowID
	for hex, name := range wanted {
		if id, err := schemas.ParseRowID(hex); name == "" && err == nil {
			ids = append(ids, id)
		}
	}
	departments, err := p.look(sn, schemas.Departments, ids, "organization", "path")
	if err != nil {
		return err
	}
	var of []schemas.RowID
	for _, d := range departments {
		if id, err := schemas.ParseRowID(d[0]); err == nil {
			of = append(of, id)
		}
	}
	organizations, err := p.look(sn, schemas.Organizations, of, "alias")
	if err != nil {
		return err
	}
	for hex, d := range departments {
		name := d[1]
		if o := organizations[d[0]]; len(o) > 0 {
			name = o[0] + name
		}
		wanted[hex] = name
	}
	return nil
}

// look reads text columns of rows, by id.
func (p *htmlPrinter) look(sn *snapshots.Snapshot, table string, ids []schemas.RowID, columns ...string) (map[string][]string, error) {
	out := map[string][]string{}
	t, ok := sn.Table(table)
	if !ok || len(ids) == 0 || slices.ContainsFunc(columns, func(c string) bool { return t.Column(c) < 0 }) {
		return out, nil
	}
	r, err := sn.Reader(table)
	if errors.Is(err, snapshots.ErrNoTable) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(ids, schemas.RowID.Compare)
	for row, err := range r.Lookup(p.ctx, slices.Values(slices.Compact(ids)), parts.ScanOptions{Columns: columns, KeepLarge: true}) {
		if err != nil {
			return nil, err
		}
		var texts []string
		for _, c := range columns {
			s, _ := row.Values[t.Column(c)].(string)
			texts = append(texts, s)
		}
		out[row.ID.String()] = texts
	}
	return out, nil
}
