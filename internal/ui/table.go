package ui

import (
	"fmt"
	"strings"

	"golang.org/x/text/width"
	"unicode"
)

// Table is rows in aligned columns. Cells that look like numbers are aligned
// to the right if their whole column does.
type Table struct {
	NoHeader bool
	Indent   string

	header []string
	rows   [][]string
}

// NewTable begins a table; an empty header is one without a name.
func NewTable(header ...string) *Table { return &Table{header: header} }

// Row adds a row; cells beyond the header are dropped, missing ones empty.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(t.header))
	for i := range min(len(cells), len(row)) {
		row[i] = printable(fmt.Sprint(cells[i]))
	}
	t.rows = append(t.rows, row)
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

const gap = "  "

// minCell is the width to which a column can shrink.
const minCell = 8

func (t *Table) lines(limit int) []string {
	widths := t.fit(limit)
	numeric := t.numericColumns()
	var out []string
	if !t.NoHeader {
		out = append(out, t.line(t.header, widths, numeric))
	}
	for _, row := range t.rows {
		out = append(out, t.line(row, widths, numeric))
	}
	return out
}

func (t *Table) line(cells []string, widths []int, numeric []bool) string {
	var b strings.Builder
	b.WriteString(t.Indent)
	for i, c := range cells {
		if i > 0 {
			b.WriteString(gap)
		}
		c = shorten(c, widths[i])
		pad := strings.Repeat(" ", max(0, widths[i]-Width(c)))
		if numeric[i] {
			b.WriteString(pad + c)
		} else {
			b.WriteString(c + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// fit gives every column its widest cell, then takes from the widest columns
// until the line is within the limit.
func (t *Table) fit(limit int) []int {
	widths := make([]int, len(t.header))
	measure := func(row []string) {
		for i, c := range row {
			widths[i] = max(widths[i], Width(c))
		}
	}
	if !t.NoHeader {
		measure(t.header)
	}
	for _, row := range t.rows {
		measure(row)
	}
	if limit <= 0 {
		return widths
	}
	total := len(t.Indent) + len(gap)*max(0, len(widths)-1)
	for _, w := range widths {
		total += w
	}
	for ; total > limit; total-- {
		widest := 0
		for i := range widths {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if len(widths) == 0 || widths[widest] <= minCell {
			break
		}
		widths[widest]--
	}
	return widths
}

func (t *Table) numericColumns() []bool {
	numeric := make([]bool, len(t.header))
	for i := range numeric {
		some := false
		numeric[i] = true
		for _, row := range t.rows {
			some = some || row[i] != ""
			numeric[i] = numeric[i] && (row[i] == "" || looksNumeric(row[i]))
		}
		numeric[i] = numeric[i] && some
	}
	return numeric
}

func looksNumeric(s string) bool {
	digits := false
	for _, r := range strings.TrimRight(s, "%") {
		switch {
		case r >= '0' && r <= '9':
			digits = true
		case !strings.ContainsRune("+-.,", r):
			return s == "-"
		}
	}
	return digits || s == "-"
}

// Width is the number of terminal columns that s takes.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x20 || r == 0x7f || unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r < 0x1100:
		return 1
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// shorten cuts s to a number of columns, and shows that it did.
func shorten(s string, limit int) string {
	if Width(s) <= limit {
		return s
	}
	n := 0
	for i, r := range s {
		if n += runeWidth(r); n > limit-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// printable replaces what would move a terminal's cursor: data from outside
// must not write over the screen.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
