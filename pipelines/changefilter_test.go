package pipelines

import (
	"errors"
	"slices"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// peopleOf makes a snapshot of people by key, their columns in the given order.
func peopleOf(t *testing.T, s *snapshots.Store, columns []string, people map[string]map[string]string) *snapshots.Snapshot {
	t.Helper()
	ids := map[string]int32{"name": 200, "mail": 201, "phone": 202}
	shape := schemas.Table{Name: "people"}
	for _, c := range columns {
		shape.Columns = append(shape.Columns, schemas.Column{ID: ids[c], Name: c, Type: schemas.String})
	}
	w := s.NewWriter([]schemas.Table{shape}, snapshots.WriterOptions{})
	defer w.Close()
	for key, cells := range people {
		r := schemas.Row{ID: schemas.NewRowID("t", "people", key), Key: key, Values: make([]any, len(columns))}
		for i, c := range columns {
			if v, ok := cells[c]; ok {
				r.Values[i] = v
			}
		}
		if err := w.WriteRow(t.Context(), "people", r, 0); err != nil {
			t.Fatal(err)
		}
	}
	d, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sn, err := s.OpenManifest(t.Context(), d.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	return sn
}

// Expressions see each row by its own side's columns, whatever their order, also
// those that only one side has.
func TestChangeFilter(t *testing.T) {
	b := &backendtest.Memory{}
	if err := snapshots.Init(t.Context(), b, snapshots.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{})
	if err != nil {
		t.Fatal(err)
	}
	type people = map[string]map[string]string
	base := peopleOf(t, s, []string{"name", "mail"}, people{"1": {"name": "One", "mail": "1@x"}, "2": {"name": "Two", "mail": "2@x"}})
	x := peopleOf(t, s, []string{"mail", "phone", "name"}, people{"1": {"name": "Uno", "mail": "1@x", "phone": "49"}, "2": {"name": "Two", "mail": "2@x"}, "3": {"name": "Three"}})
	y := peopleOf(t, s, []string{"mail", "name"}, people{"1": {"name": "Eins", "mail": "1@x"}})

	for expression, want := range map[string][]string{
		`old.name == "One" && new.name == "Uno"`: {"1"},
		`new.phone == "49" && !has(old.phone)`:   {"1"},
		`kind == "insert" && old.name == ""`:     {"3"},
		`"name" in changed`:                      {"1", "3"},
		`false`:                                  nil,
	} {
		f, err := CompileChanges(expression, base, x, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for c, err := range snapshots.Diff(t.Context(), base, x, snapshots.DiffOptions{Where: f.Holds, Tables: f.Tables()}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, c.Key)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: rows %v, want %v", expression, got, want)
		}
	}

	for expression, want := range map[string][]string{
		`side == "conflict" && base.name == "One" && a.name == "Uno" && b.name == "Eins"`: {"1"},
		`kind_a == "" && a.name == "Two" && a.mail == "2@x" && !has(b.name)`:              {"2"},
		`kind_b == "" && kind_a == "insert" && a.name == "Three"`:                         {"3"},
	} {
		f, err := CompileThreeWay(expression, base, x, y, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for c, err := range snapshots.ThreeWay(t.Context(), base, x, y, snapshots.DiffOptions{Tables: f.Tables()}, f.HoldsThree, nil) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, c.Key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: rows %v, want %v", expression, got, want)
		}
	}

	_, err = CompileChanges(`new.name == "x" && new.fone == ""`, base, x, nil)
	if w, ok := errors.AsType[*WhereError](err); !ok || w.Column != 23 || w.Next == "" {
		t.Errorf("%+v", err)
	}
}
