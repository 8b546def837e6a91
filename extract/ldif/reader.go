package ldif

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/extract"
)

// Defaults of ReaderOptions.
const (
	DefaultMaxLineBytes  = 16 << 20
	DefaultMaxEntryBytes = 128 << 20
)

// ReaderOptions bound what a Reader takes into memory.
type ReaderOptions struct {
	MaxLineBytes  int // of a logical line; zero: 16 MiB
	MaxEntryBytes int // of an entry's values; zero: 128 MiB
}

// Entry is one entry of a file. It is valid until the next call of Next.
type Entry struct {
	Line   int // of its dn
	DN     string
	Values []Value
}

// Value is one value of an attribute. Name is spelled as in the file, options
// included.
type Value struct {
	Name string
	Data []byte
	Line int
}

// Reader reads the entries of one file. Its errors are *extract.Error, and
// after one of them it is of no further use. It is not safe for use by several
// goroutines.
type Reader struct {
	lines    *lineReader
	file     string
	maxEntry int
	entry    Entry
	arena    []byte
	names    map[string]string
	started  bool
	openEnd  bool
}

// NewReader reads entries from in; file is its name in messages.
func NewReader(in io.Reader, file string, o ReaderOptions) *Reader {
	if o.MaxLineBytes <= 0 {
		o.MaxLineBytes = DefaultMaxLineBytes
	}
	if o.MaxEntryBytes <= 0 {
		o.MaxEntryBytes = DefaultMaxEntryBytes
	}
	return &Reader{lines: newLineReader(in, o.MaxLineBytes), file: file, maxEntry: o.MaxEntryBytes, names: map[string]string{}}
}

// Next returns the next entry, or io.EOF after the last.
func (r *Reader) Next() (*Entry, error) {
	r.entry.DN, r.entry.Values = "", r.entry.Values[:0]
	if cap(r.arena) > keepBuffer {
		r.arena = nil
	}
	r.arena = r.arena[:0]
	text, err := r.firstLine()
	if err != nil {
		return nil, err
	}
	if err := r.dn(text); err != nil {
		return nil, err
	}
	if err := r.body(); err != nil {
		return nil, err
	}
	if len(r.entry.Values) == 0 {
		return nil, r.fail(r.entry.Line, "", "a dn without attributes", "the file may have been cut here: export it again")
	}
	return &r.entry, nil
}

// Bytes is how much of the input has been read.
func (r *Reader) Bytes() int64 { return r.lines.read }

// OpenEnd reports, after io.EOF, that no blank line followed the last entry:
// if the file was cut at the end of a line, nothing else shows it.
func (r *Reader) OpenEnd() bool { return r.openEnd }

// firstLine skips to the first line of the next entry, its dn.
func (r *Reader) firstLine() ([]byte, error) {
	for {
		text, line, err := r.lines.next()
		if err != nil {
			return nil, r.readError(line, err)
		}
		if !r.started {
			r.started = true
			if text, err = r.fileStart(text); err != nil {
				return nil, err
			}
		}
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		if text[0] == ' ' {
			return nil, r.fail(line, "", "a continuation line without a line before it", "remove the blank line above it or the space before it")
		}
		if v, ok := versionLine(text); ok {
			if v != "1" {
				return nil, r.fail(line, "", "an LDIF version other than 1", "export the directory as LDIF version 1")
			}
			continue
		}
		r.entry.Line = line
		return text, nil
	}
}

// fileStart takes a byte order mark off.
func (r *Reader) fileStart(text []byte) ([]byte, error) {
	if bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff}) {
		return nil, r.fail(1, "", "the file is UTF-16", "convert it to UTF-8, for instance with iconv -f UTF-16 -t UTF-8")
	}
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		return nil, r.fail(1, "", "the file is compressed", "unpack it with gunzip")
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), nil
}

func versionLine(text []byte) (string, bool) {
	name, v, ok := bytes.Cut(text, []byte(":"))
	if !ok || !bytes.EqualFold(name, []byte("version")) {
		return "", false
	}
	return string(bytes.TrimSpace(v)), true
}

func (r *Reader) dn(text []byte) error {
	line := r.entry.Line
	name, _, ok := bytes.Cut(text, []byte(":"))
	if !ok {
		return r.noColon(line)
	}
	if !bytes.EqualFold(name, []byte("dn")) {
		return r.fail(line, "", "an entry that does not begin with its dn", notEntryHint(string(bytes.ToLower(name))))
	}
	v, err := r.value(text, line)
	if err != nil {
		return err
	}
	if !utf8.Valid(v.Data) {
		return r.fail(line, "", "the dn is not UTF-8", "export the directory as UTF-8")
	}
	r.entry.DN = string(v.Data)
	r.arena = r.arena[:0]
	return r.endOfLine(line, "")
}

func notEntryHint(name string) string {
	switch name {
	case "search", "result", "ref", "numresponses", "numentries":
		return "this is ldapsearch's own talk: export with -LLL"
	}
	return "a blank line inside the entry above, or no LDIF: look at this line"
}

// body reads the attributes up to a blank line or the end of the file.
func (r *Reader) body() error {
	for {
		text, line, err := r.lines.next()
		if errors.Is(err, io.EOF) {
			r.openEnd = true
			return nil
		}
		if err != nil {
			return r.readError(line, err)
		}
		if len(text) == 0 {
			return nil
		}
		if text[0] == '#' {
			continue
		}
		v, err := r.value(text, line)
		if err != nil {
			return err
		}
		if err := r.refuseChange(v); err != nil {
			return err
		}
		r.entry.Values = append(r.entry.Values, v)
		if err := r.endOfLine(line, v.Name); err != nil {
			return err
		}
	}
}

