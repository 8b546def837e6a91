package demo

import (
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/internal/ui"
)

// block is a part of a command's text that a scene shows: from a line that
// begins so up to the next empty one.
type block struct {
	begin    string
	untitled bool // without that first line
	// keep says which of the further lines are shown, counted from 1; nil: all.
	keep func(n int, line string) bool
}

// excerpt is what a scene shows of a command's text; no blocks: all of it.
type excerpt struct {
	blocks []block
	// dense leaves out empty lines, and the dots that stand for what is not shown.
	dense bool
}

func shows(blocks ...block) excerpt { return excerpt{blocks: blocks} }

func briefly(blocks ...block) excerpt { return excerpt{blocks: blocks, dense: true} }

var nothing = briefly(block{begin: "\x00"})

// rows keeps a table's header and the rows that begin or end with a name.
func rows(names ...string) func(int, string) bool {
	return func(n int, line string) bool {
		words := strings.Fields(line)
		return n == 1 || len(words) > 0 && (slices.Contains(names, words[0]) || slices.Contains(names, words[len(words)-1]))
	}
}

// first keeps so many lines.
func first(most int) func(int, string) bool {
	return func(n int, _ string) bool { return n <= most }
}

// reasons keeps what is counted, without the examples below it and without
// what only follows from another reason.
func reasons(_ int, line string) bool {
	return !strings.HasPrefix(line, "      ") && !strings.HasSuffix(line, " user-excluded") && !strings.HasSuffix(line, " user-rejected")
}

const dots = "..."

// of shortens a text.
func (e excerpt) of(text string) []string {
	text = strings.Trim(text, "\n")
	if e.blocks == nil {
		return strings.Split(text, "\n")
	}
	var out []string
	left, began := false, false
	for part := range strings.SplitSeq(text, "\n\n") {
		i := slices.IndexFunc(e.blocks, func(b block) bool { return strings.HasPrefix(part, b.begin) })
		if i < 0 {
			left = true
			continue
		}
		switch {
		case e.dense:
		case left:
			out = append(out, dots)
		case began:
			out = append(out, "")
		}
		out, left, began = append(out, e.blocks[i].of(part)...), false, true
	}
	if left && !e.dense {
		out = append(out, dots)
	}
	return out
}

// of is what is shown of a block.
func (b *block) of(text string) []string {
	var out []string
	for n, line := range strings.Split(text, "\n") {
		if n == 0 && !b.untitled || n > 0 && (b.keep == nil || b.keep(n, line)) {
			out = append(out, line)
		}
	}
	return out
}

// maxLine is how much of a line is shown: lists of keys would wrap several
// times.
const maxLine = 170

func clip(line string) string {
	if ui.Width(line) <= maxLine {
		return line
	}
	runes := []rune(line)
	return string(runes[:min(maxLine-len(dots), len(runes))]) + dots
}

// quoted is an argument as one types it.
func quoted(arg string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=:,@+", r)
	}
	if arg != "" && !strings.ContainsFunc(arg, func(r rune) bool { return !plain(r) }) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
