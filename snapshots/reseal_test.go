package snapshots_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// rotate makes the next key epoch and opens the store anew.
func rotate(t testing.TB, b snapshots.Backend, s *snapshots.Store, id *seal.Identity) *snapshots.Store {
	t.Helper()
	if _, err := s.NewEpoch(t.Context(), id, id.Recipients()...); err != nil {
		t.Fatal(err)
	}
	return unlocked(t, b, id)
}

func reseal(ctx context.Context, s *snapshots.Store) (snapshots.Resealed, error) {
	plan, err := s.PlanReseal(ctx, snapshots.ResealOptions{Workers: 2})
	if err != nil {
		return snapshots.Resealed{}, err
	}
	return s.Reseal(ctx, plan, nil)
}

func mustReseal(t testing.TB, s *snapshots.Store) snapshots.Resealed {
	t.Helper()
	done, err := reseal(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// nights commits snapshots of people upon each other, layered.
func nights(t testing.TB, s *snapshots.Store, n, people int) (all []snapshots.Draft) {
	t.Helper()
	o := snapshots.WriterOptions{Bounds: smallParts}
	for night := range n {
		d := writeDraft(t, s, o, people, func(i int, r *schemas.Row) bool {
			if i != 7 {
				r.Values[5] = nil
			}
			if i >= 10 && i < 10+night {
				r.Values[2] = int64(-night)
			}
			return i != 20+night
		})
		mustCommit(t, s, d)
		all, o.Parent = append(all, d), mustSnapshot(t, s, d.Digest.String())
	}
	return all
}

// sealedIn is the key epochs that a snapshot needs, and its parts' files.
func sealedIn(t testing.TB, s *snapshots.Store, d snapshots.Digest) (epochs []uint32, files []parts.Object) {
	t.Helper()
	sn := mustSnapshot(t, s, d.String())
	for _, name := range sn.Tables() {
		table, _ := sn.Stored(name)
		of, known := table.KeyEpochs()
		if !known {
			of = []uint32{parts.EpochUnsaid}
		}
		epochs = append(epochs, of...)
		for _, l := range table.Layers {
			for _, p := range l.Parts {
				files = append(files, p.Object)
			}
		}
	}
	slices.Sort(epochs)
	return slices.Compact(epochs), files
}

// secretsOpen opens every secret of a snapshot of people.
func secretsOpen(t testing.TB, s *snapshots.Store, d snapshots.Digest) (n int) {
	t.Helper()
	for row, err := range mustSnapshot(t, s, d.String()).Scan(t.Context(), "people", parts.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		cell, ok := row.Values[7].(schemas.Sealed)
		if !ok {
			continue
		}
		plain, err := s.Keyring().Open("people", row.ID, "password", cell)
		i, _ := strconv.Atoi(strings.TrimPrefix(row.Key, "p"))
		if err != nil || string(plain) != testPassword(i) {
			t.Fatalf("secret of %s: %v", row.Key, err)
		}
		n++
	}
	return n
}

// Sealed anew, snapshots are the same snapshots in the same layers, that share
// the parts that they shared; nothing needs the old key, and a second time there
// is nothing to do.
func TestReseal(t *testing.T) {
	m := &backendtest.Memory{}
	s, id := sealedStore(t, m)
	all := nights(t, s, 4, 200)
	before := map[snapshots.Digest][]parts.Object{}
	shared := map[parts.Object]bool{}
	for _, d := range all {
		_, files := sealedIn(t, s, d.Digest)
		before[d.Digest] = files
		for _, f := range files {
			shared[f] = true
		}
	}
	old := changes(t, mustSnapshot(t, s, all[0].Digest.String()), mustSnapshot(t, s, all[3].Digest.String()), snapshots.DiffOptions{})
	s = rotate(t, m, s, id)
	plan, err := s.PlanReseal(t.Context(), snapshots.ResealOptions{})
	if err != nil || len(plan.Snapshots) != 4 || plan.Epoch != 2 || plan.Parts < 8 || plan.Parts >= int64(len(shared)) {
		t.Fatalf("%+v, %v (%d files)", plan, err, len(shared))
	}
	done := mustReseal(t, s)
	if len(done.Entries) != 1 || done.Snapshots != 4 || done.Put.Objects != plan.Parts {
		t.Errorf("%+v of %+v", done, plan)
	}
	m.Remove("keys/1/1.json") // nobody needs it
	s = unlocked(t, m, id)
	again := map[parts.Object]bool{}
	for _, d := range all {
		epochs, files := sealedIn(t, s, d.Digest)
		if !slices.Equal(epochs, []uint32{2}) || len(files) != len(before[d.Digest]) {
			t.Errorf("epochs %v, %d files, %d before", epochs, len(files), len(before[d.Digest]))
		}
		for _, f := range files {
			again[f] = true
		}
		if n := secretsOpen(t, s, d.Digest); n < 90 {
			t.Errorf("only %d secrets", n)
		}
	}
	if len(again) != len(shared) {
		t.Errorf("%d files, %d before: what was shared is not", len(again), len(shared))
	}
	now := changes(t, mustSnapshot(t, s, all[0].Digest.String()), mustSnapshot(t, s, all[3].Digest.String()), snapshots.DiffOptions{})
	if len(old) == 0 || !cmp.Equal(old, now) {
		t.Error(cmp.Diff(old, now))
	}
	if done := mustReseal(t, s); len(done.Entries) != 0 || done.Put.Objects != 0 {
		t.Errorf("the second time: %+v", done)
	}
	if r := verify(t, s, snapshots.VerifyRows); len(r.Findings) != 0 {
		t.Errorf("%+v", r.Findings)
	}
	// What comes next lies upon it, and writes no secret again.
	next := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts, Parent: mustSnapshot(t, s, all[3].Digest.String())}, 200, func(i int, r *schemas.Row) bool {
		r.Values[5] = nil
		return i != 43 && i != 5
	})
	if table := next.Tables[0]; len(table.Layers) < 2 {
		t.Errorf("%d layers", len(table.Layers))
	}
}