func (r *Reader) refuseChange(v Value) error {
	switch {
	case strings.EqualFold(v.Name, "dn"):
		return r.fail(v.Line, "", "a second dn in one entry", "put a blank line before it")
	case len(r.entry.Values) == 0 && (strings.EqualFold(v.Name, "changetype") || strings.EqualFold(v.Name, "control")):
		return r.fail(v.Line, "", "a change record ("+strings.ToLower(v.Name)+")", "export entries with slapcat or ldapsearch -LLL: changes are no state")
	}
	return nil
}

// value splits a line into name and value; the value's bytes live in the arena
// until the next entry.
func (r *Reader) value(text []byte, line int) (Value, error) {
	name, rest, ok := bytes.Cut(text, []byte(":"))
	if !ok {
		return Value{}, r.noColon(line)
	}
	if !validName(name) {
		return Value{}, r.fail(line, "", "what stands before the colon is no attribute name", "no LDIF, or a damaged file: look at this line")
	}
	v := Value{Name: r.intern(name), Line: line}
	if len(r.arena)+len(rest) > r.maxEntry {
		return v, r.fail(line, v.Name, fmt.Sprintf("the entry is larger than %d bytes", r.maxEntry), "raise the limit of entries, or leave the attribute out of the export")
	}
	switch {
	case len(rest) > 0 && rest[0] == '<':
		return v, r.fail(line, v.Name, "a value given by URL", "export the value itself: what stands behind a URL is not read")
	case len(rest) > 0 && rest[0] == ':':
		return r.decoded(v, bytes.Trim(rest[1:], " "))
	}
	return r.plain(v, bytes.TrimLeft(rest, " "))
}

func (r *Reader) plain(v Value, data []byte) (Value, error) {
	if bytes.IndexByte(data, 0) >= 0 {
		return v, r.fail(v.Line, v.Name, "a plain value with a NUL byte", "the file is damaged: export it again")
	}
	if !utf8.Valid(data) {
		return v, r.fail(v.Line, v.Name, "a plain value that is not UTF-8",
			"convert the file, for instance with iconv -f ISO-8859-1 -t UTF-8, or export binary values as base64")
	}
	v.Data = r.store(data)
	return v, nil
}

func (r *Reader) decoded(v Value, data []byte) (Value, error) {
	start := len(r.arena)
	out, err := base64.StdEncoding.AppendDecode(r.arena, data)
	if err != nil || bytes.IndexByte(data, '\r') >= 0 {
		at := ""
		if bad, ok := errors.AsType[base64.CorruptInputError](err); ok {
			at = fmt.Sprintf(" at byte %d", int64(bad))
		}
		return v, r.fail(v.Line, v.Name, "base64 that does not decode"+at, "the file may have been cut here: export it again")
	}
	r.arena = out
	v.Data = out[start:len(out):len(out)]
	return v, nil
}

func (r *Reader) store(data []byte) []byte {
	start := len(r.arena)
	r.arena = append(r.arena, data...)
	return r.arena[start:len(r.arena):len(r.arena)]
}

// endOfLine refuses a last line without an end: a whole file ends with one,
// and a value that lost its tail looks like any other.
func (r *Reader) endOfLine(line int, attr string) error {
	if !r.lines.cut {
		return nil
	}
	return r.fail(line, attr, "the last line of the file has no end",
		"the file may have been cut here: export it again, or add the end of line if it is whole")
}

// maxNames bounds the memory of names: no directory has that many.
const maxNames = 10000

func (r *Reader) intern(name []byte) string {
	if s, ok := r.names[string(name)]; ok {
		return s
	}
	s := string(name)
	if len(r.names) < maxNames {
		r.names[s] = s
	}
	return s
}

// validName accepts attribute descriptions with options, and the underscores
// that some servers allow.
func validName(name []byte) bool {
	if len(name) == 0 || len(name) > 1024 || name[0] == ';' || name[0] == '-' {
		return false
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || bytes.IndexByte([]byte("-.;_"), c) >= 0) {
			return false
		}
	}
	return true
}

func (r *Reader) noColon(line int) error {
	return r.fail(line, "", "a line without a colon", "the file may have been cut or folded wrongly here: export it again")
}

func (r *Reader) readError(line int, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, errTooLong):
		return r.fail(line, r.longName(), fmt.Sprintf("a line longer than %d bytes", r.lines.max),
			"raise maxLine, or leave the attribute out of the export")
	}
	e := r.fail(line, "", "can't be read: "+err.Error(), "copy the file to a sound disk")
	e.Err = err
	return e
}

// longName is the attribute of the line that was too long to read.
func (r *Reader) longName() string {
	name, _, _ := bytes.Cut(r.lines.buf[:min(len(r.lines.buf), 1024)], []byte(":"))
	if !validName(name) {
		return ""
	}
	return string(name)
}

func (r *Reader) fail(line int, attr, problem, next string) *extract.Error {
	return &extract.Error{File: r.file, Line: line, DN: r.entry.DN, Attr: attr, Problem: problem, Next: next}
}
