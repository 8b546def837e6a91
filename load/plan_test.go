package load_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/loadtest"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Every file of testdata/plan is one case: what base, desired and the target
// hold, and the plan and next base that come of it. Rewrite them with -update,
// then read the difference.
func TestPlanCases(t *testing.T) {
	files, err := filepath.Glob("testdata/plan/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, o := parseCase(a)
			o.Brake = noBrake.Brake
			p := s.plan(t, "run", o)
			got := map[string]string{"plan": describe(t, p)}
			if _, err := s.load(t, p, load.LoadOptions{}); err != nil {
				t.Fatal(err)
			}
			got["next base"] = dumpTables(s.fold(t, p), load.BaseTables(), p)
			compareCase(t, file, a, got)
		})
	}
}

// parseCase reads the sides of a case, and from the text before them how it is
// planned: lines such as "allow: links" and "waves: pilot".
func parseCase(a *txtar.Archive) (*states, load.PlanOptions) {
	s, o := newStates(), load.PlanOptions{}
	for _, f := range a.Files {
		if f.Name != "plan" && f.Name != "next base" {
			s.parse(f.Name, string(f.Data))
		}
	}
	restore := &load.RestoreOptions{}
	for line := range strings.Lines(string(a.Comment)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		list := strings.Fields(rest)
		switch word {
		case "allow":
			o.Allow = list
		case "waves":
			s.reach.Waves = list
		case "sweep":
			s.reach.Sweep = true
		case "moved":
			s.reach.Moved = true
		case "complete":
			o.Complete = list
		case "fixed":
			for _, field := range list {
				table, column, _ := strings.Cut(field, ".")
				support := s.target.Kept.Columns[table][column]
				support.Fixed = true
				s.target.Kept.Columns[table][column] = support
			}
		case "adopt":
			for _, r := range list {
				s.adopt = append(s.adopt, strings.Split(r, "+"))
			}
		case "owners":
			o.Ownership = parseOwners(list)
		case "restore":
			o.Restore = restore
			restore.Overwrite, restore.DeleteCreated = slices.Contains(list, "overwrite"), slices.Contains(list, "delete-created")
		}
	}
	return s, o
}

func parseOwners(list []string) load.Ownership {
	out := load.Ownership{Fields: map[string]load.Owner{}}
	for _, w := range list {
		field, owner, _ := strings.Cut(w, "=")
		if field == "default" {
			out.Default = load.Owner(owner)
			continue
		}
		out.Fields[field] = load.Owner(owner)
	}
	return out
}

