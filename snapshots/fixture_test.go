package snapshots_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// people is a table with every kind of column; without keys its secrets stay
// null.
func peopleTable() schemas.Table {
	t, err := schemas.NewLegacyTable("people", []schemas.Column{
		{Name: "uid", Type: schemas.String}, {Name: "active", Type: schemas.Bool}, {Name: "logins", Type: schemas.Int},
		{Name: "since", Type: schemas.Timestamp}, {Name: "mail", Type: schemas.Strings, Set: true}, {Name: "photo", Type: schemas.Binaries},
		{Name: "labels", Type: schemas.StringsMap, Set: true}, {Name: "password", Type: schemas.Secret},
	})
	if err != nil {
		panic(err)
	}
	return t
}

func unitsTable() schemas.Table {
	return schemas.Table{Name: "units", Columns: []schemas.Column{{ID: 7, Name: "name", Type: schemas.String}}}
}

// person makes row i; k nil leaves the secret out.
func person(t testing.TB, k *seal.Keyring, i int) schemas.Row {
	key := fmt.Sprintf("p%05d", i)
	id := schemas.NewRowID("hr.example", "legacy:people", key)
	r := schemas.Row{ID: id, Key: key, Values: []any{
		"user" + key, i%3 != 0, int64(i), int64(1_700_000_000_000_000 + i), []string{key + "@b.example", key + "@a.example"}, nil,
		map[string][]string{"team": {"red", "blue"}, "none": {}}, nil, map[string][][]byte{"description": {[]byte("person " + key)}}, nil,
	}}
	if i%7 == 0 {
		r.Values[5] = [][]byte{[]byte("small"), bytes.Repeat([]byte{byte(i), 0xff}, 40<<10)}
	}
	if k != nil && i%2 == 0 {
		s, err := k.Seal("people", id, "password", []byte(testPassword(i)))
		if err != nil {
			t.Fatal(err)
		}
		r.Values[7] = s
	}
	return r
}

func testPassword(i int) string { return fmt.Sprintf("Correct-Horse-%05d", i) }

func unit(name string) schemas.Row {
	return schemas.Row{ID: schemas.NewRowID("hr.example", "legacy:units", name), Key: name, Values: []any{strings.ToUpper(name)}}
}

// writeDraft writes n people, edited by edit (false: leave out), and two units.
func writeDraft(t testing.TB, s *snapshots.Store, o snapshots.WriterOptions, n int, edit func(i int, r *schemas.Row) bool) snapshots.Draft {
	t.Helper()
	d, err := tryDraft(t, s, o, n, edit)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func tryDraft(t testing.TB, s *snapshots.Store, o snapshots.WriterOptions, n int, edit func(i int, r *schemas.Row) bool) (snapshots.Draft, error) {
	t.Helper()
	w := s.NewWriter([]schemas.Table{peopleTable(), unitsTable()}, o)
	defer w.Close()
	for i := range n {
		r := person(t, s.Keyring(), i)
		if edit != nil && !edit(i, &r) {
			continue
		}
		if err := w.WriteRow(t.Context(), "people", r, int64(i)); err != nil {
			return snapshots.Draft{}, err
		}
	}
	for i, name := range []string{"sales", "research"} {
		if err := w.WriteRow(t.Context(), "units", unit(name), int64(i)); err != nil {
			return snapshots.Draft{}, err
		}
	}
	return w.Finish(t.Context())
}

func mustCommit(t testing.TB, s *snapshots.Store, d snapshots.Draft, more ...snapshots.Action) {
	t.Helper()
	_, err := s.Commit(t.Context(), snapshots.Change{Reason: "extract", Run: "r1", Actions: append([]snapshots.Action{d.Action("hr", "legacy")}, more...)})
	if err != nil {
		t.Fatal(err)
	}
}

func mustSnapshot(t testing.TB, s *snapshots.Store, name string) *snapshots.Snapshot {
	t.Helper()
	sn, err := s.Snapshot(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return sn
}

// sealedStore is a store with keys on a back end.
func sealedStore(t testing.TB, b snapshots.Backend) (*snapshots.Store, *seal.Identity) {
	t.Helper()
	return sealedStoreFor(t, b, t.TempDir()+"/key.txt")
}

// sealedStoreFor is sealedStore with its identity in a file.
func sealedStoreFor(t testing.TB, b snapshots.Backend, path string) (*snapshots.Store, *seal.Identity) {
	t.Helper()
	if _, err := seal.NewIdentity(path); err != nil {
		t.Fatal(err)
	}
	id, err := seal.LoadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := snapshots.Init(t.Context(), b, snapshots.InitOptions{Recipients: id.Recipients()}); err != nil {
		t.Fatal(err)
	}
	return unlocked(t, b, id), id
}

func unlocked(t testing.TB, b snapshots.Backend, id *seal.Identity) *snapshots.Store {
	t.Helper()
	k, err := snapshots.Unlock(t.Context(), b, id)
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{Keyring: k})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// smallParts make a few rows into several parts.
var smallParts = parts.Bounds{Rows: 40, Bytes: 1 << 20}
