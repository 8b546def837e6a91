package pipelines

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// UnknownRolesError means that rows are to have realm roles that the target
// does not have. Nothing was written: a target that makes roles in silence
// would hide a misspelt one, and one that refuses would fail row by row.
type UnknownRolesError struct {
	Target string
	Rows   map[string]int64 // by role
}

func (e *UnknownRolesError) Error() string {
	var names []string
	for _, role := range slices.Sorted(maps.Keys(e.Rows)) {
		names = append(names, fmt.Sprintf("%s (%d rows)", role, e.Rows[role]))
	}
	return fmt.Sprintf("target %s has no realm role %s", e.Target, strings.Join(names, ", "))
}

// Hint says what to do.
func (e *UnknownRolesError) Hint() string {
	return "make the roles there, let them be made by naming them in targets." + e.Target + ".roles, or leave them out in the mapping"
}

// checkRoles compares the roles that rows shall have with those that the
// target has.
func (r *Runner) checkRoles(ctx context.Context, effective *snapshots.Snapshot, profile schemas.TargetProfile) error {
	unknown := map[string]int64{}
	for _, table := range schemas.LoadOrder {
		t, ok := effective.Table(table)
		if !ok || t.Column("realm_roles") < 0 {
			continue
		}
		at := t.Column("realm_roles")
		for row, err := range effective.Scan(ctx, table, parts.ScanOptions{KeepLarge: true}) {
			if err != nil {
				return err
			}
			roles, _ := row.Values[at].([]string)
			for _, role := range roles {
				if _, known := slices.BinarySearch(profile.RealmRoles, role); !known {
					unknown[role]++
				}
			}
		}
	}
	if len(unknown) > 0 {
		return &UnknownRolesError{Target: r.TargetName, Rows: unknown}
	}
	return nil
}
