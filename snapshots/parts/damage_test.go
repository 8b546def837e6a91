package parts

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

// Scans start and end where they are told to, and decode no part outside.
func TestScanRange(t *testing.T) {
	store := newMemStore()
	rows := byID(typedRows(3000))
	table := write(t, everyType, rows, Options{Put: store.put, Bounds: Bounds{Rows: 400}})
	r := OpenTable(table, store.open, ReadOptions{})
	between := func(i int) schemas.RowID { // an id that no row has
		id := rows[i].ID
		id[15]++
		return id
	}
	for _, tc := range []struct {
		name     string
		from, to schemas.RowID
		lo, hi   int
	}{
		{"all", schemas.RowID{}, schemas.RowID{}, 0, 3000},
		{"from a row", rows[1234].ID, schemas.RowID{}, 1234, 3000},
		{"to a row", schemas.RowID{}, rows[1234].ID, 0, 1234},
		{"between rows", between(100), between(2000), 101, 2001},
		{"one row", rows[7].ID, between(7), 7, 8},
		{"nothing", between(8), rows[9].ID, 9, 9},
		{"after the last", between(2999), schemas.RowID{}, 3000, 3000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clear(store.opens)
			sameRows(t, rows[tc.lo:tc.hi], scanAll(t, r, ScanOptions{From: tc.from, To: tc.to}))
			for _, p := range table.Layers[0].Parts {
				lo, hi, more, _ := prefixRange(p.Prefix)
				outside := more && hi.Compare(tc.from) <= 0 || !tc.to.IsZero() && lo.Compare(tc.to) >= 0
				if outside && store.opens[p.Object]+store.opens[p.Index] > 0 {
					t.Errorf("part %s was opened", p.Prefix)
				}
			}
		})
	}
	if _, err := first(r.Scan(t.Context(), ScanOptions{Columns: []string{"nonsense"}})); err == nil || !strings.Contains(err.Error(), `no column "nonsense"`) {
		t.Errorf("unknown column: %v", err)
	}
}

func first[T any](seq func(func(T, error) bool)) (v T, err error) {
	for v, err := range seq {
		return v, err
	}
	return v, nil
}

// Look-ups find the rows that there are and open no part that has none of them.
func TestLookup(t *testing.T) {
	store := newMemStore()
	rows := byID(typedRows(6000))
	stored, absent := rows[:0:0], rows[:0:0]
	for i, row := range rows {
		if i%3 == 0 {
			absent = append(absent, row)
		} else {
			stored = append(stored, row)
		}
	}
	table := write(t, everyType, stored, Options{Put: store.put, Bounds: Bounds{Rows: 300}})
	r := OpenTable(table, store.open, ReadOptions{})
	ids := func(rows []schemas.Row) (out []schemas.RowID) {
		for _, row := range rows {
			out = append(out, row.ID)
		}
		return out
	}
	some := []schemas.Row{stored[0], stored[1], stored[700], stored[701], stored[3999]}
	for _, tc := range []struct {
		name  string
		ids   []schemas.RowID
		want  []schemas.Row
		parts int
	}{
		{"none", nil, nil, 0},
		{"absent only", ids(absent), nil, 0},
		{"all", ids(rows), stored, len(table.Layers[0].Parts)},
		{"some", ids(some), some, 3},
		{"last", ids(stored[3999:]), stored[3999:], 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clear(store.opens)
			var got []schemas.Row
			for row, err := range r.Lookup(t.Context(), slices.Values(tc.ids), ScanOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				if row.Digest != schemas.RowDigest(&everyType, &row.Row) {
					t.Error("wrong digest")
				}
				got = append(got, row.Row)
			}
			sameRows(t, tc.want, got)
			opened := 0
			for _, p := range table.Layers[0].Parts {
				opened += store.opens[p.Object]
			}
			if opened != tc.parts {
				t.Errorf("%d parts were opened, want %d", opened, tc.parts)
			}
		})
	}
	unsorted := []schemas.RowID{stored[5].ID, stored[4].ID}
	var err error
	for _, err = range r.Lookup(t.Context(), slices.Values(unsorted), ScanOptions{}) {
		if err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "sort the ids") {
		t.Errorf("unsorted ids: %v", err)
	}
}

