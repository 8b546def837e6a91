package demo

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/config"
)

// The starting set takes the scenario's changes, and those for a real server.
func TestScenarioConfiguration(t *testing.T) {
	text, err := fs.ReadFile(config.Starter(), config.DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	start := map[string][]byte{config.DefaultName: text}
	for target, changes := range map[string][]change{
		sandboxTarget:  scenarioChanges,
		keycloakTarget: append(realChanges("http://127.0.0.1:8080", "migrator", "proof"), scenarioChanges...),
	} {
		files, err := changed(start, changes)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := writeAll(dir, files); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(filepath.Join(dir, config.DefaultName))
		if err != nil {
			t.Fatal(err)
		}
		_, m, err := c.Migration("")
		if err != nil {
			t.Fatal(err)
		}
		var waves, departments []string
		for _, w := range m.Waves {
			waves, departments = append(waves, w.Name), append(departments, w.Departments...)
		}
		got := []any{m.Target, waves, departments, m.LoginProof.Count(), c.Targets[target].Sandbox != nil, c.Targets[target].URL != ""}
		want := []any{target, waveNames, []string{"meridian/A", "meridian/B", "meridian/C", "meridian/D", "meridian/E"}, 5, target == sandboxTarget, target == keycloakTarget}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
	}
	if _, err := changed(map[string][]byte{config.DefaultName: []byte("version: 1\n")}, scenarioChanges); err == nil {
		t.Error("a starting set of another shape was changed")
	}
}
