package waves

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// company is a site with one user for each situation.
func company() *site {
	s := newSite()
	s.user("ann", map[string]any{"email": "ann@x.org", "attributes": map[string][]string{"title": {"Buyer"}}}, "acme/Sales", "/staff")
	s.user("bob", map[string]any{"email": "bob@x.org", "enabled": false}, "acme/Sales/North/Coast", "acme/Ops")
	s.user("cid", map[string]any{"email": "cid@y.org"}, "acme/Ops", "/staff", "/admins")
	s.user("dee", nil, "tiny/Sales")
	s.user("eve", nil, "acme")
	s.user("fay", nil)
	return s
}

func TestSelection(t *testing.T) {
	list := filepath.Join(t.TempDir(), "keys.txt")
	if err := os.WriteFile(list, []byte("\ufeffdee\r\n\n  fay \nnobody\ndee\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		rules []Rule
		want  string
		none  int64
	}{
		{"department with all below", []Rule{{Departments: []string{"acme/Sales"}}}, "w0: ann bob", 4},
		{"department below, not above", []Rule{{Departments: []string{"acme/Sales/North"}}}, "w0: bob", 5},
		{"department of another organization", []Rule{{Departments: []string{"tiny/Sales"}}}, "w0: dee", 5},
		{"department by key", []Rule{{Departments: []string{"dep-acme/Ops"}}}, "w0: bob cid", 4},
		{"any of several departments", []Rule{{Departments: []string{"tiny/Sales", "acme/Ops"}}}, "w0: bob cid dee", 3},
		{"group", []Rule{{Groups: []string{"/admins"}}}, "w0: cid", 5},
		{"group by key", []Rule{{Groups: []string{"group-/staff"}}}, "w0: ann cid", 4},
		{"keys", []Rule{{Keys: []string{"eve", "ann", "nobody"}}}, "w0: ann eve", 4},
		{"keys of a file", []Rule{{KeysFile: list}}, "w0: dee fay", 4},
		{"keys and a file are one criterion", []Rule{{Keys: []string{"ann"}, KeysFile: list}}, "w0: ann dee fay", 3},
		{"all criteria must hold", []Rule{{Departments: []string{"acme/Sales", "acme/Ops"}, Groups: []string{"/staff"}}}, "w0: ann cid", 4},
		{"keys and group", []Rule{{Keys: []string{"ann", "bob"}, Groups: []string{"/staff"}}}, "w0: ann", 5},
		{"the first wave has a user", []Rule{{Groups: []string{"/staff"}}, {Departments: []string{"acme/Sales"}}, {Percent: whole}},
			"w0: ann cid; w1: bob; w2: dee eve fay", 0},
		{"where over columns", []Rule{{Where: `user.email.endsWith("@x.org") && user.enabled`}}, "w0: ann", 5},
		{"where over null", []Rule{{Where: `user.email == ""`}}, "w0: dee eve fay", 3},
		{"where over attributes", []Rule{{Where: `"title" in user.attributes && "Buyer" in user.attributes["title"]`}}, "w0: ann", 5},
		{"where over departments", []Rule{{Where: `departments.exists(d, d.startsWith("acme/Sales/"))`}}, "w0: bob", 5},
		{"where over organizations", []Rule{{Where: `"acme" in organizations && size(departments) == 0`}}, "w0: eve", 5},
		{"where of nowhere", []Rule{{Where: `size(organizations) == 0`}}, "w0: fay", 5},
		{"where over the key", []Rule{{Where: `key < "c"`}}, "w0: ann bob", 4},
		{"everybody", []Rule{{Percent: whole}}, "w0: ann bob cid dee eve fay", 0},
		{"where is asked of those alone whom the rest takes", []Rule{{Keys: []string{"ann"}, Where: `user.attributes["title"][0] == "Buyer"`}}, "w0: ann", 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.rules {
				c.rules[i].Name = fmt.Sprintf("w%d", i)
			}
			out, rep := assign(t, compile(t, c.rules...), Input{Desired: company(), Run: "r1"})
			if got := out.by(); got != c.want || rep.Unassigned != c.none || rep.Users != 6 {
				t.Errorf("got %q, %d of %d in no wave; want %q, %d of 6", got, rep.Unassigned, rep.Users, c.want, c.none)
			}
		})
	}
}

// TestRecorded: an assignment says which criteria took a user, and in which run.
func TestRecorded(t *testing.T) {
	out, rep := assign(t, compile(t, Rule{Name: "a", Departments: []string{"acme/Sales"}, Percent: whole}, Rule{Name: "b", Where: "true"}), Input{Desired: company(), Run: "r1"})
	for _, row := range out.memory["wave_assignment"] {
		want := "where"
		if row.Values[waveColumn] == "a" {
			want = "department, percent"
		}
		if row.Values[ruleColumn] != want || row.Values[runColumn] != "r1" {
			t.Errorf("%s: %v", row.Key, row.Values)
		}
	}
	if a := rep.Wave("a"); a.New != 2 || a.Total != 2 || a.Rule != "in acme/Sales or below; and 100 % of all users" || !rep.Changed() {
		t.Errorf("a: %+v", a)
	}
}

