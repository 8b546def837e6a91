package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak/keycloaktest"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

var update = flag.Bool("update", false, "rewrite what scripts compare with (cmp)")

// TestMain makes the real main a command of the scripts.
func TestMain(m *testing.M) {
	testscript.Main(keycloaktest.Tests(m), map[string]func(){ui.Program: func() { killAtBoundary(); smallParts(); shortLease(); main() }})
}

// TestScripts runs testdata/script/*.txtar, each in a folder of its own, over
// the real program. Beside testscript's own commands they have those of
// scriptCommands. With -short, as under the race detector, only those of
// shortScripts run: every command is a process of its own, and what the others
// do at once, these do as well.
func TestScripts(t *testing.T) {
	var few []string
	dir := "testdata/script"
	if testing.Short() {
		for _, name := range shortScripts {
			few = append(few, filepath.Join(dir, name+".txtar"))
		}
		dir = ""
	}
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		Files:               few,
		Cmds:                scriptCommands,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TMPDIR", env.WorkDir)
			env.Setenv("NO_COLOR", "1")
			env.Values[boxKey{}], env.Values[backgroundKey{}] = &box{}, &background{}
			return setForeign(env)
		},
		Condition: condition,
	})
}

// shortScripts run whole runs, a drift in parts and a store's readers.
var shortScripts = []string{"drift", "results", "wave-runs"}

// scriptCommands are the commands of scripts:
//
//	code N command [arg...]       run a command, which must end with exit code N
//	capture NAME REGEXP           set $NAME to what the expression's first group, or all of it, matches in the last output
//	replace OLD NEW FILE          replace every OLD in a file; there must be one
//	fixture [--layers|--kinds] DIR
//	                              make a store with snapshots to look at (see fixture, layeredFixture, kindsFixture)
//	gen [users=N] [seed=N] FILE   write a generated legacy directory (package legacygen); its counts go to FILE.counts.json
//	sandbox start [state=DIR] [organizations=off]
//	                              serve a sandbox until the script ends; sets SANDBOX_URL, SANDBOX_REALM, SANDBOX_CLIENT,
//	                              SANDBOX_SECRET, SANDBOX_PROOF_CLIENT and SANDBOX_PROOF_SECRET
//	sandbox realm NAME            make a further realm on that server, with the same clients
//	sandbox hold N PATH           once N further changes with a path like PATH (a regular expression) have passed, hold all
//	                              changes before the server begins with them
//	sandbox held                  wait until one is held
//	sandbox release [DURATION]    let them go on, now or after a while
//	sandbox settle                wait until no request is on its way
//	sandbox mark                  count requests from now
//	sandbox untouched             no request came in since the mark
//	sandbox dump REALM FILE       write all that the realm holds to a file, without ids that the server chose
//	admin [realm=NAME] METHOD PATH [BODY]
//	                              change the sandbox's realm behind our back, as an administrator would; a PATH may begin
//	                              with /user/NAME in place of the user's id, /member/ALIAS/NAME for a membership
//	edit USERNAME JSON            change these fields of an account there; attributes key by key
//	target NAME REALM             make a realm of the sandbox a target of ./migration.yaml, with a migration of that name;
//	                              the name sandbox points the target that is there at it
//	signal stop|cont|kill         pause the command that was started last with exec ... &, wake it up, or end it as a power cut does
//	exited N                      its exit code was N, once it was waited for (-1: killed)
//	listed [keys=FILE] DIFF LIST  the rows and columns of a diff are exactly those that a plan lists (see runListed)
//	damage DIR                    change one byte in the middle of every file below
//	epoch STORE IDENTITY          make the store's next key epoch, for an identity
//	signsync [behind=DURATION] STORE TARGET
//	                              leave a sign of life of the target's credential sync
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"admin":    runAdmin,
	"capture":  runCapture,
	"code":     runCode,
	"replace":  runReplace,
	"epoch":    runEpoch,
	"fixture":  runFixture,
	"damage":   runDamage,
	"edit":     runEdit,
	"gen":      runGen,
	"sandbox":  runSandbox,
	"signsync": runSignSync,
	"target":   runTarget,

	"listed": runListed,
	"signal": runSignal,
	"exited": runExited,
}

func runCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no match for %s", args[1])
	}
	ts.Setenv(args[0], m[len(m)-1])
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
	build := fixture
	if len(args) == 2 {
		build, args = map[string]func(dir, keyFile string) error{"--layers": layeredFixture, "--kinds": kindsFixture}[args[0]], args[1:]
	}
	if neg || len(args) != 1 || build == nil {
		ts.Fatalf("usage: fixture [--layers|--kinds] DIR")
	}
	if err := build(ts.MkAbs(args[0]), filepath.Join(ts.MkAbs("."), "fixture-key.txt")); err != nil {
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

func runEpoch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: epoch STORE IDENTITY")
	}
	b, err := local.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	id, err := seal.ParseIdentity([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	_, err = seal.NewEpoch(context.Background(), snapshots.KeyFiles(b), "", nil, id.Recipients()...)
	ts.Check(err)
}

func runSignSync(ts *testscript.TestScript, neg bool, args []string) {
	set, args := options(args)
	if neg || len(args) != 2 {
		ts.Fatalf("usage: signsync [behind=DURATION] STORE TARGET")
	}
	behind, err := time.ParseDuration(cmp.Or(set["behind"], "0s"))
	ts.Check(err)
	b, err := local.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	s, err := snapshots.Open(context.Background(), b, snapshots.Options{})
	ts.Check(err)
	ts.Check(s.SignSync(context.Background(), args[1], time.Now().Add(-behind)))
}

// options cuts leading key=value arguments off.
func options(args []string) (map[string]string, []string) {
	set := map[string]string{}
	for len(args) > 0 {
		k, v, ok := strings.Cut(args[0], "=")
		if !ok {
			break
		}
		set[k], args = v, args[1:]
	}
	return set, args
}

func number(ts *testscript.TestScript, set map[string]string, key string, fallback int) int {
	text, ok := set[key]
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

func runGen(ts *testscript.TestScript, neg bool, args []string) {
	set, files := options(args)
	if neg || len(files) != 1 {
		ts.Fatalf("usage: gen [users=N] [second=N] [seed=N] FILE")
	}
	path := ts.MkAbs(files[0])
	f, err := os.Create(path)
	ts.Check(err)
	counts, err := legacygen.Generate(f, legacygen.Config{Users: number(ts, set, "users", 200), SecondUsers: number(ts, set, "second", 20),
		Seed: uint64(number(ts, set, "seed", 1))})
	ts.Check(errors.Join(err, f.Close()))
	data, err := json.MarshalIndent(counts, "", "  ")
	ts.Check(err)
	ts.Check(os.WriteFile(path+".counts.json", data, 0o644))
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
