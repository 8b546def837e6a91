package snapshots_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Every kind of finding can be brought about, and each is described in
// docs/integrity.md as the program describes it.
func TestEveryKindOfFinding(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes every way to damage a store")
	}
	seen := backendtest.RunIntegrity(t, &backendtest.Memory{})
	for _, f := range wrongFromTheStart(t) {
		seen[f.Kind] = true
	}
	doc, err := os.ReadFile("../docs/integrity.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	_, section, _ := strings.Cut(string(doc), "\n## Findings\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `") && len(cells) == 5 {
			documented = append(documented, strings.Join(cells[1:4], "|"))
		}
	}
	if len(documented) != len(snapshots.Kinds) {
		t.Errorf("docs/integrity.md has %d kinds, there are %d", len(documented), len(snapshots.Kinds))
	}
	for i, k := range snapshots.Kinds {
		if !seen[k.Kind] {
			t.Errorf("%s: no test finds it", k.Kind)
		}
		name := " `" + string(k.Kind) + "` "
		if !k.Damage {
			name = " `" + string(k.Kind) + "`, no damage "
		}
		if row := name + "| " + k.Means + " | " + k.Advice + " "; !slices.Contains(documented, row) {
			t.Errorf("docs/integrity.md lacks this row, number %d:\n|%s|", i+1, row)
		}
	}
}

// wrongFromTheStart makes stores whose files have the bytes that they were
// written with, and are wrong all the same, and verifies them.
func wrongFromTheStart(t *testing.T) (all []snapshots.Finding) {
	find := func(s *snapshots.Store, o snapshots.VerifyOptions, want snapshots.FindingKind) {
		t.Helper()
		r, err := s.Verify(t.Context(), o)
		if err != nil || len(r.Findings) != 1 || r.Findings[0].Kind != want || r.Findings[0].What == "" || r.Findings[0].Object == "" {
			t.Errorf("%s: %v, %v", want, err, r.Findings)
		}
		all = append(all, r.Findings...)
	}
	packed := longLog(t, 8)
	packed.Replace("logpacks/00000000000000000004.json.gz", []byte("no pack"))
	find(packing(t, packed, 4), snapshots.VerifyOptions{Snapshots: []string{}}, snapshots.PackWrong)
	m := &backendtest.Memory{}
	s, _ := sealedStore(t, m)
	d := writeDraft(t, s, snapshots.WriterOptions{}, 30, nil)
	mustCommit(t, s, d)
	other := writeDraft(t, s, snapshots.WriterOptions{}, 30, func(i int, r *schemas.Row) bool {
		if i == 7 {
			r.Values[0] = "another"
		}
		return true
	})
	mixed := slices.Clone(d.Tables)
	mixed[0].Layers = []parts.Layer{{Kind: parts.KindWhole, Parts: slices.Clone(d.Tables[0].Layers[0].Parts)}}
	mixed[0].Layers[0].Parts[0].Index = other.Tables[0].Layers[0].Parts[0].Index
	rows := snapshots.VerifyOptions{Level: snapshots.VerifyRows}
	wrong := func(tables []parts.Table) *snapshots.Store {
		m := copyMemory(t, m)
		s := openOn(t, m)
		digest, manifest, err := snapshots.PutManifest(t.Context(), s, tables)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), snapshots.Change{Reason: "wrong", Actions: []snapshots.Action{
			snapshots.SnapshotAction{Digest: digest, Manifest: manifest, Dataset: "hr", Stage: "legacy"}}}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	find(wrong(mixed), rows, snapshots.RowsDiffer)
	short := slices.Clone(d.Tables)
	short[0].Rows++
	find(wrong(short), rows, snapshots.TableDiffer)

	deep := snapshots.VerifyOptions{Level: snapshots.VerifyDeep}
	for kind, differs := range map[snapshots.FindingKind]bool{snapshots.SecondDiffers: true, snapshots.SecondFailed: false} {
		once := false
		deep.Second = func(context.Context, *parts.Reader, int, int) error {
			if once {
				return nil
			}
			once = true
			return &parts.SecondError{Differs: differs, What: "as the test wants it"}
		}
		deep.Workers = 1
		find(s, deep, kind)
	}

	gone := copyMemory(t, m)
	for _, key := range must(backendtest.Keys(t.Context(), gone, "keys/1/", "")) {
		gone.Remove(key)
	}
	find(openOn(t, gone), snapshots.VerifyOptions{}, snapshots.KeyGone)

	disagree := openOn(t, copyMemory(t, m))
	if _, err := disagree.Commit(t.Context(), snapshots.Change{Reason: "wrong", Actions: []snapshots.Action{
		snapshots.SnapshotAction{Digest: digest(5), Manifest: other.Manifest, Dataset: "hr", Stage: "legacy"}}}); err != nil {
		t.Fatal(err)
	}
	find(disagree, snapshots.VerifyOptions{}, snapshots.ManifestWrong)

	pins := copyMemory(t, m)
	e := &snapshots.Entry{N: 2, Attempt: "a", Actions: []snapshots.Action{snapshots.CheckpointAction{Name: "lost", Target: "live",
		Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: digest(9)}}}}
	e.Prev = sha(m.Bytes("log/00000000000000000001.json"))
	pins.Replace("log/00000000000000000002.json", must(snapshots.EncodeEntry(e)))
	find(openOn(t, pins), snapshots.VerifyOptions{}, snapshots.PinUnknown)
	return all
}

