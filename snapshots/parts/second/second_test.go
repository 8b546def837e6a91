package second

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// TestMain is the child too, sound or with a fault.
func TestMain(m *testing.M) {
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	var err error
	switch mode {
	case "child":
		err = Main(os.Stdin, os.Stdout)
	case "liar":
		var out bytes.Buffer
		err = Main(os.Stdin, &out)
		out.Bytes()[1+fixed+8*3+2] ^= 1 // of the first row, its fourth column
		_, _ = os.Stdout.Write(out.Bytes())
	case "eater":
		if err = limitProcess(256 << 20); err == nil {
			var all [][]byte
			for range 4 << 10 {
				all = append(all, bytes.Repeat([]byte{1}, 1<<20))
			}
			fmt.Fprintln(os.Stderr, len(all))
		}
	case "sleeper":
		time.Sleep(time.Minute)
	case "panics":
		panic("Correct-Horse")
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "second reader:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(mode string) Reader { return Reader{Command: []string{os.Args[0], mode}} }

var everyType = schemas.Table{Name: "all", Columns: []schemas.Column{
	{ID: 10, Name: "bool", Type: schemas.Bool}, {ID: 11, Name: "int", Type: schemas.Int}, {ID: 12, Name: "at", Type: schemas.Timestamp},
	{ID: 13, Name: "text", Type: schemas.String}, {ID: 14, Name: "bytes", Type: schemas.Binary},
	{ID: 15, Name: "texts", Type: schemas.Strings}, {ID: 16, Name: "many", Type: schemas.Binaries},
	{ID: 17, Name: "by-name", Type: schemas.StringsMap}, {ID: 18, Name: "other", Type: schemas.BinariesMap},
	{ID: 19, Name: "secret", Type: schemas.Secret}, {ID: 20, Name: "Secret", Type: schemas.Secrets}, {ID: 21, Name: "2nd", Type: schemas.SecretsMap},
}}

func sealed(i int) schemas.Sealed {
	return schemas.Sealed{MAC: [16]byte{byte(i), 7}, Box: append([]byte{1, 0, 0, 0, 1}, bytes.Repeat([]byte{byte(i)}, 50)...)}
}

// everyShape makes rows in which each column is null, empty, or has one or more
// values, large ones among them, in all combinations that come up.
func everyShape(n int) []schemas.Row {
	rows := make([]schemas.Row, n)
	for i := range rows {
		r := schemas.Row{ID: schemas.NewRowID("test", "all", fmt.Sprint(i)), Key: fmt.Sprint("k", i), Values: make([]any, len(everyType.Columns))}
		if i%11 == 3 {
			r.Key = ""
		}
		shape := func(c int) int { return (i / (c + 1)) % 4 }
		set := func(c int, values ...any) { r.Values[c] = values[shape(c)] }
		set(0, nil, true, false, true)
		set(1, nil, int64(i), int64(-i), int64(1)<<62)
		set(2, nil, int64(i), int64(0), int64(1_700_000_000_000_000))
		set(3, nil, "", "ü\x00", strings.Repeat("long", 20_000+i))
		set(4, nil, []byte{}, []byte{0xff, byte(i)}, bytes.Repeat([]byte{byte(i)}, 70_000))
		set(5, nil, []string{}, []string{"", "b"}, []string{"a", strings.Repeat("x", 70_000), "c"})
		set(6, nil, [][]byte{}, [][]byte{{}, {1}}, [][]byte{bytes.Repeat([]byte{9}, 65_537)})
		set(7, nil, map[string][]string{}, map[string][]string{"": {}, "b": {"1", "2"}, "c": {""}}, map[string][]string{"b": {"1", strings.Repeat("x", 70_000)}})
		set(8, nil, map[string][][]byte{}, map[string][][]byte{"a": {{1}, {}}, "b": {}}, map[string][][]byte{"z": {{3}}})
		set(9, nil, sealed(i), nil, sealed(i+1))
		set(10, nil, []schemas.Sealed{}, []schemas.Sealed{sealed(i)}, []schemas.Sealed{sealed(1), sealed(2), sealed(3)})
		set(11, nil, map[string][]schemas.Sealed{}, map[string][]schemas.Sealed{"a": {}, "b": {sealed(1), sealed(i)}}, map[string][]schemas.Sealed{"c": {sealed(4)}})
		rows[i] = r
	}
	return rows
}

type held struct{ *bytes.Reader }

func (held) Close() error { return nil }

func openTable(t *testing.T, table schemas.Table, rows []schemas.Row, o parts.Options) *parts.Reader {
	t.Helper()
	var mu sync.Mutex
	objects := map[parts.Object][]byte{}
	o.Put = func(_ context.Context, body io.ReadSeeker) (parts.Object, error) {
		data, err := io.ReadAll(body)
		x := parts.Object{SHA256: sha256.Sum256(data), Bytes: int64(len(data))}
		mu.Lock()
		defer mu.Unlock()
		objects[x] = data
		return x, err
	}
	w := parts.NewTableWriter(table, o)
	defer w.Close()
	for i, row := range rows {
		if err := w.WriteRow(t.Context(), row, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return parts.OpenTable(stored, parts.Verified(func(_ context.Context, o parts.Object) (parts.Source, error) {
		mu.Lock()
		defer mu.Unlock()
		return held{bytes.NewReader(objects[o])}, nil
	}), parts.ReadOptions{})
}

// Both readers see the same in every type and shape of cell.
func TestBothReadAlike(t *testing.T) {
	r := openTable(t, everyType, everyShape(700), parts.Options{Bounds: parts.Bounds{Rows: 500}})
	for i := range r.Table().Layers[0].Parts {
		if err := child("child").Compare(t.Context(), r, 0, i); err != nil {
			t.Errorf("part %d: %v", i, err)
		}
	}
	none := openTable(t, everyType, nil, parts.Options{})
	if n := len(none.Table().Layers[0].Parts); n != 0 {
		t.Errorf("%d parts of no rows", n)
	}
}

// Several row groups of a part follow upon each other.
func TestManyRowGroups(t *testing.T) {
	table := schemas.Table{Name: "cards", Columns: []schemas.Column{{ID: 10, Name: "pin", Type: schemas.Int}, {ID: 11, Name: "roles", Type: schemas.Strings}}}
	rows := make([]schemas.Row, 40_000)
	for i := range rows {
		rows[i] = schemas.Row{ID: schemas.NewRowID("t", "cards", fmt.Sprint(i)), Key: fmt.Sprint(i), Values: []any{int64(i), []string{"a", fmt.Sprint(i)}[:i%3]}}
	}
	r := openTable(t, table, rows, parts.Options{})
	if err := child("child").Compare(t.Context(), r, 0, 0); err != nil {
		t.Error(err)
	}
}

// A second reader that lies, crashes, eats memory or hangs is told of, and
// none of it harms the first; what it says of values goes nowhere.
func TestFaultsOfTheChild(t *testing.T) {
	r := openTable(t, everyType, everyShape(40), parts.Options{})
	hasty := child("sleeper")
	hasty.Timeout = 50 * time.Millisecond
	for _, tc := range []struct {
		name    string
		second  Reader
		differs bool
		want    string
	}{
		{"liar", child("liar"), true, "value of column text in row "},
		{"panics", child("panics"), false, "it crashed"},
		{"eats memory", child("eater"), false, "it "}, // ran out of memory; under the race detector the runtime crashes then
		{"hangs", hasty, false, "it was killed after 50ms"},
	} {
		err := tc.second.Compare(t.Context(), r, 0, 0)
		second, ok := errors.AsType[*parts.SecondError](err)
		if !ok || second.Differs != tc.differs || !strings.Contains(second.What, tc.want) || strings.Contains(second.What, "Horse") || strings.Contains(second.What, "killed") != (tc.name == "hangs") {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if err := (Reader{Command: []string{t.TempDir() + "/none"}}).Compare(t.Context(), r, 0, 0); err == nil || errors.As(err, new(*parts.SecondError)) {
		t.Errorf("no program: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := child("child").Compare(ctx, r, 0, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
