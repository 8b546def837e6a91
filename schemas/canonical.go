package schemas

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The canonical encoding of a row: the same bytes for the same data, however
// the row travelled. docs/format.md describes it; golden vectors fix it.
//
//	row     "PRr1", u32 number of fields, fields by ascending field id
//	field   u32 field id, cell
//	cell    u8 tag, then by tag:
//	          0x00 null      nothing
//	          0x01 bool      u8
//	          0x02 int       i64        0x03 timestamp i64 microseconds UTC
//	          0x04 string    u32 length, bytes      0x05 binary the same
//	          0x06, 0x07, 0x0b  list: u32 count, elements (cells of one type)
//	          0x08, 0x09, 0x0c  map: u32 count, entries by raw bytes of the key:
//	                            u32 length, key bytes, u32 count, elements
//	          0x0a secret    16 bytes MAC
//	          0x14 large string, 0x15 large binary: 32 bytes SHA-256, u64 size
//
// All numbers are big-endian. The legacy key is the field KeyFieldID, null when
// empty. A string or binary value over LargeBytes is large wherever it stands.
// Lists of columns declared as sets are sorted by tag, then payload, and
// without duplicates.
const canonicalMagic = "PRr1"

const (
	tagNull  = 0
	tagLarge = 0x10 // or'ed with String or Binary

	largePayload = sha256.Size + 8
)

// AppendCanonical appends the canonical encoding of a row. It panics when the
// row's values do not fit the table, as a slip of the programmer; an Encoder
// returns that as an error and is faster for many rows.
func AppendCanonical(dst []byte, t *Table, r *Row) []byte {
	e := NewEncoder(t)
	e.lenient = true
	dst, err := e.AppendRow(dst, r)
	if err != nil {
		panic("schemas: " + err.Error())
	}
	return dst
}

// RowDigest is the digest of a row. It is the same whether large values are in
// the row or listed in r.Large.
func RowDigest(t *Table, r *Row) Digest { return DigestOf(AppendCanonical(nil, t, r)) }

// DigestOf is the digest of a row by its canonical encoding.
func DigestOf(canonical []byte) Digest {
	sum := sha256.Sum256(canonical)
	return Digest(sum[:len(Digest{})])
}

// LargePath names the place of a value in its row, as LargeRef.Path has it.
// Pass index -1 for a cell, key nil for a column that is no map. Quotes and
// backslashes in keys are escaped by a backslash.
func LargePath(column string, key *string, index int) string {
	var b strings.Builder
	b.WriteString(column)
	if key != nil {
		b.WriteString(`["`)
		b.WriteString(keyEscaper.Replace(*key))
		b.WriteString(`"]`)
	}
	if index >= 0 {
		b.WriteByte('[')
		b.WriteString(strconv.Itoa(index))
		b.WriteByte(']')
	}
	return b.String()
}

var keyEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// Encoder makes canonical encodings of one table's rows. It is not safe for
// concurrent use.
type Encoder struct {
	// Large, if set, is given each value over LargeBytes and returns its
	// SHA-256; a store keeps the value on this occasion. The value must not be
	// retained.
	Large func(value []byte) ([sha256.Size]byte, error)

	table   *Table
	order   []int // columns by field id
	lenient bool  // strings need not be UTF-8

	b     []byte
	elems []element
	spare []byte
	keys  []string
	boxes [][]byte
	refs  []LargeRef
	used  int // refs that found their place
}

// element is where one element of a list lies in the encoder's buffer, and the
// box of a secret.
type element struct {
	start, end int
	secret     bool
	box        []byte
}

// NewEncoder returns an encoder for the table, which must not change.
func NewEncoder(t *Table) *Encoder {
	return &Encoder{table: t, order: fieldOrder(t)}
}

// fieldOrder lists the table's columns by ascending field id.
func fieldOrder(t *Table) []int {
	order := make([]int, len(t.Columns))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(t.Columns[a].ID, t.Columns[b].ID) })
	return order
}

// Boxes are the sealed boxes of the row encoded last, in the order in which
// their MACs stand in the encoding; they are valid until the next row.
func (e *Encoder) Boxes() [][]byte { return e.boxes }

// AppendRow appends the canonical encoding of a row. The error names the
// column, never a value.
func (e *Encoder) AppendRow(dst []byte, r *Row) ([]byte, error) {
	if len(r.Values) != len(e.table.Columns) {
		return dst, fmt.Errorf("row has %d values, table %s has %d columns", len(r.Values), e.table.Name, len(e.table.Columns))
	}
	e.begin(dst, r.Large)
	if err := e.legacyKey(r.Key); err != nil {
		return dst, err
	}
	for _, i := range e.order {
		c := &e.table.Columns[i]
		e.u32(uint32(c.ID))
		if err := e.cell(c, r.Values[i]); err != nil {
			return dst, fmt.Errorf("column %s: %w", c.Name, err)
		}
	}
	return e.end(dst)
}

