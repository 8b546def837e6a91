package parts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

// memStore keeps objects in memory.
type memStore struct {
	mu      sync.Mutex
	objects map[Object][]byte
	puts    int
	opens   map[Object]int
}

func newMemStore() *memStore { return &memStore{objects: map[Object][]byte{}, opens: map[Object]int{}} }

func (m *memStore) put(_ context.Context, body io.ReadSeeker) (Object, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return Object{}, err
	}
	o := Object{SHA256: sha256.Sum256(b), Bytes: int64(len(b))}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[o] = b
	m.puts++
	return o, nil
}

type memSource struct{ byteReaderAt }

func (memSource) Close() error { return nil }

func (m *memStore) open(ctx context.Context, o Object) (io.ReaderAt, io.Closer, error) {
	return Verified(func(_ context.Context, o Object) (Source, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		b, ok := m.objects[o]
		if !ok {
			return nil, fmt.Errorf("no object %s", o.Name())
		}
		m.opens[o]++
		return memSource{b}, nil
	})(ctx, o)
}

func write(t testing.TB, table schemas.Table, rows []schemas.Row, o Options) Table {
	t.Helper()
	w := NewTableWriter(table, o)
	defer w.Close()
	writeAll(t, w, &table, rows, 1000)
	got, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func writeAll(t testing.TB, w *TableWriter, table *schemas.Table, rows []schemas.Row, batch int) {
	t.Helper()
	b := schemas.NewBuilder(table)
	defer b.Release()
	for start := 0; start < len(rows); start += batch {
		var origins []int64
		for i, row := range rows[start:min(start+batch, len(rows))] {
			if err := b.Append(row); err != nil {
				t.Fatal(err)
			}
			origins = append(origins, int64(start+i))
		}
		rec := b.Record()
		err := w.Write(t.Context(), rec, origins)
		rec.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func scanAll(t testing.TB, r *Reader, o ScanOptions) []schemas.Row {
	t.Helper()
	var rows []schemas.Row
	for row, err := range r.Scan(t.Context(), o) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func verifyAll(t testing.TB, r *Reader) {
	t.Helper()
	for err := range r.VerifyRows(t.Context()) {
		t.Error(err)
	}
}

var everyType = schemas.Table{Name: "all", Columns: []schemas.Column{
	{ID: 10, Name: "bool", Type: schemas.Bool}, {ID: 11, Name: "int", Type: schemas.Int},
	{ID: 12, Name: "timestamp", Type: schemas.Timestamp}, {ID: 13, Name: "string", Type: schemas.String},
	{ID: 14, Name: "binary", Type: schemas.Binary}, {ID: 15, Name: "strings", Type: schemas.Strings},
	{ID: 16, Name: "binaries", Type: schemas.Binaries}, {ID: 17, Name: "strings map", Type: schemas.StringsMap},
	{ID: 9, Name: "binaries.map", Type: schemas.BinariesMap}, {ID: 19, Name: "secret", Type: schemas.Secret},
	{ID: 20, Name: "secrets", Type: schemas.Secrets}, {ID: 21, Name: "secrets map", Type: schemas.SecretsMap},
}}

func sealed(s string) schemas.Sealed {
	x := schemas.Sealed{Box: []byte("box of " + s)}
	copy(x.MAC[:], s)
	return x
}

func idOf(i int) schemas.RowID { return schemas.NewRowID("test", "all", fmt.Sprint(i)) }

// typedRow makes row i of everyType: nulls, empties and values by turns.
func typedRow(i int) schemas.Row {
	row := schemas.Row{ID: idOf(i), Key: fmt.Sprintf("key-%d", i)}
	s := fmt.Sprintf("value %d", i)
	full := []any{i%2 == 0, int64(-i), int64(i) * 1e6, "größe " + s, []byte{0, byte(i), 255}, []string{s, "b", "a", ""}, [][]byte{{byte(i)}, {}},
		map[string][]string{"z": {s, ""}, "a": {}, "ü": {"x"}}, map[string][][]byte{"photo": {{1, 2}, {3}}},
		sealed(s), []schemas.Sealed{sealed("1" + s), sealed("2" + s)}, map[string][]schemas.Sealed{"p": {sealed(s)}, "e": {}}}
	empty := []any{false, int64(0), int64(0), "", []byte{}, []string{}, [][]byte{}, map[string][]string{}, map[string][][]byte{},
		schemas.Sealed{Box: []byte{}}, []schemas.Sealed{}, map[string][]schemas.Sealed{}}
	switch i % 5 {
	case 0:
		row.Values = make([]any, len(everyType.Columns))
	case 1:
		row.Values = empty
	default:
		row.Values = full
		row.Values[i%len(full)] = nil
	}
	return row
}

func typedRows(n int) []schemas.Row {
	rows := make([]schemas.Row, n)
	for i := range rows {
		rows[i] = typedRow(i)
	}
	return rows
}

func byID(rows []schemas.Row) []schemas.Row {
	return slices.SortedFunc(slices.Values(rows), func(a, b schemas.Row) int { return a.ID.Compare(b.ID) })
}

// sameRows compares without cmp first, which is slow on large values.
func sameRows(t testing.TB, want, got []schemas.Row) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(want[i], got[i]) {
			t.Fatalf("row %d differs (-want +got):\n%.2000s", i, cmp.Diff(want[i], got[i]))
		}
	}
}

// Rows come back as they were written, in order of their ids, with the digest
// that their canonical encoding gives, and pass verification.
func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 7, 300, 5000} {
		t.Run(fmt.Sprint("rows=", n), func(t *testing.T) {
			store := newMemStore()
			rows := typedRows(n)
			table := write(t, everyType, rows, Options{Put: store.put, Bounds: Bounds{Rows: 700}, TempDir: t.TempDir()})
			r := OpenTable(table, store.open, ReadOptions{})
			want := byID(rows)
			sameRows(t, want, scanAll(t, r, ScanOptions{}))
			i := 0
			for row, err := range r.ScanStored(t.Context(), ScanOptions{Columns: []string{"int"}}) {
				if err != nil {
					t.Fatal(err)
				}
				if row.Digest != schemas.RowDigest(&everyType, &want[i]) || row.ID != want[i].ID || !cmp.Equal(row.Values[1], want[i].Values[1]) || row.Values[3] != nil {
					t.Fatalf("row %d: digest or projection differs", i)
				}
				i++
			}
			i = 0
			for e, err := range r.Index(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if e.ID != want[i].ID || e.Digest != schemas.RowDigest(&everyType, &want[i]) {
					t.Fatalf("index entry %d differs", i)
				}
				i++
			}
			if i != n || table.Rows != int64(n) {
				t.Errorf("index has %d rows, table %d, want %d", i, table.Rows, n)
			}
			verifyAll(t, r)
			var again Table
			b, err := json.Marshal(table)
			if err == nil {
				err = json.Unmarshal(b, &again)
			}
			if err != nil || !cmp.Equal(table, again) {
				t.Errorf("table does not survive JSON: %v\n%s", err, cmp.Diff(table, again))
			}
		})
	}
}

