package parts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

// older is a table as stores of before have it: with indexes of whole entries.
func older(t *testing.T, store *memStore, table Table) Table {
	t.Helper()
	r := OpenTable(table, store.open, ReadOptions{})
	parts := slices.Clone(table.Layers[0].Parts)
	for i, p := range parts {
		w := newListWriter(wholeMagic, indexEntry, p.Rows)
		for e, err := range r.PartIndex(t.Context(), p) {
			if err != nil {
				t.Fatal(err)
			}
			w.add(e.ID[:], e.Digest[:])
		}
		var err error
		if parts[i].Index, err = store.put(t.Context(), bytes.NewReader(w.finish())); err != nil {
			t.Fatal(err)
		}
		again, err := OpenTable(Table{Name: table.Name, Columns: table.Columns, Layers: []Layer{{Kind: KindWhole, Parts: parts}}}, store.open, ReadOptions{}).RebuildIndex(t.Context(), 0, i)
		if err != nil || sha256.Sum256(again) != parts[i].Index.SHA256 {
			t.Errorf("the index of part %q is not rebuilt as it was: %v", p.Prefix, err)
		}
	}
	table.Layers = append([]Layer{{Kind: KindWhole, Parts: parts}}, table.Layers[1:]...)
	return table
}

// rawReader reads indexes unchecked and counts their bytes.
func rawReader(store *memStore, table Table, read *int64) *Reader {
	return OpenTable(table, store.open, ReadOptions{Raw: func(_ context.Context, o Object) (Source, error) {
		return countedSource{bytes.NewReader(store.objects[o]), read}, nil
	}})
}

type countedSource struct {
	io.ReaderAt
	n *int64
}

func (c countedSource) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, at)
	*c.n += int64(n)
	return n, err
}

func (countedSource) Close() error { return nil }

func allChanges(t *testing.T, a, b *Reader) (all []Change, n Counts) {
	t.Helper()
	var err error
	n.Same, err = Compare(t.Context(), a, b, Range{}, func(c Change) error {
		all = append(all, c)
		switch {
		case isZero(c.Old):
			n.Inserted++
		case isZero(c.New):
			n.Deleted++
		default:
			n.Updated++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, n
}

// Indexes of either kind say the same, and counting reads half of the newer.
func TestIndexesOfBothKinds(t *testing.T) {
	store := newMemStore()
	before, after := typedRows(5000), typedRows(5010)
	for i := 0; i < len(after); i += 50 {
		after[i].Key += " changed"
	}
	after = slices.DeleteFunc(after, func(r schemas.Row) bool { return r.ID == idOf(7) })
	o := Options{Put: store.put, Bounds: Bounds{Rows: 3000}}
	a, b := write(t, everyType, before, o), write(t, everyType, after, o)
	oldA, oldB := older(t, store, a), older(t, store, b)
	sameRows(t, byID(before), scanAll(t, OpenTable(oldA, store.open, ReadOptions{}), ScanOptions{}))
	verifyAll(t, OpenTable(oldA, store.open, ReadOptions{}))
	var whole int64
	want, counts := allChanges(t, rawReader(store, oldA, &whole), rawReader(store, oldB, &whole))
	if counts.Updated < 100 || counts.Inserted != 10 || counts.Deleted != 1 {
		t.Fatalf("%+v", counts)
	}
	for i, sides := range [][2]Table{{a, b}, {oldA, b}, {a, oldB}, {oldA, oldB}} {
		var read int64
		x, y := rawReader(store, sides[0], &read), rawReader(store, sides[1], &read)
		if all, n := allChanges(t, x, y); !cmp.Equal(all, want) || n != counts {
			t.Errorf("compared: %s", cmp.Diff(want, all))
		}
		read = 0
		if n, err := Count(t.Context(), x, y, Range{}); n != counts || err != nil {
			t.Errorf("counted %+v, want %+v, %v", n, counts, err)
		}
		if i == 0 && read > whole*51/100 {
			t.Errorf("%d bytes were read to count, of %d", read, whole)
		}
	}
}

// Rows whose ids begin alike, as those of one user, are told apart, also where
// the sides have one each.
func TestCountOfIDsThatBeginAlike(t *testing.T) {
	row := func(user, own byte, key string) schemas.Row {
		r := typedRow(5)
		r.ID, r.Key = schemas.RowID{0: user, 15: own}, key
		return r
	}
	store := newMemStore()
	o := Options{Put: store.put}
	dependent := everyType
	dependent.DependsOn = "users"
	for name, c := range map[string]struct {
		table schemas.Table
		a, b  []schemas.Row
		want  Counts
	}{
		"two on one side": {everyType, []schemas.Row{row(1, 1, "x"), row(1, 2, "y")}, []schemas.Row{row(1, 2, "z")}, Counts{Deleted: 1, Updated: 1}},
		"one on each":     {dependent, []schemas.Row{row(1, 1, "x")}, []schemas.Row{row(1, 2, "x")}, Counts{Deleted: 1, Inserted: 1}},
	} {
		a, b := write(t, c.table, c.a, o), write(t, c.table, c.b, o)
		n, err := Count(t.Context(), OpenTable(a, store.open, ReadOptions{}), OpenTable(b, store.open, ReadOptions{}), Range{})
		if n != c.want || err != nil {
			t.Errorf("%s: %+v, want %+v, %v", name, n, c.want, err)
		}
	}
}