func (e *Encoder) begin(dst []byte, refs []LargeRef) {
	e.b, e.boxes, e.elems, e.refs, e.used = dst, e.boxes[:0], e.elems[:0], refs, 0
	e.b = append(e.b, canonicalMagic...)
	e.u32(uint32(len(e.order) + 1))
}

func (e *Encoder) end(dst []byte) ([]byte, error) {
	if e.used != len(e.refs) {
		return dst, fmt.Errorf("row lists %d large values, %d of them have a place", len(e.refs), e.used)
	}
	b := e.b
	e.b, e.refs = nil, nil
	return b, nil
}

func (e *Encoder) legacyKey(key string) error {
	e.u32(uint32(KeyFieldID))
	if key == "" {
		e.b = append(e.b, tagNull)
		return nil
	}
	if err := inline(e, String, key); err != nil {
		return fmt.Errorf("legacy key: %w", err)
	}
	return nil
}

var (
	errUTF8      = errors.New("value is not valid UTF-8: declare the column as binary or decode it")
	errNullValue = errors.New("a value in the list is null")
	errTwice     = errors.New("a key of the map occurs twice")
	errKeyLength = errors.New("key is too long")
)

func wrongType(v any, t Type) error {
	return fmt.Errorf("value of Go type %T does not fit column type %s", v, t)
}

func (e *Encoder) u32(n uint32)           { e.b = binary.BigEndian.AppendUint32(e.b, n) }
func (e *Encoder) u64(n uint64)           { e.b = binary.BigEndian.AppendUint64(e.b, n) }
func (e *Encoder) tag(t Type)             { e.b = append(e.b, byte(t)) }
func (e *Encoder) number(t Type, n int64) { e.tag(t); e.u64(uint64(n)) }

func (e *Encoder) bool(v bool) {
	e.tag(Bool)
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *Encoder) cell(c *Column, v any) error {
	switch x := v.(type) {
	case nil:
		e.null(c)
		return nil
	case bool:
		if c.Type == Bool {
			e.bool(x)
			return nil
		}
	case int64:
		if c.Type == Int || c.Type == Timestamp {
			e.number(c.Type, x)
			return nil
		}
	case string:
		if c.Type == String {
			return value(e, String, x)
		}
	case []byte:
		if c.Type == Binary {
			return value(e, Binary, x)
		}
	case Sealed:
		if c.Type == Secret {
			e.secret(x.MAC[:], x.Box)
			e.boxes = append(e.boxes, x.Box)
			return nil
		}
	default:
		return e.multi(c, v)
	}
	return wrongType(v, c.Type)
}

// null is a null cell, or the large value that the row left out here.
func (e *Encoder) null(c *Column) {
	if len(e.refs) > 0 && (c.Type == String || c.Type == Binary) {
		if ref := e.ref(c.Name, nil, -1); ref != nil {
			e.large(c.Type, ref.SHA256, ref.Size)
			return
		}
	}
	e.b = append(e.b, tagNull)
}

func (e *Encoder) multi(c *Column, v any) error {
	switch x := v.(type) {
	case []string:
		if c.Type == Strings {
			return rowList(e, c, nil, x)
		}
	case [][]byte:
		if c.Type == Binaries {
			return rowList(e, c, nil, x)
		}
	case []Sealed:
		if c.Type == Secrets {
			return rowList(e, c, nil, x)
		}
	case map[string][]string:
		if c.Type == StringsMap {
			return rowMap(e, c, x)
		}
	case map[string][][]byte:
		if c.Type == BinariesMap {
			return rowMap(e, c, x)
		}
	case map[string][]Sealed:
		if c.Type == SecretsMap {
			return rowMap(e, c, x)
		}
	}
	return wrongType(v, c.Type)
}

// rowList encodes a list of a row; a nil list in a cell is not null (null is a
// nil any), so that typed nils and empty lists are one.
func rowList[E any](e *Encoder, c *Column, key *string, list []E) error {
	if key == nil {
		e.tag(c.Type)
	}
	e.beginList()
	for i := range list {
		e.beginElement()
		var err error
		switch x := any(list[i]).(type) {
		case string:
			err = element1(e, c, key, i, String, x)
		case []byte:
			err = element1(e, c, key, i, Binary, x)
		case Sealed:
			e.secret(x.MAC[:], x.Box)
		}
		if err != nil {
			return err
		}
		e.endElement()
	}
	e.endList(c.Set)
	return nil
}

// element1 encodes one string or binary element, or the large value that the
// row left out in its place.
func element1[T string | []byte](e *Encoder, c *Column, key *string, i int, t Type, v T) error {
	if len(v) == 0 && len(e.refs) > 0 {
		if ref := e.ref(c.Name, key, i); ref != nil {
			e.large(t, ref.SHA256, ref.Size)
			return nil
		}
	}
	return value(e, t, v)
}

