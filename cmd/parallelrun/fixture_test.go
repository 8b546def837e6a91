package main

import (
	"context"
	"fmt"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// fixturePassword is the secret in the fixture's store; no output may show it.
const fixturePassword = "correct horse battery staple"

// fixture makes a store with two snapshots of stage desired, named "before"
// and "after": of five users the second is renamed, the third gone, a sixth
// came, the first has another password.
func fixture(dir, keyFile string) error {
	ctx := context.Background()
	s, err := fixtureStore(ctx, dir, keyFile)
	if err != nil {
		return err
	}
	if err := fixtureSnapshot(ctx, s, "before", []int{1, 2, 3, 4, 5}, "B. Two", fixturePassword); err != nil {
		return err
	}
	return fixtureSnapshot(ctx, s, "after", []int{1, 2, 4, 5, 6}, "Renamed\x1b[2J", fixturePassword+"!")
}

// layeredFixture makes a store with three nights of forty users, each upon the
// one before: in the second the second user is renamed, in the third the last
// one is gone.
func layeredFixture(dir, keyFile string) error {
	ctx := context.Background()
	s, err := fixtureStore(ctx, dir, keyFile)
	if err != nil {
		return err
	}
	users := make([]int, 40)
	for i := range users {
		users[i] = i + 1
	}
	o := snapshots.WriterOptions{Bounds: parts.Bounds{Rows: 8}}
	for i, first := range []string{"B. Two", "Renamed", "Renamed"} {
		if i == 2 {
			users = users[:39]
		}
		name := fmt.Sprintf("night-%d", i+1)
		if err := fixtureSnapshotWith(ctx, s, name, users, first, fixturePassword, o); err != nil {
			return err
		}
		if o.Parent, err = s.Snapshot(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func fixtureStore(ctx context.Context, dir, keyFile string) (*snapshots.Store, error) {
	if _, err := seal.NewIdentity(keyFile); err != nil {
		return nil, err
	}
	id, err := seal.LoadIdentity(keyFile)
	if err != nil {
		return nil, err
	}
	b, err := local.Create(dir)
	if err != nil {
		return nil, err
	}
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{Recipients: id.Recipients()}); err != nil {
		return nil, err
	}
	ring, err := snapshots.Unlock(ctx, b, id)
	if err != nil {
		return nil, err
	}
	return snapshots.Open(ctx, b, snapshots.Options{Keyring: ring})
}

func fixtureSnapshot(ctx context.Context, s *snapshots.Store, name string, users []int, second, password string) error {
	return fixtureSnapshotWith(ctx, s, name, users, second, password, snapshots.WriterOptions{})
}

func fixtureSnapshotWith(ctx context.Context, s *snapshots.Store, name string, users []int, second, password string, o snapshots.WriterOptions) error {
	tables := schemas.Entities()
	w := s.NewWriter([]schemas.Table{tables[schemas.Users], tables[schemas.Credentials], tables[schemas.Groups]}, o)
	defer w.Close()
	for _, n := range users {
		first := fmt.Sprintf("User %d", n)
		if n == 2 {
			first = second
		}
		if err := writeUser(ctx, w, tables, n, first); err != nil {
			return err
		}
	}
	if err := writeCredential(ctx, s, w, tables, 1, password); err != nil {
		return err
	}
	draft, err := w.Finish(ctx)
	if err != nil {
		return err
	}
	_, err = s.Commit(ctx, snapshots.Change{Reason: "fixture", Run: "run-" + name, Actions: []snapshots.Action{
		draft.Action("demo", "desired"), snapshots.RefAction{Name: name, Digest: draft.Digest}}})
	return err
}

func fixtureUser(n int) (schemas.RowID, string) {
	key := fmt.Sprintf("key-%d", n)
	return schemas.NewRowID("fixture", schemas.Users, key), key
}

func writeUser(ctx context.Context, w *snapshots.Writer, tables map[string]schemas.Table, n int, first string) error {
	id, key := fixtureUser(n)
	t := tables[schemas.Users]
	row := schemas.Row{ID: id, Key: key, Values: make([]any, len(t.Columns))}
	row.Values[t.Column("username")] = fmt.Sprintf("user-%d", n)
	row.Values[t.Column("first_name")] = first
	row.Values[t.Column("enabled")] = true
	row.Values[t.Column("created_at")] = int64(1_700_000_000_000_000)
	row.Values[t.Column("attributes")] = map[string][]string{"phone": {fmt.Sprintf("+49 %d", n)}}
	return w.WriteRow(ctx, t.Name, row, int64(n))
}

func writeCredential(ctx context.Context, s *snapshots.Store, w *snapshots.Writer, tables map[string]schemas.Table, n int, password string) error {
	user, key := fixtureUser(n)
	t := tables[schemas.Credentials]
	row := schemas.Row{ID: schemas.DependentRowID(user, t.Name, "password"), Key: key + "/password", Values: make([]any, len(t.Columns))}
	sealed, err := s.Keyring().Seal(t.Name, row.ID, "secret", []byte(password))
	if err != nil {
		return err
	}
	row.Values[t.Column("user")] = user.String()
	row.Values[t.Column("type")] = "password"
	row.Values[t.Column("secret")] = sealed
	return w.WriteRow(ctx, t.Name, row, int64(n))
}