// Whatever fails at whatever operation, a second re-seal ends what the first
// began, and no state in between is damaged.
func TestResealFaults(t *testing.T) {
	for _, kind := range []backendtest.Kind{backendtest.Fail, backendtest.Refuse, backendtest.LoseReply, backendtest.LoseReply2, backendtest.CutBody, backendtest.Late, backendtest.CancelAfter, backendtest.CutRead} {
		t.Run(kind.String(), func(t *testing.T) {
			for k := 0; faultyReseal(t, k, kind); k++ {
			}
		})
	}
}

func faultyReseal(t *testing.T, k int, kind backendtest.Kind) (hit bool) {
	m := &backendtest.Memory{}
	s, id := sealedStore(t, m)
	all := nights(t, s, 2, 30)
	s = rotate(t, m, s, id)
	f := backendtest.FailAt(m, k, kind)
	_, err := reseal(t.Context(), snapshots.OnBackend(s, f))
	f.Wait()
	hit = f.Hits() > 0
	if !hit && err != nil {
		t.Fatal(err)
	}
	s = unlocked(t, m, id)
	if r := verify(t, s, snapshots.VerifyRows); len(r.Findings) != 0 {
		t.Fatalf("%s at operation %d: %+v", kind, k, r.Findings)
	}
	mustReseal(t, s)
	for _, d := range all {
		if epochs, _ := sealedIn(t, s, d.Digest); !slices.Equal(epochs, []uint32{2}) {
			t.Fatalf("%s at operation %d: epochs %v", kind, k, epochs)
		}
	}
	return hit
}