func rowMap[E any](e *Encoder, c *Column, m map[string][]E) error {
	e.tag(c.Type)
	e.u32(uint32(len(m)))
	e.keys = slices.AppendSeq(e.keys[:0], maps.Keys(m))
	slices.Sort(e.keys)
	for _, k := range e.keys {
		if err := e.mapKey(k); err != nil {
			return err
		}
		if err := rowList(e, c, &k, m[k]); err != nil {
			return err
		}
	}
	return nil
}

func (e *Encoder) mapKey(k string) error {
	if len(k) > LargeBytes {
		return errKeyLength
	}
	if !e.lenient && !utf8.ValidString(k) {
		return errUTF8
	}
	e.u32(uint32(len(k)))
	e.b = append(e.b, k...)
	return nil
}

// value encodes a string or binary value, large ones by their hash.
func value[T string | []byte](e *Encoder, t Type, v T) error {
	if len(v) <= LargeBytes {
		return inline(e, t, v)
	}
	if t == String && !e.lenient && !utf8.ValidString(string(v)) {
		return errUTF8
	}
	hash := func(b []byte) ([sha256.Size]byte, error) { return sha256.Sum256(b), nil }
	if e.Large != nil {
		hash = e.Large
	}
	sum, err := hash([]byte(v))
	if err != nil {
		return err
	}
	e.large(t, sum, int64(len(v)))
	return nil
}

func inline[T string | []byte](e *Encoder, t Type, v T) error {
	start := len(e.b) + 5
	e.tag(t)
	e.u32(uint32(len(v)))
	e.b = append(e.b, v...)
	if t == String && !e.lenient && !utf8.Valid(e.b[start:]) {
		return errUTF8
	}
	return nil
}

func (e *Encoder) large(t Type, sum [sha256.Size]byte, size int64) {
	e.b = append(e.b, tagLarge|byte(t))
	e.b = append(e.b, sum[:]...)
	e.u64(uint64(size))
}

// secret encodes a sealed value by its MAC. In a list the box is kept with the
// element, because sorting moves both.
func (e *Encoder) secret(mac, box []byte) {
	e.tag(Secret)
	e.b = append(e.b, mac...)
	if n := len(e.elems); n > 0 {
		e.elems[n-1].secret, e.elems[n-1].box = true, box
	}
}

// ref finds the large value that was left out at a place.
func (e *Encoder) ref(column string, key *string, index int) *LargeRef {
	path := LargePath(column, key, index)
	for i := range e.refs {
		if e.refs[i].Path == path {
			e.used++
			return &e.refs[i]
		}
	}
	return nil
}

func (e *Encoder) beginList() {
	e.u32(0) // the count, once it is known
	e.elems = e.elems[:0]
}

func (e *Encoder) beginElement() { e.elems = append(e.elems, element{start: len(e.b)}) }
func (e *Encoder) endElement()   { e.elems[len(e.elems)-1].end = len(e.b) }

// endList fills in the count; a set is sorted and loses its duplicates first.
func (e *Encoder) endList(set bool) {
	countAt := len(e.b) - 4
	if len(e.elems) > 0 {
		countAt = e.elems[0].start - 4
	}
	if set && !slices.IsSortedFunc(e.elems, e.strictly) {
		e.normalize(countAt + 4)
	}
	binary.BigEndian.PutUint32(e.b[countAt:], uint32(len(e.elems)))
	for i := range e.elems {
		if e.elems[i].secret {
			e.boxes = append(e.boxes, e.elems[i].box)
		}
	}
	e.elems = e.elems[:0]
}

// strictly reports elements that are equal as out of order, so that duplicates
// are noticed.
func (e *Encoder) strictly(x, y element) int {
	if c := e.compare(x, y); c != 0 {
		return c
	}
	return -1
}

func (e *Encoder) normalize(start int) {
	slices.SortFunc(e.elems, e.compare)
	e.elems = slices.CompactFunc(e.elems, func(x, y element) bool { return bytes.Equal(e.b[x.start:x.end], e.b[y.start:y.end]) })
	e.spare = e.spare[:0]
	for _, x := range e.elems {
		e.spare = append(e.spare, e.b[x.start:x.end]...)
	}
	e.b = append(e.b[:start], e.spare...)
}

// compare orders elements by tag, then payload (without the length), then by
// box so that which of two equal secrets stays does not hang on their order.
func (e *Encoder) compare(x, y element) int {
	if c := cmp.Compare(e.b[x.start], e.b[y.start]); c != 0 {
		return c
	}
	head := 1
	if t := Type(e.b[x.start]); t == String || t == Binary {
		head = 5
	}
	if c := bytes.Compare(e.b[x.start+head:x.end], e.b[y.start+head:y.end]); c != 0 {
		return c
	}
	return bytes.Compare(x.box, y.box)
}
