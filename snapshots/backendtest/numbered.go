package backendtest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// numbered is a table of cards that are known by their numbers, each in some
// version.
var numbered = schemas.Table{Name: "cards", Columns: []schemas.Column{{ID: 10, Name: "version", Type: schemas.Int}}}

func cardID(i int) schemas.RowID { return schemas.NewRowID("hr", "cards", fmt.Sprint("card-", i)) }

// writeCards writes cards by their versions.
func writeCards(ctx context.Context, s *snapshots.Store, o snapshots.WriterOptions, rows map[int]int) (snapshots.Draft, error) {
	w := s.NewWriter([]schemas.Table{numbered}, o)
	defer w.Close()
	for _, i := range slices.Sorted(maps.Keys(rows)) {
		row := schemas.Row{ID: cardID(i), Key: fmt.Sprint("card-", i), Values: []any{int64(rows[i])}}
		if err := w.WriteRow(ctx, "cards", row, int64(i)); err != nil {
			return snapshots.Draft{}, err
		}
	}
	return w.Finish(ctx)
}
