package snapshots_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/diffprint"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

const (
	goldenLife         = "testdata/golden-v1-life"
	goldenLifeIdentity = "testdata/golden-v1-life-identity.txt"
)

// lifeWriter makes the golden store of a whole migration's life, step by step.
type lifeWriter struct {
	t   *testing.T
	dir string
	id  *seal.Identity
	now time.Time
}

func (w *lifeWriter) store() *snapshots.Store {
	w.t.Helper()
	b, err := local.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { b.Close() })
	keys, err := snapshots.Unlock(w.t.Context(), b, w.id)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := snapshots.Open(w.t.Context(), b, snapshots.Options{Keyring: keys, Writer: "parallelrun@golden", PackEvery: 8, Now: func() time.Time { return w.now }})
	if err != nil {
		w.t.Fatal(err)
	}
	snapshots.SetProcess(s, snapshots.Holder{Host: "golden", PID: 1})
	return s
}

func (w *lifeWriter) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *lifeWriter) commit(s *snapshots.Store, reason string, actions ...snapshots.Action) {
	w.t.Helper()
	_, err := s.Commit(w.t.Context(), snapshots.Change{Reason: reason, Run: "r1", Actions: actions})
	w.must(err)
}

// night commits people as they are in a night, upon the night before: one is
// changed and one gone since the first, another each night.
func (w *lifeWriter) night(s *snapshots.Store, n int) {
	w.t.Helper()
	o := snapshots.WriterOptions{Bounds: smallParts}
	if n > 0 {
		o.Parent = mustSnapshot(w.t, s, nightName(n-1))
	}
	d := writeDraft(w.t, s, o, 80+n, func(i int, r *schemas.Row) bool {
		if n > 0 && i == 10*n {
			r.Values[2] = int64(1000 * n)
		}
		return (n == 0 || i != 10*n+1) && goldenEdit(false)(i, r)
	})
	w.commit(s, "extract", d.Action("hr", "legacy"), snapshots.RefAction{Name: nightName(n), Digest: d.Digest})
}

func nightName(n int) string { return fmt.Sprint("night-", n) }

// rows commits a table of a few rows.
func (w *lifeWriter) rows(s *snapshots.Store, stage string, t schemas.Table, more ...snapshots.Action) snapshots.Draft {
	w.t.Helper()
	out := s.NewWriter([]schemas.Table{t}, snapshots.WriterOptions{})
	defer out.Close()
	for i := range 3 {
		row := person(w.t, nil, i)
		row.Values = make([]any, len(t.Columns))
		for j := range row.Values {
			row.Values[j] = fmt.Sprint(t.Columns[j].Name, " ", i)
		}
		w.must(out.WriteRow(w.t.Context(), t.Name, row, int64(i)))
	}
	d, err := out.Finish(w.t.Context())
	w.must(err)
	w.commit(s, stage, append([]snapshots.Action{d.Action("acme", stage)}, more...)...)
	return d
}

// age makes everything in the store so old that it can be garbage.
func (w *lifeWriter) age() {
	w.must(filepath.WalkDir(w.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, w.now, w.now)
	}))
	w.now = w.now.Add(48 * time.Hour)
}

