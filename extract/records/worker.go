package records

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/files"
	"github.com/parallelrun/parallelrun/extract/secrets"
	"github.com/parallelrun/parallelrun/internal/arrowmem"
	"github.com/parallelrun/parallelrun/schemas"
)

// work makes rows of the chunks that come, and passes each on as done.
func (r *run) work(jobs <-chan *job) {
	workers := map[*table]*worker{}
	defer func() {
		for _, w := range workers {
			w.builder.Release()
		}
	}()
	for j := range jobs {
		w := workers[j.file.table]
		if w == nil {
			w = newWorker(r, j.file.table)
			workers[j.file.table] = w
		}
		if j.err = w.work(j); j.err != nil { // its builder may hold half a row
			w.builder.Release()
			delete(workers, j.file.table)
		}
		close(j.done)
	}
}

func newWorker(r *run, t *table) *worker {
	return &worker{run: r, table: t, builder: schemas.NewBuilderIn(arrowmem.Pooled, &t.spec.Table),
		cells: make([]*fieldAt, len(t.declared)), key: make([]*fieldAt, len(t.config.Key))}
}

// work makes rows of a chunk.
func (w *worker) work(j *job) error {
	if w.job == nil || w.job.file != j.file {
		w.parser, w.named = w.s.format.Parser(len(j.file.slots), w.table.config.Flatten), map[string]*slot{}
	}
	w.job, w.origins = j, make([]int64, 0, len(j.pieces))
	j.counts = newCounts()
	for _, c := range j.file.lacks {
		j.counts.first("lacks "+c.field, w.s.files[j.file.index])
	}
	for _, p := range j.pieces {
		if err := w.record(p); err != nil {
			return err
		}
	}
	w.flush()
	recycle(j.text)
	j.text, j.pieces = nil, nil
	return nil
}

// worker makes rows of one table, chunk after chunk.
type worker struct {
	*run
	job     *job
	table   *table
	parser  Parser
	builder *schemas.Builder
	origins []int64
	named   map[string]*slot

	// Of the record at hand.
	line     int
	id       schemas.RowID
	fields   []fieldAt
	cells    []*fieldAt // by declared column
	key      []*fieldAt // by part of the key
	parts    []string   // of the key
	problems []string
	other    map[string][][]byte
	sealed   map[string][]schemas.Sealed
}

// fieldAt is a field with what becomes of it.
type fieldAt struct {
	Field
	slot *slot
}

// record makes the row of a record.
func (w *worker) record(p piece) error {
	text := w.job.text[p.start:p.end]
	w.line = p.line
	bad := p.bad
	if bad == "" {
		var fields []Field
		if fields, bad = w.parser.Parse(text); bad == "" {
			w.take(fields)
		}
	}
	if bad != "" {
		return w.unread(text, "", bad)
	}
	key, bad := w.keyOf()
	if bad != "" {
		return w.unread(text, "", bad)
	}
	if w.only != nil && !w.only[key] {
		return nil
	}
	switch {
	case !utf8.Valid(text):
		return w.unread(text, key, "not UTF-8: say the encoding of the files, or correct it")
	case w.job.file.decoded && bytes.Contains(text, []byte("\uFFFD")):
		return w.unread(text, key, "a byte that its encoding does not have: say the right encoding")
	}
	w.id = schemas.LegacyRowID(w.s.options.Namespace, w.table.spec.Table.Name, key)
	return w.row(key)
}

// take sorts fields by where they go.
func (w *worker) take(fields []Field) {
	clear(w.cells)
	clear(w.key)
	w.problems, w.other, w.sealed = nil, nil, nil
	w.fields = w.fields[:0]
	for i := range fields {
		w.fields = append(w.fields, fieldAt{fields[i], w.slot(i, &fields[i])})
	}
	for i := range w.fields {
		f := &w.fields[i]
		if f.slot.key >= 0 {
			w.key[f.slot.key] = f
		}
		if c := f.slot.column; c != nil {
			w.cells[c.at] = f
		}
	}
}

// mostNames bounds how many names of fields a worker remembers.
const mostNames = 10_000

func (w *worker) slot(i int, f *Field) *slot {
	if slots := w.job.file.slots; slots != nil {
		return slots[i]
	}
	s, ok := w.named[f.Name]
	if !ok {
		s = w.table.slot(f.Name)
		if len(w.named) < mostNames {
			w.named[f.Name] = s
		}
	}
	if _, known := w.job.counts.fields[f.Name]; known || len(w.job.counts.fields) < mostNames {
		w.job.counts.fields[f.Name]++
	}
	return s
}

