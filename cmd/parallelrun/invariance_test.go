package main

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// planned are the digests that a plan came to.
type planned struct {
	Legacy, Desired string
	Plan            struct{ Effective string }
}

func (s *site) planDigests(args ...string) planned {
	s.t.Helper()
	var p planned
	if err := json.Unmarshal([]byte(s.must(append([]string{"plan", "--json"}, args...)...).stdout), &p); err != nil {
		s.t.Fatal(err)
	}
	if p.Legacy == "" || p.Desired == "" || p.Plan.Effective == "" {
		s.t.Fatalf("no digests: %+v", p)
	}
	return p
}

// Same input, mapping, templates and keys give the same digests, with any
// number of workers, with memory to spare or none, in another store.
func TestDigestsDoNotDependOnHow(t *testing.T) {
	t.Parallel()
	template := newTemplate(t, legacygen.Config{Seed: 5, Users: 1000, SecondUsers: 50, LargePhotos: 1})
	want := newSite(t, template).planDigests("--workers", "1")
	for name, args := range map[string][]string{
		"2 workers":          {"--workers", "2"},
		"8 workers":          {"--workers", "8"},
		"little memory":      {"--workers", "2", "--memory", "64MiB"},
		"1 worker, 2nd time": {"--workers", "1"},
	} {
		s := newSite(t, template)
		if diff := cmp.Diff(want, s.planDigests(args...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(want, s.planDigests()); diff != "" {
			t.Errorf("%s, once more in the same store (-want +got):\n%s", name, diff)
		}
	}
}

// Runs that spill, or stop and go on, come to the same digests.
func TestDigestsDoNotDependOnSpills(t *testing.T) {
	users, kills := 8000, []string{"extract true", "transform false", "transform true", "plan false"}
	if testing.Short() {
		users, kills = 4000, kills[:1]
	}
	template := newTemplate(t, legacygen.Config{Seed: 5, Users: users, SecondUsers: 50, LargePhotos: 1})
	want := newSite(t, template).planDigests()
	t.Setenv("SITE_SECRET", siteSecret)
	t.Setenv("SITE_PROOF_SECRET", proofSecret)
	s := newSite(t, template)
	c, err := config.Load(s.dir + "/" + config.DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pipelines.Open(t.Context(), c, pipelines.OpenOptions{Memory: 512 << 10, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out, err := r.Run(t.Context(), pipelines.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if out.Extracted.Spilled == 0 || out.Transformed.Spilled == 0 {
		t.Errorf("extract spilled %d bytes, transform %d: nothing is proved", out.Extracted.Spilled, out.Transformed.Spilled)
	}
	got := planned{Legacy: out.Legacy.String(), Desired: out.Desired.String()}
	got.Plan.Effective = out.Planned.Effective.String()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with 512 KiB (-want +got):\n%s", diff)
	}

	for _, at := range kills {
		s := newSite(t, template)
		cmd := s.command("plan")
		cmd.Env = append(cmd.Env, killVariable+"="+at)
		if r := s.finish(cmd); r.code != -1 {
			t.Fatalf("%s: was not killed: exit code %d", at, r.code)
		}
		var got planned
		if err := json.Unmarshal([]byte(s.must("resume", "--json").stdout), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("killed at %s and resumed (-want +got):\n%s", at, diff)
		}
	}
}

// Other bounds of parts give other files and the same digests.
func TestDigestsDoNotDependOnParts(t *testing.T) {
	template := newTemplate(t, legacygen.Config{Seed: 5, Users: 1000, SecondUsers: 50, LargePhotos: 1})
	want := newSite(t, template).planDigests()
	s := newSite(t, template)
	t.Setenv("SITE_SECRET", siteSecret)
	t.Setenv("SITE_PROOF_SECRET", proofSecret)
	c, err := config.Load(s.dir + "/" + config.DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pipelines.Open(t.Context(), c, pipelines.OpenOptions{Memory: 256 << 20, Workers: 2, Bounds: parts.Bounds{Rows: 64, Bytes: 32 << 10}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out, err := r.Run(t.Context(), pipelines.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := planned{Legacy: out.Legacy.String(), Desired: out.Desired.String()}
	got.Plan.Effective = out.Planned.Effective.String()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("smaller parts (-want +got):\n%s", diff)
	}
	sn, err := r.Store.Snapshot(t.Context(), out.Desired.String())
	if err != nil {
		t.Fatal(err)
	}
	if table, _ := sn.Stored("users"); len(table.Layers[0].Parts) < 4 {
		t.Errorf("users lie in %d parts: the bounds had no effect", len(table.Layers[0].Parts))
	}
}

// Nights that are stored as changes upon the ones before are the same nights,
// from the source to the target and back.
func TestDigestsDoNotDependOnLayers(t *testing.T) {
	template := newTemplate(t, legacygen.Config{Seed: 5, Users: 300, SecondUsers: 20, LargePhotos: 1})
	whole, layered := newSite(t, template), newSite(t, template)
	t.Setenv("SITE_SECRET", siteSecret)
	t.Setenv("SITE_PROOF_SECRET", proofSecret)
	c, err := config.Load(layered.dir + "/" + config.DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pipelines.Open(t.Context(), c, pipelines.OpenOptions{Memory: 256 << 20, Workers: 2, Bounds: parts.Bounds{Rows: 64, Bytes: 32 << 10}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for night := range 3 {
		if night == 2 {
			whole.renameSome()
			layered.renameSome()
		}
		whole.must("run", "--apply")
		out, err := r.Run(t.Context(), pipelines.RunOptions{Apply: true})
		if err != nil {
			t.Fatal(err)
		}
		if night == 1 && out.Extracted.Put.Objects != 0 {
			t.Errorf("nothing changed, and extract wrote %+v", out.Extracted.Put)
		}
	}
	if diff := cmp.Diff(whole.baseDigests(), layered.baseDigests()); diff != "" {
		t.Errorf("bases (-whole +layered):\n%s", diff)
	}
	if whole.dump() != layered.dump() {
		t.Error("the targets differ")
	}
	st, err := r.Store.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for name := range st.Refs {
		table := map[string]string{"legacy": "people", "desired": "users", "base": "users"}[path.Base(name)]
		if table == "" {
			continue
		}
		sn, err := r.Store.Snapshot(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if stored, _ := sn.Stored(table); len(stored.Layers) < 2 {
			t.Errorf("%s of %s: %d layers, so nothing is proved", table, name, len(stored.Layers))
		}
		seen++
	}
	if seen < 3 {
		t.Errorf("only %d of the refs %v were looked at", seen, slices.Collect(maps.Keys(st.Refs)))
	}
	layered.must("snapshots", "verify", "--rows")

	// A row that stands twice is told with both places, though nothing is kept
	// of those that have not changed.
	data, err := os.ReadFile(filepath.Join(layered.dir, "legacy.ldif"))
	if err != nil {
		t.Fatal(err)
	}
	entries := strings.Split(string(data), "\n\n")
	person := slices.IndexFunc(entries, func(e string) bool { return strings.Contains(e, "objectClass: legacyAccount") })
	layered.append("legacy.ldif", "\n"+strings.TrimSpace(entries[person])+"\n")
	var twice *pipelines.DuplicateKeyError
	if _, err := r.Run(t.Context(), pipelines.RunOptions{}); !errors.As(err, &twice) || !strings.Contains(twice.First, "legacy.ldif:") ||
		!strings.Contains(twice.Second, "legacy.ldif:") || twice.First == twice.Second {
		t.Errorf("got %v", err)
	}
}
