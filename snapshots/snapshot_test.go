package snapshots_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

func TestWriteAndRead(t *testing.T) {
	b := &backendtest.Memory{}
	s, id := sealedStore(t, b)
	d := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 300, nil)
	mustCommit(t, s, d, snapshots.RefAction{Name: "first", Digest: d.Digest})
	s = unlocked(t, b, id)
	sn := mustSnapshot(t, s, "first")
	if sn.Digest() != d.Digest || sn.Rows("people") != 300 || sn.Rows("units") != 2 || sn.Info().Stage != "legacy" {
		t.Errorf("snapshot %s with %d people, %d units, stage %q", sn.Digest().Short(), sn.Rows("people"), sn.Rows("units"), sn.Info().Stage)
	}
	if got := strings.Join(sn.Tables(), " "); got != "people units" {
		t.Errorf("tables %q", got)
	}
	want := map[schemas.RowID]schemas.Row{}
	for i := range 300 {
		r := person(t, s.Keyring(), i)
		want[r.ID] = r
	}
	n, opened := 0, 0
	for r, err := range sn.Scan(t.Context(), "people", parts.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		w := want[r.ID]
		sortSets(&w)
		sortSets(&r)
		if diff := cmp.Diff(w, r, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Fatalf("row %s (-want +got):\n%s", r.Key, diff)
		}
		if sealed, ok := r.Values[7].(schemas.Sealed); ok {
			pw, err := s.Keyring().Open("people", r.ID, "password", sealed)
			if err != nil || !strings.HasPrefix(string(pw), "Correct-Horse-") {
				t.Errorf("secret: %v", err)
			}
			opened++
		}
	}
	if n != 300 || opened != 150 {
		t.Errorf("%d rows, %d secrets", n, opened)
	}
	if _, err := sn.Reader("nothing"); !errors.Is(err, snapshots.ErrNoTable) || !strings.Contains(err.Error(), "people") {
		t.Errorf("unknown table: %v", err)
	}
}

// sortSets puts the values of sets in order: they have none.
func sortSets(r *schemas.Row) {
	for i, c := range peopleTable().Columns {
		if !c.Set {
			continue
		}
		switch v := r.Values[i].(type) {
		case []string:
			sortStrings(v)
		case map[string][]string:
			for _, l := range v {
				sortStrings(l)
			}
		}
	}
}

func sortStrings(l []string) {
	for i := range l {
		for j := i; j > 0 && l[j] < l[j-1]; j-- {
			l[j], l[j-1] = l[j-1], l[j]
		}
	}
}

// The digest is that of the rows, however they were written.
func TestDigestDependsOnRowsAlone(t *testing.T) {
	b := &backendtest.Memory{}
	s, _ := sealedStore(t, b)
	reverse := func(n int) func(int, *schemas.Row) bool {
		return func(i int, r *schemas.Row) bool { *r = person(t, s.Keyring(), n-1-i); return true }
	}
	const n = 500
	var want snapshots.Digest
	for i, o := range []snapshots.WriterOptions{
		{}, {Workers: 2}, {Workers: 8, Bounds: smallParts}, {Workers: 1, Bounds: parts.Bounds{Rows: 1}},
		{Workers: 8, Bounds: parts.Bounds{Bytes: 4096}}, {Memory: 1 << 20, Workers: 2, Bounds: smallParts},
	} {
		edit := reverse(n)
		if i%2 == 0 {
			edit = nil
		}
		d := writeDraft(t, s, o, n, edit)
		if i == 0 {
			want = d.Digest
		}
		if d.Digest != want {
			t.Errorf("options %+v: digest %s, want %s", o, d.Digest.Short(), want.Short())
		}
	}
	// And in another store with the same key.
	d := writeDraft(t, s, snapshots.WriterOptions{}, n, func(i int, r *schemas.Row) bool {
		if i == 77 {
			r.Values[2] = int64(-1)
		}
		return true
	})
	if d.Digest == want {
		t.Error("a changed row left the digest as it was")
	}
}

// What is there is not written again, secrets included.
func TestSecondWriteReusesObjects(t *testing.T) {
	s, _ := sealedStore(t, &backendtest.Memory{})
	first := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 200, nil)
	again := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 200, nil)
	if again.Put.Objects != 0 || again.Put.ReusedObjects == 0 || again.Manifest != first.Manifest {
		t.Errorf("wrote again: %+v, manifests equal: %v", again.Put, again.Manifest == first.Manifest)
	}
}

