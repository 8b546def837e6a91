package snapshots_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/diffprint"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares with a file of testdata, or rewrites it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs (%v); rewrite with -update if that is meant. Got:\n%s", path, err, got)
	}
}

// twoSides are two snapshots with every kind of change between them.
func twoSides(t *testing.T, o snapshots.WriterOptions) (a, b *snapshots.Snapshot) {
	t.Helper()
	s, _ := sealedStore(t, &backendtest.Memory{})
	da := writeDraft(t, s, o, 200, nil)
	db := writeDraft(t, s, o, 202, func(i int, r *schemas.Row) bool {
		switch i {
		case 3, 150:
			return false
		case 10:
			r.Values[0], r.Values[1] = "renamed\x1b[31m", nil
		case 12: // sets have no order: no change
			r.Values[4] = []string{"p00012@a.example", "p00012@b.example"}
		case 13:
			r.Values[4] = []string{"p00013@a.example"}
			r.Values[3] = int64(1_600_000_000_000_000)
		case 14: // photo grows; another is not text
			r.Values[5] = [][]byte{{0xff, 0x00}, bytes.Repeat([]byte{1}, 90<<10)}
		case 20:
			s, err := s.Keyring().Seal("people", r.ID, "password", []byte("new"))
			if err != nil {
				t.Fatal(err)
			}
			r.Values[7] = s
		case 21:
			r.Key = "p21"
		case 22:
			r.Values[8] = map[string][][]byte{"description": {[]byte(strings.Repeat("long ", 100))}, "extra": {}}
			r.Values[6] = map[string][]string{"team": {"blue", "red"}}
		}
		return true
	})
	mustCommit(t, s, da)
	mustCommit(t, s, db)
	return mustSnapshot(t, s, da.Digest.String()), mustSnapshot(t, s, db.Digest.String())
}

