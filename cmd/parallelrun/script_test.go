package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/parallelrun/parallelrun/internal/ui"
)

var update = flag.Bool("update", false, "rewrite what scripts compare with (cmp)")

// TestMain makes the real main a command of the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){ui.Program: main})
}

// TestScripts runs testdata/script/*.txtar, each in a folder of its own, over
// the real program. Beside testscript's own commands they have those of
// scriptCommands.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                scriptCommands,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TMPDIR", env.WorkDir)
			env.Setenv("NO_COLOR", "1")
			return nil
		},
	})
}

// scriptCommands are the commands of scripts:
//
//	code N command [arg...]       run a command, which must end with exit code N
//	replace OLD NEW FILE          replace every OLD in a file; there must be one
//	fixture DIR                   make a store with snapshots to look at (see fixture)
//	damage DIR                    change one byte in the middle of every file below
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"code":    runCode,
	"replace": runReplace,
	"fixture": runFixture,
	"damage":  runDamage,
}

func runCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command [arg...]")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("code %q: %v", args[0], err)
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func runReplace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace OLD NEW FILE")
	}
	path := ts.MkAbs(args[2])
	data, err := os.ReadFile(path)
	ts.Check(err)
	if !strings.Contains(string(data), args[0]) {
		ts.Fatalf("%s does not hold %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(path, []byte(strings.ReplaceAll(string(data), args[0], args[1])), 0o644))
}

func runFixture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fixture DIR")
	}
	if err := fixture(ts.MkAbs(args[0]), filepath.Join(ts.MkAbs("."), "fixture-key.txt")); err != nil {
		ts.Fatalf("fixture: %v", err)
	}
}

func runDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage DIR")
	}
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			return err
		}
		data[len(data)/2] ^= 1
		return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0o600))
	}))
}

// TestHelp: every command explains itself, and the help lists the exit codes.
func TestHelp(t *testing.T) {
	root := newRoot(newApp(&strings.Builder{}, &strings.Builder{}))
	var walk func(path string)
	seen := 0
	walk = func(path string) {
		c, _, err := root.Find(strings.Fields(path))
		if err != nil {
			t.Fatal(err)
		}
		seen++
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help %q: want one clause without a full stop", c.CommandPath(), c.Short)
		}
		for _, code := range ui.Codes {
			if !strings.Contains(c.UsageString(), fmt.Sprintf("  %d  %s", code.Code, code.Meaning)) {
				t.Errorf("%s: help does not list exit code %d", c.CommandPath(), code.Code)
			}
		}
		for _, sub := range c.Commands() {
			walk(path + " " + sub.Name())
		}
	}
	walk("")
	if seen < 10 {
		t.Errorf("only %d commands", seen)
	}
}
