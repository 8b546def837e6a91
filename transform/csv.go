package transform

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"

	"github.com/parallelrun/parallelrun/internal/spreadsheet"
	"github.com/parallelrun/parallelrun/schemas"
)

// CSVColumns is the header of a rejects file: one line for each rule that a row
// broke.
var CSVColumns = []string{"entity", "key", "source", "class", "rule", "field", "message"}

// WriteRejects writes the rejected rows of a desired snapshot as CSV for the
// people who own them, excluded rows too if asked. It streams: memory does not
// grow with the rows. No cell can act as a formula in a spreadsheet.
func WriteRejects(ctx context.Context, w io.Writer, desired Tables, excluded bool) (lines int64, err error) {
	out := csv.NewWriter(w)
	if err := out.Write(CSVColumns); err != nil {
		return 0, fmt.Errorf("rejects: %w", err)
	}
	for _, entity := range schemas.LoadOrder {
		table := schemas.RejectedTable(entity)
		if _, ok := desired.Table(table); !ok {
			continue
		}
		for row, err := range desired.Scan(ctx, table) {
			if err != nil {
				return lines, err
			}
			n, err := writeReject(out, entity, row, excluded)
			if err != nil {
				return lines, fmt.Errorf("rejects: %w", err)
			}
			lines += n
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return lines, fmt.Errorf("rejects: %w", err)
	}
	return lines, nil
}

func writeReject(out *csv.Writer, entity string, row schemas.Row, excluded bool) (lines int64, err error) {
	class, _ := row.Values[0].(string)
	if class == ClassExcluded && !excluded {
		return 0, nil
	}
	rules, _ := row.Values[1].([]string)
	fields, _ := row.Values[2].([]string)
	messages, _ := row.Values[3].([]string)
	source, _ := row.Values[4].(string)
	for i, rule := range rules {
		cells := []string{entity, row.Key, source, class, rule, at(fields, i), at(messages, i)}
		for j := range cells {
			cells[j] = spreadsheet.Harmless(cells[j])
		}
		if err := out.Write(cells); err != nil {
			return lines, err
		}
		lines++
	}
	return lines, nil
}

func at(l []string, i int) string {
	if i < len(l) {
		return l[i]
	}
	return ""
}
