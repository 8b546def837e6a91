package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unsteady is what two demos of one seed differ in, and what stands for it in
// the golden file.
var unsteady = []struct {
	find *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{8}T\d{6}-\d{3}-[0-9a-f]{6}`), "<run>"},
	{regexp.MustCompile(`[\d,.]+/s\b`), "<rate>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`), "<moment>"},
	{regexp.MustCompile(`(took|extract|transform|observe|plan|load|fold|verify|login-proof|time:) [\dhm.]+(µs|ms|s)`), "$1 <time>"},
	{regexp.MustCompile(`(diff|target) ([0-9a-f]{12}) ([0-9a-f]{12}|target/)`), "$1 <digest> $3"},
	{regexp.MustCompile(`<digest> [0-9a-f]{12}`), "<digest> <digest>"},
}

// TestDemoText: what the demo prints is what people see first. Look at the
// golden file as they would after -update.
func TestDemoText(t *testing.T) {
	t.Parallel()
	s := &site{t: t, dir: t.TempDir()}
	printed := s.must("demo", "--users", "400", "--seed", "1").stdout
	s.tryWhatItNames(printed)
	got := printed
	got = strings.ReplaceAll(got, s.dir, "<here>")
	for _, u := range unsteady {
		got = u.find.ReplaceAllString(got, u.with)
	}
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
}

// tryWhatItNames carries out the commands that the demo ends with; a diff or
// drift is what they are there to show.
func (s *site) tryWhatItNames(printed string) {
	s.t.Helper()
	tried := 0
	for line := range strings.Lines(printed) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "try" || words[2] == "sandbox" { // that one serves until it is stopped
			continue
		}
		tried++
		if r := s.run(words[2:]...); r.code > 1 || r.stdout == "" {
			s.t.Errorf("%s: exit code %d\n%s%s", strings.Join(words[1:], " "), r.code, r.stdout, r.stderr)
		}
	}
	if tried < 6 {
		s.t.Errorf("only %d commands to try", tried)
	}
}
