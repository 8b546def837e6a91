package load_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/loadtest"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// depot is a real store on disk, as a run has it.
type depot struct {
	*snapshots.Store
	tb testing.TB
}

func newDepot(tb testing.TB) *depot {
	tb.Helper()
	b := must(local.Open(tb.TempDir()))
	key := tb.TempDir() + "/key.txt"
	must(seal.NewIdentity(key))
	id := must(seal.LoadIdentity(key))
	check(snapshots.Init(tb.Context(), b, snapshots.InitOptions{Recipients: id.Recipients()}))
	k := must(snapshots.Unlock(tb.Context(), b, id))
	return &depot{Store: must(snapshots.Open(tb.Context(), b, snapshots.Options{Keyring: k})), tb: tb}
}

// write makes a snapshot of what fill writes.
func (d *depot) write(stage string, tables []schemas.Table, fill func(load.RowWriter) error) *snapshots.Snapshot {
	d.tb.Helper()
	w := d.NewWriter(tables, snapshots.WriterOptions{Memory: 64 << 20, TempDir: d.tb.TempDir()})
	defer w.Close()
	if err := fill(w); err != nil {
		d.tb.Fatal(err)
	}
	draft := must(w.Finish(d.tb.Context()))
	must(d.Commit(d.tb.Context(), snapshots.Change{Reason: "test", Actions: []snapshots.Action{draft.Action("test", stage)}}))
	return must(d.Snapshot(d.tb.Context(), draft.Digest.String()))
}

// population writes users with a sealed password and two memberships each.
func (d *depot) population(w load.RowWriter, users int, firstName string) error {
	ctx := d.tb.Context()
	put := func(table, key string, words ...string) error {
		return w.WriteRow(ctx, table, row(table, key, words...), -1)
	}
	if err := put(schemas.Organizations, "meridian", "alias=meridian", "name=Meridian", "enabled=true"); err != nil {
		return err
	}
	if err := put(schemas.Departments, "sales", "organization=meridian", "name=Sales"); err != nil {
		return err
	}
	for i := range users {
		key := fmt.Sprintf("u%06d", i)
		if err := put(schemas.Users, key, "enabled=true", "first_name="+firstName, "email="+key+"@meridian.example", "realm_roles=reader"); err != nil {
			return err
		}
		c := row(schemas.Credentials, key+"/password", "type=password", "algorithm=pbkdf2-sha256", "changed_at=5")
		sealed, err := d.Keyring().Seal(schemas.Credentials, c.ID, "secret", []byte(key))
		if err != nil {
			return err
		}
		shape := shapes[schemas.Credentials]
		c.Values[shape.Column("secret")] = sealed
		if err := w.WriteRow(ctx, schemas.Credentials, c, -1); err != nil {
			return err
		}
		if err := put(schemas.Memberships, key+"/meridian", "organization=meridian"); err != nil {
			return err
		}
		if err := put(schemas.Memberships, key+"/sales", "organization=meridian", "department=sales"); err != nil {
			return err
		}
	}
	return nil
}

// look observes the target into a snapshot.
func (d *depot) look(target load.Target, base load.Snapshot, desired load.Snapshot) *snapshots.Snapshot {
	return d.write("observed", load.ObservedTables(loadtest.Profile()), func(w load.RowWriter) error {
		in := load.ObserveInput{Target: target, Profile: loadtest.Profile(), IDs: must(load.ReadIDMap(d.tb.Context(), base)),
			Users: load.Probes(d.tb.Context(), target, base, desired, load.Reach{}, nil), Structure: true, Foreign: true}
		_, err := load.Observe(d.tb.Context(), in, w)
		return err
	})
}

