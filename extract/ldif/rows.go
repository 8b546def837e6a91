package ldif

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/files"
	"github.com/parallelrun/parallelrun/extract/secrets"
	"github.com/parallelrun/parallelrun/internal/dn"
	"github.com/parallelrun/parallelrun/schemas"
)

// run is the state of one Read.
type run struct {
	s        *Source
	batchers []*extract.Batcher // by table
	counts   []*tableCounts     // by table
	stats    extract.Stats
	openEnds []string
	only     *lookup // nil: every entry

	lower map[string]string // attribute names in lower case
	attrs attributes        // of the entry at hand
}

func newRun(s *Source, limits extract.Limits, yield func(extract.Batch) error) *run {
	r := &run{s: s, lower: map[string]string{}, attrs: attributes{index: map[string]int{}}}
	for _, t := range s.tables {
		r.batchers = append(r.batchers, extract.NewBatcher(&t.spec.Table, limits, yield))
		r.counts = append(r.counts, newTableCounts())
	}
	return r
}

func (r *run) release() {
	for _, b := range r.batchers {
		b.Release()
	}
}

// flush yields what is left.
func (r *run) flush() error {
	r.stats.Tables = make(map[string]extract.TableStats, len(r.counts))
	for i, b := range r.batchers {
		if err := b.Flush(); err != nil {
			return err
		}
		r.stats.Tables[r.s.tables[i].spec.Table.Name] = r.counts[i].TableStats
	}
	return nil
}

// attributes are an entry's values by attribute, in the order in which the
// attributes first appear. The memory is used again for the next entry.
type attributes struct {
	index  map[string]int
	names  []string // lower case
	values [][][]byte
}

func (a *attributes) reset() {
	clear(a.index)
	a.names = a.names[:0]
	for i := range a.values {
		clear(a.values[i])
		a.values[i] = a.values[i][:0]
	}
}

func (a *attributes) add(name string, v []byte) {
	i, ok := a.index[name]
	if !ok {
		i = len(a.names)
		a.index[name] = i
		a.names = append(a.names, name)
		if i == len(a.values) {
			a.values = append(a.values, nil)
		}
	}
	a.values[i] = append(a.values[i], v)
}

func (a *attributes) get(name string) [][]byte {
	if i, ok := a.index[name]; ok {
		return a.values[i]
	}
	return nil
}

// place is where a row comes from, for messages.
type place struct {
	file  string
	entry *Entry
}

func (p place) fail(attr, problem, next string, err error) error {
	e := &extract.Error{File: p.file, Line: p.entry.Line, DN: p.entry.DN, Attr: attr, Problem: problem, Next: next, Err: err}
	for _, v := range p.entry.Values {
		if strings.EqualFold(v.Name, attr) {
			e.Line = v.Line
			break
		}
	}
	return e
}

// entry makes the row of an entry and hands it to its table's batch.
func (r *run) entry(file int, e *Entry) error {
	p := place{file: r.s.files[file], entry: e}
	r.attrs.reset()
	for _, v := range e.Values {
		r.attrs.add(r.lowerName(v.Name), v.Data)
	}
	if secrets.Looks([]byte(e.DN)) {
		return p.fail("", "the dn holds what looks like a secret", "rename the entry: a dn can't be sealed", nil)
	}
	i, key, err := r.route(p)
	if err != nil {
		return err
	}
	if !r.only.takes(i, key) {
		return nil
	}
	row, err := r.row(i, key, p)
	if err != nil {
		return err
	}
	r.counts[i].Rows++
	return r.batchers[i].Add(row, files.Origin(file, e.Line))
}

func (r *run) lowerName(s string) string {
	if low, ok := r.lower[s]; ok {
		return low
	}
	low := strings.ToLower(s)
	if len(r.lower) < maxNames {
		r.lower[s] = low
	}
	return low
}

// route finds the table of the entry and its key there.
func (r *run) route(p place) (i int, key string, err error) {
	all := len(r.s.tables) - 1
	for i, t := range r.s.tables {
		ok, err := t.matches(p.entry)
		if err != nil {
			return 0, "", p.fail("", err.Error(), "correct the dn in the source", err)
		}
		if !ok {
			continue
		}
		key, err := r.key(t, p)
		if errors.Is(err, errNoKeyAttribute) && t.strayKeyless && i < all {
			r.counts[i].stray(p)
			break
		}
		return i, key, err
	}
	key, err = r.key(r.s.tables[all], p)
	return all, key, err
}

// errNoKeyAttribute: the entry does not have the attribute that identifies it.
var errNoKeyAttribute = errors.New("the key attribute is missing")

// key is the entry's legacy key in the table.
func (r *run) key(t *table, p place) (string, error) {
	for _, name := range t.keys {
		values := r.attrs.get(name)
		switch {
		case name == DNColumn:
			return t.dnKey(p)
		case len(values) == 1:
			return t.keyText(name, values[0], p)
		case len(values) > 1:
			return "", p.fail(name, "the key has several values", "choose a key attribute with one value", nil)
		}
	}
	return "", p.fail(t.spec.Key, "table "+t.spec.Table.Name+": "+errNoKeyAttribute.Error(),
		"export operational attributes too (ldapsearch ... '*' '+'), or set on_missing_key: entries", errNoKeyAttribute)
}

