// Package ldifwriter writes LDIF files (RFC 2849).
//
// Start with New; an entry is Begin, its Values, End.
package ldifwriter

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// foldColumn is where lines are folded, as ldapsearch and slapcat do.
const foldColumn = 76

// Writer writes entries as LDIF version 1. Errors of the underlying writer
// stick and come back from Flush. It is not safe for use by several goroutines.
type Writer struct {
	out *bufio.Writer
	// EOL ends lines; empty: "\n".
	EOL string
	// RawUTF8 writes text beyond ASCII as it is, as some servers do, where the
	// standard asks for base64.
	RawUTF8 bool
	buf     []byte
}

// New returns a writer on which nothing is written yet.
func New(out io.Writer) *Writer {
	return &Writer{out: bufio.NewWriter(out)}
}

// Version writes the version line, which stands first in a file if at all.
func (w *Writer) Version() { w.line("version: 1"); w.line("") }

// Comment writes a comment, one line for each line of the text.
func (w *Writer) Comment(text string) {
	for l := range strings.SplitSeq(text, "\n") {
		w.line("# " + l)
	}
}

// Begin starts an entry; its values follow, then End.
func (w *Writer) Begin(dn string) { w.Value("dn", []byte(dn)) }

// Value writes one value, as base64 where the standard asks for it.
func (w *Writer) Value(name string, data []byte) {
	w.buf = append(append(w.buf[:0], name...), ':')
	switch {
	case len(data) == 0:
	case w.plain(data):
		w.buf = append(append(w.buf, ' '), data...)
	default:
		w.buf = base64.StdEncoding.AppendEncode(append(w.buf, ": "...), data)
	}
	w.fold(w.buf)
}

// Base64 writes one value as base64, whatever it is.
func (w *Writer) Base64(name string, data []byte) {
	w.buf = append(append(w.buf[:0], name...), ":: "...)
	w.buf = base64.StdEncoding.AppendEncode(w.buf, data)
	w.fold(w.buf)
}

// End ends the entry.
func (w *Writer) End() { w.line("") }

// Flush hands everything on and returns the first error met.
func (w *Writer) Flush() error {
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write ldif: %w", err)
	}
	return nil
}

// plain reports whether a value may stand as it is: RFC 2849's SAFE-STRING
// without a trailing space.
func (w *Writer) plain(data []byte) bool {
	if data[0] == ' ' || data[0] == ':' || data[0] == '<' || data[len(data)-1] == ' ' {
		return false
	}
	ascii := true
	for _, c := range data {
		if c == 0 || c == '\r' || c == '\n' {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || w.RawUTF8 && utf8.Valid(data)
}

// fold writes a line in pieces of foldColumn columns.
func (w *Writer) fold(b []byte) {
	first := min(len(b), foldColumn)
	w.line(string(b[:first]))
	for b = b[first:]; len(b) > 0; {
		n := min(len(b), foldColumn-1)
		_ = w.out.WriteByte(' ') // sticks in the bufio.Writer
		w.line(string(b[:n]))
		b = b[n:]
	}
}

func (w *Writer) line(s string) {
	eol := w.EOL
	if eol == "" {
		eol = "\n"
	}
	_, _ = w.out.WriteString(s)
	_, _ = w.out.WriteString(eol)
}
