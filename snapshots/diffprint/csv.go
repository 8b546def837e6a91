package diffprint

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/internal/spreadsheet"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// CSVColumns and CSVThreeWayColumns are the headers of diffs as CSV: a line for
// each field of each row. Counts are no part of it.
var (
	CSVColumns         = []string{"table", "key", "id", "kind", "column", "old", "new"}
	CSVThreeWayColumns = []string{"table", "key", "id", "row_side", "kind_a", "kind_b", "column", "side", "base", "a", "b"}
)

// NewCSV prints a line per field. Null is an empty cell, lists and maps are
// JSON, binary values that are no text base64, and no cell can act as a formula.
func NewCSV(w io.Writer) Printer { return &csvPrinter{w: csv.NewWriter(w)} }

type csvPrinter struct {
	w    *csv.Writer
	head bool
}

func (p *csvPrinter) line(head []string, cells ...string) error {
	if !p.head {
		p.head = true
		if err := p.w.Write(head); err != nil {
			return err
		}
	}
	if len(cells) == 0 {
		return nil
	}
	for i := range cells {
		cells[i] = spreadsheet.Harmless(cells[i])
	}
	return p.w.Write(cells)
}

func (p *csvPrinter) Row(c snapshots.RowChange) error {
	fields := c.Fields
	if len(fields) == 0 {
		fields = []snapshots.FieldChange{{}} // a row of nothing but nulls, still a row
	}
	for _, f := range fields {
		old, now := cellText(f.Type, f.Old), cellText(f.Type, f.New)
		if f.Type.IsSecret() && c.Kind == snapshots.Update && f.New != nil {
			now = "(secret) changed"
		}
		if err := p.line(CSVColumns, c.Table, c.Key, c.ID.String(), string(c.Kind), f.Column, old, now); err != nil {
			return err
		}
	}
	return nil
}

func (p *csvPrinter) ThreeWay(c snapshots.ThreeWayChange) error {
	fields := c.Fields
	if len(fields) == 0 {
		fields = []snapshots.ThreeWayField{{Side: c.Side}}
	}
	for _, f := range fields {
		one := func(kind snapshots.ChangeKind, v any) string {
			if kind == snapshots.Delete {
				return "(deleted)"
			}
			return cellText(f.Type, v)
		}
		err := p.line(CSVThreeWayColumns, c.Table, c.Key, c.ID.String(), string(c.Side), string(c.A), string(c.B), f.Column, string(f.Side),
			cellText(f.Type, f.Base), one(c.A, f.A), one(c.B, f.B))
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *csvPrinter) Stat(snapshots.Stat) error { return p.line(CSVColumns) }

func (p *csvPrinter) ThreeWayStat(snapshots.ThreeWayStat) error { return p.line(CSVThreeWayColumns) }

func (p *csvPrinter) Close() error {
	p.w.Flush()
	return p.w.Error()
}

// cellText is a value as a cell.
func cellText(t schemas.Type, v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		if t == schemas.Timestamp {
			return timeText(v)
		}
		return strconv.FormatInt(v, 10)
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return base64.StdEncoding.EncodeToString(v)
	case snapshots.SecretValue, snapshots.LargeValue:
		return valueText(t, v, longText)
	}
	b, err := json.Marshal(valueJSON(t, v))
	if err != nil {
		return "(not to be shown)" // there is no such type
	}
	return string(b)
}
