package snapshots_test

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
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
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/diffprint"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// The golden stores are what a version 1 wrote. Rewrite them only for a format
// that was never released; later versions must read them as they are.
var updateStores = flag.Bool("update-stores", false, "make the golden stores anew")

const goldenIdentity = "testdata/golden-v1-identity.txt"

var goldenTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func goldenEdit(second bool) func(i int, r *schemas.Row) bool {
	return func(i int, r *schemas.Row) bool {
		if i != 7 {
			r.Values[5] = nil
		}
		if second && i%5 == 0 {
			r.Values[0], r.Values[2] = "Änne", nil
		}
		return !second || i != 3
	}
}

// makeGolden writes a store with everything that a store can hold.
func makeGolden(t *testing.T, dir string, id *seal.Identity) {
	ctx, now := t.Context(), func() time.Time { return goldenTime }
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	b, err := local.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var recipients []seal.Recipient
	if id != nil {
		recipients = id.Recipients()
	}
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{Recipients: recipients, Now: now}); err != nil {
		t.Fatal(err)
	}
	s := openGolden(t, b, id)
	first := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 60, goldenEdit(false))
	mustCommit(t, s, first, snapshots.NamespaceAction{Source: "hr", Namespace: "hr.example"}, snapshots.RefAction{Name: "first", Digest: first.Digest})
	l, err := s.AcquireLease(ctx, "live", snapshots.LeaseOptions{Run: "r2"})
	if err != nil {
		t.Fatal(err)
	}
	second := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 61, goldenEdit(true))
	_, err = s.Commit(ctx, snapshots.Change{Reason: "extract again", Run: "r2", Actions: []snapshots.Action{
		second.Action("hr", "legacy", first.Digest), snapshots.RefAction{Name: "second", Digest: second.Digest, Old: &snapshots.Digest{}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutFile(ctx, "runs/r2/report.json", []byte("{}\n")); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, ".tmp")); err != nil {
		t.Fatal(err)
	}
}

func openGolden(t *testing.T, b snapshots.Backend, id *seal.Identity) *snapshots.Store {
	t.Helper()
	o := snapshots.Options{Writer: "parallelrun@golden", Now: func() time.Time { return goldenTime }}
	if id != nil {
		var err error
		if o.Keyring, err = snapshots.Unlock(t.Context(), b, id); err != nil {
			t.Fatal(err)
		}
	}
	s, err := snapshots.Open(t.Context(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	snapshots.SetProcess(s, snapshots.Holder{Host: "golden", PID: 1})
	return s
}

// summary tells what a golden store holds, as far as it is the same each time
// that it is made.
func summary(t *testing.T, s *snapshots.Store) []byte {
	var b bytes.Buffer
	st := state(t, s)
	for _, h := range st.History {
		fmt.Fprintf(&b, "%d %s %s/%s run %s parents %v\n", h.N, h.Digest, h.Dataset, h.Stage, h.Run, h.Parents)
		sn := mustSnapshot(t, s, h.Digest.String())
		for _, name := range sn.Tables() {
			table, _ := sn.Stored(name)
			fmt.Fprintf(&b, "  %s: %d rows, %d parts, %s\n", name, table.Rows, len(table.Layers[0].Parts), table.Digest)
		}
	}
	fmt.Fprintf(&b, "refs: first %s, second %s\n", st.Refs["first"].Digest.Short(), st.Refs["second"].Digest.Short())
	fmt.Fprintf(&b, "namespaces: %v\n", st.Namespaces)
	fmt.Fprintf(&b, "lease: epoch %d, run %s, released %v\n\n", st.Leases["live"].Epoch, st.Leases["live"].Holder.Run, st.Leases["live"].Released)
	var stat snapshots.Stat
	for _, c := range changes(t, mustSnapshot(t, s, "first"), mustSnapshot(t, s, "second"), snapshots.DiffOptions{Stat: &stat}) {
		if err := diffprint.Row(&b, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := diffprint.Stat(&b, stat); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Today's code reads and verifies what version 1 wrote, opens its secrets, and
// makes the same digests of the same rows.
func TestGoldenStores(t *testing.T) {
	for _, name := range []string{"golden-v1", "golden-v1-secrets", "golden-v1-halves"} {
		t.Run(name, func(t *testing.T) {
			var id *seal.Identity
			if name == "golden-v1-secrets" {
				id = goldenKey(t, goldenIdentity)
			}
			dir := filepath.Join("testdata", name)
			if *updateStores {
				makeGolden(t, dir, id)
			}
			b, err := local.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			s := openGolden(t, b, id)
			r := verify(t, s, snapshots.VerifyRows)
			if len(r.Findings) != 0 || r.Entries != 4 || r.Rows != 98 {
				t.Errorf("verify: %+v", r)
			}
			golden(t, name+".txt", summary(t, s))
			sameDigestAgain(t, s, b, id)
			if id != nil {
				goldenSecrets(t, s)
			}
			recompute(t, dir, 2)
		})
	}
}

// Today's code reads, verifies and compares what the first version with layers
// wrote: five nights, the fourth compacted, the fifth upon that.
func TestGoldenLayers(t *testing.T) {
	dir := filepath.Join("testdata", "golden-v1-layers")
	if *updateStores {
		makeGoldenLayers(t, dir)
	}
	b, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := openGolden(t, b, nil)
	r := verify(t, s, snapshots.VerifyRows)
	if len(r.Findings) != 0 || r.Entries != 6 {
		t.Errorf("verify: %+v", r)
	}
	var out bytes.Buffer
	st := state(t, s)
	for i, h := range st.History {
		sn := mustSnapshot(t, s, h.Digest.String())
		table, _ := sn.Stored("people")
		fmt.Fprintf(&out, "%s %d rows %s, %d layers, %d changes\n", h.Digest, table.Rows, table.Digest, len(table.Layers), table.Changes())
		if i == 0 {
			continue
		}
		for _, c := range changes(t, mustSnapshot(t, s, st.History[i-1].Digest.String()), sn, snapshots.DiffOptions{}) {
			if err := diffprint.Row(&out, c); err != nil {
				t.Fatal(err)
			}
		}
	}
	golden(t, "golden-v1-layers.txt", out.Bytes())
	recompute(t, dir, 6)
}

func makeGoldenLayers(t *testing.T, dir string) {
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	b, err := local.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := snapshots.Init(t.Context(), b, snapshots.InitOptions{Now: func() time.Time { return goldenTime }}); err != nil {
		t.Fatal(err)
	}
	s := openGolden(t, b, nil)
	o := snapshots.WriterOptions{Bounds: smallParts}
	for night := range 5 {
		d := writeDraft(t, s, o, 80+night, func(i int, r *schemas.Row) bool {
			if i == 10 || i == 10+night {
				r.Values[2] = int64(night)
			}
			return i != 20+night && goldenEdit(false)(i, r)
		})
		mustCommit(t, s, d)
		o.Parent = mustSnapshot(t, s, d.Digest.String())
		if night == 3 {
			if _, err := s.Compact(t.Context(), o.Parent, snapshots.WriterOptions{Bounds: smallParts}); err != nil {
				t.Fatal(err)
			}
			o.Parent = mustSnapshot(t, s, d.Digest.String())
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, ".tmp")); err != nil {
		t.Fatal(err)
	}
}

func goldenKey(t *testing.T, path string) *seal.Identity {
	t.Helper()
	if *updateStores {
		_ = os.Remove(path)
		if _, err := seal.NewIdentity(path); err != nil {
			t.Fatal(err)
		}
	}
	id, err := seal.LoadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// sameDigestAgain writes the first snapshot anew, into another store with the
// golden one's keys.
func sameDigestAgain(t *testing.T, golden *snapshots.Store, from snapshots.Backend, id *seal.Identity) {
	m := &backendtest.Memory{}
	keys, err := backendtest.Keys(t.Context(), from, "keys/", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range append(keys, "format.json") {
		data, err := backendtest.Get(t.Context(), from, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := backendtest.Put(t.Context(), m, key, data); err != nil {
			t.Fatal(err)
		}
	}
	s := openGolden(t, m, id)
	d := writeDraft(t, s, snapshots.WriterOptions{}, 60, goldenEdit(false))
	if want := mustSnapshot(t, golden, "first").Digest(); d.Digest != want {
		t.Errorf("the same rows make digest %s, in version 1 %s", d.Digest, want)
	}
}

func goldenSecrets(t *testing.T, s *snapshots.Store) {
	r, err := mustSnapshot(t, s, "first").Reader("people")
	if err != nil {
		t.Fatal(err)
	}
	want := person(t, s.Keyring(), 10)
	for row, err := range r.Lookup(t.Context(), slices.Values([]schemas.RowID{want.ID}), parts.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Keyring().Open("people", row.ID, "password", row.Values[7].(schemas.Sealed))
		if err != nil || string(got) != testPassword(10) {
			t.Errorf("secret of version 1: %q, %v", got, err)
		}
		return
	}
	t.Error("row 10 is not there")
}

// recompute lets a reader in another language agree.
func recompute(t *testing.T, dir string, manifests int) {
	t.Helper()
	if python := anyPython(); python == "" {
		t.Log("not recomputed: no Python with pyarrow (pip install -r scripts/format/requirements.txt, or set PARALLELRUN_PYTHON)")
	} else if out, err := exec.Command(python, filepath.Join("..", "scripts", "format", "recompute.py"), dir).CombinedOutput(); err != nil ||
		!strings.Contains(string(out), fmt.Sprint(manifests, " manifests, 0 bad")) {
		t.Errorf("recompute: %v\n%s", err, out)
	}
}

// anyPython is a Python that has pyarrow: PARALLELRUN_PYTHON, else python3;
// empty for none.
func anyPython() string {
	python := cmp.Or(os.Getenv("PARALLELRUN_PYTHON"), "python3")
	if exec.Command(python, "-c", "import pyarrow").Run() != nil {
		return ""
	}
	return python
}

// pythonWithArrow is anyPython, or the test is skipped.
func pythonWithArrow(t *testing.T) string {
	t.Helper()
	python := anyPython()
	if python == "" {
		t.Skip("no Python with pyarrow: pip install -r scripts/format/requirements.txt, or set PARALLELRUN_PYTHON")
	}
	return python
}

// goldenEntry has every kind of action.
func goldenEntry() *snapshots.Entry {
	one, two := digest(1), digest(2)
	return &snapshots.Entry{N: 7, Prev: digest(9), Attempt: "6b1f4b46-1c5c-4c0f-9a55-0a2d2f1f7e10", Time: goldenTime, Writer: "parallelrun@host", Reason: "every action", Run: "r1",
		Actions: []snapshots.Action{
			snapshots.SnapshotAction{Digest: one, Manifest: two, Dataset: "hr", Stage: "legacy", Parents: []snapshots.Digest{two}},
			snapshots.SnapshotAction{Digest: two, Manifest: one, Dataset: "hr", Stage: "desired"},
			snapshots.RefAction{Name: "first", Digest: one, Old: &snapshots.Digest{}},
			snapshots.RefAction{Name: "gone"},
			snapshots.LeaseAction{Target: "live", Epoch: 3, Holder: snapshots.Holder{Run: "r1", Session: "s1", Host: "h", PID: 42, Machine: "m", Started: "99"}},
			snapshots.LeaseAction{Target: "live", Epoch: 3, Release: true, Holder: snapshots.Holder{Run: "r1", Session: "s1", Host: "h", PID: 42}},
			snapshots.NamespaceAction{Source: "hr", Namespace: "hr.example"},
			snapshots.CheckpointAction{Name: "before-pilot", Target: "live", Epochs: []uint32{1, 2}, Flags: two,
				Snapshots: map[string]snapshots.Digest{snapshots.RoleObserved: two, snapshots.RoleBase: one},
				Inputs:    []snapshots.CheckpointInput{{Name: "mapping/mapping.yaml", Blob: snapshots.Blob{SHA256: two, Size: 42}}}},
			snapshots.CheckpointAction{Name: "before-all", Target: "live", Empty: true},
			snapshots.CheckpointAction{Name: "after-pilot", Target: "live", Empty: true, Complete: []string{"admins", "pilot"}},
			snapshots.CheckpointAction{Name: "before-pilot", Drop: true},
			snapshots.WaveAction{Migration: "acme", Target: "live", Wave: "pilot", By: "ann@host", Despite: "two are on leave"},
			snapshots.WaveAction{Migration: "acme", Target: "live", Wave: "pilot", By: "ann@host", Open: true},
			snapshots.ManifestAction{Digest: one, Manifest: one, Old: two},
			snapshots.DropAction{Snapshots: []snapshots.Digest{two}, Runs: []string{"r0"}, By: "ann@host"},
			snapshots.GarbageAction{Objects: []snapshots.Digest{one}, Manifests: []snapshots.Digest{two}, Bytes: 42},
			snapshots.EndEpochAction{Epoch: 1, By: "ann@host"},
		}}
}

func TestEntryGolden(t *testing.T) {
	data, err := snapshots.EncodeEntry(goldenEntry())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "entry.json", data)
	again, err := snapshots.DecodeEntry(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range again.Actions {
		if u, ok := a.(snapshots.UnknownAction); ok {
			t.Errorf("action %s is not known any more", u.Kind)
		}
	}
	back, err := snapshots.EncodeEntry(again)
	if err != nil || !bytes.Equal(data, back) {
		t.Errorf("an entry read and written again differs (%v):\n%s", err, back)
	}
}

// The snapshot digest is fixed for good.
func TestSnapshotDigestVectors(t *testing.T) {
	s := openOn(t, initOn(t, &backendtest.Memory{}))
	empty, err := s.NewWriter(nil, snapshots.WriterOptions{}).Finish(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	d := writeDraft(t, s, snapshots.WriterOptions{}, 3, nil)
	golden(t, "digests.txt", fmt.Appendf(nil, "no tables   %s\nthree people %s\n", empty.Digest, d.Digest))
}

// What parses must write again; nothing panics.
func FuzzDecodeEntry(f *testing.F) {
	data, err := snapshots.EncodeEntry(goldenEntry())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":2,"n":1,"attempt":"a"}`))
	f.Add([]byte(`{"version":1,"n":1,"attempt":"a","actions":[{"kind":"new","version":7,"x":[1,2]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := snapshots.DecodeEntry(data)
		if err != nil {
			return
		}
		if len(e.Actions) == 1 {
			if u, ok := e.Actions[0].(snapshots.UnknownAction); ok && u.Kind == "entry" {
				return // a newer entry is never written
			}
		}
		first, err := snapshots.EncodeEntry(e)
		if err != nil {
			t.Fatalf("read and not written: %v", err)
		}
		e2, err := snapshots.DecodeEntry(first)
		if err != nil {
			t.Fatalf("written and not read: %v", err)
		}
		if second, err := snapshots.EncodeEntry(e2); err != nil || !bytes.Equal(first, second) {
			t.Errorf("written twice differs (%v)", err)
		}
	})
}
