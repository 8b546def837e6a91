package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// numbered is a table of cards that are known by their numbers, each in some
// version. A few have a value so large that it is an object of its own.
var numbered = schemas.Table{Name: "cards", Columns: []schemas.Column{{ID: 10, Name: "version", Type: schemas.Int}, {ID: 11, Name: "photo", Type: schemas.Binary}}}

func cardID(i int) schemas.RowID { return schemas.NewRowID("hr", "cards", fmt.Sprint("card-", i)) }

// writeCards writes cards by their versions.
func writeCards(ctx context.Context, s *snapshots.Store, o snapshots.WriterOptions, rows map[int]int) (snapshots.Draft, error) {
	w := s.NewWriter([]schemas.Table{numbered}, o)
	defer w.Close()
	for _, i := range slices.Sorted(maps.Keys(rows)) {
		row := schemas.Row{ID: cardID(i), Key: fmt.Sprint("card-", i), Values: []any{int64(rows[i]), nil}}
		if i%32 == 5 && rows[i] > 1 {
			row.Values[1] = bytes.Repeat([]byte{byte(i), byte(rows[i])}, 40<<10)
		}
		if err := w.WriteRow(ctx, "cards", row, int64(i)); err != nil {
			return snapshots.Draft{}, err
		}
	}
	return w.Finish(ctx)
}
