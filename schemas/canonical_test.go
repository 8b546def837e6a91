package schemas

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

var allTypes = []Type{Bool, Int, Timestamp, String, Binary, Strings, Binaries, StringsMap, BinariesMap, Secret, Secrets, SecretsMap}

// everyType is a table with two columns of each type, a list and a set of the
// multi-valued ones, field ids falling so that the order of columns and of the
// encoding differ.
func everyType() *Table {
	t := &Table{Name: "all"}
	for i, typ := range allTypes {
		t.Columns = append(t.Columns,
			Column{ID: int32(1000 - 2*i), Name: "c_" + typ.String(), Type: typ},
			Column{ID: int32(1001 - 2*i), Name: "s_" + typ.String(), Type: typ, Set: true})
	}
	return t
}

func sealedFor(s string) Sealed {
	x := Sealed{Box: []byte("box of " + s)}
	copy(x.MAC[:], s)
	return x
}

// randomValue makes a value of the type; large ones now and then when asked.
func randomValue(rng *rand.Rand, t Type, large bool) any {
	text := func() string {
		if large && rng.IntN(8) == 0 {
			return strings.Repeat(string(rune('a'+rng.IntN(3))), LargeBytes+1+rng.IntN(3))
		}
		return []string{"", "a", "b", "ü", "a\x00", strings.Repeat("x", rng.IntN(40))}[rng.IntN(6)]
	}
	secret := func() Sealed { return sealedFor(fmt.Sprint(rng.IntN(5))) }
	n := rng.IntN(4)
	switch t {
	case Bool:
		return rng.IntN(2) == 0
	case Int, Timestamp:
		return int64(rng.Uint64())
	case String:
		return text()
	case Binary:
		return []byte(text())
	case Strings:
		return many(n, text)
	case Binaries:
		return many(n, func() []byte { return []byte(text()) })
	case StringsMap:
		return manyNamed(rng, func() []string { return many(rng.IntN(3), text) })
	case BinariesMap:
		return manyNamed(rng, func() [][]byte { return many(rng.IntN(3), func() []byte { return []byte(text()) }) })
	case Secret:
		return secret()
	case Secrets:
		return many(n, secret)
	case SecretsMap:
		return manyNamed(rng, func() []Sealed { return many(rng.IntN(3), secret) })
	}
	panic(t)
}

func many[E any](n int, make func() E) []E {
	out := []E{}
	for range n {
		out = append(out, make())
	}
	return out
}