func compareCase(t *testing.T, file string, a *txtar.Archive, got map[string]string) {
	t.Helper()
	for _, name := range []string{"plan", "next base"} {
		i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
		if i < 0 {
			a.Files = append(a.Files, txtar.File{Name: name})
			i = len(a.Files) - 1
		}
		if *update {
			a.Files[i].Data = []byte(got[name])
			continue
		}
		if diff := cmp.Diff(string(a.Files[i].Data), got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// describe is a plan as people read it.
func describe(tb testing.TB, p planned) string {
	var b strings.Builder
	for _, r := range p.Ranges {
		ops, err := p.ReadRange(tb.Context(), p.files, r)
		if err != nil {
			tb.Fatal(err)
		}
		fmt.Fprintf(&b, "range %d %s %s\n", r.N, r.Section, r.Table)
		for _, op := range ops {
			fmt.Fprintf(&b, "  %d %s %s %s", op.Seq, op.Kind, op.Table, op.Key)
			for _, x := range []struct {
				name string
				v    any
				show bool
			}{{"columns", op.Columns, len(op.Columns) > 0}, {"with", op.With, op.With != 0}, {"gone", op.Gone, op.Gone},
				{"disables", op.Disables, op.Disables}, {"widens", op.Widens, len(op.Widens) > 0}} {
				if x.show {
					fmt.Fprintf(&b, " %s=%v", x.name, x.v)
				}
			}
			b.WriteByte('\n')
		}
	}
	for _, list := range load.Lists {
		for f, err := range p.Findings(tb.Context(), p.files, list) {
			if err != nil {
				tb.Fatal(err)
			}
			fmt.Fprintf(&b, "%s: %s %s %v %v %s\n", list, f.Table, f.Key, f.Columns, f.Kinds, f.Reason)
		}
	}
	for _, table := range schemas.LoadOrder {
		if c := p.Counts[table]; c != nil && c.Yielded+c.Gone+c.Kept > 0 {
			fmt.Fprintf(&b, "%s: yielded %d gone %d kept %d =", table, c.Yielded, c.Gone, c.Kept)
			for _, class := range load.Classes {
				if n := c.Classes[class]; n > 0 {
					fmt.Fprintf(&b, " %s %d", class, n)
				}
			}
			b.WriteByte('\n')
		}
	}
	b.WriteString(dumpTables(p.effective, load.EffectiveTables(), p))
	return b.String()
}

// dumpTables writes the rows of entity tables; ids are replaced by keys.
func dumpTables(s *loadtest.State, tables []schemas.Table, p planned) string {
	names := map[string]string{}
	for _, st := range []*loadtest.State{s, p.effective, p.observed} {
		for _, t := range schemas.Entities() {
			for _, table := range []string{t.Name, load.HeldTable(t.Name)} {
				for r := range st.Scan(context.Background(), table, parts.ScanOptions{}) {
					names[r.ID.String()] = r.Key
				}
			}
		}
	}
	var lines []string
	for _, t := range tables {
		entity := strings.TrimSuffix(t.Name, "_held")
		if _, ok := shapes[entity]; !ok {
			continue
		}
		for r := range s.Scan(context.Background(), t.Name, parts.ScanOptions{}) {
			lines = append(lines, fmt.Sprintf("%s %s %s\n", t.Name, r.Key, words(entity, r, names)))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// A decision that can't be obeyed stops the plan, and says which and why.
func TestDecisionsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		list []load.Decision
		want string
	}{
		"nowhere":   {[]load.Decision{{Table: schemas.Users, Key: "nobody", Take: load.TakeLegacy}}, "there is no such row"},
		"twice":     {[]load.Decision{{Table: schemas.Users, Key: "anna", Take: load.TakeLegacy}, {Table: schemas.Users, Key: "anna", Take: load.TakeKeymate, Fields: []string{"email"}}}, "is decided at d:1 as well"},
		"no side":   {[]load.Decision{{Table: schemas.Users, Key: "anna", Take: "theirs"}}, `take "theirs" is not known`},
		"no field":  {[]load.Decision{{Table: schemas.Users, Key: "anna", Take: load.TakeLegacy, Fields: []string{"mail"}}}, `no field "mail"`},
		"no table":  {[]load.Decision{{Table: "people", Key: "anna", Take: load.TakeLegacy}}, "no such table"},
		"new group": {[]load.Decision{{Table: schemas.Groups, Key: "anna", Take: load.TakeNew}}, "new is for whole users"},
		"same":      {[]load.Decision{{Table: schemas.Users, Key: "bert", Take: load.TakeNew, Other: rowID(schemas.Users, "bert#2")}}, "it is the same person"},
		"undated":   {[]load.Decision{{Table: schemas.Users, Key: "carl", Take: load.TakeNew, Other: rowID(schemas.Users, "carl#2")}}, "nothing shows that the key came back"},
		"no new":    {[]load.Decision{{Table: schemas.Users, Key: "dora", Take: load.TakeNew, Other: rowID(schemas.Users, "dora#2")}}, "there is no such row"},
		"adopt org": {[]load.Decision{{Table: schemas.Organizations, Key: "anna", Take: load.TakeAdopt, Account: "x"}}, "adopt is for whole users"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStates()
			s.parse("base", "user bert created_at=1\nuser carl created_at=1")
			s.parse("desired", "user anna\nuser bert#2 created_at=1\nuser carl#2")
			for i := range c.list {
				c.list[i].ID, c.list[i].Place = rowID(c.list[i].Table, c.list[i].Key), fmt.Sprintf("d:%d", i+1)
			}
			_, err := load.Plan(t.Context(), load.PlanInput{
				Run: "run", TargetName: "live", Base: s.base, Desired: s.desired, Observed: s.observe(t), Target: s.target, Profile: loadtest.Profile(),
				Files: &loadtest.Files{}, Options: load.PlanOptions{Time: epoch, Decisions: c.list},
			}, loadtest.NewState(load.EffectiveTables()))
			if de, ok := errors.AsType[*load.DecisionError](err); !ok || !strings.Contains(de.Error(), c.want) || !strings.HasPrefix(de.Error(), "d:") || de.Hint() == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}