func changes(t *testing.T, a, b *snapshots.Snapshot, o snapshots.DiffOptions) (out []snapshots.RowChange) {
	t.Helper()
	for c, err := range snapshots.Diff(t.Context(), a, b, o) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func printed(t *testing.T, a, b *snapshots.Snapshot, o snapshots.DiffOptions) (text, jsonl []byte) {
	t.Helper()
	var st snapshots.Stat
	o.Stat = &st
	var tb, jb bytes.Buffer
	for _, c := range changes(t, a, b, o) {
		if err := diffprint.Row(&tb, c); err != nil {
			t.Fatal(err)
		}
		if err := diffprint.RowJSON(&jb, c); err != nil {
			t.Fatal(err)
		}
	}
	tb.WriteString("\n")
	if err := diffprint.Stat(&tb, st); err != nil {
		t.Fatal(err)
	}
	if err := diffprint.StatJSON(&jb, st); err != nil {
		t.Fatal(err)
	}
	return tb.Bytes(), jb.Bytes()
}

func TestDiffGolden(t *testing.T) {
	for _, o := range []snapshots.WriterOptions{{}, {Bounds: smallParts}} {
		a, b := twoSides(t, o)
		text, jsonl := printed(t, a, b, snapshots.DiffOptions{})
		golden(t, "diff.txt", text)
		golden(t, "diff.jsonl", jsonl)
		for _, out := range [][]byte{text, jsonl} {
			if bytes.Contains(out, []byte("Correct-Horse")) || bytes.Contains(out, []byte("\x1b")) {
				t.Error("the diff shows a secret or a control character")
			}
		}
	}
}

func TestDiffKinds(t *testing.T) {
	a, b := twoSides(t, snapshots.WriterOptions{Bounds: smallParts})
	var st snapshots.Stat
	all := changes(t, a, b, snapshots.DiffOptions{Stat: &st})
	people := st.Tables[0]
	if people.Inserted != 2 || people.Deleted != 2 || people.Updated != 6 || people.Unchanged != 192 || st.Tables[1].Unchanged != 2 || st.Changed() != 10 {
		t.Errorf("stat %+v", st)
	}
	if len(all) != 10 || !slices.IsSortedFunc(all, func(x, y snapshots.RowChange) int { return x.ID.Compare(y.ID) }) {
		t.Errorf("%d changes, or not in order", len(all))
	}
	// The other way round, inserts are deletes.
	back, err := snapshots.DiffStat(t.Context(), b, a, snapshots.DiffOptions{})
	if p := back.Tables[0]; err != nil || p.Inserted != 2 || p.Deleted != 2 || p.Updated != 6 {
		t.Errorf("backwards: %+v, %v", p, err)
	}
	same, err := snapshots.DiffStat(t.Context(), a, a, snapshots.DiffOptions{})
	if err != nil || same.Changed() != 0 || same.Tables[0].Unchanged != 200 {
		t.Errorf("with itself: %+v, %v", same, err)
	}
	index := changes(t, a, b, snapshots.DiffOptions{IndexOnly: true, Stat: &st})
	if len(index) != 10 || st.Tables[0].Updated != 6 || len(index[0].Fields) != 0 {
		t.Errorf("index only: %d changes, stat %+v", len(index), st)
	}
	only := changes(t, a, b, snapshots.DiffOptions{Tables: []string{"people"}, Columns: []string{"mail", "password"}, Stat: &st})
	var fields []string
	for _, c := range only {
		if c.Kind == snapshots.Update {
			for _, f := range c.Fields {
				fields = append(fields, c.Key+" "+f.Column)
			}
		}
	}
	slices.Sort(fields)
	if got := strings.Join(fields, ", "); got != "p00013 mail, p00020 password" || len(st.Tables) != 1 || st.Tables[0].Unchanged != 196 {
		t.Errorf("two columns: %q, stat %+v", got, st.Tables)
	}
	if _, err := snapshots.DiffStat(t.Context(), a, b, snapshots.DiffOptions{Tables: []string{"nope"}}); err == nil {
		t.Error("unknown table was compared")
	}
	n := 0
	for range snapshots.Diff(t.Context(), a, b, snapshots.DiffOptions{}) {
		if n++; n == 3 {
			break
		}
	}
}

// A diff must find what was changed, whatever that is: every subset of cells of
// a row set anew shows up as just these fields.
func TestDiffFindsExactlyWhatChanged(t *testing.T) {
	s, _ := sealedStore(t, &backendtest.Memory{})
	seal := func(r *schemas.Row, column, pw string) schemas.Sealed {
		x, err := s.Keyring().Seal("people", r.ID, column, []byte(pw))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	set := []func(r *schemas.Row){
		func(r *schemas.Row) { r.Values[0] = "" },
		func(r *schemas.Row) { r.Values[1] = nil },
		func(r *schemas.Row) { r.Values[2] = int64(-1) },
		func(r *schemas.Row) { r.Values[3] = int64(0) },
		func(r *schemas.Row) { r.Values[4] = []string{} },
		func(r *schemas.Row) { r.Values[5] = [][]byte{bytes.Repeat([]byte{7}, 70<<10)} },
		func(r *schemas.Row) { r.Values[6] = map[string][]string{} },
		func(r *schemas.Row) { r.Values[7] = seal(r, "password", "x") },
		func(r *schemas.Row) { r.Values[8] = nil },
		func(r *schemas.Row) { r.Values[9] = map[string][]schemas.Sealed{"k": {seal(r, "k", "y")}} },
	}
	const n = 1 << 10
	da := writeDraft(t, s, snapshots.WriterOptions{}, n, nil)
	db := writeDraft(t, s, snapshots.WriterOptions{}, n, func(i int, r *schemas.Row) bool {
		for bit, f := range set {
			if i>>bit&1 == 1 {
				f(r)
			}
		}
		return true
	})
	mustCommit(t, s, da)
	mustCommit(t, s, db)
	a, b := mustSnapshot(t, s, da.Digest.String()), mustSnapshot(t, s, db.Digest.String())
	names := peopleTable()
	got := map[string]string{}
	for _, c := range changes(t, a, b, snapshots.DiffOptions{}) {
		for _, f := range c.Fields {
			got[c.Key] += f.Column + " "
		}
	}
	for i := range n {
		want := ""
		for bit := range set {
			if i>>bit&1 == 1 {
				want += names.Columns[bit].Name + " "
			}
		}
		key := fmt.Sprintf("p%05d", i)
		if got[key] != want {
			t.Fatalf("row %s: got changes %q, want %q", key, got[key], want)
		}
	}
}

// withoutOld is what DiffOptions.OldDigests leaves of changes.
func withoutOld(all []snapshots.RowChange) []snapshots.RowChange {
	for i := range all {
		c := &all[i]
		c.Old, c.Fields = nil, nil
		if c.Kind == snapshots.Delete {
			c.Key = ""
		}
	}
	return all
}

// With old rows known by their digests the changes are the same, the new rows in
// full; so they are of a table that only one side has.
func TestDiffWithOldDigests(t *testing.T) {
	a, b := twoSides(t, snapshots.WriterOptions{Bounds: smallParts})
	s, _ := sealedStore(t, &backendtest.Memory{})
	empty, err := s.NewWriter(nil, snapshots.WriterOptions{}).Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, empty)
	none := mustSnapshot(t, s, empty.Digest.String())
	for _, sides := range [][2]*snapshots.Snapshot{{a, b}, {b, a}, {none, b}, {b, none}} {
		var want, got snapshots.Stat
		full := withoutOld(changes(t, sides[0], sides[1], snapshots.DiffOptions{Rows: true, Stat: &want}))
		all := changes(t, sides[0], sides[1], snapshots.DiffOptions{Rows: true, OldDigests: true, Stat: &got})
		if !cmp.Equal(full, all) {
			t.Error(cmp.Diff(full, all))
		}
		for i := range want.Tables {
			want.Tables[i].Columns = nil
		}
		if !cmp.Equal(want, got) {
			t.Error(cmp.Diff(want, got))
		}
		for _, c := range all {
			if (c.OldDigest == schemas.Digest{}) != (c.Kind == snapshots.Insert) || (c.NewDigest == schemas.Digest{}) != (c.Kind == snapshots.Delete) ||
				c.New != nil && c.New.Digest != c.NewDigest {
				t.Errorf("%s of %s has the digests %s and %s", c.Kind, c.ID, c.OldDigest, c.NewDigest)
			}
		}
	}
}

// Where one side lacks columns, the others are compared and these are named.
func TestDiffOfDifferentColumns(t *testing.T) {
	s, _ := sealedStore(t, &backendtest.Memory{})
	full := writeDraft(t, s, snapshots.WriterOptions{}, 100, nil)
	shape := peopleTable()
	less := schemas.Table{Name: "people"}
	var keep []int
	for i, c := range shape.Columns {
		if c.Name == "password" || c.Name == "photo" {
			continue
		}
		if c.Name == "logins" {
			c.Type = schemas.String
		}
		keep = append(keep, i)
		less.Columns = append(less.Columns, c)
	}
	slices.Reverse(keep) // another order, too
	slices.Reverse(less.Columns)
	w := s.NewWriter([]schemas.Table{less, {Name: "scope", Columns: []schemas.Column{{ID: 121, Name: "found", Type: schemas.Bool}}}}, snapshots.WriterOptions{Bounds: smallParts})
	defer w.Close()
	for i := 1; i < 100; i++ {
		r := person(t, nil, i)
		if i == 42 {
			r.Values[0] = "changed"
		}
		r.Values[2] = "text now"
		cut := schemas.Row{ID: r.ID, Key: r.Key}
		for _, k := range keep {
			cut.Values = append(cut.Values, r.Values[k])
		}
		if err := w.WriteRow(t.Context(), "people", cut, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	seen, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, full)
	mustCommit(t, s, seen)
	a, b := mustSnapshot(t, s, full.Digest.String()), mustSnapshot(t, s, seen.Digest.String())
	var st snapshots.Stat
	all := changes(t, a, b, snapshots.DiffOptions{Tables: []string{"people"}, Stat: &st})
	if len(all) != 2 || st.Tables[0].Updated != 1 || st.Tables[0].Deleted != 1 || st.Tables[0].Unchanged != 98 {
		t.Errorf("%d changes, stat %+v", len(all), st)
	}
	text, jsonl := printed(t, a, b, snapshots.DiffOptions{})
	golden(t, "diff-columns.txt", text)
	golden(t, "diff-columns.jsonl", jsonl)
}

// A diff of neighbours reads what differs and nothing else.
func TestDiffReadsOnlyWhatDiffers(t *testing.T) {
	m := &backendtest.Memory{}
	s := openOn(t, initOn(t, m))
	da := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 600, nil)
	db := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 600, func(i int, r *schemas.Row) bool {
		if i == 300 {
			r.Values[2] = int64(-1)
		}
		return true
	})
	mustCommit(t, s, da)
	mustCommit(t, s, db)
	opened := map[string]int{}
	counting := &backendtest.Fault{Backend: m, Plan: func(_ int, op, key string) (backendtest.Kind, bool) {
		if op == "open" && strings.HasPrefix(key, "objects/") {
			opened[key]++
		}
		return 0, false
	}}
	s = openOn(t, counting)
	a, b := mustSnapshot(t, s, da.Digest.String()), mustSnapshot(t, s, db.Digest.String())
	if all := changes(t, a, b, snapshots.DiffOptions{}); len(all) != 1 {
		t.Fatalf("%d changes", len(all))
	}
	// Index and part on either side; the index once more to find the row.
	if len(opened) != 4 {
		t.Errorf("opened %d objects for one changed row: %v", len(opened), opened)
	}
}