// Every flipped byte, missing or added end in any object is found by whoever
// reads it, as corruption that names object and table.
func TestDamageIsFound(t *testing.T) {
	store := newMemStore()
	rows := typedRows(400)
	rows[3].Values[4] = bytes.Repeat([]byte("photo"), 20000)
	table := write(t, everyType, rows, Options{Put: store.put, Bounds: Bounds{Rows: 100}})
	r := OpenTable(table, store.open, ReadOptions{})
	rng := rand.New(rand.NewPCG(4, 4))
	for o, good := range store.objects {
		for _, damage := range []struct {
			name string
			f    func([]byte) []byte
		}{
			{"flipped", func(b []byte) []byte { b[rng.IntN(len(b))] ^= 1 << rng.IntN(8); return b }},
			{"short", func(b []byte) []byte { return b[:len(b)-1] }},
			{"long", func(b []byte) []byte { return append(b, 0) }},
			{"empty", func(b []byte) []byte { return nil }},
		} {
			store.objects[o] = damage.f(slices.Clone(good))
			var found *Corruption
			for err := range r.VerifyRows(t.Context()) {
				if !errors.As(err, &found) {
					t.Fatalf("%s object: %v, want corruption", damage.name, err)
				}
				break
			}
			if found == nil || found.Object != o.Name() || found.Table != "all" || found.Advice == "" {
				t.Errorf("%s object of %d bytes: found %v", damage.name, len(good), found)
			}
		}
		store.objects[o] = good
	}
	verifyAll(t, r)
	part := table.Layers[0].Parts[1]
	store.objects[part.Object] = append([]byte{}, store.objects[part.Object]...)
	store.objects[part.Object][50] ^= 4
	n := 0
	var found *Corruption
	for _, err := range r.Scan(t.Context(), ScanOptions{}) {
		if err != nil {
			if !errors.As(err, &found) {
				t.Fatalf("scan: %v", err)
			}
			continue
		}
		n++
	}
	if found == nil || int64(n) != table.Layers[0].Parts[0].Rows {
		t.Errorf("scan yielded %d rows and %v", n, found)
	}
}