func (t *table) dnKey(p place) (string, error) {
	if p.entry.DN == "" {
		return "", p.fail("", "the dn is empty", "leave the root entry out of the export", nil)
	}
	if !t.fold {
		return p.entry.DN, nil
	}
	key, err := dn.Normalize(p.entry.DN)
	if err != nil {
		return "", p.fail("", err.Error(), "correct the dn in the source", err)
	}
	return key, nil
}

func (t *table) keyText(name string, v []byte, p place) (string, error) {
	if i, ok := t.columns[name]; ok && isBinary(t.spec.Table.Columns[i].Type) {
		return hex.EncodeToString(v), nil
	}
	switch {
	case len(v) == 0:
		return "", p.fail(name, "the key is empty", "correct it in the source", nil)
	case !utf8.Valid(v):
		return "", p.fail(name, "the key is no text", "declare its column as binary: the key is then written as hex", nil)
	case secrets.Looks(v):
		return "", p.fail(name, "the key looks like a secret", "choose another key attribute: a key can't be sealed", nil)
	case t.fold:
		return strings.ToLower(string(v)), nil
	}
	return string(v), nil
}

func isBinary(t schemas.Type) bool { return t == schemas.Binary || t == schemas.Binaries }

// row converts the attributes. Its values may share memory with the entry.
func (r *run) row(i int, key string, p place) (schemas.Row, error) {
	t := r.s.tables[i]
	name := t.spec.Table.Name
	b := rowBuilder{run: r, t: t, counts: r.counts[i], place: p,
		row: schemas.Row{ID: schemas.LegacyRowID(r.s.options.Namespace, name, key), Key: key, Values: make([]any, len(t.spec.Table.Columns))}}
	b.row.Values[0] = p.entry.DN
	for j, attr := range r.attrs.names {
		if err := b.attribute(attr, r.attrs.values[j]); err != nil {
			return schemas.Row{}, err
		}
	}
	b.finish()
	return b.row, nil
}

// rowBuilder makes one row.
type rowBuilder struct {
	*run
	t        *table
	counts   *tableCounts
	place    place
	row      schemas.Row
	problems []string
	other    map[string][][]byte
	sealed   map[string][]schemas.Sealed
}

// attribute puts all values of one attribute where they belong: their column,
// or one of the catch-alls. None is dropped.
func (b *rowBuilder) attribute(low string, values [][]byte) error {
	col, declared := b.t.columns[low]
	name := low
	if declared {
		name = b.t.spec.Table.Columns[col].Name
	}
	if declared && b.t.spec.Table.Columns[col].Type.IsSecret() {
		sealed, err := b.seal(name, name, values)
		b.row.Values[col] = sealed
		b.counts.add(&b.counts.Sealed, name)
		return err
	}
	if b.t.isSecret(low) {
		b.counts.add(&b.counts.Sealed, name)
		return b.sealOther(name, values)
	}
	if secrets.Any(values) {
		b.counts.add(&b.counts.SealedByPattern, name)
		b.counts.first("secret "+name, b.place)
		return b.sealOther(name, values)
	}
	if !declared {
		b.keep(name, values)
		return nil
	}
	v, err := cell(b.t.spec.Table.Columns[col].Type, values)
	switch {
	case errors.Is(err, errNotText):
		return b.place.fail(name, "a value that is not UTF-8 in a text column", "declare the column as binary or binaries, or correct the value in the source", err)
	case err != nil:
		b.counts.add(&b.counts.Misfits, name)
		b.counts.first(name, b.place)
		b.problems = append(b.problems, name)
		b.keep(name, values)
		return nil
	}
	b.row.Values[col] = v
	return nil
}

func (b *rowBuilder) keep(name string, values [][]byte) {
	if b.other == nil {
		b.other = map[string][][]byte{}
	}
	b.other[name] = values
}

func (b *rowBuilder) sealOther(name string, values [][]byte) error {
	sealed, err := b.seal(name, fmt.Sprintf("%s[%q]", schemas.OtherSealedColumn, name), values)
	if err != nil {
		return err
	}
	if b.sealed == nil {
		b.sealed = map[string][]schemas.Sealed{}
	}
	b.sealed[name] = sealed
	return nil
}

// seal seals all values of an attribute for the given column.
func (b *rowBuilder) seal(attr, column string, values [][]byte) ([]schemas.Sealed, error) {
	if b.s.options.Sealer == nil {
		return nil, b.place.fail(attr, "a secret, and "+extract.ErrNoKey.Error(), "make a key with \"parallelrun key init\"", extract.ErrNoKey)
	}
	out := make([]schemas.Sealed, len(values))
	for i, v := range values {
		sealed, err := b.s.options.Sealer.Seal(b.t.spec.Table.Name, b.row.ID, column, v)
		if err != nil {
			return nil, b.place.fail(attr, "can't be sealed: "+err.Error(), "check the key", err)
		}
		out[i] = sealed
	}
	return out, nil
}

// finish fills the columns that collect.
func (b *rowBuilder) finish() {
	if b.problems != nil {
		b.row.Values[b.t.problems] = b.problems
	}
	if b.other != nil {
		b.row.Values[b.t.other] = b.other
	}
	if b.sealed != nil {
		b.row.Values[b.t.otherSealed] = b.sealed
	}
}
