// Package spreadsheet makes texts that come from outside harmless as cells of a
// CSV file, which people open in spreadsheets.
package spreadsheet

import (
	"strings"
	"unicode"
)

// Harmless keeps a spreadsheet from taking a cell for a formula, and a terminal
// from taking it for a command: an apostrophe goes before what could start a
// formula, control characters become blanks.
func Harmless(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	trimmed := strings.TrimLeftFunc(s, unicode.IsSpace)
	if trimmed != "" && strings.ContainsRune("=+-@|%＝＋－＠", []rune(trimmed)[0]) {
		return "'" + s
	}
	return s
}
