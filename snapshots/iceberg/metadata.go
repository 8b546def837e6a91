package iceberg

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// metadata is a table's metadata file.
type metadata struct {
	FormatVersion      int               `json:"format-version"`
	UUID               string            `json:"table-uuid"`
	Location           string            `json:"location"`
	LastSequence       int64             `json:"last-sequence-number"`
	LastUpdated        int64             `json:"last-updated-ms"`
	LastColumn         int               `json:"last-column-id"`
	CurrentSchema      int               `json:"current-schema-id"`
	Schemas            []schema          `json:"schemas"`
	DefaultSpec        int               `json:"default-spec-id"`
	Specs              []partitionSpec   `json:"partition-specs"`
	LastPartition      int               `json:"last-partition-id"`
	DefaultSort        int               `json:"default-sort-order-id"`
	SortOrders         []sortOrder       `json:"sort-orders"`
	Properties         map[string]string `json:"properties"`
	CurrentSnapshot    int64             `json:"current-snapshot-id"`
	Snapshots          []snapshot        `json:"snapshots"`
	SnapshotLog        []snapshotLogLine `json:"snapshot-log"`
	MetadataLog        []metadataLogLine `json:"metadata-log"`
	Refs               map[string]ref    `json:"refs"`
	Statistics         []any             `json:"statistics"`
	PartitionStatistic []any             `json:"partition-statistics"`
}

type partitionSpec struct {
	ID     int   `json:"spec-id"`
	Fields []any `json:"fields"`
}

type sortOrder struct {
	ID     int         `json:"order-id"`
	Fields []sortField `json:"fields"`
}

type sortField struct {
	Transform string `json:"transform"`
	Source    int    `json:"source-id"`
	Direction string `json:"direction"`
	Nulls     string `json:"null-order"`
}

type snapshot struct {
	ID       int64             `json:"snapshot-id"`
	Parent   *int64            `json:"parent-snapshot-id,omitempty"`
	Sequence int64             `json:"sequence-number"`
	Time     int64             `json:"timestamp-ms"`
	List     string            `json:"manifest-list"`
	Summary  map[string]string `json:"summary"`
	Schema   int               `json:"schema-id"`
}

type snapshotLogLine struct {
	ID   int64 `json:"snapshot-id"`
	Time int64 `json:"timestamp-ms"`
}

type metadataLogLine struct {
	File string `json:"metadata-file"`
	Time int64  `json:"timestamp-ms"`
}

type ref struct {
	ID   int64  `json:"snapshot-id"`
	Type string `json:"type"`
}

// rowOrder is the sort order of our parts: by row id.
const rowOrder = 1

const (
	folder     = "metadata"
	hint       = "version-hint.text"
	metaSuffix = ".metadata.json"
)

// metaName is the name of version n's metadata file.
func metaName(n int) string { return "v" + strconv.Itoa(n) + metaSuffix }

// ErrNotOurs: the folder holds a table that this store did not make. Choose
// another folder.
var ErrNotOurs = errors.New("the folder holds an Iceberg table of something else")

// readCurrent reads the newest metadata file in a table's folder, version 0 for
// none. The newest counts, and not the one that the hint names: an export that
// was killed may have left the hint behind.
func readCurrent(dir string) (m *metadata, version int, err error) {
	files, err := os.ReadDir(filepath.Join(dir, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, folderError(err)
	}
	for _, f := range files {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(f.Name(), "v"), metaSuffix))
		if err == nil && f.Name() == metaName(n) {
			version = max(version, n)
		}
	}
	if version == 0 {
		return nil, 0, nil
	}
	path := filepath.Join(dir, folder, metaName(version))
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, folderError(err)
	}
	m = &metadata{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, 0, fmt.Errorf("%s: %w (remove the folder %s and export again)", path, err, dir)
	}
	return m, version, nil
}

// encoded is the file's text.
func (m *metadata) encoded() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}
