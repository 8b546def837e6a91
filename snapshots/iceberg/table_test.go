package iceberg

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro/ocf"

	"github.com/parallelrun/parallelrun/schemas"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func people(more ...schemas.Column) []schemas.Column {
	return append([]schemas.Column{{ID: 7, Name: "name", Type: schemas.String}, {ID: 8, Name: "password", Type: schemas.Secret}}, more...)
}

func twoNights() Table {
	a := File{URI: "file:///store/a", Prefix: "0", Rows: 3, Bytes: 30}
	b := File{URI: "file:///store/b", Prefix: "f3", Rows: 5, Bytes: 50}
	c := File{URI: "file:///store/c", Prefix: "f3", Rows: 6, Bytes: 60}
	return Table{UUID: "one", Location: "file:///tables/people", Main: 9, Tags: map[string]int64{"first": 4}, Versions: []Version{
		{ID: 4, Time: noon, Columns: people(), Files: []File{a, b}},
		{ID: 9, Time: noon.Add(time.Hour), Columns: people(), Files: []File{a, c}}}}
}

func write(t *testing.T, dir string, table Table) (Written, metadata) {
	t.Helper()
	w, err := WriteTable(dir, table, noon.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return w, readMetadata(t, w.Metadata)
}

func readMetadata(t *testing.T, path string) (m metadata) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// avroFile reads a metadata file, which a URI of twoNights names, into values
// without types.
func avroFile(t *testing.T, dir, uri string) (items []map[string]any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, strings.TrimPrefix(uri, "file:///tables/people")))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ocf.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for {
		var item map[string]any
		switch err := r.Decode(&item); {
		case errors.Is(err, io.EOF):
			return items
		case err != nil:
			t.Fatal(err)
		}
		items = append(items, item)
	}
}

// What readers are told of files: where each came from and went, and bounds of
// row ids alone.
func TestManifests(t *testing.T) {
	dir := t.TempDir()
	_, m := write(t, dir, twoNights())
	lists := avroFile(t, dir, m.Snapshots[1].List)
	if len(lists) != 1 {
		t.Fatalf("%d manifests", len(lists))
	}
	counts := lists[0]
	path := counts["manifest_path"].(string)
	delete(counts, "manifest_path")
	delete(counts, "manifest_length")
	want := map[string]any{"partition_spec_id": int32(0), "content": int32(0), "sequence_number": int64(9), "min_sequence_number": int64(4), "added_snapshot_id": int64(9),
		"added_files_count": int32(1), "existing_files_count": int32(1), "deleted_files_count": int32(1),
		"added_rows_count": int64(6), "existing_rows_count": int64(3), "deleted_rows_count": int64(5)}
	if d := cmp.Diff(want, counts); d != "" {
		t.Errorf("list (-want +got):\n%s", d)
	}
	entries := avroFile(t, dir, path)
	file := func(status int32, snapshot, sequence int64, uri string, rows, size int64, low, high []byte) map[string]any {
		id := int32(1)
		return map[string]any{"status": status, "snapshot_id": snapshot, "sequence_number": sequence, "file_sequence_number": sequence,
			"data_file": map[string]any{"content": int32(0), "file_path": uri, "file_format": "PARQUET", "partition": map[string]any{},
				"record_count": rows, "file_size_in_bytes": size, "sort_order_id": int32(1),
				"lower_bounds": []any{map[string]any{"key": id, "value": low}}, "upper_bounds": []any{map[string]any{"key": id, "value": high}}}}
	}
	id := func(first, rest byte) []byte { return append([]byte{first}, bytes.Repeat([]byte{rest}, 15)...) }
	wantEntries := []map[string]any{
		file(existing, 4, 4, "file:///store/a", 3, 30, id(0, 0), id(0x0f, 0xff)),
		file(added, 9, 9, "file:///store/c", 6, 60, id(0xf3, 0), id(0xf3, 0xff)),
		file(deleted, 9, 4, "file:///store/b", 5, 50, id(0xf3, 0), id(0xf3, 0xff))}
	if d := cmp.Diff(wantEntries, entries); d != "" {
		t.Errorf("manifest (-want +got):\n%s", d)
	}
}