// Snapshots that are dropped, committed anew or compacted while they are sealed
// anew end as whoever did that wants them, and sealed anew.
func TestResealBeside(t *testing.T) {
	type other = func(s *snapshots.Store, all []snapshots.Draft) error
	for name, do := range map[string]other{
		"a drop": func(s *snapshots.Store, all []snapshots.Draft) error {
			return dropSnapshot(t.Context(), s, all[0].Digest)
		},
		"the same, committed anew": func(s *snapshots.Store, all []snapshots.Draft) error {
			_, err := s.Commit(t.Context(), snapshots.Change{Reason: "again", Actions: []snapshots.Action{all[1].Action("hr", "other")}})
			return err
		},
		"a compaction": func(s *snapshots.Store, all []snapshots.Draft) error {
			_, err := s.Compact(t.Context(), mustSnapshot(t, s, all[1].Digest.String()), snapshots.WriterOptions{Bounds: smallParts})
			if errors.Is(err, snapshots.ErrManifestMoved) {
				return nil
			}
			return err
		},
		"another re-seal": func(s *snapshots.Store, _ []snapshots.Draft) error {
			_, err := reseal(t.Context(), s)
			return err
		},
		"a collection": func(s *snapshots.Store, _ []snapshots.Draft) error {
			_, err := gc(t.Context(), s, snapshots.GCOptions{Grace: -1})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for k := 0; ; k++ {
				m := &backendtest.Memory{}
				s, id := sealedStore(t, m)
				all := nights(t, s, 2, 30)
				s = rotate(t, m, s, id)
				plan, err := s.PlanReseal(t.Context(), snapshots.ResealOptions{})
				if err != nil {
					t.Fatal(err)
				}
				met := false
				between := func(n int, _, _ string) (backendtest.Kind, bool) {
					if n == k {
						met = true
						if err := do(unlocked(t, m, id), all); err != nil {
							t.Errorf("before operation %d: %v", k, err)
						}
					}
					return 0, false
				}
				_, err = snapshots.OnBackend(s, &backendtest.Fault{Backend: m, Plan: between}).Reseal(t.Context(), plan, nil)
				if _, collected := errors.AsType[*snapshots.CollectedError](err); err != nil && !collected && !(name == "a drop" || name == "a collection") {
					t.Fatalf("%s before operation %d: %v", name, k, err)
				}
				s = unlocked(t, m, id)
				mustReseal(t, s)
				for d := range state(t, s).Snapshots {
					if epochs, _ := sealedIn(t, s, d); !slices.Equal(epochs, []uint32{2}) {
						t.Fatalf("%s before operation %d: epochs %v", name, k, epochs)
					}
				}
				if r := verify(t, s, snapshots.VerifyRows); len(r.Findings) != 0 {
					t.Fatalf("%s before operation %d: %+v", name, k, r.Findings)
				}
				if !met {
					return
				}
			}
		})
	}
}

// Parts that an older version wrote do not say their epochs: that counts as any
// epoch, until they are written anew.
func TestResealOfTheFirstFormat(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "golden-v1-secrets"))); err != nil {
		t.Fatal(err)
	}
	b, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	id, err := seal.LoadIdentity(goldenIdentity)
	if err != nil {
		t.Fatal(err)
	}
	s := unlocked(t, b, id)
	digests := slices.Collect(func(yield func(snapshots.Digest) bool) {
		for d := range state(t, s).Snapshots {
			if !yield(d) {
				return
			}
		}
	})
	s = rotate(t, b, s, id)
	r, err := s.KeyReport(t.Context(), s.Keyring(), nil)
	if err != nil || len(r.Unsaid) != 2 || r.Unsaid[0].By[0] != "ref first" {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, _, err := s.EndEpoch(t.Context(), 1, "ann@host", nil); err == nil || !strings.Contains(err.Error(), "ref first (snapshot ") {
		t.Errorf("ended: %v", err)
	}
	mustReseal(t, s)
	for _, d := range digests {
		if epochs, _ := sealedIn(t, s, d); !slices.Equal(epochs, []uint32{2}) {
			t.Errorf("epochs %v", epochs)
		}
		secretsOpen(t, s, d)
	}
	if _, n, err := s.EndEpoch(t.Context(), 1, "ann@host", nil); err != nil || n != 1 {
		t.Errorf("%d files, %v", n, err)
	}
	recompute(t, dir, 4)
}

// resealDir makes the test binary re-seal a store and die at a write: after the
// folder, the identity file and the number of the write, before or after it.
const resealDir = "PARALLELRUN_TEST_RESEAL"

func resealAndDie(args string) error {
	a := strings.Split(args, "|")
	b, err := local.Open(a[0])
	if err != nil {
		return err
	}
	id, err := seal.LoadIdentity(a[1])
	if err != nil {
		return err
	}
	ring, err := snapshots.Unlock(context.Background(), b, id)
	if err != nil {
		return err
	}
	at, err := strconv.Atoi(a[2])
	if err != nil {
		return err
	}
	s, err := snapshots.Open(context.Background(), &dying{Backend: b, at: at, after: a[3] == "after"}, snapshots.Options{Keyring: ring})
	if err != nil {
		return err
	}
	_, err = reseal(context.Background(), s)
	return err
}

// dying is a back end that ends the process, as a power cut does, at a write.
type dying struct {
	snapshots.Backend
	n, at int
	after bool
}

