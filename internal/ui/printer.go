package ui

import (
	"encoding/json"
	"io"
)

// View is a result of a command. Its exported fields, with JSON tags, are its
// documented JSON form; Text writes what people read.
type View interface {
	Text(p *Page)
}

// Printer prints a command's data. It is not safe for concurrent use.
type Printer interface {
	// Print prints one result as a whole document.
	Print(v View) error
	// Item prints one of many results, as they come: in JSON one line each.
	Item(v View) error
	// JSON reports whether the reader is a program, so that a command can leave
	// out what is for people only.
	JSON() bool
}

// NewPrinter returns the printer for people or for programs. Width is the
// number of columns to stay within; zero: no limit.
func NewPrinter(w io.Writer, asJSON bool, width int) Printer {
	if asJSON {
		return jsonPrinter{w}
	}
	return textPrinter{w, width}
}

type textPrinter struct {
	w     io.Writer
	width int
}

func (t textPrinter) Print(v View) error {
	p := NewPage(t.w, t.width)
	v.Text(p)
	return p.Err()
}

func (t textPrinter) Item(v View) error { return t.Print(v) }
func (textPrinter) JSON() bool          { return false }

type jsonPrinter struct{ w io.Writer }

func (j jsonPrinter) Print(v View) error {
	enc := newEncoder(j.w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (j jsonPrinter) Item(v View) error { return newEncoder(j.w).Encode(v) }
func (jsonPrinter) JSON() bool          { return true }

func newEncoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}