// The digest and the parts' bytes depend on the rows alone: not on workers,
// memory, order or size of batches; the digest not on part bounds either.
func TestSameDigestHoweverWritten(t *testing.T) {
	rows := typedRows(1500)
	type variant struct {
		name    string
		o       Options
		batch   int
		shuffle bool
		writers int
	}
	base := Bounds{Rows: 200}
	var first Table
	for _, v := range []variant{
		{"one worker", Options{Workers: 1, Bounds: base}, 1000, false, 1},
		{"two workers", Options{Workers: 2, Bounds: base}, 1000, false, 1},
		{"eight workers", Options{Workers: 8, Bounds: base, Memory: 1 << 30}, 100, true, 8},
		{"spilling", Options{Workers: 2, Bounds: base, Memory: 256 << 10}, 77, true, 3},
		{"row by row", Options{Bounds: base}, 0, true, 1},
		{"whole in one part", Options{}, 4000, false, 1},
		{"small parts", Options{Workers: 2, Bounds: Bounds{Rows: 20}}, 1000, true, 2},
		{"parts by bytes", Options{Bounds: Bounds{Bytes: 20000}}, 1000, true, 2},
	} {
		t.Run(v.name, func(t *testing.T) {
			store := newMemStore()
			v.o.Put, v.o.TempDir = store.put, t.TempDir()
			w := NewTableWriter(everyType, v.o)
			defer w.Close()
			in := slices.Clone(rows)
			if v.shuffle {
				rand.New(rand.NewPCG(9, 9)).Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
			}
			var wg sync.WaitGroup
			share := (len(in) + v.writers - 1) / v.writers
			for part := range slices.Chunk(in, share) {
				wg.Go(func() {
					if v.batch > 0 {
						writeAll(t, w, &everyType, part, v.batch)
						return
					}
					for i, row := range part {
						if err := w.WriteRow(t.Context(), row, int64(i)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			table, err := w.Finish(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if v.name == "spilling" && w.Spilled() == 0 {
				t.Error("nothing was spilled")
			}
			if first.Rows == 0 {
				first = table
			}
			if table.Digest != first.Digest || table.Rows != first.Rows {
				t.Errorf("digest %s of %d rows, want %s of %d", table.Digest, table.Rows, first.Digest, first.Rows)
			}
			if v.o.Bounds == base && !cmp.Equal(table, first) {
				t.Errorf("parts differ:\n%s", cmp.Diff(first, table))
			}
			r := OpenTable(table, store.open, ReadOptions{})
			sameRows(t, byID(rows), scanAll(t, r, ScanOptions{}))
			verifyAll(t, r)
			for _, p := range table.Layers[0].Parts {
				if b := v.o.Bounds.orDefault(); p.Rows > b.Rows && p.Rows > 1 {
					t.Errorf("part %s has %d rows, over its bound", p.Prefix, p.Rows)
				}
			}
		})
	}
}

// Two rows of one id are refused, whatever order they came in, with the key
// and both places.
func TestDuplicates(t *testing.T) {
	for _, memory := range []int64{0, 256 << 10} {
		rows := typedRows(3000)
		rows[2500] = rows[17]
		rows[2500].Key = "another key"
		for _, reverse := range []bool{false, true} {
			w := NewTableWriter(everyType, Options{Put: newMemStore().put, Memory: memory, TempDir: t.TempDir()})
			order := slices.Collect(maps.Keys(rowsByOrigin(rows)))
			slices.Sort(order)
			if reverse {
				slices.Reverse(order)
			}
			for _, i := range order {
				if err := w.WriteRow(t.Context(), rows[i], int64(i)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := w.Finish(t.Context())
			var dup *DuplicateError
			if !errors.As(err, &dup) {
				t.Fatalf("got %v, want a duplicate error", err)
			}
			if want := (DuplicateError{Table: "all", Key: "key-17", ID: rows[17].ID, Origins: [2]int64{17, 2500}}); *dup != want {
				t.Errorf("got %+v, want %+v", *dup, want)
			}
			w.Close()
		}
	}
}

func rowsByOrigin(rows []schemas.Row) map[int]schemas.Row {
	m := map[int]schemas.Row{}
	for i, r := range rows {
		m[i] = r
	}
	return m
}

// Large values live as objects of their own and come back whole; kept large,
// rows have the same digest and can be written again as they are.
func TestLargeValues(t *testing.T) {
	table := schemas.Table{Name: "people", Columns: []schemas.Column{
		{ID: 10, Name: "photo", Type: schemas.Binary}, {ID: 11, Name: "photos", Type: schemas.Binaries},
		{ID: 12, Name: "notes", Type: schemas.Strings, Set: true}, {ID: 13, Name: "other", Type: schemas.BinariesMap},
		{ID: 14, Name: "text", Type: schemas.String}, {ID: 15, Name: "attributes", Type: schemas.StringsMap}}}
	photo := func(seed, n int) []byte {
		b := make([]byte, n)
		rng := rand.New(rand.NewPCG(uint64(seed), 0))
		for i := 0; i+8 <= len(b); i += 8 {
			binary.LittleEndian.PutUint64(b[i:], rng.Uint64())
		}
		return b
	}
	mb := 1 << 20
	rows := []schemas.Row{
		{ID: idOf(1), Key: "1", Values: []any{photo(1, mb), nil, nil, nil, nil, nil}},
		{ID: idOf(2), Key: "2", Values: []any{nil, [][]byte{{1}, photo(2, mb), {}, photo(3, mb+5)}, []string{strings.Repeat("n", 70000), "short"},
			map[string][][]byte{`a"]["\`: {photo(4, 70000), {2}, photo(1, mb)}}, strings.Repeat("ü", 40000), map[string][]string{"": {strings.Repeat("x", schemas.LargeBytes+1)}}}},
		{ID: idOf(3), Key: "3", Values: []any{photo(1, schemas.LargeBytes), [][]byte{}, []string{""}, map[string][][]byte{"k": {{}}}, "", nil}},
		{ID: idOf(4), Key: "4", Values: []any{photo(1, mb), nil, nil, nil, nil, nil}},
	}
	store := newMemStore()
	stored := write(t, table, rows, Options{Put: store.put, TempDir: t.TempDir()})
	r := OpenTable(stored, store.open, ReadOptions{})
	want := byID(rows)
	for i := range want {
		if n, ok := want[i].Values[2].([]string); ok {
			want[i].Values = slices.Clone(want[i].Values)
			want[i].Values[2] = normalizedNotes(n)
		}
	}
	sameRows(t, want, scanAll(t, r, ScanOptions{}))
	verifyAll(t, r)
	kept := scanAll(t, r, ScanOptions{KeepLarge: true})
	for i, row := range kept {
		if schemas.RowDigest(&table, &row) != schemas.RowDigest(&table, &want[i]) {
			t.Errorf("row %s: digest differs when large values are kept apart", row.Key)
		}
		if row.Key == "2" && len(row.Large) != 7 {
			t.Errorf("row 2 lists %d large values, want 7", len(row.Large))
		}
	}
	puts := store.puts
	again := write(t, table, nil, Options{Put: store.put})
	if again.Digest == stored.Digest {
		t.Error("an empty table has the digest of a full one")
	}
	w := NewTableWriter(table, Options{Put: store.put})
	defer w.Close()
	for _, row := range kept {
		if err := w.WriteRow(t.Context(), row, 0); err != nil {
			t.Fatal(err)
		}
	}
	copied, err := w.Finish(t.Context())
	if err != nil || !cmp.Equal(copied, stored) {
		t.Errorf("copy of kept rows differs: %v", err)
	}
	if n := store.puts - puts; n != 3 {
		t.Errorf("copy put %d objects, want part, index and list only", n)
	}
	objects := map[Object]bool{}
	for o, err := range r.LargeObjects(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		objects[o] = true
	}
	if len(objects) != 7 {
		t.Errorf("%d large objects listed, want 7", len(objects))
	}
	projected := scanAll(t, r, ScanOptions{Columns: []string{"text"}, KeepLarge: true})
	for _, row := range projected {
		for _, ref := range row.Large {
			if ref.Path != "text" {
				t.Errorf("projection lists %s", ref.Path)
			}
		}
	}
}

// normalizedNotes is the stored form of a set: small values sorted, large last.
func normalizedNotes(n []string) []string {
	return slices.SortedFunc(slices.Values(n), func(a, b string) int {
		if (len(a) > schemas.LargeBytes) != (len(b) > schemas.LargeBytes) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
}

// Footers, which every tool reads and prints, hold no value of a row: neither
// seals nor keys nor names.
func TestNoSecretInFooters(t *testing.T) {
	store := newMemStore()
	rows := typedRows(2000)
	table := write(t, everyType, rows, Options{Put: store.put, TempDir: t.TempDir()})
	secret := sealed("value 2")
	foot := func(b []byte) []byte {
		n := binary.LittleEndian.Uint32(b[len(b)-8:])
		return b[len(b)-8-int(n):]
	}
	for _, p := range table.Layers[0].Parts {
		f := foot(store.objects[p.Object])
		if !bytes.Contains(f, []byte("parallelrun")) {
			t.Fatal("this is not a footer")
		}
		for _, s := range [][]byte{secret.MAC[:7], secret.Box[:5], []byte("key-"), []byte("value 2"), []byte("größe")} {
			if bytes.Contains(f, s) {
				t.Errorf("footer of part %q holds %q", p.Prefix, s)
			}
		}
	}
}
