package runbook

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite golden files")

func codes() []Code {
	return []Code{{0, "done"}, {1, "differences or failures found"}, {2, "refused"}, {3, "not reachable"}, {4, "unknown"}, {5, "damaged"}}
}

// busy is a migration in the middle of it.
func busy() Data {
	return Data{
		Written: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Config: "/etc/parallel run/acme.yaml", Store: "/srv/store", StoreFlag: true,
		Migration: "acme", MigrationFlag: true, Source: "ldap", Target: "keymate", TargetAt: "realm `acme` at https://iam.example.com",
		Refs:        []Ref{{"source/ldap/legacy", "what the source held", "0123456789ab"}, {"target/keymate/base", "what was confirmed", ""}},
		Waves:       []Wave{{Name: "admins", State: "complete", Assigned: 12, InTarget: 12, Loaded: true, Complete: true}, {Name: "pilot", State: "loaded", Assigned: 500, InTarget: 500, Loaded: true}, {Name: "rest", State: "not loaded", Assigned: 70000}},
		Checkpoints: []Checkpoint{{"before-pilot", "2026-03-04 04:00:03", "before run 20260304T040000-000-aaaaaa"}, {"it's wrong", "2026-03-04 04:30:00", "a | look\n# at it"}},
		Runs: []Run{{"20260304T040000-000-aaaaaa", "finished", "done", "2026-03-04 04:00:00"},
			{"20260304T050000-000-bbbbbb", "stopped", "load", "2026-03-04 05:00:00"}},
		Holder: "by run 20260304T050000-000-bbbbbb, process 17 on host, since 2026-03-04T05:00:01Z", Codes: codes(), AllowWords: []string{"enable", "links"},
	}
}

// fresh is one that was only configured.
func fresh() Data {
	return Data{Written: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Config: "migration.yaml", Store: "/srv/store", Migration: "acme", Source: "ldap",
		Target: "keymate", TargetAt: "realm `acme` at https://iam.example.com", Codes: codes(), AllowWords: []string{"enable", "links"},
		Refs: []Ref{{"target/keymate/base", "what was confirmed", ""}}}
}

func TestGolden(t *testing.T) {
	for name, d := range map[string]Data{"busy": busy(), "fresh": fresh()} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Write(&b, d); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".md")
			if *update {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("differs from %s; -update rewrites it, look at the difference:\n%s", path, b.String())
			}
		})
	}
}

// Commands name what a shell must not take apart.
func TestCommandsAreQuoted(t *testing.T) {
	got := busy().command("restore " + busy().CheckpointWord())
	want := `parallelrun restore 'it'\''s wrong' --config '/etc/parallel run/acme.yaml' --store /srv/store --migration acme`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := fresh().command("runs list"); got != "parallelrun runs list" {
		t.Errorf("plain: %s", got)
	}
}

// The wave of the commands is the one at work.
func TestWaveWord(t *testing.T) {
	wave := func(name string, loaded, complete bool) Wave {
		return Wave{Name: name, Loaded: loaded, Complete: complete}
	}
	for _, c := range []struct {
		waves []Wave
		want  string
	}{
		{nil, "WAVE"},
		{[]Wave{wave("a", false, false), wave("b", false, false)}, "a"},
		{[]Wave{wave("a", true, false), wave("b", true, false), wave("c", false, false)}, "b"},
		{[]Wave{wave("a", true, true), wave("b", false, false)}, "b"},
		{[]Wave{wave("a", true, true)}, "WAVE"},
	} {
		if got := (Data{Waves: c.waves}).WaveWord(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.waves, got, c.want)
		}
	}
}

// A name from outside ends neither its code span nor its table cell.
func TestNamesStayInPlace(t *testing.T) {
	d := busy()
	d.Migration = "a`|\n# b"
	var b bytes.Buffer
	if err := Write(&b, d); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\n# b") && !strings.Contains(b.String(), "'a`|\n# b'") {
		t.Error("a name made a heading of its own")
	}
	if !strings.Contains(b.String(), "`a???# b`") {
		t.Error("the name is not shown")
	}
}
