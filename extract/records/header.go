package records

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/extract"
)

// header finds out which fields a file has, where its format says so once for
// all records.
func (r *run) header(f *openFile, c *cutter) error {
	if !r.s.format.Header() {
		return nil
	}
	names := slices.Clone(f.table.config.Header)
	if len(names) == 0 {
		var err error
		if names, err = r.firstRecord(f, c); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for i, n := range names {
		if n == "" { // a delimiter too many at the end of every line
			names[i] = fmt.Sprintf("column_%d", i+1)
		}
		if seen[names[i]] {
			return r.fail(f, 1, names[i], "the header names this field twice", "rename one of the two in the export, or list the fields under header")
		}
		seen[names[i]] = true
		f.slots = append(f.slots, f.table.slot(names[i]))
	}
	for _, k := range f.table.config.Key {
		if !seen[k] {
			return r.fail(f, 1, k, fmt.Sprintf("the key is not in the header, which names %d fields", len(names)),
				"check the delimiter and the spelling, or correct key"+near(k, names))
		}
	}
	for _, col := range f.table.declared {
		if !seen[col.field] && !col.optional {
			f.lacks = append(f.lacks, col)
			r.lacked[col]++
		}
	}
	r.shapes[f.table].file(r.s.files[f.index], names)
	return nil
}

// firstRecord reads the names of a file's fields.
func (r *run) firstRecord(f *openFile, c *cutter) ([]string, error) {
	text, pieces, err := c.next(1)
	if err != nil {
		return nil, err
	}
	if len(pieces) == 0 {
		return nil, r.fail(f, 0, "", "has no header", "export it again, or list the fields under header")
	}
	p := pieces[0]
	fields, bad := []Field(nil), p.bad
	if bad == "" {
		fields, bad = r.s.format.Parser(0, false).Parse(text[p.start:p.end])
	}
	if bad == "" && !utf8.Valid(text[p.start:p.end]) {
		bad = "is not UTF-8"
	}
	if bad != "" {
		return nil, r.fail(f, p.line, "", "the header can't be read: "+bad, "correct the export, or say its delimiter, quote and encoding")
	}
	var names []string
	for _, x := range fields {
		names = append(names, strings.TrimSpace(string(x.Value)))
	}
	return names, nil
}

func near(want string, names []string) string {
	for _, n := range names {
		if strings.EqualFold(n, want) {
			return ": did you mean " + n + "?"
		}
	}
	return ""
}

func (r *run) fail(f *openFile, line int, field, problem, next string) error {
	return &extract.Error{File: r.s.files[f.index], Line: line, Attr: field, Problem: problem, Next: next}
}

// shapes compares the fields of a table's files.
type shapes struct {
	first  string
	fields []string
	drift  []string // warnings
}

// file takes a file's fields. The first file is what the others are held
// against.
func (s *shapes) file(name string, fields []string) {
	if s.fields == nil {
		s.first, s.fields = name, fields
		return
	}
	var missing, extra []string
	for _, f := range s.fields {
		if !slices.Contains(fields, f) {
			missing = append(missing, f)
		}
	}
	for _, f := range fields {
		if !slices.Contains(s.fields, f) {
			extra = append(extra, f)
		}
	}
	if len(missing) > 0 {
		s.drift = append(s.drift, fmt.Sprintf("%s: has no %s, which %s has", name, listed(missing), s.first))
	}
	if len(extra) > 0 {
		s.drift = append(s.drift, fmt.Sprintf("%s: has %s, which %s does not have", name, listed(extra), s.first))
	}
	if len(missing)+len(extra) == 0 && !slices.Equal(fields, s.fields) {
		s.drift = append(s.drift, fmt.Sprintf("%s: has its fields in another order than %s: they were taken by their names", name, s.first))
	}
}

// addNamed notes the fields that records of a file named.
func (r *run) addNamed(file int, fields map[string]int64) {
	if r.named[file] == nil {
		r.named[file] = map[string]int64{}
	}
	for f, n := range fields {
		r.named[file][f] += n
	}
}

// compareFiles holds the files of a table against each other. A column that no
// file has at all is a mistake in the configuration.
func (r *run) compareFiles() error {
	for _, t := range r.s.tables {
		named := r.counts[t].fields
		if !r.s.format.Header() {
			for _, i := range t.files {
				r.shapes[t].file(r.s.files[i], slices.Sorted(maps.Keys(r.named[i])))
			}
		}
		for _, c := range t.declared {
			nowhere, names := r.lacked[c] == len(t.files), r.shapes[t].fields
			if !r.s.format.Header() {
				nowhere, names = named[c.field] == 0 && len(named) < mostNames && !c.optional, slices.Collect(maps.Keys(named))
			}
			if nowhere {
				return &extract.Error{File: r.s.files[t.files[0]], Attr: c.field, Problem: "table " + t.spec.Table.Name + ": a column of the configuration that no file has",
					Next: "correct its name, or make it optional" + near(c.field, names)}
			}
		}
	}
	return nil
}

// listed names a few.
func listed(names []string) string {
	const most = 10
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
