package modeltest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	playMutants = flag.Bool("mutants", false, "play the model on every mutant: minutes each")
	oneMutant   = flag.String("mutant", "", "play this mutant only")
)

// mutant is our code with one fault put in: a skipped check, a swapped operand,
// a lost class.
type mutant struct {
	name, file, old, new string
}

const root = "../.."

// mutated returns the file with its fault. The place must be there once.
func (m *mutant) mutated() ([]byte, error) {
	src, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(src, []byte(m.old)); n != 1 || m.old == m.new {
		return nil, fmt.Errorf("mutant %q: its text stands %d times in %s, want once: the code was changed, so change the mutant with it", m.name, n, m.file)
	}
	out := bytes.Replace(src, []byte(m.old), []byte(m.new), 1)
	_, err = parser.ParseFile(token.NewFileSet(), m.file, out, 0)
	return out, err
}

// TestMutantsStand keeps the list true to the code, at no cost.
func TestMutantsStand(t *testing.T) {
	names := set{}
	for _, m := range mutants {
		if names[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		names.add(m.name)
		if _, err := m.mutated(); err != nil {
			t.Error(err)
		}
	}
	if len(mutants) < 20 {
		t.Errorf("%d mutants, want 20", len(mutants))
	}
}

// caught finds what the model says of a fault.
var caught = regexp.MustCompile(`seed (\d+): at action \d+, .*`)

// TestMutants plays the model on every mutant, and wants it to fail.
func TestMutants(t *testing.T) {
	if !*playMutants && *oneMutant == "" { // not skipped: it is no part of a test run
		t.Log("compiles the program anew for every mutant: make mutants")
		return
	}
	for _, m := range mutants {
		if *oneMutant != "" && m.name != *oneMutant {
			continue
		}
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			out := m.play(t)
			found := caught.Find(out)
			if found == nil {
				t.Fatalf("the model does not find it:\n%s", out)
			}
			line, _, _ := bytes.Cut(found, []byte("\n"))
			t.Logf("%s: %s", m.file, line)
		})
	}
}

// play runs the model over the mutant; the tree stays as it is.
func (m *mutant) play(t *testing.T) []byte {
	t.Helper()
	data, err := m.mutated()
	if err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {file: filepath.Join(dir, "mutant.go")}}
	plan, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"mutant.go": data, "overlay.json": plan} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"test", "-overlay", filepath.Join(dir, "overlay.json"), "-vet=off", "-ldflags=-w -s", "-run", "^TestModel$", "-timeout", "30m", ".",
		"-args", "-shrink=false", fmt.Sprintf("-sequences=%d", max(*sequences, 500))}
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	if err == nil {
		return nil
	}
	return out
}
