package iceberg

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"
)

// States of a file in a manifest.
const (
	existing = 0 // a Version before has it
	added    = 1
	deleted  = 2 // the Version before has it, this one has it not
)

// entry is one file in a manifest.
type entry struct {
	Status       int32    `avro:"status"`
	SnapshotID   int64    `avro:"snapshot_id"` // that added it, or deleted it
	Sequence     int64    `avro:"sequence_number"`
	FileSequence int64    `avro:"file_sequence_number"`
	Data         dataFile `avro:"data_file"`
}

type dataFile struct {
	Content     int32   `avro:"content"` // 0: rows
	Path        string  `avro:"file_path"`
	Format      string  `avro:"file_format"`
	Partition   noParts `avro:"partition"`
	Records     int64   `avro:"record_count"`
	Bytes       int64   `avro:"file_size_in_bytes"`
	LowerBounds []bound `avro:"lower_bounds"`
	UpperBounds []bound `avro:"upper_bounds"`
	SortOrder   int32   `avro:"sort_order_id"`
}

type noParts struct{}

type bound struct {
	Field int32  `avro:"key"`
	Value []byte `avro:"value"`
}

// manifestFile is one manifest in a list of them.
type manifestFile struct {
	Path          string `avro:"manifest_path"`
	Length        int64  `avro:"manifest_length"`
	Spec          int32  `avro:"partition_spec_id"`
	Content       int32  `avro:"content"`
	Sequence      int64  `avro:"sequence_number"`
	MinSequence   int64  `avro:"min_sequence_number"`
	SnapshotID    int64  `avro:"added_snapshot_id"`
	AddedFiles    int32  `avro:"added_files_count"`
	ExistingFiles int32  `avro:"existing_files_count"`
	DeletedFiles  int32  `avro:"deleted_files_count"`
	AddedRows     int64  `avro:"added_rows_count"`
	ExistingRows  int64  `avro:"existing_rows_count"`
	DeletedRows   int64  `avro:"deleted_rows_count"`
}

// The schemas of the two kinds of files, with the field ids by which readers
// know the fields. Bounds are of row ids alone: no other value of a row is for
// everybody who may read metadata.
var (
	entrySchema = avro.MustParse(`{"type": "record", "name": "manifest_entry", "fields": [
	{"name": "status", "type": "int", "field-id": 0},
	{"name": "snapshot_id", "type": ["null", "long"], "default": null, "field-id": 1},
	{"name": "sequence_number", "type": ["null", "long"], "default": null, "field-id": 3},
	{"name": "file_sequence_number", "type": ["null", "long"], "default": null, "field-id": 4},
	{"name": "data_file", "field-id": 2, "type": {"type": "record", "name": "r2", "fields": [
		{"name": "content", "type": "int", "field-id": 134},
		{"name": "file_path", "type": "string", "field-id": 100},
		{"name": "file_format", "type": "string", "field-id": 101},
		{"name": "partition", "type": {"type": "record", "name": "r102", "fields": []}, "field-id": 102},
		{"name": "record_count", "type": "long", "field-id": 103},
		{"name": "file_size_in_bytes", "type": "long", "field-id": 104},
		{"name": "lower_bounds", "type": ["null", {"type": "array", "logicalType": "map", "items": {"type": "record", "name": "k126_v127", "fields": [
			{"name": "key", "type": "int", "field-id": 126}, {"name": "value", "type": "bytes", "field-id": 127}]}}], "default": null, "field-id": 125},
		{"name": "upper_bounds", "type": ["null", {"type": "array", "logicalType": "map", "items": {"type": "record", "name": "k129_v130", "fields": [
			{"name": "key", "type": "int", "field-id": 129}, {"name": "value", "type": "bytes", "field-id": 130}]}}], "default": null, "field-id": 128},
		{"name": "sort_order_id", "type": ["null", "int"], "default": null, "field-id": 140}]}}]}`)

	listSchema = avro.MustParse(`{"type": "record", "name": "manifest_file", "fields": [
	{"name": "manifest_path", "type": "string", "field-id": 500},
	{"name": "manifest_length", "type": "long", "field-id": 501},
	{"name": "partition_spec_id", "type": "int", "field-id": 502},
	{"name": "content", "type": "int", "field-id": 517},
	{"name": "sequence_number", "type": "long", "field-id": 515},
	{"name": "min_sequence_number", "type": "long", "field-id": 516},
	{"name": "added_snapshot_id", "type": "long", "field-id": 503},
	{"name": "added_files_count", "type": "int", "field-id": 504},
	{"name": "existing_files_count", "type": "int", "field-id": 505},
	{"name": "deleted_files_count", "type": "int", "field-id": 506},
	{"name": "added_rows_count", "type": "long", "field-id": 512},
	{"name": "existing_rows_count", "type": "long", "field-id": 513},
	{"name": "deleted_rows_count", "type": "long", "field-id": 514}]}`)
)

// encodeManifest makes a manifest's bytes.
func encodeManifest(s schema, entries []entry) ([]byte, error) {
	shape, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return encode(entrySchema, entries, map[string]string{
		"schema": string(shape), "schema-id": strconv.Itoa(s.ID), "partition-spec": "[]", "partition-spec-id": "0",
		"format-version": "2", "content": "data"})
}

// encodeList makes the bytes of a list of manifests.
func encodeList(v *snapshot, manifests []manifestFile) ([]byte, error) {
	parent := "null"
	if v.Parent != nil {
		parent = strconv.FormatInt(*v.Parent, 10)
	}
	return encode(listSchema, manifests, map[string]string{
		"snapshot-id": strconv.FormatInt(v.ID, 10), "parent-snapshot-id": parent,
		"sequence-number": strconv.FormatInt(v.Sequence, 10), "format-version": "2"})
}

// encode makes the bytes of an Avro file; the same for the same content, so
// that an export that changes nothing writes nothing.
func encode[T any](s *avro.Schema, items []T, meta map[string]string) ([]byte, error) {
	sync := sha256.Sum256(fmt.Append(nil, s.String(), meta))
	o := []ocf.WriterOpt{ocf.WithCodec(ocf.DeflateCodec(flate.DefaultCompression)), ocf.WithSyncMarker([16]byte(sync[:]))}
	for _, k := range slices.Sorted(maps.Keys(meta)) { // one by one: of a map, the library keeps no order
		o = append(o, ocf.WithMetadata(map[string][]byte{k: []byte(meta[k])}))
	}
	var b bytes.Buffer
	w, err := ocf.NewWriter(&b, s, o...)
	if err != nil {
		return nil, err
	}
	for i := range items {
		if err := w.Encode(&items[i]); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return b.Bytes(), err
}

// nameOf is the name of a metadata file, after its content.
func nameOf(prefix string, content []byte, suffix string) string {
	sum := sha256.Sum256(content)
	return prefix + hex.EncodeToString(sum[:16]) + suffix
}