func manyNamed[E any](rng *rand.Rand, make func() []E) map[string][]E {
	out := map[string][]E{}
	for range rng.IntN(4) {
		out[[]string{"k", "", `q"\`, "ä", "kk"}[rng.IntN(5)]] = make()
	}
	return out
}

func randomRow(rng *rand.Rand, t *Table, large bool) Row {
	r := Row{Key: fmt.Sprint("k", rng.IntN(100)), Values: make([]any, len(t.Columns))}
	r.ID[0] = byte(rng.Uint32())
	for i, c := range t.Columns {
		if rng.IntN(5) > 0 {
			r.Values[i] = randomValue(rng, c.Type, large)
		}
	}
	return r
}

func batchOf(t *testing.T, table *Table, rows ...Row) arrow.Record {
	t.Helper()
	b := NewBuilder(table)
	defer b.Release()
	for _, r := range rows {
		if err := b.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	rec := b.Record()
	t.Cleanup(rec.Release)
	return rec
}

func goldenRows() map[string]Row {
	t := everyType()
	full := Row{Key: "key-1", Values: make([]any, len(t.Columns))}
	empty := Row{Key: "key-2", Values: make([]any, len(t.Columns))}
	values := map[Type][2]any{
		Bool: {true, false}, Int: {int64(-7), int64(0)}, Timestamp: {int64(1700000000123456), int64(0)},
		String: {"größe", ""}, Binary: {[]byte{0, 255}, []byte{}},
		Strings: {[]string{"b", "a", "b", "aa"}, []string{}}, Binaries: {[][]byte{{2}, {1, 1}, {2}}, [][]byte{}},
		StringsMap:  {map[string][]string{"z": {"2", "1", "2"}, "a": {}}, map[string][]string{}},
		BinariesMap: {map[string][][]byte{"z": {{2}, {1}, {2}}, "": {{}}}, map[string][][]byte{}},
		Secret:      {sealedFor("s1"), Sealed{Box: []byte{}}}, Secrets: {[]Sealed{sealedFor("s2"), sealedFor("s1"), sealedFor("s2")}, []Sealed{}},
		SecretsMap: {map[string][]Sealed{"p": {sealedFor("s2"), sealedFor("s1")}}, map[string][]Sealed{}},
	}
	for i, c := range t.Columns {
		full.Values[i], empty.Values[i] = values[c.Type][0], values[c.Type][1]
	}
	large := Row{Key: "key-3", Values: make([]any, len(t.Columns))}
	large.Values[t.Column("c_string")] = strings.Repeat("s", LargeBytes+1)
	large.Values[t.Column("c_binary")] = bytes.Repeat([]byte{7}, LargeBytes+1)
	large.Values[t.Column("s_binary")] = bytes.Repeat([]byte{7}, LargeBytes)
	large.Values[t.Column("s_list<binary>")] = [][]byte{bytes.Repeat([]byte{9}, LargeBytes+1), {1}}
	large.Values[t.Column("c_map<string,list<string>>")] = map[string][]string{`q"\`: {"x", strings.Repeat("l", LargeBytes+1)}}
	return map[string]Row{"full": full, "empty": empty, "null": {Key: "key-4", Values: make([]any, len(t.Columns))}, "no key": {Values: empty.Values}, "large": large}
}

// The bytes of the encoding are a promise: snapshots made by any version must
// have the same digests. Golden vectors change only with a new format version.
func TestCanonicalGolden(t *testing.T) {
	var out strings.Builder
	rows := goldenRows()
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		r := rows[name]
		b := AppendCanonical(nil, everyType(), &r)
		fmt.Fprintf(&out, "row %s\n", name)
		if name == "large" { // 64 KiB of one byte say nothing to a reader
			fmt.Fprintf(&out, "bytes %d\n", len(b))
		} else {
			for chunk := range slices.Chunk([]byte(hex.EncodeToString(b)), 128) {
				fmt.Fprintf(&out, "  %s\n", chunk)
			}
		}
		fmt.Fprintf(&out, "digest %x\n\n", RowDigest(everyType(), &r))
	}
	const file = "testdata/canonical.golden"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("encoding changed (-want +got):\n%s", diff)
	}
}

// A row has one encoding, whether it comes as a Row or out of Arrow, and its
// decoded form encodes to the same again, large values left out or not.
func TestCanonicalSameFromArrowAndBack(t *testing.T) {
	table := everyType()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		row := randomRow(rng, table, i%10 == 0)
		want := AppendCanonical(nil, table, &row)
		rec := batchOf(t, table, row)
		enc := NewEncoder(table)
		got, err := enc.AppendArrow(nil, rec.Column(1).(*array.String), rec.Columns()[leadColumns:], 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("row %d: encoding from Arrow differs", i)
		}
		decoded := decodeRow(t, table, got, enc.Boxes())
		decoded.ID = row.ID
		if again := AppendCanonical(nil, table, &decoded); !bytes.Equal(again, want) {
			t.Fatalf("row %d: decoded row encodes differently: %d large values", i, len(decoded.Large))
		}
	}
}

