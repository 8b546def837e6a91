package waves

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

func handFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hand.csv")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// handSite is a company of whom ann is in wave one and zoe, who is in wave two,
// is gone; rex was rejected.
func handSite(t *testing.T) (*Selection, Input) {
	s := company()
	s.addRow(schemas.RejectedTable(schemas.Users), schemas.NewRowID(testNamespace, schemas.Users, "rex"), "rex", nil)
	before := newSite()
	before.user("ann", nil)
	before.user("zoe", nil)
	sel := compile(t, Rule{Name: "one", Keys: []string{"ann"}}, Rule{Name: "two", Percent: whole})
	previous, _ := assign(t, sel, Input{Desired: before, Run: "r0"})
	return sel, Input{Desired: s, Previous: previous.memory, Namespace: testNamespace, TempDir: t.TempDir()}
}

func TestByHand(t *testing.T) {
	sel, in := handSite(t)
	in.Hand = &Hand{File: handFile(t, "\ufeffkey,wave\r\nbob,one\r\nann,one\r\n\"cid\",two\r\n")}
	out, rep := assign(t, sel, in)
	// Nobody else is assigned: the rule of wave two would take them all.
	if got := out.by(); got != "one: ann bob; two: cid zoe" || rep.Unassigned != 3 {
		t.Errorf("%s, %d in no wave", got, rep.Unassigned)
	}
	for key, row := range byKey(out.memory) {
		want := map[string]string{"ann": "key r0", "bob": "by hand ", "cid": "by hand ", "zoe": "percent r0"}[key]
		if got := fmt.Sprintf("%v %v", row.Values[ruleColumn], row.Values[runColumn]); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	in.Previous = out.memory
	in.Hand = &Hand{Move: true, File: handFile(t, "key,wave\nann,two\nzoe,one\ndee,one\n")}
	out, rep = assign(t, sel, in)
	if got := out.by(); got != "one: bob dee zoe; two: ann cid" {
		t.Error(got)
	}
	if one, two := rep.Wave("one"), rep.Wave("two"); one.Moved != 1 || one.New != 1 || two.Moved != 1 || two.Total != 2 || one.Gone != 1 {
		t.Errorf("one %+v, two %+v", one, two)
	}
	if row := byKey(out.memory)["ann"]; row.Values[ruleColumn] != ByHand {
		t.Errorf("ann: %v", row.Values)
	}
}

func TestBadHand(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"twice", "key,wave\nbob,one\ncid,one\nbob,two\n", `F:4: user "bob" stands in line 2 already`},
		{"twice the same", "key,wave\nbob,one\nbob,one\n", `F:3: user "bob" stands in line 2 already`},
		{"unknown key", "key,wave\n\nbobby,one\n", `F:3: no user has the key "bobby"`},
		{"unknown wave", "key,wave\nbob,tow\n", `F:2: there is no wave "tow"`},
		{"in another wave", "key,wave\nann,two\n", `F:2: user "ann" is in wave "one" already`},
		{"gone and in another wave", "key,wave\nzoe,one\n", `F:2: user "zoe" is in wave "two" already`},
		{"rejected", "key,wave\nrex,one\n", `F:2: user "rex" was rejected or excluded: it can't be assigned now`},
		{"no key", "key,wave\n,one\n", "F:2: there is no key, or no valid one"},
		{"not UTF-8", "key,wave\n\xff,one\n", "F:2: there is no key, or no valid one"},
		{"all of it at once", "key,wave\nx,one\nann,two\nbob,three\n",
			`F:2: no user has the key "x"` + "\n" + `F:3: user "ann" is in wave "one" already` + "\n" + `F:4: there is no wave "three"`},
		{"no header", "bob,one\n", "F:1: the header key,wave is missing"},
		{"other header", "wave,key\none,bob\n", "F:1: the header key,wave is missing"},
		{"empty", "", "F:1: the header key,wave is missing"},
		{"nobody", "key,wave\n", "F: no line below the header: nobody to assign"},
		{"three fields", "key,wave\nbob,one\nbob,one,x\n", "F:3: wrong number of fields"},
		{"quote", "key,wave\nbob,one\n\"bob,one\n", `F:3: extraneous or missing " in quoted-field`},
	} {
		t.Run(c.name, func(t *testing.T) {
			sel, in := handSite(t)
			in.Hand = &Hand{File: handFile(t, c.text)}
			_, err := sel.Assign(t.Context(), in, newRows(t))
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), in.Hand.File, "F"); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			if e, ok := errors.AsType[*FileError](err); !ok || e.Hint() == "" {
				t.Errorf("%T with hint", err)
			}
		})
	}
	sel, in := handSite(t)
	in.Hand = &Hand{File: "nowhere.csv"}
	if _, err := sel.Assign(t.Context(), in, nil); err == nil || err.Error() != "nowhere.csv: no such file or directory" {
		t.Error(err)
	}
}

// TestManyBadLines: the first problems of the file are told, and how many more.
func TestManyBadLines(t *testing.T) {
	var text strings.Builder
	text.WriteString("key,wave\n")
	for i := range 5000 {
		fmt.Fprintf(&text, "nobody-%d,one\n", i)
	}
	sel, in := handSite(t)
	in.Hand = &Hand{File: handFile(t, text.String())}
	_, err := sel.Assign(t.Context(), in, nil)
	es, ok := errors.AsType[FileErrors](err)
	if !ok || len(es) != mostWrong+1 {
		t.Fatalf("%d problems: %v", len(es), err)
	}
	for i, e := range es[:mostWrong] {
		if e.Line != i+2 {
			t.Errorf("problem %d is of line %d", i, e.Line)
		}
	}
	if last := es[mostWrong].Error(); !strings.HasSuffix(last, "4980 more lines are wrong") {
		t.Error(last)
	}
}

// FuzzHand: whatever a list holds, it ends in an assignment of users that there
// are, each in a wave that there is, or in an error that names the file.
func FuzzHand(f *testing.F) {
	for _, text := range []string{"key,wave\nbob,one\n", "key,wave\r\n\"b\"\"ob\",two\n\n", "\ufeffkey,wave\nann,two\nzoe,one", "key,wave\nbob,one\nbob,two\n", "key;wave\n"} {
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, move bool) {
		sel, in := handSite(t)
		in.Hand = &Hand{File: handFile(t, text), Move: move}
		out := newRows(t)
		rep, err := sel.Assign(t.Context(), in, out)
		if err != nil {
			if !strings.Contains(err.Error(), in.Hand.File) {
				t.Errorf("no file in %v", err)
			}
			return
		}
		for key, row := range byKey(out.memory) {
			if !strings.Contains("ann bob cid dee eve fay zoe", key) || sel.index(row.Values[waveColumn].(string)) < 0 {
				t.Errorf("%s: %v", key, row.Values)
			}
		}
		if rep.Rows != int64(len(out.memory[schemas.WaveAssignment])) || !move && rep.Wave("one").Moved+rep.Wave("two").Moved > 0 {
			t.Errorf("%+v", rep)
		}
	})
}