func TestNoSecretInTheClear(t *testing.T) {
	b := &backendtest.Memory{}
	s, _ := sealedStore(t, b)
	mustCommit(t, s, writeDraft(t, s, snapshots.WriterOptions{}, 100, nil))
	keys, err := backendtest.Keys(t.Context(), b, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if bytes.Contains(b.Bytes(key), []byte("Correct-Horse")) {
			t.Errorf("%s holds a password in the clear", key)
		}
	}
	for r, err := range mustSnapshot(t, s, state(t, s).History[0].Digest.String()).Scan(t.Context(), "people", parts.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if sealed, ok := r.Values[7].(schemas.Sealed); ok && bytes.Contains(sealed.Box, []byte("Correct-Horse")) {
			t.Error("a box holds a password in the clear")
		}
	}
}

func TestWriterErrors(t *testing.T) {
	s := openOn(t, initOn(t, &backendtest.Memory{}))
	_, err := tryDraft(t, s, snapshots.WriterOptions{}, 10, func(i int, r *schemas.Row) bool {
		if i == 7 {
			*r = person(t, nil, 3)
		}
		return true
	})
	var dup *parts.DuplicateError
	if !errors.As(err, &dup) || dup.Key != "p00003" || dup.Origins != [2]int64{3, 7} {
		t.Errorf("duplicate row: %v", err)
	}
	w := s.NewWriter([]schemas.Table{unitsTable()}, snapshots.WriterOptions{})
	if err := w.WriteRow(t.Context(), "nope", unit("a"), 0); err == nil || !strings.Contains(err.Error(), `"nope"`) {
		t.Errorf("unknown table: %v", err)
	}
	w = s.NewWriter([]schemas.Table{unitsTable(), unitsTable()}, snapshots.WriterOptions{})
	if _, err := w.Finish(t.Context()); err == nil {
		t.Error("a table listed twice was taken")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestEmptySnapshot(t *testing.T) {
	s := openOn(t, initOn(t, &backendtest.Memory{}))
	w := s.NewWriter([]schemas.Table{unitsTable()}, snapshots.WriterOptions{})
	d, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	none, err := s.NewWriter(nil, snapshots.WriterOptions{}).Finish(t.Context())
	if err != nil || none.Digest == d.Digest {
		t.Errorf("no table and an empty table: %v, same digest: %v", err, none.Digest == d.Digest)
	}
	mustCommit(t, s, d)
	sn := mustSnapshot(t, s, d.Digest.String())
	for range sn.Scan(t.Context(), "units", parts.ScanOptions{}) {
		t.Error("a row in an empty table")
	}
}

func TestResolve(t *testing.T) {
	s := openOn(t, initOn(t, &backendtest.Memory{}))
	d := writeDraft(t, s, snapshots.WriterOptions{}, 5, nil)
	mustCommit(t, s, d, snapshots.RefAction{Name: "before-wave-1", Digest: d.Digest})
	full := d.Digest.String()
	for _, name := range []string{"before-wave-1", full, full[:6], full[:20]} {
		if got := mustSnapshot(t, s, name); got.Digest() != d.Digest {
			t.Errorf("%s: got %s", name, got.Digest().Short())
		}
	}
	for name, want := range map[string]string{
		"before-wave-2": "did you mean before-wave-1?",
		"wave-1":        "did you mean before-wave-1?",
		full[:5]:        "no snapshot",
		full[:11] + "x": "did you mean " + full[:12],
		"zebra":         "see: parallelrun snapshots list",
	} {
		_, err := s.Snapshot(t.Context(), name)
		var unknown *snapshots.UnknownSnapshotError
		if !errors.As(err, &unknown) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	same := snapshots.Digest{}
	copy(same[:], d.Digest[:10])
	if _, err := s.Commit(t.Context(), snapshots.Change{Actions: []snapshots.Action{
		snapshots.SnapshotAction{Digest: same, Manifest: d.Manifest, Dataset: "hr", Stage: "x"}}}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Snapshot(t.Context(), full[:8])
	if err == nil || !strings.Contains(err.Error(), "2 digests start like this") {
		t.Errorf("ambiguous: %v", err)
	}
	if _, err := s.Snapshot(t.Context(), same.String()); !snapshots.IsCorrupt(err) {
		t.Errorf("log and manifest disagree: %v", err)
	}
}

// An object that is there under the right name and is not as long as it must
// be is not relied on.
func TestReuseOfDamagedObject(t *testing.T) {
	m := &backendtest.Memory{}
	s := openOn(t, initOn(t, m))
	d := writeDraft(t, s, snapshots.WriterOptions{}, 20, nil)
	name := d.Tables[0].Layers[0].Parts[0].Object.Name()
	key := "objects/sha256/" + name[:2] + "/" + name[2:4] + "/" + name
	m.Replace(key, m.Bytes(key)[1:])
	_, err := tryDraft(t, s, snapshots.WriterOptions{}, 20, nil)
	if !snapshots.IsCorrupt(err) || !strings.Contains(err.Error(), key) {
		t.Errorf("got %v", err)
	}
}