// makeGoldenLife writes a store with all that a migration leaves in one.
func makeGoldenLife(t *testing.T, id *seal.Identity) {
	w := &lifeWriter{t: t, dir: goldenLife, id: id, now: goldenTime}
	ctx := t.Context()
	w.must(os.RemoveAll(w.dir))
	b, err := local.Create(w.dir)
	w.must(err)
	w.must(snapshots.Init(ctx, b, snapshots.InitOptions{Recipients: id.Recipients(), Now: func() time.Time { return w.now }}))
	defer b.Close()

	// Four nights, secrets of two key epochs, an earlier one ended; the third night compacted.
	s := w.store()
	_, err = s.NewEpoch(ctx, id, id.Recipients()...)
	w.must(err)
	_, _, err = s.EndEpoch(ctx, 1, "ann@golden", nil)
	w.must(err)
	s = w.store()
	w.commit(s, "begin", snapshots.NamespaceAction{Source: "hr", Namespace: "hr.example"})
	w.night(s, 0)
	_, err = s.NewEpoch(ctx, id, id.Recipients()...)
	w.must(err)
	s = w.store()
	w.night(s, 1)
	w.night(s, 2)
	_, err = s.Compact(ctx, mustSnapshot(t, s, "night-2"), snapshots.WriterOptions{Bounds: smallParts})
	w.must(err)
	w.night(s, 3)

	// A target: taken, loaded, checkpoints, waves.
	lease, err := s.AcquireLease(ctx, "live", snapshots.LeaseOptions{Run: "r1"})
	w.must(err)
	base := w.rows(s, "base", schemas.IDMapTable(), snapshots.RefAction{Name: "base/live"})
	w.commit(s, "fold", snapshots.RefAction{Name: "base/live", Digest: base.Digest, Old: &snapshots.Digest{}})
	assigned := w.rows(s, "assignment", schemas.WaveAssignmentTable())
	w.must(lease.Release(ctx))
	mapping, err := s.PutBlob(ctx, []byte("rules: []\n"))
	w.must(err)
	w.commit(s, "before the pilot", snapshots.CheckpointAction{Name: "before-pilot", Target: "live", Epochs: []uint32{2, 3},
		Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: base.Digest, snapshots.RoleAssignment: assigned.Digest, snapshots.RoleLegacy: mustSnapshot(t, s, "night-1").Digest()},
		Inputs:    []snapshots.CheckpointInput{{Name: "mapping/mapping.yaml", Blob: mapping}}},
		snapshots.CheckpointAction{Name: "nothing-yet", Target: "other", Empty: true})
	w.commit(s, "not needed", snapshots.CheckpointAction{Name: "nothing-yet", Drop: true})
	wave := snapshots.WaveAction{Migration: "acme", Target: "live", Wave: "pilot", By: "ann@golden", Despite: "two are on leave"}
	w.commit(s, "the pilot is over", wave)
	w.commit(s, "not yet", snapshots.WaveAction{Migration: "acme", Target: "live", Wave: "pilot", By: "ann@golden", Open: true})
	w.commit(s, "now it is", wave)
	w.must(s.SignSync(ctx, "live", w.now))
	for _, key := range []string{"runs/r1/run.json", "runs/r2/run.json"} {
		w.must(s.PutFile(ctx, key, []byte("{}\n")))
	}

	// Garbage: given up, in part deleted, and one of them needed again.
	for _, name := range []string{"gone", "again"} {
		d := w.unit(s, name)
		w.commit(s, "a try", d.Action("hr", "legacy"))
		w.commit(s, "not kept", snapshots.DropAction{Snapshots: []snapshots.Digest{d.Digest}, By: "retention"})
	}
	w.commit(s, "not kept", snapshots.DropAction{Runs: []string{"r2"}, By: "ann@golden"})
	w.age()
	s = w.store()
	w.gc(s)
	d := w.unit(s, "again")
	w.commit(s, "a try", d.Action("hr", "legacy"), snapshots.RefAction{Name: "again", Digest: d.Digest})

	// A damaged part with a second copy.
	whole := filepath.Join(t.TempDir(), "copy")
	w.must(os.CopyFS(whole, os.DirFS(w.dir)))
	table, _ := mustSnapshot(t, s, "night-0").Stored("units")
	name := table.Layers[0].Parts[0].Object.Name()
	path := filepath.Join(w.dir, "objects", "sha256", name[:2], name[2:4], name)
	data, err := os.ReadFile(path)
	w.must(err)
	data[len(data)/2] ^= 1
	w.must(os.Remove(path))
	w.must(os.WriteFile(path, data, 0o600))
	from := (&lifeWriter{t: t, dir: whole, id: id, now: w.now}).store()
	_, err = w.store().Repair(ctx, snapshots.RepairOptions{From: from, Apply: true})
	w.must(err)
	w.must(os.RemoveAll(filepath.Join(w.dir, ".tmp")))
}

// unit makes a snapshot of one unit.
func (w *lifeWriter) unit(s *snapshots.Store, name string) snapshots.Draft {
	w.t.Helper()
	d, err := draft(w.t.Context(), s, nil, name)
	w.must(err)
	return d
}