// A later export keeps ids, leaves alone what older metadata names, and adds no
// version where nothing is new.
func TestWriteAgain(t *testing.T) {
	dir := t.TempDir()
	table := twoNights()
	first, before := write(t, dir, table)
	if again, _ := write(t, dir, table); again.Changed || again.Version != 1 || again.Metadata != first.Metadata {
		t.Errorf("nothing new: %+v", again)
	}
	table.Versions = append(table.Versions[1:], Version{ID: 12, Time: noon, // by a clock that went back
		Columns: append([]schemas.Column{{ID: 6, Name: "mail", Type: schemas.Strings}}, people()[1:]...)})
	table.Main, table.Tags = 12, nil
	second, after := write(t, dir, table)
	if !second.Changed || second.Version != 2 {
		t.Errorf("a new night: %+v", second)
	}
	ids := map[string]int{}
	for _, f := range append(before.Schemas[0].Fields, after.Schemas[1].Fields...) {
		if id, there := ids[f.Name]; there && id != f.ID {
			t.Errorf("field %s had id %d, now %d", f.Name, id, f.ID)
		}
		ids[f.Name] = f.ID
	}
	if ids["mail"] <= before.LastColumn || after.LastColumn <= before.LastColumn || after.CurrentSchema != 1 || len(after.Schemas) != 2 {
		t.Errorf("ids %v, last column %d then %d, schema %d of %d", ids, before.LastColumn, after.LastColumn, after.CurrentSchema, len(after.Schemas))
	}
	if !strings.Contains(after.Properties["schema.name-mapping.default"], `"names":["name"]`) {
		t.Error("the mapping forgot a column that older snapshots have")
	}
	last := after.Snapshots[len(after.Snapshots)-1]
	if len(after.Snapshots) != 2 || last.Time < after.Snapshots[0].Time || *last.Parent != 9 || after.LastSequence != 12 {
		t.Errorf("snapshots: %+v", after.Snapshots)
	}
	if len(after.MetadataLog) != 1 || after.MetadataLog[0].File != "file:///tables/people/metadata/v1.metadata.json" {
		t.Errorf("metadata log: %+v", after.MetadataLog)
	}
	for _, s := range before.Snapshots {
		avroFile(t, dir, avroFile(t, dir, s.List)[0]["manifest_path"].(string))
	}
}

// An export that died before it named its version is followed by one that goes
// on from there.
func TestHintBehind(t *testing.T) {
	dir := t.TempDir()
	table := twoNights()
	write(t, dir, table)
	table.Tags = nil
	write(t, dir, table)
	if err := os.WriteFile(filepath.Join(dir, folder, hint), []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	table.Main = 4
	if w, _ := write(t, dir, table); w.Version != 3 {
		t.Errorf("version %d", w.Version)
	}
	if data, err := os.ReadFile(filepath.Join(dir, folder, hint)); err != nil || string(data) != "3" {
		t.Errorf("hint %q, %v", data, err)
	}
}

// Nobody's version is overwritten.
func TestRace(t *testing.T) {
	o, err := newOutput(t.TempDir(), "file:///tables/people")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.create(metaName(1), []byte("theirs")); err != nil {
		t.Fatal(err)
	}
	if err := o.create(metaName(1), []byte("ours")); !errors.Is(err, ErrRaced) {
		t.Error(err)
	}
	if files, err := os.ReadDir(o.dir); err != nil || len(files) != 1 {
		t.Errorf("left over: %v, %v", files, err)
	}
}

func TestRefused(t *testing.T) {
	table := twoNights()
	table.Versions[1].Columns = people()
	table.Versions[1].Columns[0].Type = schemas.Strings
	_, err := WriteTable(t.TempDir(), table, noon)
	if !errors.Is(err, ErrTypeChanged) || !strings.Contains(err.Error(), "column name: it is string in one snapshot and list<string> in another") {
		t.Errorf("another type: %v", err)
	}
	table = twoNights()
	table.Versions[0].Columns = people(schemas.Column{ID: 99, Name: "shape", Type: 200})
	if _, err = WriteTable(t.TempDir(), table, noon); err == nil || !strings.Contains(err.Error(), "column shape: its type") {
		t.Errorf("a type of the future: %v", err)
	}
	dir := t.TempDir()
	write(t, dir, twoNights())
	table = twoNights()
	table.UUID = "another"
	if _, err = WriteTable(dir, table, noon); !errors.Is(err, ErrNotOurs) {
		t.Errorf("another table: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = WriteTable(filepath.Join(dir, "file"), twoNights(), noon); !errors.Is(err, ErrFolder) {
		t.Errorf("a file in the way: %v", err)
	}
}

func TestTablePath(t *testing.T) {
	if got := tablePath("source/hr", "legacy", "a/b"); got != "source/hr/legacy/a=2fb" {
		t.Error(got)
	}
	for name, want := range map[string]string{"hr": "hr", "people_rejected": "people_rejected", "a/b": "a=2fb", "..": "=2e.", "ü=": "=c3=bc=3d", ".x.y": "=2ex.y"} {
		if got := segment(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
