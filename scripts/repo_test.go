// Package scripts_test checks the repository as a whole: what no compiler and
// no linter looks at.
package scripts_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const module = "github.com/parallelrun/parallelrun"

// listed is what `go list -json` says of a package.
type listed struct {
	Dir, ImportPath, Name string
	GoFiles               []string
	Imports               []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=Dir,ImportPath,Name,GoFiles,Imports", "../...")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(out); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages: is this the right folder?", len(all))
	}
	return all
}

// TestPackageDocs: a package opens with its purpose; one that others use much
// names its nouns and where to start.
func TestPackageDocs(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		t.Run(name, func(t *testing.T) {
			doc, exported := inspect(t, p)
			start := "Package " + p.Name + " "
			if p.Name == "main" {
				start = "Command " + filepath.Base(p.Dir) + " "
			}
			if !strings.HasPrefix(doc, start) {
				t.Fatalf("the package comment begins with %q, not with %q", firstWords(doc), start)
			}
			if len(doc) < 60 {
				t.Errorf("the package comment is too short to tell the purpose: %q", doc)
			}
			if exported > 12 && !strings.Contains(doc, "Nouns:") && !strings.Contains(doc, "tart with") {
				t.Errorf("%d exported names, and the package comment tells neither the nouns nor where to start", exported)
			}
		})
	}
}

func firstWords(s string) string {
	words := strings.Fields(s)
	return strings.Join(words[:min(4, len(words))], " ")
}

// inspect returns the package comment and the number of exported names.
func inspect(t *testing.T, p listed) (doc string, exported int) {
	t.Helper()
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc != nil {
			if doc != "" {
				t.Errorf("%s holds a second package comment", name)
			}
			doc = f.Doc.Text()
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() {
					exported++
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.IsExported() {
						exported++
					}
				}
			}
		}
	}
	return doc, exported
}

// layers are the folders from the bottom to the top: none imports one above
// it, nor another of its own layer.
var layers = [][]string{{"schemas"}, {"snapshots"}, {"extract", "transform", "load"}, {"pipelines"}, {"cmd"}}

// TestImportDirection holds the rule of ARCHITECTURE.md even where no linter
// is at hand.
func TestImportDirection(t *testing.T) {
	level := map[string]int{}
	for i, l := range layers {
		for _, folder := range l {
			level[folder] = i
		}
	}
	for _, p := range packages(t) {
		from, _, _ := strings.Cut(strings.TrimPrefix(p.ImportPath, module+"/"), "/")
		mine, inLayers := level[from]
		for _, imp := range p.Imports {
			rest, ours := strings.CutPrefix(imp, module+"/")
			if !ours {
				continue
			}
			to, _, _ := strings.Cut(rest, "/")
			theirs, known := level[to]
			switch {
			case inLayers && known && to != from && theirs >= mine:
				t.Errorf("%s imports %s: imports point down only", p.ImportPath, imp)
			case from == "internal" && known && theirs > 0 && !strings.Contains(p.ImportPath, "/internal/contract"):
				t.Errorf("%s imports %s: internal packages import schemas at most", p.ImportPath, imp)
			}
		}
	}
}

// private are words of some machine that have no place in a public repository.
var private = regexp.MustCompile(`/work/(main|shared|\.library)|/tmp/(brief|bg)/|/root/`)

// TestNoPrivatePaths looks through every file under version control.
func TestNoPrivatePaths(t *testing.T) {
	out, err := exec.Command("git", "-C", "..", "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if strings.HasSuffix(name, "repo_test.go") {
			continue
		}
		data, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			continue // removed and not yet committed, or a link
		}
		if m := private.Find(data); m != nil {
			t.Errorf("%s mentions %s", name, m)
		}
	}
}
