// Package csv reads tables from CSV files (RFC 4180), as databases and
// spreadsheets write them.
//
// A field in quotes may hold delimiters, line breaks and doubled quotes; an
// empty field without quotes is null, one with quotes is an empty text. A record
// that breaks these rules, or has another number of fields than the header, is
// unread: reading goes on at the line after the one it begins on.
//
// Start with Open.
package csv

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/files"
	"github.com/parallelrun/parallelrun/extract/records"
)

// Config says what to read.
type Config struct {
	records.Config
	// Delimiter between fields, one byte; empty: a comma. "tab" is one too.
	Delimiter string
	// Quote around fields, one byte; empty: a double quote; "none": a file
	// without quotes.
	Quote string
	// Nulls are texts of fields without quotes that mean null, beside the empty
	// one, such as NULL or \N.
	Nulls []string
}

// Open checks the configuration and finds the files; it reads none of them.
func Open(c Config, o records.Options) (*records.Source, error) {
	f, err := newFormat(&c)
	if err != nil {
		return nil, fmt.Errorf("csv: %w", err)
	}
	s, err := records.Open(c.Config, f, o)
	if err != nil {
		return nil, fmt.Errorf("csv: %w", err)
	}
	return s, nil
}

// Declare returns the tables that a configuration makes, without looking at its
// files.
func (c *Config) Declare() ([]extract.TableSpec, error) {
	_, err := newFormat(c)
	specs, err2 := c.Config.Declare()
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("csv: %w", err)
	}
	return specs, nil
}

// format is the dialect of CSV.
type format struct {
	delimiter, quote byte
	quotes           bool
	nulls            []string
}

func newFormat(c *Config) (*format, error) {
	f := &format{delimiter: ',', quote: '"', quotes: c.Quote != "none", nulls: c.Nulls}
	for _, x := range []struct {
		name, text string
		to         *byte
	}{{"delimiter", strings.Replace(c.Delimiter, "tab", "\t", 1), &f.delimiter}, {"quote", strings.TrimPrefix(c.Quote, "none"), &f.quote}} {
		switch {
		case x.text == "":
		case len(x.text) > 1 || x.text[0] >= utf8.RuneSelf || x.text[0] == '\r' || x.text[0] == '\n' || x.text[0] == 0:
			return nil, fmt.Errorf("%s %q: write one ASCII character", x.name, x.text)
		default:
			*x.to = x.text[0]
		}
	}
	if f.quotes && f.delimiter == f.quote {
		return nil, errors.New("delimiter and quote are the same: change one")
	}
	for _, t := range c.Config.Tables {
		if t.Flatten {
			return nil, fmt.Errorf("table %s: flatten is for formats with nested values", t.Name)
		}
	}
	return f, nil
}

var kind = files.Kind{Name: "CSV", Suffix: ".csv", Rows: "rows"}

func (f *format) Kind() files.Kind { return kind }

func (f *format) Header() bool { return true }

// Reasons why a record can't be read.
const (
	badInside   = "a quote inside of a field that does not begin with one"
	badAfter    = "text after a closing quote"
	badUnclosed = "a quote that is never closed"
)

// Cut finds the end of a record. Most records end with their line; only the
// others are looked at field by field.
func (f *format) Cut(data []byte, eof bool, limit int) records.Cut {
	n := bytes.IndexByte(data, '\n') + 1
	switch {
	case n == 0 && len(data) > limit:
		return records.Cut{N: len(data), Bad: tooLong(limit), Rest: !eof}
	case n == 0 && !eof:
		return records.Cut{}
	case n == 0:
		n = len(data)
	case n > limit:
		return records.Cut{N: n, Lines: 1, Bad: tooLong(limit)}
	}
	line := data[:n]
	// Every field in quotes that ends here has an even number of them: then the
	// record ends too, unless it breaks the rules, which ends it here as well.
	if !f.quotes || bytes.Count(line, []byte{f.quote})%2 == 0 {
		return records.Cut{N: n, Lines: ends(line), Blank: line[0] <= '\r' && len(bytes.TrimRight(line, "\r\n")) == 0}
	}
	end, bad := f.record(data[:min(len(data), limit+1)], eof && len(data) <= limit)
	if end == 0 && bad == "" {
		if !eof && len(data) <= limit {
			return records.Cut{}
		}
		bad = badUnclosed
	}
	if bad != "" {
		return records.Cut{N: n, Lines: ends(line), Bad: bad}
	}
	return records.Cut{N: end, Lines: bytes.Count(data[:end], []byte{'\n'})}
}

func tooLong(limit int) string {
	return fmt.Sprintf("a row longer than %d bytes: raise maxRow", limit)
}

func ends(line []byte) int {
	if line[len(line)-1] == '\n' {
		return 1
	}
	return 0
}

