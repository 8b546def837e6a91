package schemas

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every column type survives the way into a batch and back, null and empty
// kept apart.
func TestRowRoundTrip(t *testing.T) {
	table := Table{Name: "all"}
	types := []Type{Bool, Int, Timestamp, String, Binary, Strings, Binaries, StringsMap, BinariesMap, Secret, Secrets, SecretsMap}
	for i, typ := range types {
		table.Columns = append(table.Columns, Column{ID: int32(10 + i), Name: "c" + typ.String(), Type: typ})
	}
	secret := Sealed{MAC: [16]byte{1}, Box: []byte("box")}
	rows := []Row{
		{ID: RowID{1}, Key: "full", Values: []any{true, int64(-7), int64(1), "ü", []byte{0, 255}, []string{"b", "a"}, [][]byte{{1}, {}},
			map[string][]string{"k": {"v", ""}, "e": {}}, map[string][][]byte{"k": {{2}}}, secret, []Sealed{secret}, map[string][]Sealed{"p": {secret}}}},
		{ID: RowID{2}, Key: "empty", Values: []any{false, int64(0), int64(0), "", []byte{}, []string{}, [][]byte{},
			map[string][]string{}, map[string][][]byte{}, Sealed{Box: []byte{}}, []Sealed{}, map[string][]Sealed{}}},
		{ID: RowID{3}, Key: "null", Values: make([]any, len(types))},
	}
	b := NewBuilder(&table)
	defer b.Release()
	for _, r := range rows {
		if err := b.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	rec := b.Record()
	defer rec.Release()
	for i, want := range rows {
		if diff := cmp.Diff(want, table.RowAt(rec, i)); diff != "" {
			t.Errorf("row %q (-want +got):\n%s", want.Key, diff)
		}
	}
}

func TestAppendRefusesWrongType(t *testing.T) {
	table := Table{Name: "people", Columns: []Column{{ID: 10, Name: "uid", Type: String}}}
	b := NewBuilder(&table)
	defer b.Release()
	err := b.Append(Row{Key: "k1", Values: []any{int64(3)}})
	want := `table people, key "k1", column uid: value of Go type int64 does not fit column type string`
	if err == nil || err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}

// Field ids are part of the format: two columns of the entity tables never
// share one, and derived ones stay out of their range.
func TestFieldIDsAreUnique(t *testing.T) {
	seen := map[int32]string{KeyFieldID: "legacy key"}
	tables := Entities()
	for _, table := range tables {
		for _, c := range table.Columns {
			if prev, dup := seen[c.ID]; dup {
				t.Errorf("%s.%s has the field id of %s", table.Name, c.Name, prev)
			}
			seen[c.ID] = table.Name + "." + c.Name
		}
	}
	if id := NamedFieldID("uid"); id < namedFieldBase {
		t.Errorf("derived field id %d lies among the fixed ones", id)
	}
}
