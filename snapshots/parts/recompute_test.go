package parts

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

// pythonWithArrow is a Python that has pyarrow, or the test is skipped:
// PARALLELRUN_PYTHON, else python3.
func pythonWithArrow(t *testing.T) string {
	python := os.Getenv("PARALLELRUN_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import pyarrow").Run(); err != nil {
		t.Skip("no Python with pyarrow: pip install -r scripts/format/requirements.txt, or set PARALLELRUN_PYTHON")
	}
	return python
}

// A second reader, in another language and with another Parquet library, finds
// the same digests, and finds damage.
func TestRecomputeInPython(t *testing.T) {
	python := pythonWithArrow(t)
	store := newMemStore()
	rows := typedRows(1500)
	rows[2].Values[4] = bytes.Repeat([]byte{1}, 100000)
	rows[3].Values[7] = map[string][]string{`q"\`: {"small", strings.Repeat("x", 70000)}, "": {}}
	sets := everyType
	sets.Name = "sets"
	sets.Columns = slices.Clone(sets.Columns)
	for i := range sets.Columns {
		sets.Columns[i].Set = true
	}
	m := model{}
	for i := range 400 {
		m[i] = rowState{epoch: 1}
	}
	layered := everyType
	layered.Name = "layered"
	rng := rand.New(rand.NewPCG(7, 7))
	upon := write(t, layered, m.rows(rng), Options{Put: store.put, Bounds: Bounds{Rows: 100}})
	for v := range 3 {
		delete(m, v)
		m[v+10], m[89], m[1000+v] = rowState{version: v + 3, epoch: 1}, rowState{version: v + 1, epoch: 1}, rowState{epoch: 1}
		upon = write(t, layered, m.rows(rng), Options{Put: store.put, Bounds: Bounds{Rows: 2}, Parent: OpenTable(upon, store.open, ReadOptions{})})
	}
	if len(upon.Layers) != 4 {
		t.Fatalf("%d layers", len(upon.Layers))
	}
	tables := []Table{
		upon,
		write(t, everyType, rows, Options{Put: store.put, Bounds: Bounds{Rows: 300}}),
		write(t, schemas.Entities()[schemas.Groups], nil, Options{Put: store.put}),
		write(t, sets, rows, Options{Put: store.put}),
	}
	dir := t.TempDir()
	keep(t, store, dir, tables)
	run := func() (string, error) {
		out, err := exec.Command(python, filepath.Join("..", "..", "scripts", "format", "recompute.py"), dir).CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil || !strings.Contains(out, "1 manifests, 0 bad") {
		t.Fatalf("%v\n%s", err, out)
	}
	layers := upon.Layers
	tables[0].Layers = append(slices.Clone(layers[:1]), layers[2], layers[1], layers[3])
	dir = t.TempDir()
	keep(t, store, dir, tables)
	if out, err := run(); err == nil || !strings.Contains(out, "is not what the layer above changes") {
		t.Errorf("layers in another order are not found: %v\n%s", err, out)
	}
	tables[0].Layers = layers
	tables[1].Digest[5] ^= 1
	dir = t.TempDir()
	keep(t, store, dir, tables)
	if out, err := run(); err == nil || !strings.Contains(out, "table all: digest differs") {
		t.Errorf("a wrong digest is not found: %v\n%s", err, out)
	}
}

// keep lays objects and a manifest out as a store in a directory does.
func keep(t *testing.T, store *memStore, dir string, tables []Table) {
	t.Helper()
	for o, b := range store.objects {
		name := o.Name()
		path := filepath.Join(dir, "objects", "sha256", name[:2], name[2:4], name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.Marshal(map[string]any{"version": 1, "snapshot": hex.EncodeToString(snapshotDigest(tables)), "tables": tables})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "manifests"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifests", fmt.Sprintf("%x.json", sha256.Sum256(data))), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// snapshotDigest follows docs/format.md; package snapshots, which owns it,
// can't be imported from here.
func snapshotDigest(tables []Table) []byte {
	tables = slices.SortedFunc(slices.Values(tables), func(a, b Table) int { return strings.Compare(a.Name, b.Name) })
	text := func(b []byte, s string) []byte { return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	b := binary.BigEndian.AppendUint32([]byte("PRs1"), uint32(len(tables)))
	for _, t := range tables {
		b = binary.BigEndian.AppendUint32(text(b, t.Name), uint32(len(t.Columns)))
		for _, c := range slices.SortedFunc(slices.Values(t.Columns), func(x, y schemas.Column) int { return int(x.ID - y.ID) }) {
			b = text(binary.BigEndian.AppendUint32(b, uint32(c.ID)), c.Name)
			set := byte(0)
			if c.Set {
				set = 1
			}
			b = append(b, byte(c.Type), set)
		}
		b = append(b, t.Digest[:]...)
	}
	sum := sha256.Sum256(b)
	return sum[:]
}
