package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// kindsFixture makes a store with three nights of stage legacy of hr: forty
// people with every kind of column; then, stored as changes upon them, one
// changed and one gone; then with one more column. Units never have rows;
// badges are in the first night alone. "empty-1" and "empty-3" of dataset blank
// have the columns of these nights and no rows, to compare with.
func kindsFixture(dir, keyFile string) error {
	ctx := context.Background()
	s, err := fixtureStore(ctx, dir, keyFile)
	if err != nil {
		return err
	}
	columns := []schemas.Column{
		{Name: "uid", Type: schemas.String}, {Name: "active", Type: schemas.Bool}, {Name: "logins", Type: schemas.Int},
		{Name: "since", Type: schemas.Timestamp}, {Name: "certificate", Type: schemas.Binary}, {Name: "mail", Type: schemas.Strings, Set: true},
		{Name: "photos", Type: schemas.Binaries}, {Name: "labels", Type: schemas.StringsMap}, {Name: "password", Type: schemas.Secret},
		{Name: "tokens", Type: schemas.Secrets, Doc: "one-time passwords"}, {Name: `odd "name" ü`, Type: schemas.String},
	}
	var parent *snapshots.Snapshot
	for _, name := range []string{"empty-1", "night-1", "night-2", "night-3", "empty-3"} {
		if name == "night-3" {
			columns, parent = append(columns, schemas.Column{Name: "nickname", Type: schemas.String}), nil
		}
		o := snapshots.WriterOptions{Parent: parent, Bounds: parts.Bounds{Rows: 8}}
		if err := kindsSnapshot(ctx, s, name, columns, o); err != nil {
			return err
		}
		if name == "night-1" {
			if parent, err = s.Snapshot(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func kindsSnapshot(ctx context.Context, s *snapshots.Store, name string, columns []schemas.Column, o snapshots.WriterOptions) error {
	people, err := schemas.NewLegacyTable("people", columns)
	if err != nil {
		return err
	}
	tables := []schemas.Table{people, {Name: "units", Columns: people.Columns}}
	if name == "night-1" {
		tables = append(tables, schemas.Table{Name: "badges", Columns: people.Columns})
	}
	w := s.NewWriter(tables, o)
	defer w.Close()
	dataset := "blank"
	if strings.HasPrefix(name, "night-") {
		dataset = "hr"
		if err := kindsRows(ctx, s, w, &people, name); err != nil {
			return err
		}
	}
	draft, err := w.Finish(ctx)
	if err != nil {
		return err
	}
	_, err = s.Commit(ctx, snapshots.Change{Reason: "fixture", Run: "run-" + name, Actions: []snapshots.Action{
		draft.Action(dataset, "legacy"), snapshots.RefAction{Name: name, Digest: draft.Digest}}})
	return err
}

func kindsRows(ctx context.Context, s *snapshots.Store, w *snapshots.Writer, people *schemas.Table, night string) error {
	for n := range 40 {
		row, err := kindsRow(s, people, n, night)
		if err != nil {
			return err
		}
		switch {
		case n == 39 && night != "night-1":
			continue
		case n == 1 && night == "night-1":
			err = w.WriteRow(ctx, "badges", row, 0)
		}
		if err == nil {
			err = w.WriteRow(ctx, people.Name, row, int64(n))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// kindsRow has values of every kind, null in every other row or so, empty lists
// and maps, and some values of more than 64 KiB.
func kindsRow(s *snapshots.Store, t *schemas.Table, n int, night string) (schemas.Row, error) {
	key := fmt.Sprintf("p%03d", n)
	row := schemas.Row{ID: schemas.NewRowID("hr", "legacy:people", key), Key: key, Values: make([]any, len(t.Columns))}
	set := func(column string, v any) {
		if i := t.Column(column); i >= 0 {
			row.Values[i] = v
		}
	}
	set("uid", "user-"+key)
	set(`odd "name" ü`, "ü'\"\\\n"+key)
	if n == 3 && night != "night-1" {
		set("uid", "renamed")
	}
	if n%2 == 0 {
		set("active", n%4 == 0)
		set("logins", int64(n)<<40-1)
		set("since", int64(-1_000_001)+int64(n)*86_400_000_001)
		set("certificate", []byte{0, byte(n), 0xff})
		set("nickname", "nick "+key)
	}
	if n%3 != 0 {
		set("mail", []string{key + "@b.example", key + "@a.example"}[:n%3])
		set("photos", [][]byte{[]byte("small"), bytes.Repeat([]byte{byte(n), 0xfe}, 40<<10)}[:n%3])
		set("labels", map[string][]string{"team": {"red", "blue"}, "none": {}, "ключ": {strings.Repeat("long", n%3*20<<10)}})
		set("other", map[string][][]byte{"description": {[]byte("person " + key), {0xc3}}})
	} else if n%2 == 0 {
		set("mail", []string{})
		set("photos", [][]byte{})
		set("labels", map[string][]string{})
	}
	if n%5 != 0 {
		return row, nil
	}
	seal := func(column, value string) (schemas.Sealed, error) {
		return s.Keyring().Seal(t.Name, row.ID, column, []byte(value))
	}
	one, err := seal("password", fixturePassword)
	if err != nil {
		return row, err
	}
	two, err := seal("tokens", fixturePassword+" two")
	if err != nil {
		return row, err
	}
	three, err := seal(`other_sealed["userPassword"]`, fixturePassword+" three")
	set("password", one)
	set("tokens", []schemas.Sealed{two, one})
	set(schemas.OtherSealedColumn, map[string][]schemas.Sealed{"userPassword": {three}})
	return row, err
}