// keyOf is the row's legacy key.
func (w *worker) keyOf() (key, bad string) {
	parts := w.parts[:0]
	for i, f := range w.key {
		name := w.table.config.Key[i]
		switch {
		case f == nil, f.Kind == Null, f.Kind == One && len(f.Value) == 0:
			return "", "the key " + name + " is empty"
		case f.Kind == Many:
			return "", "the key " + name + " has several values"
		case !utf8.Valid(f.Value):
			return "", "the key " + name + " is not UTF-8"
		case secrets.Looks(f.Value):
			return "", "the key " + name + " looks like a secret, and a key can't be sealed"
		}
		parts = append(parts, string(f.Value))
	}
	if w.parts = parts; len(parts) > 1 {
		for i := range parts {
			parts[i] = escapeKey.Replace(parts[i])
		}
	}
	key = strings.Join(parts, "/")
	if w.table.fold {
		key = strings.ToLower(key)
	}
	return key, ""
}

// escapeKey keeps the parts of a key apart.
var escapeKey = strings.NewReplacer("~", "~~", "/", "~/")

// row appends the row of a record that can be read.
func (w *worker) row(key string) error {
	b := w.builder
	b.Start(w.id, key)
	for i, f := range w.cells {
		if f == nil || f.Kind == Null {
			b.Null(i)
			continue
		}
		if err := w.cell(i, f); err != nil {
			return err
		}
	}
	for i := range w.fields {
		if f := &w.fields[i]; f.slot.column == nil {
			if err := w.undeclared(f); err != nil {
				return err
			}
		}
	}
	for _, c := range w.job.file.lacks {
		w.problems = append(w.problems, c.name)
	}
	return w.end("")
}

// cell appends the value of a declared column.
func (w *worker) cell(i int, f *fieldAt) error {
	c, counts := f.slot.column, w.job.counts
	if f.Kind == One && w.plain(i, f) {
		return nil
	}
	values := c.split(f)
	if c.typ.IsSecret() {
		sealed, err := w.seal(c.name, c.name, values)
		if err != nil {
			return err
		}
		counts.Sealed[c.name]++
		return w.builder.Cell(i, sealed)
	}
	if secrets.Any(values) {
		w.builder.Null(i)
		return w.sealPattern(c.name, values)
	}
	v, err := c.cell(values)
	if errors.Is(err, errMisfit) {
		counts.Misfits[c.name]++
		counts.first("misfit "+c.name, w.place())
		w.problems = append(w.problems, c.name)
		w.keep(c.name, values)
		w.builder.Null(i)
		return nil
	}
	return errors.Join(err, w.builder.Cell(i, v))
}

// plain appends the one value of a column of a simple type, as nearly all are.
// What has become a number, a time or a bool is no secret.
func (w *worker) plain(i int, f *fieldAt) bool {
	c := f.slot.column
	switch c.typ {
	case schemas.String:
		if f.slot.key < 0 && secrets.Looks(f.Value) { // keys have been looked at
			return false
		}
		w.builder.Text(i, f.Value)
		return true
	case schemas.Int:
		n, ok := parseInt(f.Value)
		if ok {
			w.builder.Int(i, n)
		}
		return ok
	case schemas.Timestamp:
		t, err := c.time(f.Value)
		if err == nil {
			w.builder.Int(i, t)
		}
		return err == nil
	case schemas.Bool:
		b, ok := c.word(f.Value)
		if ok {
			w.builder.Bool(i, b)
		}
		return ok
	}
	return false
}

// split yields the values of a field that is not null.
func (c *column) split(f *fieldAt) [][]byte {
	switch {
	case f.Kind == Many:
		return f.List
	case c.separator == "":
		return [][]byte{f.Value}
	case len(f.Value) == 0:
		return [][]byte{}
	}
	return bytes.Split(f.Value, []byte(c.separator))
}

