package parts

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/parallelrun/parallelrun/schemas"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// goldenNow is what this version writes; "testdata/golden" was written when
// indexes held whole entries, and stays as it is.
const goldenNow = "testdata/golden-halves"

// A table that an earlier version wrote is read, verified and written again
// with the same digest. Rewrite the fixture only with a new format version.
func TestGoldenTable(t *testing.T) {
	rows := typedRows(60)
	rows[3].Values[4] = bytes.Repeat([]byte("photo"), 14000)
	store := newMemStore()
	now := write(t, everyType, rows, Options{Put: store.put, Bounds: Bounds{Rows: 20}})
	if *update {
		if err := os.RemoveAll(goldenNow); err != nil {
			t.Fatal(err)
		}
		keepGolden(t, goldenNow, store, now)
	}
	for _, dir := range []string{"testdata/golden", goldenNow} {
		t.Run(filepath.Base(dir), func(t *testing.T) { checkGolden(t, dir, rows, now) })
	}
}

func checkGolden(t *testing.T, dir string, rows []schemas.Row, now Table) {
	old := newMemStore()
	var then Table
	data, err := os.ReadFile(filepath.Join(dir, "table.json"))
	if err == nil {
		err = json.Unmarshal(data, &then)
	}
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "objects", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		o, err := old.put(t.Context(), f)
		if err != nil || o.Name() != filepath.Base(file) {
			t.Fatalf("%s is object %s, %v", file, o.Name(), err)
		}
		f.Close()
	}
	r := OpenTable(then, old.open, ReadOptions{})
	verifyAll(t, r)
	sameRows(t, byID(rows), scanAll(t, r, ScanOptions{}))
	if then.Digest != now.Digest {
		t.Errorf("digest is %s, was %s", now.Digest, then.Digest)
	}
	var prefixes [2][]string
	for i, table := range []Table{then, now} {
		for _, p := range table.Layers[0].Parts {
			name := p.Prefix
			if dir == goldenNow {
				name += " " + p.Index.Name()
			}
			prefixes[i] = append(prefixes[i], name)
		}
	}
	if !slices.Equal(prefixes[0], prefixes[1]) {
		t.Errorf("parts or indexes are %q, were %q", prefixes[1], prefixes[0])
	}
}

func keepGolden(t *testing.T, dir string, store *memStore, table Table) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "objects"), 0o755); err != nil {
		t.Fatal(err)
	}
	for o, b := range store.objects {
		if err := os.WriteFile(filepath.Join(dir, "objects", o.Name()), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.MarshalIndent(table, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "table.json"), append(data, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
