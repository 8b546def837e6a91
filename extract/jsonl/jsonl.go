// Package jsonl reads tables from JSON Lines files: one JSON object a line
// (RFC 8259), as exports of document stores and web services are.
//
// A member is a field. A text is its value, a number the text that stands in the
// file (so that none loses digits), true and false are words, null is null, an
// array is a list of values. An object, and an array within an array, is one
// value: its JSON with members sorted and blanks left out; with flatten, members
// of objects are fields of their own. A line that is no such object, or names a
// member twice, is unread.
//
// Start with Open.
package jsonl

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/files"
	"github.com/parallelrun/parallelrun/extract/records"
)

// Config says what to read.
type Config struct{ records.Config }

// Open checks the configuration and finds the files; it reads none of them.
func Open(c Config, o records.Options) (*records.Source, error) {
	f, err := newFormat(&c)
	if err == nil {
		var s *records.Source
		if s, err = records.Open(c.Config, f, o); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("jsonl: %w", err)
}

// Declare returns the tables that a configuration makes, without looking at its
// files.
func (c *Config) Declare() ([]extract.TableSpec, error) {
	_, err := newFormat(c)
	specs, err2 := c.Config.Declare()
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("jsonl: %w", err)
	}
	return specs, nil
}

type format struct{}

func newFormat(c *Config) (*format, error) {
	for _, t := range c.Tables {
		if len(t.Header) > 0 {
			return nil, fmt.Errorf("table %s: header is for formats whose records do not name their fields", t.Name)
		}
	}
	return &format{}, nil
}

var kind = files.Kind{Name: "JSON Lines", Suffix: ".jsonl", Rows: "rows"}

func (f *format) Kind() files.Kind { return kind }

func (f *format) Header() bool { return false }

// Cut finds the end of a line.
func (f *format) Cut(data []byte, eof bool, limit int) records.Cut {
	n := bytes.IndexByte(data, '\n') + 1
	lines := 1
	switch {
	case n == 0 && len(data) > limit:
		return records.Cut{N: len(data), Bad: tooLong(limit), Rest: !eof}
	case n == 0 && !eof:
		return records.Cut{}
	case n == 0:
		n, lines = len(data), 0
	case n > limit:
		return records.Cut{N: n, Lines: 1, Bad: tooLong(limit)}
	}
	return records.Cut{N: n, Lines: lines, Blank: len(bytes.Trim(data[:n], " \t\r\n")) == 0}
}

func tooLong(limit int) string {
	return fmt.Sprintf("a line longer than %d bytes: raise maxRow", limit)
}

func (f *format) Parser(_ int, flatten bool) records.Parser {
	return &parser{flatten: flatten, names: map[string]string{}, in: jsontext.NewDecoder(bytes.NewReader(nil)), seen: map[string]bool{}}
}

type parser struct {
	flatten bool
	text    bytes.Reader
	in      *jsontext.Decoder
	fields  []records.Field
	names   map[string]string
	seen    map[string]bool // with flatten
}

// Parse takes an object apart.
func (p *parser) Parse(record []byte) ([]records.Field, string) {
	p.fields = p.fields[:0]
	clear(p.seen)
	p.text.Reset(record)
	p.in.Reset(&p.text)
	if p.in.PeekKind() != '{' {
		if _, err := p.in.ReadToken(); err != nil {
			return nil, problem(err)
		}
		return nil, "not a JSON object"
	}
	bad, err := p.object("")
	if err == nil && bad == "" {
		if _, err = p.in.ReadToken(); errors.Is(err, io.EOF) {
			return p.fields, ""
		} else if err == nil {
			bad = "more than one JSON value"
		}
	}
	if bad == "" {
		bad = problem(err)
	}
	return nil, bad
}

// problem says what is wrong without a word of the line itself.
func problem(err error) string {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Sprintf("a member that stands twice, at byte %d", e.ByteOffset+1)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return "JSON that ends too early"
		}
		return fmt.Sprintf("no valid JSON at byte %d", e.ByteOffset+1)
	}
	return "no valid JSON"
}

// object reads the members of the object that follows.
func (p *parser) object(prefix string) (bad string, err error) {
	if _, err := p.in.ReadToken(); err != nil {
		return "", err
	}
	for p.in.PeekKind() != '}' {
		name, err := p.in.ReadValue()
		if err != nil {
			return "", err
		}
		text, err := jsontext.AppendUnquote(nil, name)
		if err != nil {
			return "", err
		}
		if len(prefix)+len(text) > mostName {
			return fmt.Sprintf("a name of more than %d bytes", mostName), nil
		}
		full := p.name(prefix, text)
		if p.flatten && p.in.PeekKind() == '{' {
			if bad, err := p.object(full + "."); bad != "" || err != nil {
				return bad, err
			}
			continue
		}
		if p.flatten {
			if p.seen[full] {
				return "two members that flatten to one name", nil
			}
			p.seen[full] = true
		}
		v, err := p.in.ReadValue()
		if err != nil {
			return "", err
		}
		f, err := field(v)
		if err != nil {
			return "", err
		}
		f.Name = full
		p.fields = append(p.fields, f)
	}
	_, err = p.in.ReadToken()
	return "", err
}

const (
	mostNames = 10_000 // that a parser remembers
	mostName  = 1024   // bytes of a field's name, the names above it included
)

func (p *parser) name(prefix string, text []byte) string {
	if prefix == "" {
		if s, ok := p.names[string(text)]; ok {
			return s
		}
	}
	s := prefix + string(text)
	if prefix == "" && len(p.names) < mostNames {
		p.names[s] = s
	}
	return s
}

// field is the field of a member's value.
func field(v jsontext.Value) (records.Field, error) {
	switch v.Kind() {
	case 'n':
		return records.Field{Kind: records.Null}, nil
	case '[':
		list, err := array(v)
		return records.Field{Kind: records.Many, List: list}, err
	}
	text, err := scalar(v)
	return records.Field{Kind: records.One, Value: text}, err
}

// scalar is the text of a value that is no array.
func scalar(v jsontext.Value) ([]byte, error) {
	switch v.Kind() {
	case '"':
		return jsontext.AppendUnquote(make([]byte, 0, len(v)), v)
	case '{', '[':
		return jsontext.AppendFormat(nil, v, jsontext.ReorderRawObjects(true), jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false))
	}
	return bytes.Clone(v), nil
}

// array yields the values of an array. A null in it is the word null, as JSON
// has it: lists hold no nulls.
func array(v jsontext.Value) ([][]byte, error) {
	in := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := in.ReadToken(); err != nil {
		return nil, err
	}
	out := [][]byte{}
	for in.PeekKind() != ']' {
		e, err := in.ReadValue()
		if err != nil {
			return nil, err
		}
		text, err := scalar(e)
		if err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, nil
}
