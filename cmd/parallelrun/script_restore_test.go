package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/parallelrun/parallelrun/schemas"
)

// differing is how rows differ: by table and row, the columns of rows that are
// there on both sides, "*" for a row that is on one side only.
type differing map[string][]string

func (d differing) add(table, id string, columns []string) {
	row := table + " " + id
	if len(columns) == 0 {
		columns = []string{"*"}
	}
	d[row] = append(d[row], columns...)
	slices.Sort(d[row])
	d[row] = slices.Compact(d[row])
}

// runListed compares a diff of snapshots with the rows that a plan lists:
//
//	listed [keys=FILE] DIFF LIST
//
// DIFF holds what snapshots diff --rows --json printed, LIST what runs show
// --list --json did. Every row and column of one must be in the other. A
// password can't be read back: its row differs by its date. With keys the diff
// is looked at for what belongs to the users of these legacy keys alone, and
// organizations and the like are left out of both.
func runListed(ts *testscript.TestScript, neg bool, args []string) {
	set, args := options(args)
	if neg || len(args) != 2 {
		ts.Fatalf("usage: listed [keys=FILE] DIFF LIST")
	}
	var users map[string]bool
	if file, ok := set["keys"]; ok {
		users = map[string]bool{}
		for _, key := range strings.Fields(ts.ReadFile(file)) {
			users[key] = true
		}
	}
	structural := func(table string) bool {
		return !slices.Contains([]string{schemas.Users, schemas.Credentials, schemas.Memberships}, table)
	}
	differ, list := differing{}, differing{}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var row struct {
			Type, Table, ID, Key, Kind string
			Fields                     []struct{ Column string }
		}
		ts.Check(json.Unmarshal([]byte(line), &row))
		if _, entity := schemas.Entities()[row.Table]; row.Type != "row" || !entity {
			continue // counts, and tables that only one stage has
		}
		if user, _, _ := strings.Cut(row.Key, "/"); users != nil && (structural(row.Table) || !users[user]) {
			continue
		}
		var columns []string
		for _, f := range row.Fields {
			columns = append(columns, f.Column)
		}
		if row.Kind != "update" {
			columns = nil
		}
		differ.add(row.Table, row.ID, columns)
	}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		var row struct {
			Table, ID string
			Columns   []string
		}
		ts.Check(json.Unmarshal([]byte(line), &row))
		if users != nil && structural(row.Table) {
			continue
		}
		if row.Table == schemas.Credentials && len(row.Columns) > 0 {
			row.Columns = []string{"changed_at"}
		}
		list.add(row.Table, row.ID, row.Columns)
	}
	if len(differ) == 0 {
		ts.Fatalf("nothing differs: the comparison proves nothing")
	}
	if diff := cmp.Diff(differ, list); diff != "" {
		ts.Fatalf("what differs (-) is not what is listed (+):\n%s", diff)
	}
	fmt.Fprintln(ts.Stdout(), len(differ), "rows:", slices.Sorted(maps.Keys(differ)))
}