// record finds the end of a record with quotes; 0 means that data ends before
// it.
func (f *format) record(data []byte, eof bool) (end int, bad string) {
	for at := 0; ; {
		if at < len(data) && data[at] == f.quote {
			n := f.closing(data[at:])
			if n == 0 {
				return 0, ""
			}
			at += n
			rest := data[at:]
			switch {
			case len(rest) == 0 || len(rest) == 1 && rest[0] == '\r':
				return f.atEnd(data, eof), "" // another quote may follow
			case rest[0] == f.delimiter:
				at++
				continue
			case rest[0] == '\n':
				return at + 1, ""
			case rest[0] == '\r' && rest[1] == '\n':
				return at + 2, ""
			}
			return 0, badAfter
		}
		n, ends := f.plain(data[at:])
		if bytes.IndexByte(data[at:at+n], f.quote) >= 0 {
			return 0, badInside
		}
		at += n
		if at == len(data) {
			return f.atEnd(data, eof), ""
		}
		if at++; ends {
			return at, ""
		}
	}
}

func (f *format) atEnd(data []byte, eof bool) int {
	if eof {
		return len(data)
	}
	return 0
}

// closing is the length of a quoted field with its quotes, 0 where it does not
// end within data.
func (f *format) closing(data []byte) int {
	for at := 1; ; {
		i := bytes.IndexByte(data[at:], f.quote)
		if i < 0 {
			return 0
		}
		at += i + 1
		if at == len(data) || data[at] != f.quote {
			return at
		}
		at++
	}
}

// plain is the length of a field without quotes; last says that the record ends
// behind it.
func (f *format) plain(data []byte) (n int, last bool) {
	for i, c := range data {
		switch c {
		case f.delimiter:
			return i, false
		case '\n':
			return i, true
		}
	}
	return len(data), true
}

func (f *format) Parser(fields int, _ bool) records.Parser { return &parser{f: f, want: fields} }

type parser struct {
	f      *format
	want   int // 0: any
	fields []records.Field
	buf    []byte
	quoted bool // the record has quotes
}

// Parse takes a record apart.
func (p *parser) Parse(record []byte) ([]records.Field, string) {
	p.fields, p.buf = p.fields[:0], p.buf[:0]
	record = bytes.TrimSuffix(record, []byte{'\n'})
	record = bytes.TrimSuffix(record, []byte{'\r'})
	p.quoted = p.f.quotes && bytes.IndexByte(record, p.f.quote) >= 0
	for more := true; more; {
		var bad string
		if record, more, bad = p.field(record); bad != "" {
			return nil, bad
		}
	}
	if p.want > 0 && len(p.fields) != p.want {
		return nil, fmt.Sprintf("%d fields, where the header has %d", len(p.fields), p.want)
	}
	return p.fields, ""
}

// field takes the first field off; more says that a delimiter follows.
func (p *parser) field(data []byte) (rest []byte, more bool, bad string) {
	if p.quoted && len(data) > 0 && data[0] == p.f.quote {
		v, n := p.unquote(data)
		switch {
		case n == 0:
			return nil, false, badUnclosed
		case n < len(data) && data[n] != p.f.delimiter:
			return nil, false, badAfter
		}
		p.fields = append(p.fields, records.Field{Kind: records.One, Value: v})
		if n == len(data) {
			return nil, false, ""
		}
		return data[n+1:], true, ""
	}
	v := data
	i := bytes.IndexByte(data, p.f.delimiter)
	if i >= 0 {
		v = data[:i]
	}
	if p.quoted && bytes.IndexByte(v, p.f.quote) >= 0 {
		return nil, false, badInside
	}
	field := records.Field{Kind: records.One, Value: v}
	if len(v) == 0 || p.isNull(v) {
		field = records.Field{}
	}
	p.fields = append(p.fields, field)
	if i < 0 {
		return nil, false, ""
	}
	return data[i+1:], true, ""
}

func (p *parser) isNull(v []byte) bool {
	for _, n := range p.f.nulls {
		if string(v) == n {
			return true
		}
	}
	return false
}

// unquote is what stands between the quotes that data begins with, and where
// that ends; 0 where it does not. The buffer of what has doubled quotes may move:
// what lies in it stays valid.
func (p *parser) unquote(data []byte) (v []byte, n int) {
	start := len(p.buf)
	for from := 1; ; {
		i := bytes.IndexByte(data[from:], p.f.quote)
		if i < 0 {
			return nil, 0
		}
		at := from + i
		switch last := at+1 == len(data) || data[at+1] != p.f.quote; {
		case last && from == 1:
			return data[1:at], at + 1
		case last:
			p.buf = append(p.buf, data[from:at]...)
			return p.buf[start:len(p.buf):len(p.buf)], at + 1
		}
		p.buf = append(p.buf, data[from:at+1]...)
		from = at + 2
	}
}