// What verification compares is seen to differ: rows against digests, index
// against part, part against manifest, list against large values.
func TestVerifyComparesEverything(t *testing.T) {
	store := newMemStore()
	rows := typedRows(50)
	rows[3].Values[4] = bytes.Repeat([]byte("photo"), 20000)
	table := write(t, everyType, rows, Options{Put: store.put})
	changed := slices.Clone(rows)
	changed[7].Key = "another"
	other := write(t, everyType, changed, Options{Put: store.put})
	none := write(t, everyType, typedRows(50), Options{Put: store.put})
	for _, tc := range []struct {
		name, want string
		change     func(t *Table)
	}{
		{"digest", "the digest of its rows is not the manifest's", func(t *Table) { t.Digest[0] ^= 1 }},
		{"rows", "the manifest says 51", func(t *Table) { t.Rows++ }},
		{"rows of a part", "part has 50 rows, the manifest says 51", func(t *Table) { t.Layers[0].Parts[0].Rows++ }},
		{"index of other rows", "does not have its digest", func(t *Table) { t.Layers[0].Parts[0].Index = other.Layers[0].Parts[0].Index }},
		{"part of other rows", "does not have its digest", func(t *Table) { t.Layers[0].Parts[0].Object = other.Layers[0].Parts[0].Object }},
		{"prefix", "does not belong under prefix", func(t *Table) { t.Layers[0].Parts[0].Prefix = "f" }},
		{"large not listed", "is not listed", func(t *Table) { t.Layers[0].Parts[0].Large = nil }},
		{"too many listed", "1 large values are listed, it has 0", func(t *Table) {
			large := t.Layers[0].Parts[0].Large
			*t = clone(none)
			t.Layers[0].Parts[0].Large = large
		}},
		{"part missing", "its parts have 0 rows", func(t *Table) { t.Layers[0].Parts = nil }},
		{"set for list", "does not have its digest", func(t *Table) { t.Columns = slices.Clone(t.Columns); t.Columns[5].Set = true }},
		{"type", "columns are not those of the table", func(t *Table) { t.Columns = slices.Clone(t.Columns); t.Columns[3].Type = schemas.Binary }},
		{"layers", "use a newer version", func(t *Table) { t.Layers = append(t.Layers, Layer{Kind: "delta"}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad := clone(table)
			tc.change(&bad)
			var got []string
			for err := range OpenTable(bad, store.open, ReadOptions{}).VerifyRows(t.Context()) {
				got = append(got, err.Error())
			}
			if len(got) == 0 || !strings.Contains(got[0], tc.want) {
				t.Errorf("found %q, want %q", got, tc.want)
			}
		})
	}
}

func clone(t Table) Table {
	t.Layers = []Layer{{Kind: t.Layers[0].Kind, Parts: slices.Clone(t.Layers[0].Parts)}}
	return t
}

// A scan over decoded parts finds a secret that was planted in the clear, so
// that scans which find none can be believed; printed rows show no box.
func TestPlantedSecretIsFound(t *testing.T) {
	const secret = "hunter2-very-secret"
	forms := [][]byte{[]byte(secret), []byte(base64.StdEncoding.EncodeToString([]byte(secret)))[:20], []byte(hex.EncodeToString([]byte(secret)))}
	rows := typedRows(500)
	// Planted in a string column, where it is no secret: the scan must find it.
	rows[2].Values[3] = secret
	store := newMemStore()
	table := write(t, everyType, rows, Options{Put: store.put, Bounds: Bounds{Rows: 64}})
	count := func(r *Reader) (n int) {
		for row, err := range r.Scan(t.Context(), ScanOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Appendf(nil, "%s %v", row.Key, row.Values)
			for _, f := range forms {
				n += bytes.Count(text, f)
			}
		}
		return n
	}
	if n := count(OpenTable(table, store.open, ReadOptions{})); n != 1 {
		t.Errorf("the planted secret was found %d times", n)
	}
	// Printing a row shows no sealed value.
	if s := fmt.Sprintf("%v %+v %#v", rows[3].Values, rows[3], rows[3].Values[9]); strings.Contains(s, "box of") {
		t.Errorf("a printed row shows a sealed value")
	}
}

// Faults while writing end in their error, and nothing is left in the folder
// for temporary files.
func TestWriteFaults(t *testing.T) {
	boom := errors.New("bucket is gone")
	rows := typedRows(1500)
	rows[3].Values[4] = bytes.Repeat([]byte("photo"), 20000)
	for fail := 0; ; fail++ {
		dir, store, n := t.TempDir(), newMemStore(), 0
		put := func(ctx context.Context, body io.ReadSeeker) (Object, error) {
			if n++; n > fail {
				return Object{}, boom
			}
			return store.put(ctx, body)
		}
		w := NewTableWriter(everyType, Options{Put: put, Bounds: Bounds{Rows: 500}, TempDir: dir, Memory: 256 << 10})
		var err error
		for i, row := range rows {
			if err = w.WriteRow(t.Context(), row, int64(i)); err != nil {
				break
			}
		}
		if err == nil {
			_, err = w.Finish(t.Context())
		}
		w.Close()
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("put %d fails: %d files left", fail, len(left))
		}
		if err == nil {
			if fail < 3 {
				t.Errorf("%d puts were enough", fail)
			}
			return
		}
		if !errors.Is(err, boom) {
			t.Fatalf("put %d fails: got %v", fail, err)
		}
	}
}

// A store that keeps other bytes than it was given is noticed at once.
func TestStoreThatAltersBytes(t *testing.T) {
	put := func(ctx context.Context, body io.ReadSeeker) (Object, error) {
		b, _ := io.ReadAll(body)
		b[len(b)/2] ^= 1
		return newMemStore().put(ctx, bytes.NewReader(b))
	}
	w := NewTableWriter(everyType, Options{Put: put})
	defer w.Close()
	if err := w.WriteRow(t.Context(), typedRow(2), 0); err != nil {
		t.Fatal(err)
	}
	var c *Corruption
	if _, err := w.Finish(t.Context()); !errors.As(err, &c) {
		t.Errorf("got %v, want corruption", err)
	}
}

func TestNoRoomForTemporaryFiles(t *testing.T) {
	dir := t.TempDir() + "/absent"
	w := NewTableWriter(everyType, Options{Put: newMemStore().put, TempDir: dir, Memory: 256 << 10})
	defer w.Close()
	var err error
	for i := 0; i < 10000 && err == nil; i++ {
		err = w.WriteRow(t.Context(), typedRow(i), int64(i))
	}
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "name another folder") {
		t.Errorf("got %v", err)
	}
	if err2 := w.WriteRow(t.Context(), typedRow(1), 0); err2 == nil {
		t.Error("writing goes on after an error")
	}
	s := newSpool(dir)
	if _, err := s.Write(make([]byte, spoolMemory+1)); !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), dir) {
		t.Errorf("spool: %v", err)
	}
}

