package iceberg

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

// Table is what an export tells of one table.
type Table struct {
	// UUID tells tables apart; the same for the same table of the same store.
	UUID string
	// Location is the table's folder as readers see it, a URI.
	Location string
	// Properties of the table, beside those that every table has.
	Properties map[string]string
	// Versions, oldest first; at least one.
	Versions []Version
	// Main is the id of the version that readers see who ask for none.
	Main int64
	// Tags are further names of versions, by name.
	Tags map[string]int64
}

// Version is the table at one commit.
type Version struct {
	ID      int64 // snapshot id and sequence number; ascending, never used again
	Time    time.Time
	Columns []schemas.Column
	Files   []File
	// Summary is told to readers, beside the counts.
	Summary map[string]string
}

// File is one part of a whole table.
type File struct {
	URI         string
	Prefix      string // hex digits that all row ids in it begin with
	Rows, Bytes int64
}

// Written is what WriteTable did.
type Written struct {
	Metadata string // path of the current metadata file
	Version  int    // its number
	Changed  bool   // false: it was there, and said the same
}

// WriteTable writes a table's metadata into a folder. If the folder has
// metadata of the table, a further version of it is written; ids of fields and
// schemas stay what they are there. What the new version does not list any more
// stays listed in the older ones, for whoever reads them now.
func WriteTable(dir string, t Table, now time.Time) (Written, error) {
	before, version, err := t.before(dir)
	if err != nil {
		return Written{}, err
	}
	out, err := newOutput(dir, t.Location)
	if err != nil {
		return Written{}, err
	}
	w := writer{out: out, catalog: newCatalog(before.Schemas, before.LastColumn), since: map[string]origin{}}
	next, err := w.metadata(&t)
	if err != nil {
		return Written{}, err
	}
	next.LastUpdated, next.LastSequence = before.LastUpdated, max(next.LastSequence, before.LastSequence)
	if version > 0 {
		next.MetadataLog = before.MetadataLog
	}
	if same, err := equal(before, next); err != nil || same {
		return Written{Metadata: filepath.Join(dir, folder, metaName(version)), Version: version}, err
	}
	if version > 0 {
		next.MetadataLog = append(slices.Clip(before.MetadataLog), metadataLogLine{out.uri + metaName(version), before.LastUpdated})
	}
	next.LastUpdated = max(now.UnixMilli(), before.LastUpdated, next.Snapshots[len(next.Snapshots)-1].Time)
	version++
	return Written{Metadata: filepath.Join(dir, folder, metaName(version)), Version: version, Changed: true}, w.publish(next, version)
}

// checkTable refuses what WriteTable would refuse for what the table is, or for
// what the folder holds. It writes nothing.
func checkTable(dir string, t Table) error {
	before, _, err := t.before(dir)
	if err != nil {
		return err
	}
	c := newCatalog(before.Schemas, before.LastColumn)
	for _, v := range t.Versions {
		if _, err := c.schema(v.Columns); err != nil {
			return err
		}
	}
	return nil
}

// before is the table's metadata in the folder; empty, of version 0, for none.
func (t *Table) before(dir string) (*metadata, int, error) {
	m, version, err := readCurrent(dir)
	switch {
	case err != nil:
		return nil, 0, err
	case m == nil:
		return &metadata{}, 0, nil
	case m.UUID != t.UUID:
		return nil, 0, fmt.Errorf("%s: %w", dir, ErrNotOurs)
	}
	return m, version, nil
}

func equal(a, b *metadata) (bool, error) {
	x, err := a.encoded()
	if err != nil {
		return false, err
	}
	y, err := b.encoded()
	return bytes.Equal(x, y), err
}

// writer makes one version of a table's metadata.
type writer struct {
	out     output
	catalog *catalog
	since   map[string]origin // of the files of the version before, by URI
}

// origin is the version that added a file.
type origin struct {
	id   int64
	file File
}

// metadata writes manifests and makes what the metadata file will say.
func (w *writer) metadata(t *Table) (*metadata, error) {
	m := &metadata{FormatVersion: 2, UUID: t.UUID, Location: t.Location, CurrentSnapshot: t.Main,
		Specs: []partitionSpec{{Fields: []any{}}}, LastPartition: 999, DefaultSort: rowOrder,
		MetadataLog: []metadataLogLine{}, Statistics: []any{}, PartitionStatistic: []any{},
		Refs: map[string]ref{"main": {t.Main, "branch"}}}
	for i := range t.Versions {
		s, err := w.version(&t.Versions[i], m.Snapshots)
		if err != nil {
			return nil, err
		}
		m.Snapshots = append(m.Snapshots, s)
		m.LastSequence = s.Sequence
		if s.ID <= t.Main {
			m.SnapshotLog = append(m.SnapshotLog, snapshotLogLine{s.ID, s.Time})
			m.CurrentSchema = s.Schema
		}
	}
	for name, id := range t.Tags {
		m.Refs[name] = ref{id, "tag"}
	}
	names, err := w.catalog.nameMapping()
	if err != nil {
		return nil, err
	}
	m.Properties = map[string]string{
		"gc.enabled":                  "false", // the files are the store's: no reader may delete them
		"schema.name-mapping.default": names,
	}
	maps.Copy(m.Properties, t.Properties)
	m.Schemas, m.LastColumn = w.catalog.schemas, w.catalog.last
	m.SortOrders = []sortOrder{{rowOrder, []sortField{{"identity", w.catalog.known[0].ID, "asc", "nulls-first"}}}}
	return m, nil
}