// gc gives up names of what nothing needs; what lies there stays for a grace
// period.
func (w *lifeWriter) gc(s *snapshots.Store) snapshots.Collected {
	w.t.Helper()
	p, err := s.PlanGC(w.t.Context(), snapshots.GCOptions{})
	w.must(err)
	done, err := s.Collect(w.t.Context(), p, snapshots.GCOptions{})
	w.must(err)
	return done
}

// lifeSummary tells what the store holds, as far as it is the same each time
// that it is made.
func lifeSummary(t *testing.T, s *snapshots.Store) []byte {
	var b bytes.Buffer
	st := state(t, s)
	names := st.Names()
	for _, h := range st.History {
		fmt.Fprintf(&b, "%d %s of %s %v\n", h.N, h.Stage, h.Dataset, names[h.Digest])
		sn := mustSnapshot(t, s, h.Digest.String())
		for _, name := range sn.Tables() {
			table, _ := sn.Stored(name)
			epochs := map[uint32]bool{}
			for _, l := range table.Layers {
				for _, p := range l.Parts {
					for _, e := range p.Epochs {
						epochs[e] = true
					}
				}
			}
			fmt.Fprintf(&b, "  %s: %d rows, %d layers, %d changes, key epochs %v\n", name, table.Rows, len(table.Layers), table.Changes(), slices.Sorted(maps.Keys(epochs)))
		}
	}
	for _, c := range st.CheckpointsByTime() {
		fmt.Fprintf(&b, "checkpoint %s of %s: %v, %d inputs, key epochs %v\n", c.Name, c.Target, c.Pinned(), len(c.Inputs), c.Epochs)
	}
	for k, wave := range st.Waves {
		fmt.Fprintf(&b, "wave %v: %+v\n", k, wave.WaveAction)
	}
	fmt.Fprintf(&b, "lease of live: epoch %d, released %v\n", st.Leases["live"].Epoch, st.Leases["live"].Released)
	fmt.Fprintf(&b, "key epochs ended: %v\n", slices.Sorted(maps.Keys(st.Ended)))
	fmt.Fprintf(&b, "names given up of %d contents, %d snapshots and runs %v dropped\n\n", st.Marked(), len(st.Dropped), slices.Sorted(maps.Keys(st.DroppedRuns)))
	for _, c := range changes(t, mustSnapshot(t, s, "night-0"), mustSnapshot(t, s, "night-3"), snapshots.DiffOptions{}) {
		if err := diffprint.Row(&b, c); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// Today's code reads, verifies and compares what a migration left in a store of
// version 1, opens its secrets, and goes on in it; so does the reader in another
// language.
func TestGoldenLife(t *testing.T) {
	id := goldenKey(t, goldenLifeIdentity)
	if *updateStores {
		makeGoldenLife(t, id)
	}
	dir := filepath.Join(t.TempDir(), "store") // a copy: the golden one is never written
	if err := os.CopyFS(dir, os.DirFS(goldenLife)); err != nil {
		t.Fatal(err)
	}
	w := &lifeWriter{t: t, dir: dir, id: id, now: goldenTime.Add(72 * time.Hour)}
	s := w.store()
	if r := verify(t, s, snapshots.VerifyRows); r.Damaged() != 0 {
		t.Errorf("verify: %+v", r.Findings)
	}
	golden(t, "golden-v1-life.txt", lifeSummary(t, s))
	opened(t, s)
	placed(t, s, "night-0", "/repaired/objects/sha256/", "")
	placed(t, s, "again", "/objects/sha256/", "-2")
	recompute(t, dir, 7)

	// Life goes on: a further night, a checkpoint of it, what is old is compacted and collected.
	w.night(s, 4)
	if table, _ := mustSnapshot(t, s, "night-4").Stored("people"); !table.Layered() {
		t.Error("the next night is not stored as a change upon the last of version 1")
	}
	w.commit(s, "before the next wave", snapshots.CheckpointAction{Name: "next", Target: "live",
		Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: state(t, s).Refs["base/live"].Digest, snapshots.RoleLegacy: mustSnapshot(t, s, "night-4").Digest()}})
	if _, err := s.Compact(t.Context(), mustSnapshot(t, s, "night-3"), snapshots.WriterOptions{Bounds: smallParts}); err != nil {
		t.Fatal(err)
	}
	lease, err := s.AcquireLease(t.Context(), "live", snapshots.LeaseOptions{Run: "r3"})
	if err != nil || lease.Epoch() != 2 {
		t.Fatalf("lease: %v", err)
	}
	w.must(lease.Release(t.Context()))
	if done := w.gc(w.store()); done.Deleted.Objects == 0 {
		t.Errorf("what was given up is not deleted: %+v", done)
	}
	if r := verify(t, w.store(), snapshots.VerifyRows); r.Damaged() != 0 {
		t.Errorf("verify: %+v", r.Findings)
	}
	recompute(t, dir, 9)
}

// opened looks at secrets of both key epochs.
func opened(t *testing.T, s *snapshots.Store) {
	t.Helper()
	want := person(t, s.Keyring(), 8)
	for epoch, night := range map[byte]string{2: "night-0", 3: "night-1"} {
		r, err := mustSnapshot(t, s, night).Reader("people")
		if err != nil {
			t.Fatal(err)
		}
		for row, err := range r.Lookup(t.Context(), slices.Values([]schemas.RowID{want.ID}), parts.ScanOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			sealed := row.Values[7].(schemas.Sealed)
			if got, err := s.Keyring().Open("people", row.ID, "password", sealed); err != nil || string(got) != testPassword(8) || sealed.Box[4] != epoch {
				t.Errorf("secret of %s, key epoch %d: %v", night, sealed.Box[4], err)
			}
		}
	}
}

// placed looks at where others are told to find a snapshot's units: where the
// bytes are that the part must have.
func placed(t *testing.T, s *snapshots.Store, name, folder, end string) {
	t.Helper()
	table, _ := mustSnapshot(t, s, name).Stored("units")
	part := table.Layers[0].Parts[0].Object
	place, err := s.Place(t.Context(), part)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(place, folder) || !strings.HasSuffix(place, part.Name()+end) {
		t.Errorf("units of %s lie at %s", name, place)
	}
	if data, err := os.ReadFile(place); err != nil || sha256.Sum256(data) != part.SHA256 {
		t.Errorf("units of %s: other bytes lie at %s: %v", name, place, err)
	}
}

// The reader in another language sees what was changed later: of the log, of a
// part, of a manifest, of what a checkpoint pins.
func TestRecomputeFinds(t *testing.T) {
	python := pythonWithArrow(t)
	mapping := sha256.Sum256([]byte("rules: []\n"))
	input := hex.EncodeToString(mapping[:])
	pack := func(n int) string {
		data, err := os.ReadFile(fmt.Sprintf("%s/logpacks/%020d.json.gz", goldenLife, n))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, c := range []struct{ file, old, with, finds string }{
		{"log/00000000000000000004.json", `"reason": "extract"`, `"reason": "exploit"`, "log/00000000000000000005.json: it does not follow upon the entry before"},
		{"log/00000000000000000010.json", `"n": 10,`, `"n": 11,`, "log/00000000000000000010.json: entry 10 is expected here"},
		{"format.json", `"canonical": 1`, `"canonical": 2`, "a format that this reader does not know"},
		{"objects/sha256/" + input[:2] + "/" + input[2:4] + "/" + input, "rules", "mules", "BAD state: object " + input},
		{"logpacks/00000000000000000016.json.gz", pack(16), pack(8), "logpacks/00000000000000000016.json.gz: it does not hold entries 9 to 16"},
	} {
		dir := filepath.Join(t.TempDir(), "store")
		if err := os.CopyFS(dir, os.DirFS(goldenLife)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(c.file))
		data, err := os.ReadFile(path)
		changed := bytes.Replace(data, []byte(c.old), []byte(c.with), 1)
		if err != nil || bytes.Equal(data, changed) {
			t.Fatalf("%s does not hold %q: %v", c.file, c.old, err)
		}
		if err := errors.Join(os.Remove(path), os.WriteFile(path, changed, 0o600)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, filepath.Join("..", "scripts", "format", "recompute.py"), dir).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.finds) {
			t.Errorf("%s: %v, want %q in\n%.2000s", c.file, err, c.finds, out)
		}
	}
}