func (d *dying) Create(ctx context.Context, key string, body io.ReadSeeker) error {
	now := d.n == d.at
	d.n++
	if now && !d.after {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	err := d.Backend.Create(ctx, key, body)
	if now {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return err
}

// Killed before or after any of its writes, a re-seal leaves a whole store, and
// run again it ends what it began, with the very same bytes.
func TestKillReseal(t *testing.T) {
	dir := t.TempDir()
	b, err := local.Create(filepath.Join(dir, "from"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	identity := filepath.Join(dir, "key.txt")
	s, id := sealedStoreFor(t, b, identity)
	all := nights(t, s, 2, 30)
	rotate(t, b, s, id)
	var want []string
	for n := 0; ; n++ {
		for _, when := range []string{"before", "after"} {
			at := filepath.Join(dir, fmt.Sprint(when, n))
			if err := os.CopyFS(at, os.DirFS(filepath.Join(dir, "from"))); err != nil {
				t.Fatal(err)
			}
			out, err := as(resealDir, strings.Join([]string{at, identity, fmt.Sprint(n), when}, "|")).CombinedOutput()
			if err == nil && n < 3 || err != nil && !strings.Contains(err.Error(), "killed") {
				t.Fatalf("%s write %d: %v\n%s", when, n, err, out)
			}
			got := afterKill(t, at, id, all)
			if want == nil {
				want = got
			}
			if !slices.Equal(want, got) {
				t.Fatalf("killed %s write %d: other bytes: %v", when, n, cmp.Diff(want, got))
			}
			if err == nil {
				recompute(t, at, 4)
				return
			}
		}
	}
}

// afterKill ends a re-seal and lists the parts' files.
func afterKill(t *testing.T, dir string, id *seal.Identity, all []snapshots.Draft) (objects []string) {
	t.Helper()
	b, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := unlocked(t, b, id)
	mustReseal(t, s)
	if r := verify(t, s, snapshots.VerifyRows); len(r.Findings) != 0 {
		t.Fatalf("%s: %+v", dir, r.Findings)
	}
	for _, d := range all {
		epochs, files := sealedIn(t, s, d.Digest)
		if !slices.Equal(epochs, []uint32{2}) {
			t.Fatalf("%s: epochs %v", dir, epochs)
		}
		for _, f := range files {
			objects = append(objects, f.Name())
		}
	}
	return objects
}

// A process that unlocked the store before goes on reading after a rotation and
// a re-seal by another, and what is sealed with it stays in its own epoch.
func TestKeyringMeetsALaterEpoch(t *testing.T) {
	m := &backendtest.Memory{}
	early, id := sealedStore(t, m)
	all := nights(t, early, 1, 30)
	s := rotate(t, m, early, id)
	mustReseal(t, s)
	m.Remove("keys/1/1.json")
	if n := secretsOpen(t, early, all[0].Digest); n == 0 {
		t.Error("no secrets")
	}
	if early.Keyring().Epoch() != 1 {
		t.Errorf("it seals in epoch %d", early.Keyring().Epoch())
	}
	box, err := early.Keyring().Seal("people", schemas.RowID{}, "password", []byte("x"))
	if epoch, _ := seal.BoxEpoch(box.Box); err != nil || epoch != 1 {
		t.Errorf("sealed in %d, %v", epoch, err)
	}
	plan, err := early.PlanReseal(t.Context(), snapshots.ResealOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := early.Reseal(t.Context(), plan, nil); !errors.Is(err, snapshots.ErrNotNewest) {
		t.Errorf("re-sealed into an old epoch: %v", err)
	}
}

// A part that can't be opened or was changed stops a re-seal, and says which.
func TestResealOfDamage(t *testing.T) {
	m := &backendtest.Memory{}
	s, id := sealedStore(t, m)
	all := nights(t, s, 1, 30)
	s = rotate(t, m, s, id)
	m.Remove("keys/1/1.json")
	_, err := reseal(t.Context(), unlocked(t, m, id))
	cell, ok := errors.AsType[*seal.CellError](err)
	if !ok || cell.Epoch != 1 || !errors.Is(err, seal.ErrEpochMissing) || strings.Contains(err.Error(), testPassword(0)) {
		t.Errorf("without the key: %v", err)
	}
	if now := mustSnapshot(t, s, all[0].Digest.String()); now.Manifest() != all[0].Manifest {
		t.Error("it was committed")
	}
}