// plan makes and seals a plan.
func (d *depot) plan(run string, target load.Target, base, desired, observed load.Snapshot) (*load.Manifest, *snapshots.Snapshot) {
	var m *load.Manifest
	effective := d.write("effective", load.EffectiveTables(), func(w load.RowWriter) (err error) {
		m, err = load.Plan(d.tb.Context(), load.PlanInput{Run: run, TargetName: "live", Base: base, Desired: desired, Observed: observed,
			Target: target, Profile: loadtest.Profile(), Files: d, Options: load.PlanOptions{Time: epoch}}, w)
		return err
	})
	check(m.Seal(d.tb.Context(), d, effective.Digest()))
	return m, effective
}

// A whole run over a store on disk: planned, loaded, folded, verified; a second
// run has nothing to do; a third carries a change.
func TestARunOverAStore(t *testing.T) {
	const users = 300
	ctx := t.Context()
	d := newDepot(t)
	target := loadtest.NewTarget()
	base := load.Empty
	for i, c := range []struct {
		name string
		want load.Class
		ops  int64
	}{{"Anna", load.Created, 2 + 4*users}, {"Anna", load.Unchanged, 0}, {"Anne", load.Updated, users}} {
		run := fmt.Sprintf("run%d", i)
		desired := d.write("desired", loadtest.DesiredTables(), func(w load.RowWriter) error { return d.population(w, users, c.name) })
		observed := d.look(target, base, desired)
		made, _ := d.plan(run, target, base, desired, observed)
		m := must(load.OpenPlan(ctx, d, run))
		if m.Digest != made.Digest || m.Operations != c.ops || m.Counts[schemas.Users].Classes[c.want] != users {
			t.Fatalf("%s: %d operations, %+v", run, m.Operations, m.Counts[schemas.Users])
		}
		effective := must(d.Snapshot(ctx, m.Effective.String()))
		dir := t.TempDir()
		res, err := load.Load(ctx, load.LoadInput{Plan: m, Base: base, Effective: effective, TargetName: "live", Target: target,
			Profile: loadtest.Profile(), Files: d, LedgerDir: dir, Options: load.LoadOptions{Retry: load.FastPolicy()}})
		if err != nil || res.Counts[schemas.Users].Classes[c.want] != users {
			t.Fatalf("%s: %v, %+v", run, err, res)
		}
		ledger := must(load.ReadLedger(ctx, d, m))
		next := d.write("base", load.BaseTables(), func(w load.RowWriter) error {
			_, err := load.Fold(ctx, load.FoldInput{Plan: m, Files: d, Ledger: ledger, Base: base, Effective: effective, UserID: target.UserID}, w)
			return err
		})
		if n := next.Rows(schemas.IDMap); n != users+2 {
			t.Errorf("%s: %d entries in the id map", run, n)
		}
		again := d.look(target, next, desired)
		for diff, err := range load.Verify(ctx, load.VerifyInput{Effective: effective, Observed: again, Plan: m, Files: d, Ledger: ledger}) {
			t.Fatalf("%s: verify: %+v %v", run, diff, err)
		}
		base = next
	}
}

// Planning streams users: what it keeps in memory does not grow with them. Set
// PLAN_USERS to measure more.
func BenchmarkPlan(b *testing.B) {
	users := 20_000
	if s := os.Getenv("PLAN_USERS"); s != "" {
		_, err := fmt.Sscan(s, &users)
		check(err)
	}
	d := newDepot(b)
	target := loadtest.NewTarget()
	desired := d.write("desired", loadtest.DesiredTables(), func(w load.RowWriter) error { return d.population(w, users, "Anna") })
	observed := d.look(target, load.Empty, desired)
	n := 0
	for b.Loop() {
		n++
		begun := time.Now()
		m, _ := d.plan(fmt.Sprintf("run%d", n), target, load.Empty, desired, observed)
		if m.Operations != int64(2+4*users) {
			b.Fatal(m.Operations)
		}
		b.ReportMetric(float64(users)/time.Since(begun).Seconds(), "users/s")
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		b.ReportMetric(float64(mem.Sys)/(1<<20), "MiB-sys")
	}
}
