package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/pipelines/demo"
	"github.com/parallelrun/parallelrun/schemas"
)

// unsteady is what two demos of one seed differ in, and what stands for it in
// the golden file.
var unsteady = []struct {
	find *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{8}T\d{6}-\d{3}-[0-9a-f]{6}`), "<run>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`), "<moment>"},
	{regexp.MustCompile(`(all of it took|[\d,]+ +[\d,]+ ) +[\dhm.]+(µs|ms|s)\b`), "$1 <time>"},
	{regexp.MustCompile(`(desired state|pins) [0-9a-f]{12}`), "$1 <digest>"},
	{regexp.MustCompile(`log entry \d+`), "log entry <n>"},
	{regexp.MustCompile(`by \S+@\S+ at`), "by <somebody> at"},
}

// steady makes a demo's text comparable: columns of the last table are as wide
// as the times in them.
func steady(text string) string {
	text, figures, found := strings.Cut(text, "── the migration in figures")
	if found {
		text += "── the migration in figures" + regexp.MustCompile(` {2,}`).ReplaceAllString(figures, "  ")
	}
	for _, u := range unsteady {
		text = u.find.ReplaceAllString(text, u.with)
	}
	return text
}

// TestDemo plays the demo with few people. What it tells is what people see
// first: look at the golden file as they would after -update.
func TestDemo(t *testing.T) {
	t.Parallel()
	gen := legacygen.Config{Users: 400, Seed: 1}
	s := &site{t: t, dir: t.TempDir()}
	played := s.must("demo", "--json", "--users", "400", "--seed", "1")
	var sum demo.Summary
	if err := json.Unmarshal([]byte(played.stdout), &sum); err != nil {
		t.Fatal(err)
	}
	wantGolden(t, steady(played.stderr))
	wantScenario(t, &sum, gen)
	s.wantLeft(&sum)
	s.tryWhatItNames(played.stderr)
}

func wantGolden(t *testing.T, got string) {
	t.Helper()
	golden := filepath.Join("testdata", "demo.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the demo's text (-want +got); -update rewrites it:\n%s", diff)
	}
	if n := strings.Count(got, "\n"); n > 270 {
		t.Errorf("the demo prints %d lines: too many to read", n)
	}
}

// wantScenario holds the scenes' figures against each other and the generator's.
func wantScenario(t *testing.T, sum *demo.Summary, gen legacygen.Config) {
	t.Helper()
	want, err := legacygen.Generate(discard{}, gen)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	moved, users := int64(0), map[string]int64{}
	for _, m := range sum.Moves {
		names = append(names, m.Wave)
		moved, users[m.Wave] = moved+m.Users, m.Users
		if m.Users == 0 || m.Tried < 5 || m.Proved != m.Tried || m.Opened != 0 || !strings.HasPrefix(m.Checkpoint, "before-") {
			t.Errorf("wave %s: %+v", m.Wave, m)
		}
	}
	if diff := cmp.Diff([]string{"pilot", "B", "C", "C again", "D", "E", "in no wave"}, names); diff != "" {
		t.Errorf("waves (-want +got):\n%s", diff)
	}
	carried := int64(want.Carried["people"])
	if moved-sum.Undone != carried || sum.Users != carried || sum.Undone != users["C"] || users["C again"] != users["C"] {
		t.Errorf("%d moved, %d undone, %d stand in the target; the generator counted %d; waves %v", moved, sum.Undone, sum.Users, carried, users)
	}
	if len(sum.Brakes) == 0 || sum.Brakes[0].Table != schemas.Users || sum.Brakes[0].What != load.BrakeKind("disables") || sum.Brakes[0].Causes[0].Reason != "disabled in legacy" {
		t.Errorf("brakes: %+v", sum.Brakes)
	}
	got := []any{sum.Target, sum.Kept, sum.Undecided, sum.BroughtBack, sum.Damaged, sum.Withheld, sum.Restored, sum.Drifts}
	all := demo.Damage{Users: 40, Memberships: 3}
	drifts := [][]pipelines.TableDrift{{{Table: schemas.Memberships, Deleted: 3}}, nil}
	if diff := cmp.Diff([]any{"sandbox", int64(2), int64(2), int64(2), all, int64(3), all, drifts}, got); diff != "" {
		t.Errorf("target, edits by hand, damage and repair (-want +got):\n%s", diff)
	}
	codes := map[int]int{}
	for _, c := range sum.Commands {
		codes[c.Code]++
	}
	if codes[2] != 1 || codes[1] != 1 || codes[0] != len(sum.Commands)-2 || len(sum.Commands) < 15 {
		t.Errorf("exit codes: %v", codes)
	}
}

// wantLeft looks at what the demo left behind: the mapping as it was,
// everybody in the wave that moved them.
func (s *site) wantLeft(sum *demo.Summary) {
	s.t.Helper()
	files, err := starterFiles()
	if err != nil {
		s.t.Fatal(err)
	}
	mapping, err := os.ReadFile(filepath.Join(s.dir, "demo", "mapping.yaml"))
	rule := []byte(`enabled: row.accountStatus == "active"`)
	if err != nil || !bytes.Contains(mapping, rule) || !bytes.Contains(files["mapping.yaml"], rule) {
		s.t.Errorf("the mapping is not as it was: %v", err)
	}
	var list pipelines.WaveList
	if err := json.Unmarshal([]byte(s.must("waves", "list", "--json", "--config", "demo/migration.yaml").stdout), &list); err != nil {
		s.t.Fatal(err)
	}
	in := map[string]int64{"in no wave": list.Unassigned}
	for _, w := range list.Waves {
		in[w.Wave] = w.InTarget
	}
	for _, m := range sum.Moves {
		if name := strings.TrimSuffix(m.Wave, " again"); in[name] != m.Users {
			s.t.Errorf("wave %s: %d users moved, %d are listed", m.Wave, m.Users, in[name])
		}
	}
}

// tryWhatItNames carries out the commands that the demo ends with: all goes
// well, and the target is as it was confirmed.
func (s *site) tryWhatItNames(printed string) {
	s.t.Helper()
	_, further, _ := strings.Cut(printed, "── look further")
	tried := 0
	for line := range strings.Lines(further) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "parallelrun" || words[1] == "sandbox" { // that one serves until it is stopped
			continue
		}
		tried++
		if r := s.run(words[1:]...); r.code != 0 || r.stdout == "" {
			s.t.Errorf("%s: exit code %d\n%s%s", strings.Join(words, " "), r.code, r.stdout, r.stderr)
		}
	}
	if tried < 7 {
		s.t.Errorf("only %d commands to try", tried)
	}
}
