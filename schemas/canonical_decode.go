package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// ErrEncoding: bytes are no canonical encoding of a row of the table. They
// were damaged, or belong to another table or version.
var ErrEncoding = errors.New("not a canonical encoding of the table's rows")

// Decoder reads canonical encodings of one table's rows into Arrow builders.
// The encoding alone has no sealed boxes: those go beside it, as Boxes of the
// encoder gave them. It is not safe for concurrent use.
type Decoder struct {
	table *Table
	order []int

	b     []byte
	boxes [][]byte
	refs  []LargeRef
}

// NewDecoder returns a decoder for the table, which must not change.
func NewDecoder(t *Table) *Decoder { return &Decoder{table: t, order: fieldOrder(t)} }

// Append appends the row to the builders: key for the legacy key, cols for the
// table's columns in its order. Large values become nulls; refs lists them and
// is valid until the next row. After an error the builders hold half a row and
// must be thrown away.
func (d *Decoder) Append(key *array.StringBuilder, cols []array.Builder, canonical []byte, boxes [][]byte) (refs []LargeRef, err error) {
	d.b, d.boxes, d.refs = canonical, boxes, d.refs[:0]
	if string(d.take(len(canonicalMagic))) != canonicalMagic || d.u32() != uint32(len(d.order)+1) {
		return nil, ErrEncoding
	}
	if d.u32() != uint32(KeyFieldID) || !d.key(key) {
		return nil, fmt.Errorf("legacy key: %w", ErrEncoding)
	}
	for _, i := range d.order {
		c := &d.table.Columns[i]
		if d.u32() != uint32(c.ID) || !d.cell(c, cols[i]) {
			return nil, fmt.Errorf("column %s: %w", c.Name, ErrEncoding)
		}
	}
	if len(d.b) != 0 || len(d.boxes) != 0 {
		return nil, fmt.Errorf("%w: %d bytes and %d boxes too many", ErrEncoding, len(d.b), len(d.boxes))
	}
	return d.refs, nil
}

// take returns the next n bytes, or nil when there are fewer.
func (d *Decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.b = nil
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *Decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *Decoder) tag() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0xff
}

// text is a length and as many bytes; nil when they are not there.
func (d *Decoder) text() []byte {
	n := d.take(4)
	if n == nil {
		return nil
	}
	return d.take(int(binary.BigEndian.Uint32(n)))
}

func (d *Decoder) key(b *array.StringBuilder) bool {
	switch d.tag() {
	case tagNull:
		b.AppendNull()
		return true
	case byte(String):
		k := d.text()
		b.BinaryBuilder.Append(k)
		return k != nil
	}
	return false
}

func (d *Decoder) cell(c *Column, b array.Builder) bool {
	tag := d.tag()
	if tag == tagNull {
		b.AppendNull()
		return true
	}
	if tag&tagLarge != 0 {
		if tag&^tagLarge != byte(c.Type) || !d.large(c, nil, -1) {
			return false
		}
		b.AppendNull()
		return true
	}
	if tag != byte(c.Type) {
		return false
	}
	switch c.Type {
	case Bool:
		v := d.take(1)
		if v == nil {
			return false
		}
		b.(*array.BooleanBuilder).Append(v[0] == 1)
		return v[0] <= 1
	case Int, Timestamp:
		return d.number(c.Type, b)
	case String, Binary:
		return d.inline(c.Type, b)
	case Secret:
		return d.secret(b)
	case Strings, Binaries, Secrets:
		return d.list(c, nil, b.(*array.ListBuilder))
	case StringsMap, BinariesMap, SecretsMap:
		return d.mapCell(c, b.(*array.MapBuilder))
	}
	return false
}

func (d *Decoder) number(t Type, b array.Builder) bool {
	v := d.take(8)
	if v == nil {
		return false
	}
	n := int64(binary.BigEndian.Uint64(v))
	if t == Int {
		b.(*array.Int64Builder).Append(n)
	} else {
		b.(*array.TimestampBuilder).Append(arrow.Timestamp(n))
	}
	return true
}

func (d *Decoder) inline(t Type, b array.Builder) bool {
	v := d.text()
	if v == nil || len(v) > LargeBytes {
		return false
	}
	if t == String {
		b.(*array.StringBuilder).BinaryBuilder.Append(v)
	} else {
		b.(*array.BinaryBuilder).Append(v)
	}
	return true
}

func (d *Decoder) secret(b array.Builder) bool {
	mac := d.take(16)
	if mac == nil || len(d.boxes) == 0 {
		return false
	}
	sb := b.(*array.StructBuilder)
	sb.Append(true)
	sb.FieldBuilder(0).(*array.FixedSizeBinaryBuilder).Append(mac)
	sb.FieldBuilder(1).(*array.BinaryBuilder).Append(d.boxes[0])
	d.boxes = d.boxes[1:]
	return true
}

// large notes a value that lives as an object of its own.
func (d *Decoder) large(c *Column, key []byte, index int) bool {
	v := d.take(largePayload)
	if v == nil {
		return false
	}
	var k *string
	if key != nil {
		k = new(string)
		*k = string(key)
	}
	ref := LargeRef{Path: LargePath(c.Name, k, index), SHA256: [32]byte(v), Size: int64(binary.BigEndian.Uint64(v[32:]))}
	d.refs = append(d.refs, ref)
	return ref.Size > LargeBytes
}

func (d *Decoder) list(c *Column, key []byte, b *array.ListBuilder) bool {
	n := d.take(4)
	if n == nil {
		return false
	}
	b.Append(true)
	t := elementType(c.Type)
	for i := range int(binary.BigEndian.Uint32(n)) {
		switch tag := d.tag(); {
		case tag == tagLarge|byte(t) && t != Secret:
			if !d.large(c, key, i) {
				return false
			}
			b.ValueBuilder().AppendNull()
		case tag != byte(t):
			return false
		case t == Secret:
			if !d.secret(b.ValueBuilder()) {
				return false
			}
		default:
			if !d.inline(t, b.ValueBuilder()) {
				return false
			}
		}
	}
	return true
}

func (d *Decoder) mapCell(c *Column, b *array.MapBuilder) bool {
	n := d.take(4)
	if n == nil {
		return false
	}
	b.Append(true)
	for range binary.BigEndian.Uint32(n) {
		k := d.text()
		if k == nil {
			return false
		}
		b.KeyBuilder().(*array.StringBuilder).BinaryBuilder.Append(k)
		if !d.list(c, k, b.ItemBuilder().(*array.ListBuilder)) {
			return false
		}
	}
	return true
}

// CanonicalKey reads the legacy key out of a row's canonical encoding.
func CanonicalKey(canonical []byte) (string, error) {
	d := Decoder{b: canonical}
	if string(d.take(len(canonicalMagic))) != canonicalMagic || d.u32() == 0 || d.u32() != uint32(KeyFieldID) {
		return "", ErrEncoding
	}
	switch d.tag() {
	case tagNull:
		return "", nil
	case byte(String):
		if k := d.text(); k != nil {
			return string(k), nil
		}
	}
	return "", ErrEncoding
}