// Rows that don't fit are refused with table, row and column.
func TestRefusedRows(t *testing.T) {
	w := NewTableWriter(everyType, Options{Put: newMemStore().put})
	defer w.Close()
	bad := typedRow(2)
	bad.Values = slices.Clone(bad.Values)
	bad.Values[3] = "secret\xff"
	err := w.WriteRow(t.Context(), bad, 77)
	if err == nil || !strings.Contains(err.Error(), `table all, key "key-2" (at 77 of the source): column string: value is not valid UTF-8`) || strings.Contains(err.Error(), "secret\xff") {
		t.Errorf("got %v", err)
	}
	other := schemas.Table{Name: "other", Columns: everyType.Columns[:2]}
	b := schemas.NewBuilder(&other)
	defer b.Release()
	rec := b.Record()
	defer rec.Release()
	if err := w.Write(t.Context(), rec, nil); err == nil || !strings.Contains(err.Error(), "batch has columns") {
		t.Errorf("batch of another table: %v", err)
	}
	for _, c := range []schemas.Column{{ID: 3, Name: "row_id", Type: schemas.Int}, {ID: 3, Name: "_large", Type: schemas.Int}, {ID: 3, Name: "a[0]", Type: schemas.Int}, {ID: 2, Name: "x", Type: schemas.Int}, {ID: 3, Name: "", Type: schemas.Int}, {ID: 3, Name: "y"}} {
		w := NewTableWriter(schemas.Table{Name: "t", Columns: []schemas.Column{c}}, Options{Put: newMemStore().put})
		if _, err := w.Finish(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "table t") {
			t.Errorf("column %+v: %v", c, err)
		}
		w.Close()
	}
}

// A cancelled context stops writing and reading with its cause.
func TestCancel(t *testing.T) {
	store := newMemStore()
	table := write(t, everyType, typedRows(2000), Options{Put: store.put})
	cause := errors.New("operator said stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	r := OpenTable(table, store.open, ReadOptions{})
	if _, err := first(r.Scan(ctx, ScanOptions{})); !errors.Is(err, cause) {
		t.Errorf("scan: %v", err)
	}
	w := NewTableWriter(everyType, Options{Put: store.put})
	defer w.Close()
	if err := w.WriteRow(ctx, typedRow(1), 0); !errors.Is(err, cause) {
		t.Errorf("write: %v", err)
	}
}

// Whatever bytes stand in for an index, reading them ends in entries in order
// or in corruption.
func FuzzIndex(f *testing.F) {
	w, older := newIndexWriter(3), newListWriter(wholeMagic, indexEntry, 3)
	for _, row := range byID(typedRows(3)) {
		d := schemas.RowDigest(&everyType, &row)
		w.entry(Entry{ID: row.ID, Digest: d})
		older.add(row.ID[:], d[:])
	}
	f.Add(w.finish())
	f.Add(older.finish())
	f.Add([]byte(indexMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := Object{Bytes: int64(len(b))}
		l, err := openIndexList(o, byteReaderAt(b))
		if err == nil {
			err = l.each(0, func([]byte) bool { return true })
		}
		var c *Corruption
		if err != nil && !errors.As(err, &c) {
			t.Fatalf("got %v, want corruption", err)
		}
	})
}

// The same of a change layer's index.
func FuzzChangeIndex(f *testing.F) {
	w := newListWriter(changeMagic, changeEntry, 3)
	for i, row := range byID(typedRows(3)) {
		c := Change{ID: row.ID, New: schemas.RowDigest(&everyType, &row), Old: schemas.Digest{1}}
		if i == 1 {
			c.New = schemas.Digest{}
		}
		w.change(c)
	}
	f.Add(w.finish(), int64(2), int64(1))
	f.Add([]byte(changeMagic), int64(0), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, rows, deleted int64) {
		part := Part{Rows: rows, Deleted: deleted, Index: Object{Bytes: int64(len(b))}}
		table := Table{Name: "fuzz", Layers: []Layer{{Kind: KindWhole}, {Kind: KindChange, Parts: []Part{part}}}}
		open := func(context.Context, Object) (io.ReaderAt, io.Closer, error) {
			return byteReaderAt(b), nopCloser{}, nil
		}
		last := schemas.RowID{}
		for c, err := range OpenTable(table, open, ReadOptions{}).Changes(t.Context(), 1) {
			if _, damaged := errors.AsType[*Corruption](err); err != nil && !damaged {
				t.Fatalf("got %v, want corruption", err)
			}
			if err == nil && c.ID.Compare(last) < 0 {
				t.Fatal("changes do not ascend")
			}
			last = c.ID
		}
	})
}

