package ui

import (
	"fmt"
	"io"
)

// Page takes a view's text. It keeps the first error of its writer, so that
// views need not look at each line's.
type Page struct {
	w     io.Writer
	width int
	err   error
}

// NewPage writes to w. Width is the number of columns to stay within; zero: no
// limit.
func NewPage(w io.Writer, width int) *Page { return &Page{w: w, width: width} }

// Err is the first error of the writer.
func (p *Page) Err() error { return p.err }

// Line writes one formatted line.
func (p *Page) Line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// Blank writes an empty line.
func (p *Page) Blank() { p.Line("") }

// Table writes rows in aligned columns (see Table).
func (p *Page) Table(t *Table) {
	for _, line := range t.lines(p.width) {
		p.Line("%s", line)
	}
}

// Fields writes name-value pairs, values aligned.
func (p *Page) Fields(pairs ...string) {
	t := NewTable("", "")
	t.NoHeader = true
	for i := 0; i+1 < len(pairs); i += 2 {
		t.Row(pairs[i], pairs[i+1])
	}
	p.Table(t)
}
