package transform

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// encoder writes a candidate for the external sort. The form lives as long as
// one run and is never read by another.
type encoder struct{ b []byte }

func (e *encoder) uint(n uint64) { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) byte(n byte)   { e.b = append(e.b, n) }
func (e *encoder) text(s string) { e.uint(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) id(id schemas.RowID) {
	e.b = append(e.b, id[:]...)
}

func (e *encoder) texts(l []string) {
	e.uint(uint64(len(l)))
	for _, s := range l {
		e.text(s)
	}
}

func (e *encoder) bool(v bool) {
	if v {
		e.byte(1)
	} else {
		e.byte(0)
	}
}

// Tags of values.
const (
	tagNull byte = iota
	tagFalse
	tagTrue
	tagInt
	tagText
	tagTexts
	tagMap
)

func (e *encoder) value(v any) {
	switch x := v.(type) {
	case bool:
		if x {
			e.byte(tagTrue)
		} else {
			e.byte(tagFalse)
		}
	case int64:
		e.byte(tagInt)
		e.b = binary.AppendVarint(e.b, x)
	case string:
		e.byte(tagText)
		e.text(x)
	case []string:
		e.byte(tagTexts)
		e.texts(x)
	case map[string][]string:
		e.byte(tagMap)
		e.uint(uint64(len(x)))
		for _, k := range slices.Sorted(maps.Keys(x)) {
			e.text(k)
			e.texts(x[k])
		}
	default:
		e.byte(tagNull)
	}
}

func (e *encoder) candidate(c *candidate) {
	e.uint(uint64(c.rule.index))
	e.byte(c.rule.kind())
	e.id(c.id)
	e.text(c.key)
	e.text(c.legacyKey)
	e.uint(uint64(c.source))
	e.id(c.origin)
	e.bool(c.primary)
	e.text(c.excluded)
	e.uint(uint64(len(c.failures)))
	for _, f := range c.failures {
		e.text(f.rule)
		e.text(f.field)
		e.text(f.message)
	}
	for i, v := range c.values {
		e.value(v)
		e.byte(byte(c.marks[i]))
	}
	e.uint(uint64(len(c.attributes)))
	for _, k := range slices.Sorted(maps.Keys(c.attributes)) {
		e.text(k)
		e.byte(byte(c.attributes[k]))
	}
	e.references(c)
	for _, list := range [][]*candidate{c.memberships, c.credentials} {
		e.uint(uint64(len(list)))
		for _, d := range list {
			e.candidate(d)
		}
	}
}

func (e *encoder) references(c *candidate) {
	for _, s := range []string{c.parent, c.organization, c.department, c.user, c.mergeKey, c.prefer} {
		e.text(s)
	}
	e.uint(uint64(len(c.groups)))
	for _, g := range c.groups {
		e.uint(uint64(g.rule))
		e.text(g.value)
	}
	e.uint(uint64(len(c.lookups)))
	for _, l := range c.lookups {
		e.uint(uint64(l.lookup))
		e.text(l.value)
	}
	e.uint(uint64(len(c.secrets)))
	for _, s := range c.secrets {
		e.text(s.Table)
		e.id(s.Row)
		e.text(s.Column)
		e.b = append(e.b, s.Sealed.MAC[:]...)
		e.text(string(s.Sealed.Box))
	}
}

// decoder reads what encoder wrote.
type decoder struct {
	b   []byte
	m   *Mapping
	err error
}

var errCodec = errors.New("transform: a spilled record is damaged: this is a defect, please report it")

func (d *decoder) fail() { d.b, d.err = nil, errCodec }

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) text() string { return string(d.take(d.uint())) }
func (d *decoder) bool() bool   { return d.byte() == 1 }
func (d *decoder) id() (id schemas.RowID) {
	copy(id[:], d.take(uint64(len(id))))
	return id
}

// count is the length of a list, which can't exceed the bytes left.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) texts() []string {
	n := d.count()
	out := make([]string, n)
	for i := range out {
		out[i] = d.text()
	}
	return out
}

func (d *decoder) value() any {
	switch d.byte() {
	case tagFalse:
		return false
	case tagTrue:
		return true
	case tagInt:
		n, size := binary.Varint(d.b)
		if size <= 0 {
			d.fail()
			return nil
		}
		d.b = d.b[size:]
		return n
	case tagText:
		return d.text()
	case tagTexts:
		return d.texts()
	case tagMap:
		n := d.count()
		m := make(map[string][]string, n)
		for range n {
			k := d.text()
			m[k] = d.texts()
		}
		return m
	}
	return nil
}

func (d *decoder) candidate() *candidate {
	c := &candidate{}
	index, kind := int(d.uint()), d.byte()
	if c.rule = d.rule(index, kind); c.rule == nil {
		d.fail()
		return nil
	}
	c.id = d.id()
	c.key = d.text()
	c.legacyKey = d.text()
	c.source = int(d.uint())
	c.origin = d.id()
	c.primary = d.bool()
	c.excluded = d.text()
	for range d.count() {
		c.failures = append(c.failures, failure{d.text(), d.text(), d.text()})
	}
	n := len(c.rule.entity.table.Columns)
	c.values, c.marks = make([]any, n), make([]mark, n)
	for i := range n {
		c.values[i] = d.value()
		c.marks[i] = mark(d.byte())
	}
	c.attributes = map[string]mark{}
	for range d.count() {
		k := d.text()
		c.attributes[k] = mark(d.byte())
	}
	d.references(c)
	for _, list := range []*[]*candidate{&c.memberships, &c.credentials} {
		for range d.count() {
			*list = append(*list, d.candidate())
		}
	}
	if d.err != nil {
		return nil
	}
	return c
}

// rule finds a rule by index: dependent rules are those nested under users,
// which have no entity of their own in the top list.
func (d *decoder) rule(index int, kind byte) *rule {
	nested := kind&nestedFlag != 0
	list := d.m.rules
	if nested {
		list = d.m.dependent
	}
	if index >= len(list) || list[index].entity.id != kind&^nestedFlag {
		return nil
	}
	return list[index]
}

const nestedFlag byte = 0x80

func (d *decoder) references(c *candidate) {
	for _, s := range []*string{&c.parent, &c.organization, &c.department, &c.user, &c.mergeKey, &c.prefer} {
		*s = d.text()
	}
	for range d.count() {
		c.groups = append(c.groups, groupValue{int(d.uint()), d.text()})
	}
	for range d.count() {
		c.lookups = append(c.lookups, lookupValue{int(d.uint()), d.text()})
	}
	for range d.count() {
		s := &secret{Table: d.text(), Row: d.id(), Column: d.text()}
		copy(s.Sealed.MAC[:], d.take(16))
		s.Sealed.Box = slices.Clone(d.take(d.uint()))
		c.secrets = append(c.secrets, s)
	}
}