// TestStrays: keys that nobody has are told, with the line of the file.
func TestStrays(t *testing.T) {
	list := filepath.Join(t.TempDir(), "keys.txt")
	if err := os.WriteFile(list, []byte("ann\nnobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, rep := assign(t, compile(t, Rule{Name: "a", Keys: []string{"gone"}, KeysFile: list}), Input{Desired: company()})
	got := strings.Join(rep.Wave("a").FirstStrays, ", ")
	if rep.Wave("a").Strays != 2 || !strings.Contains(got, "gone (in the configuration)") || !strings.Contains(got, "nobody ("+list+":2)") {
		t.Errorf("%d strays: %s", rep.Wave("a").Strays, got)
	}
}

func TestWords(t *testing.T) {
	for want, r := range map[string]Rule{
		"in a/x, a/y or a/z or below":                              {Departments: []string{"a/x", "a/y", "a/z"}},
		"in a/x, a/y, a/z or 2 more or below":                      {Departments: []string{"a/x", "a/y", "a/z", "a/u", "a/v"}},
		"in group /staff; and where user.enabled":                  {Groups: []string{"/staff"}, Where: "user.enabled"},
		"listed (2 keys, and those of f); and 12.5 % of all users": {Keys: []string{"a", "b"}, KeysFile: "f", Percent: 125_000},
		"listed in f":           {KeysFile: "f"},
		"listed (1 keys)":       {Keys: []string{"a"}},
		"0.0001 % of all users": {Percent: 1},
	} {
		if got := r.Words(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestBucket fixes the hash: another one would draw everybody anew.
func TestBucket(t *testing.T) {
	for in, want := range map[[2]string]int64{
		{"demo", "1001"}: 783443, {"demo", "1002"}: 162711, {"other", "1001"}: 977378, {"", ""}: 950952, {"de", "mo1001"}: 973384, {"demo", "ü"}: 240067,
	} {
		if got := bucket(in[0], in[1]); got != want {
			t.Errorf("bucket(%q, %q) = %d, want %d", in[0], in[1], got, want)
		}
	}
}

// TestPercent: a larger share has everybody of a smaller one, whoever else
// there is, and shares are about what they say.
func TestPercent(t *testing.T) {
	const users = 20_000
	takes := func(share int64, salt string) (in map[string]bool) {
		in = map[string]bool{}
		for i := range users {
			if key := fmt.Sprintf("key-%d", i); bucket(salt, key) < share {
				in[key] = true
			}
		}
		return in
	}
	var smaller map[string]bool
	for _, share := range []int64{1, 10_000, 100_000, 101_000, 500_000, 999_999, whole} {
		now := takes(share, "demo")
		for key := range smaller {
			if !now[key] {
				t.Fatalf("%s is out at %s %%", key, percent(share))
			}
		}
		if got, want := float64(len(now)), float64(share)/whole*users; got < want*0.9-20 || got > want*1.1+20 {
			t.Errorf("%s %% took %.0f of %d", percent(share), got, users)
		}
		smaller = now
	}
	both, a, b := 0, takes(500_000, "demo"), takes(500_000, "draw 2")
	for key := range a {
		if b[key] {
			both++
		}
	}
	if both < users/5 || both > users*3/10 {
		t.Errorf("two salts share %d of %d: want about a quarter", both, users)
	}
}

// TestPercentEdge: a share of n places takes the places below n, and no other.
func TestPercentEdge(t *testing.T) {
	s := newSite()
	s.user("ann", nil)
	at := bucket("salt", "ann")
	for share, want := range map[int64]string{at: "", at + 1: "w: ann"} {
		if out, _ := assign(t, compile(t, Rule{Name: "w", Percent: share}), Input{Desired: s}); out.by() != want {
			t.Errorf("place %d, share %d: %q", at, share, out.by())
		}
	}
}

func TestPercentOfAll(t *testing.T) {
	s := newSite()
	for i := range 1000 {
		s.user(fmt.Sprintf("u%d", i), nil)
	}
	half := compile(t, Rule{Name: "list", Where: `key.endsWith("7")`}, Rule{Name: "half", Percent: whole / 2})
	out, _ := assign(t, half, Input{Desired: s})
	for _, row := range out.memory["wave_assignment"] {
		if row.Values[waveColumn] == "half" && bucket("salt", row.Key) >= whole/2 {
			t.Errorf("%s is not in the lower half of all", row.Key)
		}
	}
	// Of all, not of those left: the first wave took some of the half.
	if n := strings.Count(out.by()[strings.Index(out.by(), "half"):strings.Index(out.by(), "; list")], " u"); n < 380 || n > 520 {
		t.Errorf("half of all without the first wave's: %d", n)
	}
}

// Lists may name people by the key that legacy has now: aliases lead to the row.
func TestKeysByAlias(t *testing.T) {
	in := Input{Desired: company(), RowKey: func(entity, key string) string { return strings.TrimPrefix(key, "new-") }}
	got, rep := assign(t, compile(t, Rule{Name: "w0", Keys: []string{"new-ann", "dee"}}), in)
	if by := got.by(); by != "w0: ann dee" || rep.Waves[0].Strays != 0 {
		t.Errorf("got %s, %d strays", by, rep.Waves[0].Strays)
	}
}
