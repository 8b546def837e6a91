package modeltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	playMutants = flag.Bool("mutants", false, "seek a seed that catches each mutant, and keep it")
	oneMutant   = flag.String("mutant", "", "seek one that catches this mutant only")
)

// mutantEnv names the mutant that a process plays.
const mutantEnv = "PARALLELRUN_MUTANT"

// mutant is our code with one fault put in: a skipped check, a swapped operand,
// a lost class.
type mutant struct {
	name, file, old, new string
}

const root = "../.."

// mutantFile is a file of ours with the functions that mutants change. All
// mutants are in one program: each has a copy of its function with the fault in
// it, which the function hands over to when that mutant is played.
type mutantFile struct {
	src     []byte
	pkg     string
	edits   []textEdit
	appends []string
}

type textEdit struct {
	at   int
	text string
}

// add puts a mutant in. Its place must be there once.
func (f *mutantFile) add(m *mutant, n int) error {
	if k := bytes.Count(f.src, []byte(m.old)); k != 1 || m.old == m.new {
		return fmt.Errorf("mutant %q: its text stands %d times in %s, want once: the code was changed, so change the mutant with it", m.name, k, m.file)
	}
	at := bytes.Index(f.src, []byte(m.old))
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, m.file, f.src, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f.pkg = parsed.Name.Name
	for _, d := range parsed.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		from, to := files.Position(fn.Pos()).Offset, files.Position(fn.End()).Offset
		if at < from || at >= to {
			continue
		}
		copied := fmt.Sprintf("%sMutant%d", fn.Name.Name, n)
		name := files.Position(fn.Name.Pos()).Offset
		text := string(f.src[from:name]) + copied + string(f.src[name+len(fn.Name.Name):to])
		f.appends = append(f.appends, "\n"+strings.Replace(text, m.old, m.new, 1)+"\n")
		f.edits = append(f.edits, textEdit{files.Position(fn.Body.Lbrace).Offset + 1, handOver(fn, copied, m.name)})
		return nil
	}
	return fmt.Errorf("mutant %q: its text is in no function of %s", m.name, m.file)
}

// handOver is the statement that calls a mutant's copy of a function.
func handOver(fn *ast.FuncDecl, copied, mutant string) string {
	var args []string
	for _, p := range fn.Type.Params.List {
		for _, n := range p.Names {
			args = append(args, n.Name)
		}
	}
	call := copied + "(" + strings.Join(args, ", ") + ")"
	if fn.Recv != nil {
		call = fn.Recv.List[0].Names[0].Name + "." + call
	}
	if fn.Type.Results != nil {
		call = "return " + call
	} else {
		call += "; return"
	}
	return fmt.Sprintf("\n\tif mutantPlayed == %q { %s }", mutant, call)
}

// text is the file with all its mutants, checked for its syntax.
func (f *mutantFile) text(name string) ([]byte, error) {
	slices.SortStableFunc(f.edits, func(a, b textEdit) int { return b.at - a.at })
	out := string(f.src)
	for _, e := range f.edits {
		out = out[:e.at] + e.text + out[e.at:]
	}
	out += strings.Join(f.appends, "")
	_, err := parser.ParseFile(token.NewFileSet(), name, out, 0)
	return []byte(out), err
}

// mutated returns all files that mutants change, with the mutants in them.
func mutated() (map[string][]byte, error) {
	files, out := map[string]*mutantFile{}, map[string][]byte{}
	for n := range mutants {
		m := &mutants[n]
		if files[m.file] == nil {
			src, err := os.ReadFile(filepath.Join(root, m.file))
			if err != nil {
				return nil, err
			}
			files[m.file] = &mutantFile{src: src}
		}
		if err := files[m.file].add(m, n); err != nil {
			return nil, err
		}
	}
	for name, f := range files {
		var err error
		if out[name], err = f.text(name); err != nil {
			return nil, err
		}
		out[filepath.Join(filepath.Dir(name), "mutant_played.go")] = fmt.Appendf(nil, "package %s\n\nimport \"os\"\n\nvar mutantPlayed = os.Getenv(%q)\n", f.pkg, mutantEnv)
	}
	return out, nil
}