// decodeRow decodes an encoding by way of Arrow builders.
func decodeRow(t *testing.T, table *Table, canonical []byte, boxes [][]byte) Row {
	t.Helper()
	row, err := tryDecode(table, canonical, boxes)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func tryDecode(table *Table, canonical []byte, boxes [][]byte) (Row, error) {
	b := NewBuilder(table)
	defer b.Release()
	b.b.Field(0).(*array.FixedSizeBinaryBuilder).Append(make([]byte, 16))
	refs, err := NewDecoder(table).Append(b.b.Field(1).(*array.StringBuilder), b.b.Fields()[leadColumns:], canonical, boxes)
	if err != nil {
		return Row{}, err
	}
	rec := b.Record()
	defer rec.Release()
	row := table.RowAt(rec, 0)
	row.Large = slices.Clone(refs)
	return row, nil
}

// Boxes travel with their secrets through sorting and removal of duplicates.
func TestBoxesFollowTheirSecrets(t *testing.T) {
	table := &Table{Name: "t", Columns: []Column{{ID: 10, Name: "s", Type: Secrets, Set: true}, {ID: 11, Name: "m", Type: SecretsMap}}}
	row := Row{Key: "k", Values: []any{
		[]Sealed{sealedFor("c"), sealedFor("a"), sealedFor("c"), sealedFor("b")},
		map[string][]Sealed{"y": {sealedFor("2"), sealedFor("1")}, "x": {sealedFor("3")}},
	}}
	enc := NewEncoder(table)
	b, err := enc.AppendRow(nil, &row)
	if err != nil {
		t.Fatal(err)
	}
	got := decodeRow(t, table, b, enc.Boxes())
	want := []any{[]Sealed{sealedFor("a"), sealedFor("b"), sealedFor("c")}, row.Values[1]}
	if diff := cmp.Diff(want, got.Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The box of a secret does not show in the digest: the same password sealed
// twice is the same data.
func TestDigestIgnoresBoxes(t *testing.T) {
	table := &Table{Name: "t", Columns: []Column{{ID: 10, Name: "s", Type: Secret}}}
	a, b := sealedFor("a"), sealedFor("a")
	b.Box = []byte("another nonce")
	ra, rb := Row{Key: "k", Values: []any{a}}, Row{Key: "k", Values: []any{b}}
	if RowDigest(table, &ra) != RowDigest(table, &rb) {
		t.Error("digest depends on the box")
	}
	if bytes.Contains(AppendCanonical(nil, table, &ra), a.Box) {
		t.Error("encoding holds the box")
	}
}

// Order of map keys and of sets carries no meaning, order of lists does;
// duplicates count in lists only.
func TestDigestOrder(t *testing.T) {
	list := &Table{Name: "t", Columns: []Column{{ID: 10, Name: "c", Type: Strings}, {ID: 11, Name: "m", Type: StringsMap}}}
	set := &Table{Name: "t", Columns: []Column{{ID: 10, Name: "c", Type: Strings, Set: true}, {ID: 11, Name: "m", Type: StringsMap, Set: true}}}
	digest := func(t *Table, c []string, m map[string][]string) Digest {
		return RowDigest(t, &Row{Key: "k", Values: []any{c, m}})
	}
	ab, ba, aab := []string{"a", "b"}, []string{"b", "a"}, []string{"a", "a", "b"}
	m := func(l []string) map[string][]string { return map[string][]string{"x": l, "y": {"1"}} }
	if digest(set, ab, m(ab)) != digest(set, ba, m(aab)) {
		t.Error("sets that differ in order and duplicates have different digests")
	}
	for _, other := range [][]string{ba, aab, {}, {"ab"}, {"a", "b", ""}} {
		if digest(list, ab, m(ab)) == digest(list, other, m(ab)) {
			t.Errorf("lists %q and %q have one digest", ab, other)
		}
		if digest(list, ab, m(ab)) == digest(list, ab, m(other)) {
			t.Errorf("map lists %q and %q have one digest", ab, other)
		}
	}
}

// Any change of any cell changes the digest; null, empty and other types too.
func TestDigestSeesEveryChange(t *testing.T) {
	table := everyType()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		row := randomRow(rng, table, false)
		was := AppendCanonical(nil, table, &row)
		i := rng.IntN(len(table.Columns))
		changed := row
		changed.Values = slices.Clone(row.Values)
		changed.Values[i] = randomValue(rng, table.Columns[i].Type, false)
		if sameCell(table, i, row.Values[i], changed.Values[i]) {
			continue
		}
		if bytes.Equal(was, AppendCanonical(nil, table, &changed)) {
			t.Fatalf("column %s: %#v and %#v encode alike", table.Columns[i].Name, row.Values[i], changed.Values[i])
		}
	}
	row, other := Row{Key: "k", Values: []any{"x"}}, Row{Key: "l", Values: []any{"x"}}
	text := &Table{Columns: []Column{{ID: 10, Type: String}}}
	renumbered := &Table{Columns: []Column{{ID: 11, Type: String}}}
	binary := &Table{Columns: []Column{{ID: 10, Type: Binary}}}
	asBytes := Row{Key: "k", Values: []any{[]byte("x")}}
	seen := map[Digest]bool{}
	for _, d := range []Digest{RowDigest(text, &row), RowDigest(text, &other), RowDigest(renumbered, &row), RowDigest(binary, &asBytes),
		RowDigest(text, &Row{Key: "k", Values: []any{nil}}), RowDigest(text, &Row{Key: "k", Values: []any{""}})} {
		if seen[d] {
			t.Error("key, field id, type, null and empty must all show in the digest")
		}
		seen[d] = true
	}
}

// sameCell compares cells as the format defines equality, by other means than
// the encoder.
func sameCell(t *Table, i int, a, b any) bool {
	norm := func(v any) any { return v }
	if t.Columns[i].Set {
		norm = normalized
	}
	opt := cmp.Comparer(func(x, y Sealed) bool { return x.MAC == y.MAC })
	return cmp.Equal(norm(a), norm(b), opt)
}

func normalized(v any) any {
	bySealed := func(x, y Sealed) int { return bytes.Compare(x.MAC[:], y.MAC[:]) }
	switch x := v.(type) {
	case []string:
		return slices.Compact(slices.Sorted(slices.Values(x)))
	case [][]byte:
		return slices.CompactFunc(slices.SortedFunc(slices.Values(x), bytes.Compare), bytes.Equal)
	case []Sealed:
		return slices.CompactFunc(slices.SortedFunc(slices.Values(x), bySealed), func(a, b Sealed) bool { return a.MAC == b.MAC })
	case map[string][]string:
		return normalizedMap(x)
	case map[string][][]byte:
		return normalizedMap(x)
	case map[string][]Sealed:
		return normalizedMap(x)
	}
	return v
}

func normalizedMap[E any](m map[string][]E) map[string]any {
	out := map[string]any{}
	for k, l := range m {
		out[k] = normalized(l)
	}
	return out
}

// A large value counts by hash and size, whether it is in the row or an object
// of its own.
func TestLargeValuesEncodeAlikeInlineAndApart(t *testing.T) {
	table := everyType()
	row := goldenRows()["large"]
	enc := NewEncoder(table)
	kept := map[[32]byte]int{}
	enc.Large = func(v []byte) ([32]byte, error) {
		sum := sumOf(v)
		kept[sum] = len(v)
		return sum, nil
	}
	b, err := enc.AppendRow(nil, &row)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 2*LargeBytes || len(kept) != 4 {
		t.Fatalf("encoding of %d bytes, %d large values; want the values at the limit inline and 4 apart", len(b), len(kept))
	}
	apart := decodeRow(t, table, b, enc.Boxes())
	var paths []string
	for _, ref := range apart.Large {
		paths = append(paths, ref.Path)
		if kept[ref.SHA256] != int(ref.Size) {
			t.Errorf("%s: object of %d bytes, reference says %d", ref.Path, kept[ref.SHA256], ref.Size)
		}
	}
	want := []string{`c_map<string,list<string>>["q\"\\"][1]`, "s_list<binary>[1]", "c_binary", "c_string"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	if RowDigest(table, &row) != RowDigest(table, &apart) {
		t.Error("digest differs once large values are apart")
	}
}

// Rows that don't fit their table are refused by column, without the value.
func TestEncoderRefuses(t *testing.T) {
	table := &Table{Name: "t", Columns: []Column{{ID: 10, Name: "s", Type: String}, {ID: 11, Name: "m", Type: StringsMap}}}
	for name, tc := range map[string]struct {
		row  Row
		want string
	}{
		"type":      {Row{Values: []any{int64(1), nil}}, "column s: value of Go type int64 does not fit column type string"},
		"utf-8":     {Row{Values: []any{"pass\xffword", nil}}, "column s: " + errUTF8.Error()},
		"key utf-8": {Row{Values: []any{nil, map[string][]string{"\xff": nil}}}, "column m: " + errUTF8.Error()},
		"legacy":    {Row{Key: "\xff", Values: []any{nil, nil}}, "legacy key: " + errUTF8.Error()},
		"count":     {Row{Values: []any{nil}}, "row has 1 values, table t has 2 columns"},
		"no place":  {Row{Values: []any{"x", nil}, Large: []LargeRef{{Path: "s"}}}, "row lists 1 large values, 0 of them have a place"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewEncoder(table).AppendRow(nil, &tc.row)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// Whatever bytes a decoder is given, it either refuses them or reads a row
// whose encoding it reads again as the same.
func FuzzDecoder(f *testing.F) {
	table := everyType()
	rows := goldenRows()
	rows["large"] = Row{Key: "k", Values: make([]any, len(table.Columns)), Large: []LargeRef{{Path: "c_string", Size: LargeBytes + 1}}} // small seeds fuzz faster
	for _, row := range rows {
		enc := NewEncoder(table)
		b, err := enc.AppendRow(nil, &row)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(len(enc.Boxes())))
	}
	f.Fuzz(func(t *testing.T, b []byte, boxes uint8) {
		row, err := tryDecode(table, b, slices.Repeat([][]byte{[]byte("box")}, int(boxes)))
		if err != nil {
			if !errors.Is(err, ErrEncoding) {
				t.Fatal(err)
			}
			return
		}
		enc := NewEncoder(table)
		enc.lenient = true
		again, err := enc.AppendRow(nil, &row)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		third := decodeRow(t, table, again, slices.Clone(enc.Boxes()))
		if !bytes.Equal(AppendCanonical(nil, table, &third), again) {
			t.Fatal("encoding is not stable")
		}
	})
}

// go test -bench Canonical ./schemas
func BenchmarkCanonical(b *testing.B) {
	table := Entities()[Users]
	row := Row{Key: "key", Values: []any{"fry", "fry@planetexpress.com", true, "Philip", "Fry", true, nil, int64(1), "en", []string{},
		map[string][]string{"phone": {"+1 555 0100"}, "title": {"Delivery boy"}}, []string{"b", "a"}, []string{}, nil}}
	enc := NewEncoder(&table)
	var buf []byte
	for b.Loop() {
		buf, _ = enc.AppendRow(buf[:0], &row)
		DigestOf(buf)
	}
	b.SetBytes(int64(len(buf)))
}

func sumOf(v []byte) [32]byte { return sha256.Sum256(v) }