// A sample reads its share, the same for the same seed, and says what it left.
func TestVerifySample(t *testing.T) {
	_, s, _ := verifyStore(t)
	whole := verify(t, s, snapshots.VerifyRows)
	read := func(share float64, seed string, level snapshots.VerifyLevel) snapshots.VerifyReport {
		t.Helper()
		r, err := s.Verify(t.Context(), snapshots.VerifyOptions{Level: level, Sample: share, Seed: seed})
		if err != nil || len(r.Findings) > 0 {
			t.Fatalf("%v, %v", err, r.Findings)
		}
		return r
	}
	least := read(0.1, "", snapshots.VerifyRows)
	if least.ReadParts != 1 || least.ReadValues != 1 || least.Parts != whole.ReadParts || least.LargeValues != whole.ReadValues ||
		least.Objects != whole.Objects || least.TablesLeft != 3 || least.Tables != 0 || least.Rows == 0 || least.Read >= whole.Read/2 {
		t.Errorf("least: %+v, whole: %+v", least, whole)
	}
	half := read(50, "", snapshots.VerifyRows)
	if half.ReadParts != 9 || half.ReadValues != 9 || half.Rows >= whole.Rows || half.Rows <= least.Rows {
		t.Errorf("half: %+v", half)
	}
	if again := read(50, "", snapshots.VerifyRows); again.Rows != half.Rows || again.Read != half.Read {
		t.Errorf("again: %+v, first %+v", again, half)
	}
	other := 0
	for _, seed := range []string{"monday", "tuesday", "wednesday"} {
		if r := read(50, seed, snapshots.VerifyRows); r.Rows != half.Rows || r.Read != half.Read {
			other++
		}
	}
	if other == 0 {
		t.Error("other seeds choose the same sample")
	}
	if r := read(10, "", snapshots.VerifyBytes); r.ReadParts != 2 || r.Rows != 0 || r.Read == 0 || r.TablesLeft != 0 {
		t.Errorf("bytes: %+v", r)
	}
	if _, err := s.Verify(t.Context(), snapshots.VerifyOptions{Sample: 100}); err == nil {
		t.Error("100% was taken for a sample")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func copyMemory(t *testing.T, m *backendtest.Memory) *backendtest.Memory {
	t.Helper()
	out := &backendtest.Memory{}
	for _, key := range must(backendtest.Keys(t.Context(), m, "", "")) {
		if err := out.Create(t.Context(), key, bytes.NewReader(m.Bytes(key))); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func sha(data []byte) snapshots.Digest { return sha256.Sum256(data) }

// A store that was open before a repair reads the second copy of an index too,
// a minute later at most.
func TestRepairedWhileOpen(t *testing.T) {
	ctx, y := t.Context(), newYard(t)
	s := y.open()
	d := y.draft(s, "a", "b", "c", "d", "e")
	y.commit(s, d)
	replica, index := copyMemory(t, y.m), d.Tables[0].Layers[0].Parts[0].Index
	other := y.draft(s, "a", "b")
	y.commit(s, other)
	diff := func() (n int, err error) {
		for _, err := range snapshots.Diff(ctx, mustSnapshot(t, s, d.Digest.String()), mustSnapshot(t, s, other.Digest.String()), snapshots.DiffOptions{}) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	key := "objects/sha256/" + index.Name()[:2] + "/" + index.Name()[2:4] + "/" + index.Name()
	bad := bytes.Clone(y.m.Bytes(key))
	for i := range bad {
		bad[i] ^= 1
	}
	y.m.Replace(key, bad)
	if n, err := diff(); !snapshots.IsCorrupt(err) {
		t.Fatalf("damaged: %d changes, %v", n, err)
	}
	from := must(snapshots.Open(ctx, replica, snapshots.Options{}))
	if steps, err := y.open().Repair(ctx, snapshots.RepairOptions{From: from, Apply: true}); err != nil || len(steps) != 1 || !steps[0].Done {
		t.Fatalf("repair: %+v, %v", steps, err)
	}
	y.now = y.now.Add(time.Minute)
	if n, err := diff(); err != nil || n != 3 {
		t.Errorf("repaired: %d changes, %v", n, err)
	}
}

// The reader in Python goes by second copies as well.
func TestRecomputeRepaired(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "golden-v1-layers"))); err != nil {
		t.Fatal(err)
	}
	b, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := openGolden(t, b, nil)
	part := must(mustSnapshot(t, s, state(t, s).History[0].Digest.String()).Reader("people")).Table().Layers[0].Parts[0]
	name := filepath.Join("objects", "sha256", part.Index.Name()[:2], part.Index.Name()[2:4], part.Index.Name())
	path := filepath.Join(dir, name)
	data := must(os.ReadFile(path))
	data[40] ^= 1
	if err := errors.Join(os.Remove(path), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	if steps, err := s.Repair(t.Context(), snapshots.RepairOptions{Apply: true}); err != nil || len(steps) != 1 || !steps[0].Done {
		t.Fatalf("repair: %v, %v", steps, err)
	}
	recompute(t, dir, 6)
}