// TestMutantsStand keeps the list true to the code, at no cost.
func TestMutantsStand(t *testing.T) {
	names := set{}
	for _, m := range mutants {
		if names[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		names.add(m.name)
	}
	if len(mutants) < 20 {
		t.Errorf("%d mutants, want 20", len(mutants))
	}
	if _, err := mutated(); err != nil {
		t.Error(err)
	}
}

// caught finds what the model says of a fault.
var caught = regexp.MustCompile(`(?s)seed (\d+): at action \d+, .{0,300}`)

// seedsFile holds, for each mutant, a seed whose sequence catches it.
const seedsFile = "testdata/mutantseeds.txt"

// TestMutants wants the model to fail on every mutant: at the seed that caught
// it before, where the model agrees with the code as it is, or, with -mutants,
// at any seed that is found, which is then kept.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the program anew")
	}
	seeds := readSeeds(t)
	program := buildMutants(t)
	for _, m := range mutants {
		if *oneMutant != "" && m.name != *oneMutant {
			continue
		}
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			if *playMutants || *oneMutant != "" {
				seeds[m.name] = seek(t, program, m)
			}
			seed, known := seeds[m.name]
			if !known {
				t.Fatal("no seed is known that catches it: make mutants")
			}
			if out, err := playMutant(t, program, "none", "-seed="+seed); err != nil {
				t.Fatalf("seed %s fails without the mutant too: %v\n%s", seed, err, out)
			}
			if out, _ := playMutant(t, program, m.name, "-seed="+seed); !caught.Match(out) {
				t.Fatalf("seed %s does not catch it any more; after a change of the sequences: make mutants\n%s", seed, out)
			}
		})
	}
	if *playMutants || *oneMutant != "" {
		writeSeeds(t, seeds)
	}
}

// seek plays the model on a mutant until it fails.
func seek(t *testing.T, program string, m mutant) string {
	t.Helper()
	out, _ := playMutant(t, program, m.name, fmt.Sprintf("-sequences=%d", max(*sequences, 1000)), fmt.Sprintf("-from=%d", *firstSeed))
	found := caught.FindSubmatch(out)
	if found == nil {
		t.Fatalf("the model does not find it:\n%s", out)
	}
	t.Logf("%s: %s", m.file, found[0])
	return string(found[1])
}

func readSeeds(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(seedsFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	seeds := map[string]string{}
	for line := range strings.Lines(string(data)) {
		seed, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		seeds[name] = seed
	}
	return seeds
}

func writeSeeds(t *testing.T, seeds map[string]string) {
	t.Helper()
	var b strings.Builder
	for _, m := range mutants {
		if seed := seeds[m.name]; seed != "" {
			fmt.Fprintf(&b, "%s\t%s\n", seed, m.name)
		}
	}
	if err := os.WriteFile(seedsFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// buildMutants compiles this test with all mutants in our code; the tree stays
// as it is.
func buildMutants(t *testing.T) string {
	t.Helper()
	files, err := mutated()
	if err != nil {
		t.Fatal(err)
	}
	dir, replace := t.TempDir(), map[string]string{}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for n, name := range slices.Sorted(maps.Keys(files)) {
		abs, err := filepath.Abs(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		replace[abs] = write(fmt.Sprintf("mutant%d.go", n), files[name])
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "modeltest.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", write("overlay.json", overlay), "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compile the mutants: %v\n%s", err, out)
	}
	return program
}

// playMutant runs the model in a process that plays one mutant.
func playMutant(t *testing.T, program, mutant string, args ...string) ([]byte, error) {
	t.Helper()
	args = append([]string{"-test.run=^TestModel$", "-test.timeout=60m", "-shrink=false"}, args...)
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), mutantEnv+"="+mutant)
	return cmd.CombinedOutput()
}
