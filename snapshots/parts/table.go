package parts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
)

// Object names stored bytes.
type Object struct {
	SHA256 [sha256.Size]byte
	Bytes  int64
}

// Name is the SHA-256 in hex.
func (o Object) Name() string { return hex.EncodeToString(o.SHA256[:]) }

// PutFunc stores bytes under their SHA-256 and is idempotent: bytes that are
// there already are not written again. It must be safe for concurrent use.
type PutFunc func(ctx context.Context, body io.ReadSeeker) (Object, error)

// OpenFunc opens an object whose bytes have been checked against its SHA-256
// and size, as Verified does; decoders are never given others. It must be safe
// for concurrent use.
type OpenFunc func(ctx context.Context, o Object) (io.ReaderAt, io.Closer, error)

// Digest is the digest of a table.
type Digest [sha256.Size]byte

// String is the digest in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes the digest in hex.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads hex.
func (d *Digest) UnmarshalText(b []byte) error { return decodeHex(d[:], b) }

func decodeHex(dst, src []byte) error {
	if hex.DecodedLen(len(src)) != len(dst) {
		return fmt.Errorf("want %d hex digits, got %d characters", hex.EncodedLen(len(dst)), len(src))
	}
	_, err := hex.Decode(dst, src)
	return err
}

// Table is one table of a snapshot. Its JSON is the table's entry in a
// manifest.
type Table struct {
	Name      string
	Columns   []schemas.Column
	DependsOn string
	Rows      int64
	Digest    Digest
	Layers    []Layer
}

// Kinds of layers.
const (
	KindWhole  = "whole"  // all rows of the table
	KindChange = "change" // upserts and deletions upon the layers below
)

// Layer is a list of parts in the order of their prefixes, which do not
// overlap. The lowest layer of a table is whole, the others are changes.
type Layer struct {
	Kind  string `json:"kind"`
	Parts []Part `json:"parts"`
}

// Part is one Parquet file with its index.
type Part struct {
	// Prefix is the hex digits that all row ids of the part begin with.
	Prefix string `json:"prefix"`
	// Rows is how many the Parquet file has.
	Rows int64 `json:"rows"`
	// Deleted is how many rows of the layers below are gone, in a change layer:
	// they stand in the index alone.
	Deleted int64 `json:"deleted,omitempty"`
	// Epochs are the key epochs of the boxes in the file, ascending; nil where
	// the table has no secrets, or the writer did not say.
	Epochs []uint32 `json:"epochs,omitzero"`
	// Object is the Parquet file, Index its index, Large the list of the
	// objects its large values live in (nil when there are none).
	Object Object  `json:"object"`
	Index  Object  `json:"index"`
	Large  *Object `json:"large,omitempty"`
}

// Objects lists everything the table keeps alive but the large values, which
// LargeObjects of a Reader yields.
func (t *Table) Objects() []Object {
	var out []Object
	for p := range t.parts() {
		out = append(out, p.Object, p.Index)
		if p.Large != nil {
			out = append(out, *p.Large)
		}
	}
	return out
}

// parts yields the parts of all layers.
func (t *Table) parts() iter.Seq[Part] {
	return func(yield func(Part) bool) {
		for _, l := range t.Layers {
			for _, p := range l.Parts {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// Layered says whether the table has change layers.
func (t *Table) Layered() bool { return len(t.Layers) > 1 }

// Changes is how many entries its change layers have.
func (t *Table) Changes() (n int64) {
	for _, l := range t.Layers {
		if l.Kind != KindChange {
			continue
		}
		for _, p := range l.Parts {
			n += p.Rows + p.Deleted
		}
	}
	return n
}

// MayHoldSecrets says whether any of its rows may have a secret: only where each
// part is known to have no box, none has.
func (t *Table) MayHoldSecrets() bool {
	epochs, known := t.KeyEpochs()
	return !known || len(epochs) > 0
}

// Schema is the table's shape.
func (t *Table) Schema() schemas.Table {
	return schemas.Table{Name: t.Name, Columns: t.Columns, DependsOn: t.DependsOn}
}

type tableJSON struct {
	Name      string       `json:"name"`
	Columns   []columnJSON `json:"columns"`
	DependsOn string       `json:"depends_on,omitempty"`
	Rows      int64        `json:"rows"`
	Digest    Digest       `json:"digest"`
	Layers    []Layer      `json:"layers"`
}

type columnJSON struct {
	ID   int32  `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
	Set  bool   `json:"set,omitempty"`
	Refs string `json:"refs,omitempty"`
	Doc  string `json:"doc,omitempty"`
}

// MarshalJSON writes the table's entry in a manifest.
func (t Table) MarshalJSON() ([]byte, error) {
	j := tableJSON{Name: t.Name, DependsOn: t.DependsOn, Rows: t.Rows, Digest: t.Digest, Layers: t.Layers, Columns: []columnJSON{}}
	for _, c := range t.Columns {
		j.Columns = append(j.Columns, columnJSON{ID: c.ID, Name: c.Name, Type: c.Type.String(), Set: c.Set, Refs: c.Refs, Doc: c.Doc})
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads an entry of a manifest and refuses column types that
// this version does not know.
func (t *Table) UnmarshalJSON(b []byte) error {
	var j tableJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*t = Table{Name: j.Name, DependsOn: j.DependsOn, Rows: j.Rows, Digest: j.Digest, Layers: j.Layers}
	for _, c := range j.Columns {
		typ, ok := schemas.ParseType(c.Type)
		if !ok {
			return fmt.Errorf("table %s, column %s: unknown type %q: a newer version of this tool wrote it, use that one", j.Name, c.Name, c.Type)
		}
		t.Columns = append(t.Columns, schemas.Column{ID: c.ID, Name: c.Name, Type: typ, Set: c.Set, Refs: c.Refs, Doc: c.Doc})
	}
	return nil
}

type objectJSON struct {
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// MarshalJSON writes the hash in hex.
func (o Object) MarshalJSON() ([]byte, error) {
	return json.Marshal(objectJSON{SHA256: o.Name(), Bytes: o.Bytes})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (o *Object) UnmarshalJSON(b []byte) error {
	var j objectJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	o.Bytes = j.Bytes
	if err := decodeHex(o.SHA256[:], []byte(j.SHA256)); err != nil {
		return fmt.Errorf("sha256: %w", err)
	}
	return nil
}