// version writes a version's manifest and the list with it.
func (w *writer) version(v *Version, before []snapshot) (snapshot, error) {
	s := snapshot{ID: v.ID, Sequence: v.ID, Time: v.Time.UnixMilli()}
	if n := len(before); n > 0 {
		parent := before[n-1]
		s.Parent, s.Time = &parent.ID, max(s.Time, parent.Time) // readers refuse a history that goes back in time
	}
	var err error
	if s.Schema, err = w.catalog.schema(v.Columns); err != nil {
		return s, err
	}
	entries, err := w.entries(v)
	if err != nil {
		return s, err
	}
	s.Summary = summary(v, entries)
	manifests := []manifestFile{}
	if len(entries) > 0 {
		m, err := w.manifest(s, entries)
		if err != nil {
			return s, err
		}
		manifests = append(manifests, m)
	}
	list, err := encodeList(&s, manifests)
	if err != nil {
		return s, err
	}
	s.List, err = w.out.put(nameOf("snap-"+strconv.FormatInt(s.ID, 10)+"-", list, ".avro"), list)
	return s, err
}

// entries are a version's files, then those that are gone since the one before.
func (w *writer) entries(v *Version) ([]entry, error) {
	var out []entry
	now := map[string]origin{}
	for _, f := range v.Files {
		o, status := w.since[f.URI], int32(existing)
		if o.id == 0 {
			o, status = origin{v.ID, f}, added
		}
		e, err := w.entry(status, o)
		if err != nil {
			return nil, err
		}
		out, now[f.URI] = append(out, e), o
	}
	for _, uri := range slices.Sorted(maps.Keys(w.since)) {
		if _, stays := now[uri]; stays {
			continue
		}
		e, err := w.entry(deleted, w.since[uri])
		if err != nil {
			return nil, err
		}
		e.SnapshotID = v.ID
		out = append(out, e)
	}
	w.since = now
	return out, nil
}

func (w *writer) entry(status int32, o origin) (entry, error) {
	low, high, err := rowIDBounds(o.file.Prefix)
	if err != nil {
		return entry{}, fmt.Errorf("%s: %w", o.file.URI, err)
	}
	id := int32(w.catalog.known[0].ID)
	return entry{Status: status, SnapshotID: o.id, Sequence: o.id, FileSequence: o.id, Data: dataFile{
		Path: o.file.URI, Format: "PARQUET", Records: o.file.Rows, Bytes: o.file.Bytes, SortOrder: rowOrder,
		LowerBounds: []bound{{id, low}}, UpperBounds: []bound{{id, high}}}}, nil
}

// rowIDBounds are the lowest and the highest row id with a prefix.
func rowIDBounds(prefix string) (low, high []byte, err error) {
	digits := 2 * len(schemas.RowID{})
	if low, err = hex.DecodeString(prefix + strings.Repeat("0", max(0, digits-len(prefix)))); err != nil {
		return nil, nil, err
	}
	high, err = hex.DecodeString(prefix + strings.Repeat("f", max(0, digits-len(prefix))))
	return low, high, err
}

// manifest writes the one manifest of a version.
func (w *writer) manifest(s snapshot, entries []entry) (manifestFile, error) {
	var shape schema
	for _, known := range w.catalog.schemas {
		if known.ID == s.Schema {
			shape = known
		}
	}
	data, err := encodeManifest(shape, entries)
	if err != nil {
		return manifestFile{}, err
	}
	m := manifestFile{Length: int64(len(data)), Sequence: s.Sequence, MinSequence: s.Sequence, SnapshotID: s.ID}
	for _, e := range entries {
		switch e.Status {
		case added:
			m.AddedFiles, m.AddedRows = m.AddedFiles+1, m.AddedRows+e.Data.Records
		case existing:
			m.ExistingFiles, m.ExistingRows = m.ExistingFiles+1, m.ExistingRows+e.Data.Records
		case deleted:
			m.DeletedFiles, m.DeletedRows = m.DeletedFiles+1, m.DeletedRows+e.Data.Records
			continue
		}
		m.MinSequence = min(m.MinSequence, e.Sequence)
	}
	m.Path, err = w.out.put(nameOf("", data, "-m0.avro"), data)
	return m, err
}

// summary tells readers what a version did.
func summary(v *Version, entries []entry) map[string]string {
	var files, rows, bytes int64
	var change [3]struct{ files, rows int64 }
	for _, e := range entries {
		change[e.Status].files++
		change[e.Status].rows += e.Data.Records
		if e.Status != deleted {
			files, rows, bytes = files+1, rows+e.Data.Records, bytes+e.Data.Bytes
		}
	}
	operation := "append"
	switch {
	case change[deleted].files > 0 && change[added].files > 0:
		operation = "overwrite"
	case change[deleted].files > 0:
		operation = "delete"
	}
	out := maps.Clone(v.Summary)
	if out == nil {
		out = map[string]string{}
	}
	out["operation"] = operation
	for name, n := range map[string]int64{
		"added-data-files": change[added].files, "added-records": change[added].rows,
		"deleted-data-files": change[deleted].files, "deleted-records": change[deleted].rows,
		"total-data-files": files, "total-records": rows, "total-files-size": bytes,
		"total-delete-files": 0, "total-position-deletes": 0, "total-equality-deletes": 0,
	} {
		out[name] = strconv.FormatInt(n, 10)
	}
	return out
}

// publish writes the metadata file under its number, which another export must
// not have taken, then the hint that names it.
func (w *writer) publish(m *metadata, version int) error {
	data, err := m.encoded()
	if err != nil {
		return err
	}
	if err := w.out.create(metaName(version), data); err != nil {
		return err
	}
	return w.out.replace(hint, []byte(strconv.Itoa(version)))
}
