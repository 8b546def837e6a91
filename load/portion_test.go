package load_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/loadtest"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

func userIDs(keys ...int) []schemas.RowID {
	var ids []schemas.RowID
	for _, n := range keys {
		ids = append(ids, rowID(schemas.Users, fmt.Sprintf("u%06d", n)))
	}
	slices.SortFunc(ids, schemas.RowID.Compare)
	return ids
}

func upTo(n int) []int {
	var out []int
	for i := range n {
		out = append(out, i)
	}
	return out
}

// baseOf is a base of users, of whom the last was adopted under another id.
func (d *depot) baseOf(users int) *snapshots.Snapshot {
	return d.write("base", load.BaseTables(), func(w load.RowWriter) error {
		ids := []struct{ table, key, target string }{
			{schemas.Organizations, "meridian", "t-meridian"}, {schemas.Departments, "sales", "t-sales"}, {schemas.Users, fmt.Sprintf("u%06d", users-1), "adopted"},
		}
		for _, e := range ids {
			r := schemas.Row{ID: rowID(e.table, e.key), Key: e.key, Values: []any{e.table, e.target, load.OriginCreated, "run"}}
			if err := w.WriteRow(d.tb.Context(), schemas.IDMap, r, -1); err != nil {
				return err
			}
		}
		return d.population(w, users, "Anna")
	})
}

// Chosen users are found one by one when they are few, and in one sweep when
// they are many; those that base does not know are passed over.
func TestProbesOf(t *testing.T) {
	d := newDepot(t)
	base := d.baseOf(100)
	for _, n := range []int{0, 1, 5, 32, 33, 100} {
		want := userIDs(upTo(n)...)
		asked := append(slices.Clone(want), userIDs(100_000)...)
		slices.SortFunc(asked, schemas.RowID.Compare)
		var got []schemas.RowID
		for p, err := range load.ProbesOf(t.Context(), base, asked) {
			check(err)
			got = append(got, p.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("of %d users %d were found", n, len(got))
		}
	}
}

// Changes are about those that they name, those that had a role that is gone,
// and those who were in, or below, what is gone.
func TestConcerned(t *testing.T) {
	d := newDepot(t)
	base := d.baseOf(40)
	ids := must(load.ReadIDMap(t.Context(), base))
	target := loadtest.NewTarget()
	named := target.UserID(userIDs(3)[0])
	for name, c := range map[string]struct {
		changes load.Changes
		want    []schemas.RowID
		named   int
	}{
		"nobody":          {load.Changes{Users: map[string]bool{"stranger": true}}, nil, 0},
		"by id":           {load.Changes{Users: map[string]bool{named: true, "stranger": true}}, userIDs(3), 1},
		"adopted":         {load.Changes{Users: map[string]bool{"adopted": true, target.UserID(userIDs(39)[0]): true}}, userIDs(39), 1},
		"role":            {load.Changes{Users: map[string]bool{named: true}, Roles: map[string]bool{"reader": true}}, userIDs(upTo(40)...), 1},
		"another role":    {load.Changes{Roles: map[string]bool{"writer": true}}, nil, 0},
		"department":      {load.Changes{Gone: map[string]bool{"t-sales": true}}, userIDs(upTo(40)...), 0},
		"organization":    {load.Changes{Gone: map[string]bool{"t-meridian": true}}, userIDs(upTo(40)...), 0},
		"somebody else's": {load.Changes{Gone: map[string]bool{"t-other": true}}, nil, 0},
	} {
		var got []schemas.RowID
		n := 0
		for u, err := range load.Concerned(t.Context(), target, base, ids, &c.changes) {
			check(err)
			if got = append(got, u.ID); u.Named {
				n++
			}
		}
		if !slices.Equal(got, c.want) || n != c.named {
			t.Errorf("%s: %d users, %d of them named; want %d and %d", name, len(got), n, len(c.want), c.named)
		}
	}
}

// A portion of base is what an observation of the same users shows, and holds
// no secret.
func TestPortion(t *testing.T) {
	d := newDepot(t)
	base := d.baseOf(100)
	for _, c := range []struct {
		users     int
		structure bool
	}{{0, true}, {7, false}, {50, true}} {
		tables := load.PortionTables(loadtest.Profile(), c.structure)
		got := d.write("portion", tables, func(w load.RowWriter) error {
			return load.Portion(t.Context(), base, userIDs(upTo(c.users)...), loadtest.Profile(), c.structure, w)
		})
		n := int64(c.users)
		want := map[string]int64{schemas.Users: n, schemas.Credentials: n, schemas.Memberships: 2 * n}
		if c.structure {
			want[schemas.Organizations], want[schemas.Departments] = 1, 1
		}
		rows := map[string]int64{}
		for _, table := range got.Tables() {
			if r := got.Rows(table); r > 0 || want[table] == 0 && r != 0 {
				rows[table] = r
			}
		}
		if c.users == 0 {
			want = map[string]int64{schemas.Organizations: 1, schemas.Departments: 1}
		}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("%d users, structure %t (-want +got):\n%s", c.users, c.structure, diff)
		}
		for row, err := range got.Scan(t.Context(), schemas.Credentials, parts.ScanOptions{}) {
			check(err)
			for _, v := range row.Values {
				if _, secret := v.(schemas.Sealed); secret {
					t.Fatal("the portion holds a secret")
				}
			}
		}
	}
}
