package waves

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

const testNamespace = "test"

// memory is a snapshot in memory.
type memory map[string][]schemas.Row

var shapes = func() map[string]schemas.Table {
	all := schemas.Entities()
	all[schemas.WaveAssignment] = schemas.WaveAssignmentTable()
	rejected := schemas.Rejected(schemas.Users)
	all[rejected.Name] = rejected
	return all
}()

func (m memory) Table(name string) (*schemas.Table, bool) {
	t, ok := shapes[name]
	return &t, ok
}

// Scan hands out what was asked for and nothing else, as the store does.
func (m memory) Scan(_ context.Context, table string, o parts.ScanOptions) iter.Seq2[schemas.Row, error] {
	t := shapes[table]
	rows := slices.SortedFunc(slices.Values(m[table]), func(a, b schemas.Row) int { return a.ID.Compare(b.ID) })
	return func(yield func(schemas.Row, error) bool) {
		for _, row := range rows {
			row.Values = slices.Clone(row.Values)
			for i, c := range t.Columns {
				if o.Columns != nil && !slices.Contains(o.Columns, c.Name) {
					row.Values[i] = nil
				}
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func (m memory) add(table, key string, values map[string]any) schemas.RowID {
	id := schemas.NewRowID(testNamespace, table, key)
	m.addRow(table, id, key, values)
	return id
}

func (m memory) addRow(table string, id schemas.RowID, key string, values map[string]any) {
	t := shapes[table]
	row := schemas.Row{ID: id, Key: key, Values: make([]any, len(t.Columns))}
	for name, v := range values {
		row.Values[t.Column(name)] = v
	}
	m[table] = append(m[table], row)
}

// site is a small company with its users.
type site struct {
	memory
	ids map[string]string // by alias, path and so on, as hex
}

// newSite has organizations acme and tiny; departments acme/Sales,
// acme/Sales/North, acme/Sales/North/Coast, acme/Ops and tiny/Sales; groups
// /staff and /admins.
func newSite() *site {
	s := &site{memory{}, map[string]string{}}
	for _, org := range []string{"acme", "tiny"} {
		s.ids[org] = s.add(schemas.Organizations, "org-"+org, map[string]any{"alias": org}).String()
	}
	for _, d := range []string{"acme/Sales", "acme/Sales/North", "acme/Sales/North/Coast", "acme/Ops", "tiny/Sales"} {
		org, path, _ := strings.Cut(d, "/")
		up := d[:strings.LastIndex(d, "/")]
		values := map[string]any{"organization": s.ids[org], "path": "/" + path}
		if up != org {
			values["parent"] = s.ids[up]
		}
		s.ids[d] = s.add(schemas.Departments, "dep-"+d, values).String()
	}
	for _, g := range []string{"/staff", "/admins"} {
		s.ids[g] = s.add(schemas.Groups, "group-"+g, map[string]any{"path": g}).String()
	}
	return s
}

// user adds a user: member of departments (or organizations), in groups.
func (s *site) user(key string, values map[string]any, in ...string) {
	all := map[string]any{"username": key, "enabled": true, "groups": []string{}}
	for k, v := range values {
		all[k] = v
	}
	id := schemas.NewRowID(testNamespace, schemas.Users, key)
	for _, where := range in {
		if strings.HasPrefix(where, "/") {
			all["groups"] = append(all["groups"].([]string), s.ids[where])
			continue
		}
		org, _, below := strings.Cut(where, "/")
		m := map[string]any{"user": id.String(), "organization": s.ids[org]}
		department := ""
		if below {
			department = s.ids[where]
			m["department"] = department
		}
		s.addRow(schemas.Memberships, schemas.MembershipID(id, s.ids[org], department), key, m)
	}
	s.addRow(schemas.Users, id, key, all)
}

// rows is a RowWriter that keeps what it is given as the next assignment.
type rows struct {
	memory
	last schemas.RowID
	t    testing.TB
}

func newRows(t testing.TB) *rows { return &rows{memory: memory{}, t: t} }

func (r *rows) WriteRow(_ context.Context, table string, row schemas.Row, _ int64) error {
	if row.ID.Compare(r.last) <= 0 {
		r.t.Errorf("row %q comes after a later one", row.Key)
	}
	r.last = row.ID
	r.memory[table] = append(r.memory[table], row)
	return nil
}

// by lists who is in which wave: "pilot: a b; rest: c".
func (r *rows) by() string {
	in := map[string][]string{}
	var names []string
	for _, row := range r.memory[schemas.WaveAssignment] {
		wave := row.Values[waveColumn].(string)
		if in[wave] == nil {
			names = append(names, wave)
		}
		in[wave] = append(in[wave], row.Key)
	}
	slices.Sort(names)
	var out []string
	for _, n := range names {
		slices.Sort(in[n])
		out = append(out, n+": "+strings.Join(in[n], " "))
	}
	return strings.Join(out, "; ")
}

func compile(t testing.TB, rules ...Rule) *Selection {
	t.Helper()
	s, err := Compile(Rules{Salt: "salt", Waves: rules})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func assign(t testing.TB, s *Selection, in Input) (*rows, *Report) {
	t.Helper()
	in.Namespace, in.TempDir = testNamespace, t.TempDir()
	out := newRows(t)
	rep, err := s.Assign(t.Context(), in, out)
	if err != nil {
		t.Fatal(err)
	}
	return out, rep
}
