package snapshots

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

const (
	manifestsPrefix = "manifests/"
	// Versions of a manifest: one with change layers is of version 2, so that
	// programs that know only whole layers refuse it, and still read the others.
	wholeManifest   = 1
	layeredManifest = 2
)

// manifest is a manifests/<sha256>.json: which layers and parts hold the
// tables of a snapshot. One snapshot may have several over time.
type manifest struct {
	Version  int           `json:"version"`
	Snapshot Digest        `json:"snapshot"`
	Tables   []parts.Table `json:"tables"` // by name
}

// manifestKey is a manifest's first name, by which messages speak of it. Where
// it lies, Store.where says.
func manifestKey(d Digest) string { return manifestContent(d).key(0) }

func manifestContent(d Digest) content { return content{sum: d, manifest: true} }

// manifestName reads what manifestKey writes.
func manifestName(key string) (d Digest, ok bool) {
	d, ok = parseHex(strings.TrimSuffix(strings.TrimPrefix(key, manifestsPrefix), ".json"))
	return d, ok && manifestKey(d) == key
}

// snapshotTag begins what a snapshot digest is made over.
const snapshotTag = "PRs1"

// SnapshotDigest is the identity of a snapshot: SHA-256 over a tag, the number
// of tables, and per table, by name, its name, its columns by field id, and
// its digest. It knows nothing of parts, layers or secrets' boxes. Strings
// come after their length; numbers are big-endian, 4 bytes.
func SnapshotDigest(tables []parts.Table) Digest {
	tables = slices.Clone(tables)
	slices.SortFunc(tables, func(a, b parts.Table) int { return strings.Compare(a.Name, b.Name) })
	b := []byte(snapshotTag)
	b = binary.BigEndian.AppendUint32(b, uint32(len(tables)))
	for _, t := range tables {
		b = appendString(b, t.Name)
		b = appendColumns(b, t.Columns)
		b = append(b, t.Digest[:]...)
	}
	return sha256.Sum256(b)
}

func appendColumns(b []byte, columns []schemas.Column) []byte {
	columns = slices.Clone(columns)
	slices.SortFunc(columns, func(x, y schemas.Column) int { return int(x.ID) - int(y.ID) })
	b = binary.BigEndian.AppendUint32(b, uint32(len(columns)))
	for _, c := range columns {
		b = binary.BigEndian.AppendUint32(b, uint32(c.ID))
		b = appendString(b, c.Name)
		set := byte(0)
		if c.Set {
			set = 1
		}
		b = append(b, byte(c.Type), set)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// putManifest stores the manifest of some tables.
func (s *Store) putManifest(ctx context.Context, tables []parts.Table) (snapshot, name Digest, err error) {
	m := manifest{Version: wholeManifest, Snapshot: SnapshotDigest(tables), Tables: tables}
	if slices.ContainsFunc(tables, func(t parts.Table) bool { return t.Layered() }) {
		m.Version = layeredManifest
	}
	data, err := marshal(m)
	if err != nil {
		return Digest{}, Digest{}, fmt.Errorf("encode manifest: %w", err)
	}
	name = digestOf(data)
	err = s.putBytes(ctx, s.where(manifestContent(name)), data)
	if errors.Is(err, ErrExists) { // its name says that it is the same
		err = nil
	}
	return m.Snapshot, name, err
}

// putBytes creates an object, trying again while the outcome is unknown.
func (s *Store) putBytes(ctx context.Context, key string, data []byte) error {
	if _, err := createInsisting(ctx, s.b, key, bytes.NewReader(data)); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// readManifest reads a manifest and checks that it is the one it is named for.
func (s *Store) readManifest(ctx context.Context, name Digest) (*manifest, error) {
	key := manifestKey(name)
	data, err := s.readRepaired(ctx, manifestContent(name))
	if errors.Is(err, ErrNotFound) {
		return nil, &CorruptError{Object: key, What: "it is missing", Advice: objectAdvice, Err: err}
	}
	if err != nil {
		return nil, err
	}
	bad := func(what string, err error) error {
		return &CorruptError{Object: key, What: what, Advice: objectAdvice, Err: err}
	}
	if digestOf(data) != name {
		return nil, bad("its bytes do not match its name", nil)
	}
	var version struct{ Version int }
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, bad("not a manifest", err)
	}
	if version.Version < wholeManifest || version.Version > layeredManifest {
		return nil, fmt.Errorf("%s: version %d, this program knows %d and %d: %w", key, version.Version, wholeManifest, layeredManifest, ErrNewerStore)
	}
	m := &manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, bad("not a manifest", err)
	}
	if got := SnapshotDigest(m.Tables); got != m.Snapshot {
		return nil, bad(fmt.Sprintf("its tables make snapshot %s, it says %s", got.Short(), m.Snapshot.Short()), nil)
	}
	return m, nil
}