// undeclared puts a field without a column where it is kept.
func (w *worker) undeclared(f *fieldAt) error {
	s := f.slot
	values := [][]byte{}
	switch f.Kind {
	case One:
		values = [][]byte{f.Value}
	case Many:
		values = f.List
	case Null:
		if w.job.file.slots != nil {
			return nil // of a format by position: there is nothing
		}
	}
	switch {
	case s.ignored:
		w.job.counts.ignored[s.field] += int64(len(values))
	case s.secret && len(values) > 0:
		w.job.counts.Sealed[s.field]++
		return w.sealOther(s.field, values)
	case secrets.Any(values):
		return w.sealPattern(s.field, values)
	default:
		w.keep(s.field, values)
	}
	return nil
}

func (w *worker) keep(name string, values [][]byte) {
	if w.other == nil {
		w.other = map[string][][]byte{}
	}
	w.other[name] = values
}

func (w *worker) sealPattern(name string, values [][]byte) error {
	w.job.counts.SealedByPattern[name]++
	w.job.counts.first("secret "+name, w.place())
	return w.sealOther(name, values)
}

func (w *worker) sealOther(name string, values [][]byte) error {
	sealed, err := w.seal(name, fmt.Sprintf("%s[%q]", schemas.OtherSealedColumn, name), values)
	if err != nil {
		return err
	}
	if w.sealed == nil {
		w.sealed = map[string][]schemas.Sealed{}
	}
	w.sealed[name] = sealed
	return nil
}

// seal seals all values of a field for the given column.
func (w *worker) seal(field, column string, values [][]byte) ([]schemas.Sealed, error) {
	if w.s.options.Sealer == nil {
		return nil, w.wrong(field, "a secret, and "+extract.ErrNoKey.Error(), "make a key with \"parallelrun key init\"", extract.ErrNoKey)
	}
	out := make([]schemas.Sealed, len(values))
	for i, v := range values {
		sealed, err := w.s.options.Sealer.Seal(w.table.spec.Table.Name, w.id, column, v)
		if err != nil {
			return nil, w.wrong(field, "can't be sealed: "+err.Error(), "check the key", err)
		}
		out[i] = sealed
	}
	return out, nil
}

func (w *worker) wrong(field, problem, next string, err error) error {
	return &extract.Error{File: w.s.files[w.job.file.index], Line: w.line, Attr: field, Problem: problem, Next: next, Err: err}
}

// place is where the record stands, for messages and as a key.
func (w *worker) place() string { return fmt.Sprintf("%s:%d", w.s.labels[w.job.file.index], w.line) }

// unread appends a row for a record that can't be read. Without a key of its
// own it is known by its place. Its text may hold anything, so it is kept
// sealed or not at all.
func (w *worker) unread(text []byte, key, bad string) error {
	counts := w.job.counts
	counts.Unread++
	counts.first("unread", w.place())
	if key == "" {
		counts.keyless++
		counts.first("keyless", w.place())
		key = w.place()
		if w.only != nil {
			counts.Unread--
			return nil
		}
	}
	w.problems, w.other, w.sealed = nil, nil, nil
	w.id = schemas.LegacyRowID(w.s.options.Namespace, w.table.spec.Table.Name, key)
	if w.s.options.Sealer != nil {
		if err := w.sealOther(RowField, [][]byte{text}); err != nil {
			return err
		}
	}
	w.builder.Start(w.id, key)
	for i := range w.cells {
		w.builder.Null(i)
	}
	return w.end(w.place() + ": " + bad)
}

// end appends the columns that every table has.
func (w *worker) end(unread string) error {
	t := w.table
	var problems, why, other, sealed any
	if w.problems != nil {
		problems = w.problems
	}
	if unread != "" {
		why = unread
	}
	if w.other != nil {
		other = w.other
	}
	if w.sealed != nil {
		sealed = w.sealed
	}
	b := w.builder
	if err := errors.Join(b.Cell(t.problems, problems), b.Cell(t.unread, why), b.Cell(t.other, other), b.Cell(t.otherSealed, sealed)); err != nil {
		return err
	}
	w.job.counts.Rows++
	w.origins = append(w.origins, files.Origin(w.job.file.index, w.line))
	if b.Len() >= w.limits.Rows || b.Bytes() >= w.limits.Bytes {
		w.flush()
	}
	return nil
}

func (w *worker) flush() {
	if len(w.origins) == 0 {
		return
	}
	w.job.batches = append(w.job.batches, extract.Batch{Table: w.table.spec.Table.Name, Record: w.builder.Record(), Origins: w.origins})
	w.origins = nil
}
