package pipelines

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/extract/secrets"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/schemas"
)

// How values are shown that are not.
const (
	noValue    = "(none)"
	hiddenText = "not shown: looks like a secret"
)

// Bounds of what is shown of a value.
const (
	shownRunes  = 100
	shownValues = 8
)

func sealedText(n int) string {
	if n == 1 {
		return "sealed"
	}
	return fmt.Sprintf("%d values, sealed", n)
}

// cells shows the cells of a row that have a value, catch-all columns by their
// entries. names, if not nil, names the rows that references mean.
func cells(t *schemas.Table, row *schemas.Row, names func(table string, v any) string) []ExplainedCell {
	var out []ExplainedCell
	for i := range t.Columns {
		c := &t.Columns[i]
		if i >= len(row.Values) || row.Values[i] == nil {
			continue
		}
		switch x := row.Values[i].(type) {
		case map[string][]string:
			for _, k := range sortedNames(x) {
				out = append(out, ExplainedCell{c.Name + "." + k, showNamed(k, x[k])})
			}
		case map[string][][]byte:
			for _, k := range sortedNames(x) {
				out = append(out, ExplainedCell{c.Name + "." + k, showBinaries(k, x[k])})
			}
		case map[string][]schemas.Sealed:
			for _, k := range sortedNames(x) {
				out = append(out, ExplainedCell{c.Name + "." + k, sealedText(len(x[k]))})
			}
		default:
			text := showCell(c, x)
			if c.Refs != "" && names != nil {
				text = names(c.Refs, x)
			}
			out = append(out, ExplainedCell{c.Name, text})
		}
	}
	return out
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// showCell shows a column's value. A column that is secret by its name is never
// shown, whatever its type.
func showCell(c *schemas.Column, v any) string {
	if v != nil && (c.Type.IsSecret() || secrets.Named(c.Name)) {
		return sealedText(1)
	}
	return showAs(c.Type, v)
}

// showNamed shows the values of an attribute.
func showNamed(name string, values []string) string {
	if secrets.Named(name) && len(values) > 0 {
		return hiddenText
	}
	return showAs(schemas.Strings, values)
}

// showBinaries shows undeclared values: as text where they are, else by size.
func showBinaries(name string, values [][]byte) string {
	texts := make([]string, len(values))
	for i, b := range values {
		if !utf8.Valid(b) {
			return showAs(schemas.Binaries, values)
		}
		texts[i] = string(b)
	}
	return showNamed(name, texts)
}

// showAs shows a value of a column type.
func showAs(t schemas.Type, v any) string {
	switch x := v.(type) {
	case nil:
		return noValue
	case bool:
		return strconv.FormatBool(x)
	case int64:
		if t == schemas.Timestamp {
			return time.UnixMicro(x).UTC().Format(time.RFC3339Nano)
		}
		return strconv.FormatInt(x, 10)
	case string:
		return showText(x)
	case []byte:
		return "binary, " + ui.Bytes(int64(len(x)))
	case []string:
		return showList(x)
	case [][]byte:
		size := 0
		for _, b := range x {
			size += len(b)
		}
		return fmt.Sprintf("%d binary values, %s", len(x), ui.Bytes(int64(size)))
	case map[string][]string:
		return showMap(x)
	case schemas.Sealed:
		return sealedText(1)
	case []schemas.Sealed:
		return sealedText(len(x))
	}
	return fmt.Sprintf("a value of type %s", t) // nothing that is not known here is printed
}

func showList(x []string) string {
	var out []string
	for _, s := range x[:min(len(x), shownValues)] {
		out = append(out, showText(s))
	}
	if more := len(x) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func showMap(x map[string][]string) string {
	var out []string
	for _, k := range sortedNames(x) {
		out = append(out, k+"="+showNamed(k, x[k]))
	}
	return "{" + strings.Join(out, ", ") + "}"
}

// showText shows short text; of a long one its length.
func showText(s string) string {
	if secrets.Looks([]byte(s)) {
		return hiddenText
	}
	if n := utf8.RuneCountInString(s); n > shownRunes {
		return "text, " + ui.Count(int64(n)) + " characters"
	}
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return strconv.Quote(s)
	}
	return s
}

// oneLine is an expression without its line breaks.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
