package pipelines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/pipelines/waves"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

const wavesNamespace = "ns"

// wavesRunner is a runner over a store with what waves need and nothing else.
func wavesRunner(t *testing.T, s *snapshots.Store, rules ...waves.Rule) *Runner {
	t.Helper()
	sel, err := waves.Compile(waves.Rules{Salt: "demo", Waves: rules})
	if err != nil {
		t.Fatal(err)
	}
	return &Runner{Name: "demo", TargetName: "target", Namespace: wavesNamespace, Store: s, Waves: sel, Memory: 64 << 20, Workers: 2, TempDir: t.TempDir()}
}

// commitUsers commits a state of the users with the given numbers, one in four
// of whom is a member of acme/Sales.
func commitUsers(t *testing.T, s *snapshots.Store, dataset, stage string, numbers ...int) snapshots.Digest {
	t.Helper()
	ctx, all := t.Context(), schemas.Entities()
	w := s.NewWriter([]schemas.Table{all[schemas.Organizations], all[schemas.Departments], all[schemas.Users], all[schemas.Memberships]}, snapshots.WriterOptions{})
	defer w.Close()
	write := func(table string, id schemas.RowID, key string, values map[string]any) {
		shape := all[table]
		row := schemas.Row{ID: id, Key: key, Values: make([]any, len(shape.Columns))}
		for name, v := range values {
			row.Values[shape.Column(name)] = v
		}
		if err := w.WriteRow(ctx, table, row, -1); err != nil {
			t.Fatal(err)
		}
	}
	org, dep := schemas.NewRowID(wavesNamespace, schemas.Organizations, "o"), schemas.NewRowID(wavesNamespace, schemas.Departments, "d")
	write(schemas.Organizations, org, "o", map[string]any{"alias": "acme"})
	write(schemas.Departments, dep, "d", map[string]any{"organization": org.String(), "name": "Sales", "path": "/Sales"})
	for _, n := range numbers {
		key := fmt.Sprintf("user-%d", n)
		id := schemas.NewRowID(wavesNamespace, schemas.Users, key)
		write(schemas.Users, id, key, map[string]any{"username": key, "enabled": n%3 > 0, "attributes": map[string][]string{"photo": {strings.Repeat("x", 70_000*(n%50/49))}}})
		if n%4 == 0 {
			write(schemas.Memberships, schemas.MembershipID(id, org.String(), dep.String()), key, map[string]any{"user": id.String(), "organization": org.String(), "department": dep.String()})
		}
	}
	draft, err := w.Finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Commit(ctx, snapshots.Change{Reason: "test", Actions: []snapshots.Action{
		draft.Action(dataset, stage), snapshots.RefAction{Name: ref(dataset, stage), Digest: draft.Digest}}})
	if err != nil {
		t.Fatal(err)
	}
	return draft.Digest
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func mustAssign(t *testing.T) func(*Assigned, error) *Assigned {
	return func(a *Assigned, err error) *Assigned {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

var salesThenEnabled = []waves.Rule{{Name: "sales", Departments: []string{"acme/Sales"}}, {Name: "enabled", Where: "user.enabled"}}

// TestAssign: a decision is recorded once, with what it was made from; called
// again it changes nothing; leavers stay in it.
func TestAssign(t *testing.T) {
	ctx, s, must := t.Context(), newStore(t), mustAssign(t)
	r := wavesRunner(t, s, salesThenEnabled...)
	if sn, err := r.Assignment(ctx); sn != nil || err != nil {
		t.Fatalf("before the first: %v, %v", sn, err)
	}
	first := commitUsers(t, s, "migration/demo", StageDesired, upTo(100)...)
	plan := must(r.PlanAssign(ctx, "run-1", first))
	if sn, err := r.Assignment(ctx); sn != nil || err != nil || plan.Recorded {
		t.Fatalf("a plan was recorded: %v, %v", sn, err)
	}
	// sales: 25; enabled: two thirds of the other 75.
	a := must(r.Assign(ctx, "run-1", first))
	if a.Snapshot != plan.Snapshot || !a.Recorded || !a.Previous.IsZero() || a.Wave("sales").New != 25 || a.Wave("enabled").New != 50 || a.Unassigned != 25 {
		t.Fatalf("%+v, planned %s", a, plan.Snapshot.Short())
	}
	sn, err := r.Assignment(ctx)
	if err != nil || sn.Digest() != a.Snapshot || sn.Info().Run != "run-1" || len(sn.Info().Parents) != 1 || sn.Info().Parents[0] != first {
		t.Fatalf("%+v, %v", sn.Info(), err)
	}
	entries := storeState(t, s).N
	if again := must(r.Assign(ctx, "run-1", first)); again.Snapshot != a.Snapshot || again.Changed() || !again.Recorded || storeState(t, s).N != entries {
		t.Errorf("again: %+v", again)
	}
	// Ten more users; the first forty are gone.
	second := commitUsers(t, s, "migration/demo", StageDesired, upTo(110)[40:]...)
	b := must(r.Assign(ctx, "run-2", second))
	if b.Previous != a.Snapshot || b.Wave("sales").Total != 28 || b.Wave("sales").New != 3 || b.Wave("sales").Gone != 10 || b.Rows != 75+3+5 {
		t.Errorf("%+v\nsales %+v", b, b.Wave("sales"))
	}
	if sn, _ := r.Assignment(ctx); len(sn.Info().Parents) != 2 || sn.Info().Parents[0] != a.Snapshot || sn.Info().Parents[1] != second {
		t.Errorf("parents %v", sn.Info().Parents)
	}
}

func storeState(t *testing.T, s *snapshots.Store) snapshots.State {
	t.Helper()
	st, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestAssignAlike: memory, workers, parts and the way by which an assignment
// came to be leave its digest alone.
func TestAssignAlike(t *testing.T) {
	must := mustAssign(t)
	var want snapshots.Digest
	for i, o := range []struct {
		memory  int64
		workers int
		rows    int64
	}{{64 << 20, 1, 0}, {1 << 20, 4, 0}, {512 << 20, 2, 7}} {
		s := newStore(t)
		r := wavesRunner(t, s, salesThenEnabled...)
		r.Memory, r.Workers, r.Bounds = o.memory, o.workers, parts.Bounds{Rows: o.rows}
		a := must(r.Assign(t.Context(), "run", commitUsers(t, s, "migration/demo", StageDesired, upTo(300)...)))
		if i == 0 {
			want = a.Snapshot
		}
		if a.Snapshot != want || a.Rows != 225 {
			t.Errorf("%+v: %s, want %s", o, a.Snapshot.Short(), want.Short())
		}
	}
}

// TestAssignRace: when another records an assignment meanwhile, the second one
// is refused and nothing of the first is lost.
func TestAssignRace(t *testing.T) {
	ctx, s, must := t.Context(), newStore(t), mustAssign(t)
	desired := commitUsers(t, s, "migration/demo", StageDesired, upTo(20)...)
	r, other := wavesRunner(t, s, salesThenEnabled...), wavesRunner(t, s, waves.Rule{Name: "all", Percent: 1_000_000})
	r.Progress = nil
	var theirs *Assigned
	_, err := r.assign(ctx, assignInput{desired: desired, record: true, before: func(ctx context.Context) error {
		theirs = must(other.Assign(ctx, "", desired))
		return nil
	}})
	if e, ok := errors.AsType[*snapshots.RefMovedError](err); !ok {
		t.Fatalf("%v, %v", e, err)
	}
	if sn, err := r.Assignment(ctx); err != nil || sn.Digest() != theirs.Snapshot {
		t.Errorf("%v, %v", sn.Digest(), err)
	}
}

// TestBadHandWritesNothing: a list with a fault leaves the log alone.
func TestBadHandWritesNothing(t *testing.T) {
	ctx, s, must := t.Context(), newStore(t), mustAssign(t)
	r := wavesRunner(t, s, salesThenEnabled...)
	desired := commitUsers(t, s, "migration/demo", StageDesired, upTo(20)...)
	file := filepath.Join(t.TempDir(), "hand.csv")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("key,wave\nuser-1,sales\nuser-2,sales\nuser-1,sales\n")
	entries := storeState(t, s).N
	if _, err := r.AssignByHand(ctx, waves.Hand{File: file}, desired); err == nil || storeState(t, s).N != entries {
		t.Fatalf("%v, %d entries", err, storeState(t, s).N-entries)
	}
	write("key,wave\nuser-1,sales\n")
	a := must(r.AssignByHand(ctx, waves.Hand{File: file}, desired))
	if a.Rows != 1 || a.Unassigned != 19 || a.File != file {
		t.Errorf("%+v", a)
	}
	var users []AssignedUser
	if err := r.WaveUsers(ctx, "sales", func(u AssignedUser) error { users = append(users, u); return nil }); err != nil {
		t.Fatal(err)
	}
	if id := schemas.NewRowID(wavesNamespace, schemas.Users, "user-1"); len(users) != 1 || users[0] != (AssignedUser{Key: "user-1", Wave: "sales", Rule: waves.ByHand, id: id}) {
		t.Errorf("%+v", users)
	}
}

// TestWaveList counts those in the target, new ones apart, and waves that the
// configuration has no more.
func TestWaveList(t *testing.T) {
	ctx, s, must := t.Context(), newStore(t), mustAssign(t)
	r := wavesRunner(t, s, salesThenEnabled...)
	list, err := r.WaveList(ctx)
	if err != nil || len(list.Waves) != 2 || !list.Desired.IsZero() {
		t.Fatalf("empty store: %+v, %v", list, err)
	}
	if _, err := r.Desired(ctx); !errors.Is(err, ErrNoDesired) {
		t.Errorf("no desired state: %v", err)
	}
	must(r.Assign(ctx, "", commitUsers(t, s, "migration/demo", StageDesired, upTo(20)...)))
	commitUsers(t, s, "migration/demo", StageDesired, upTo(30)...)
	commitUsers(t, s, "target/target", StageBase, 0, 1, 4, 7, 99)
	if list, err = r.WaveList(ctx); err != nil {
		t.Fatal(err)
	}
	if sales, enabled := list.Waves[0], list.Waves[1]; sales.Total != 5 || sales.New != 3 || sales.InTarget != 2 || enabled.InTarget != 2 || list.Users != 30 {
		t.Errorf("%+v\n%+v", sales, enabled)
	}
	// One wave is gone from the configuration, then all.
	r = wavesRunner(t, s, salesThenEnabled[1])
	if list, err = r.WaveList(ctx); err != nil || len(list.Waves) != 2 || list.Waves[1].Wave != "sales" || !list.Waves[1].Removed || list.Waves[1].Total != 5 {
		t.Errorf("%+v, %v", list, err)
	}
	r.Waves = nil
	if list, err = r.WaveList(ctx); err != nil || len(list.Waves) != 2 || !list.Waves[0].Removed {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := r.Assign(ctx, "", list.Desired); !errors.Is(err, ErrNoWaves) {
		t.Errorf("no waves: %v", err)
	}
}

// TestLoadWaves: what is wrong stands at its place in the file.
func TestLoadWaves(t *testing.T) {
	file := filepath.Join(t.TempDir(), "migration.yaml")
	text := `version: 1
store: s
sources: {a: {kind: ldif, namespace: one, files: [x], tables: [{name: people, key: dn}]}}
targets: {t: {dialect: keycloak, realm: r, sandbox: {state: st}}}
migrations:
  m:
    source: a
    target: t
    mapping: m.yaml
    waves:
      - {name: a, percent: 10}
      - name: b
        where: user.emial == "x"
      - {name: c, where: size(key)}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	_, m, _ := c.Migration("m")
	_, err = LoadWaves(c, "m", m)
	ps, _ := errors.AsType[config.Problems](err)
	if len(ps) != 2 || ps[0].Line != 13 || ps[0].Column != 16 || ps[1].Line != 14 || ps[1].Column != 26 || ps[0].Path != "migrations.m.waves[1].where" {
		t.Errorf("%v", err)
	}
	m.Waves = m.Waves[:1]
	if sel, err := LoadWaves(c, "m", m); err != nil || sel.Names()[0] != "a" {
		t.Errorf("%v, %v", sel, err)
	}
}
