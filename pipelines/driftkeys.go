package pipelines

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// DriftKey is a user's legacy key, and where it was given, for messages.
type DriftKey struct{ Key, At string }

// ReadDriftKeys reads a file of legacy keys, one per line; empty lines are
// passed over.
func ReadDriftKeys(path string) ([]DriftKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("keys: %w", err), Next: "name a file with one legacy key per line"}
	}
	defer f.Close()
	var keys []DriftKey
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		if key := strings.TrimRight(line, "\r\n"); strings.TrimSpace(key) != "" {
			keys = append(keys, DriftKey{Key: key, At: fmt.Sprintf("%s:%d", path, n)})
		}
		if len(keys) > load.MostChanges {
			return nil, &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("%s: more than %s keys", path, ui.Count(load.MostChanges)), Next: "look at everybody: `parallelrun drift --full`"}
		}
		if err == io.EOF {
			return keys, nil
		}
	}
}

// userID is the row id of the user who has a legacy key.
func (r *Runner) userID(key string) schemas.RowID {
	return schemas.NewRowID(r.Namespace, schemas.Users, r.Aliases.RowKey(schemas.Users, key))
}

// keyIDs finds the chosen users in base. A key that base does not know is an
// error: nothing can be said of it.
func (r *Runner) keyIDs(ctx context.Context, base *snapshots.Snapshot, keys []DriftKey) ([]schemas.RowID, error) {
	ids := make([]schemas.RowID, 0, len(keys))
	for _, k := range keys {
		ids = append(ids, r.userID(k.Key))
	}
	slices.SortFunc(ids, schemas.RowID.Compare)
	ids = slices.Compact(ids)
	there := make(map[schemas.RowID]bool, len(ids))
	for p, err := range load.ProbesOf(ctx, base, ids) {
		if err != nil {
			return nil, err
		}
		there[p.ID] = true
	}
	for _, k := range keys {
		if !there[r.userID(k.Key)] {
			return nil, &ui.Failure{Code: ui.Refused, Err: fmt.Errorf("%s: no user with the legacy key %q was ever confirmed in target %s", k.At, k.Key, r.TargetName),
				Next: "check the key, or whether a run loaded it: `parallelrun runs show`"}
		}
	}
	return ids, nil
}