// Bytes that pass for verified and yet are damaged (a fault between check and
// use, a writer's bug) end in an error, never in a crash or in rows without
// complaint by verification.
func TestDecoderSurvivesDamage(t *testing.T) {
	store := newMemStore()
	rows := typedRows(300)
	rows[3].Values[4] = bytes.Repeat([]byte("photo"), 20000)
	table := write(t, everyType, rows, Options{Put: store.put})
	part := table.Layers[0].Parts[0].Object
	good := store.objects[part]
	unchecked := func(ctx context.Context, o Object) (io.ReaderAt, io.Closer, error) {
		return byteReaderAt(store.objects[o]), nopCloser{}, nil
	}
	r := OpenTable(table, unchecked, ReadOptions{})
	rng := rand.New(rand.NewPCG(6, 6))
	errs := 0
	for range 400 {
		bad := slices.Clone(good)
		for range 1 + rng.IntN(3) {
			bad[rng.IntN(len(bad))] ^= byte(1 + rng.IntN(255))
		}
		store.objects[part] = bad
		for err := range r.VerifyRows(t.Context()) {
			var c *Corruption
			if !errors.As(err, &c) {
				t.Fatalf("got %v, want corruption", err)
			}
			errs++
			break
		}
		for range r.Scan(t.Context(), ScanOptions{}) { // must only come to an end
		}
	}
	if errs < 300 {
		t.Errorf("%d of 400 damaged parts were noticed", errs)
	}
	t.Logf("%d of 400 damaged parts were noticed; the rest holds the same rows", errs)
}

// Damage to an index that slipped past its SHA-256 shows in a block's checksum.
func TestIndexChecksums(t *testing.T) {
	store := newMemStore()
	table := write(t, everyType, typedRows(3000), Options{Put: store.put})
	index := table.Layers[0].Parts[0].Index
	r := OpenTable(table, func(ctx context.Context, o Object) (io.ReaderAt, io.Closer, error) {
		return byteReaderAt(store.objects[o]), nopCloser{}, nil
	}, ReadOptions{})
	good := store.objects[index]
	for _, at := range []int{0, 10, 20, 25, listHead, listHead + 31, listHead + blockOf*halfEntry, len(good) / 2, len(good) - 40, len(good) - 1} {
		store.objects[index] = slices.Clone(good)
		store.objects[index][at] ^= 1
		var c *Corruption
		n := 0
		for _, err := range r.Index(t.Context()) {
			if err != nil && !errors.As(err, &c) {
				t.Fatalf("byte %d: got %v, want corruption", at, err)
			}
			n++
		}
		if c == nil {
			t.Errorf("byte %d was flipped, and %d entries came without complaint", at, n)
		}
	}
}

// The same of a list of large values.
func FuzzLargeList(f *testing.F) {
	good := largeList(map[[32]byte]int64{{1}: 70_000, {2}: 80_000})
	f.Add(good)
	f.Add(good[:listHead])
	f.Fuzz(func(t *testing.T, b []byte) {
		open := func(context.Context, Object) (io.ReaderAt, io.Closer, error) {
			return byteReaderAt(b), nopCloser{}, nil
		}
		objects, err := LargeOf(t.Context(), open, Object{Bytes: int64(len(b))})
		if _, damaged := errors.AsType[*Corruption](err); err != nil && !damaged {
			t.Fatalf("got %v, want corruption", err)
		}
		if err == nil && int64(len(b)) != listBytes(largeEntry, int64(len(objects))) {
			t.Fatalf("%d values out of %d bytes", len(objects), len(b))
		}
	})
}
