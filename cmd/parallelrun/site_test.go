package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/internal/sandbox"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/pipelines/demo"
	"github.com/parallelrun/parallelrun/snapshots"
)

// site is a folder with a migration, as a user has one, and the realm that it
// leads to. The program runs in it as a process of its own.
type site struct {
	t   *testing.T
	dir string
	// realm to be compared, and its server; nil for a real one.
	server *sandbox.Server
	url    string
}

// Secrets of the clients of a site's realm, worth nothing.
const (
	siteSecret  = "site-migrator-secret"
	proofSecret = "site-proof-secret"
	siteRealm   = "demo"
	siteRealmID = "5d6c3a52-0f4e-4a0b-9a54-4d1f0b7d7c11"
)

// sandboxTarget is the starting set's target, up to the lines that stay.
var sandboxTarget = regexp.MustCompile(`(?m)^    realm: demo\n    sandbox: .*\n`)

// newTemplate makes the folder that sites are copied from: its store has keys
// already, so that all sites seal and salt alike.
func newTemplate(t *testing.T, gen legacygen.Config) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "template")
	files, err := starterFiles()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := demo.Prepare(dir, files, gen); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(filepath.Join(dir, config.DefaultName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pipelines.OpenStore(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newSite copies the template and serves an empty realm for it.
func newSite(t *testing.T, template string) *site {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{Realm: sandbox.RealmOptions{
		Name: siteRealm, ID: siteRealmID, MigratorSecret: siteSecret, ProofSecret: proofSecret,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	url, err := s.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, _ := s.Realm(siteRealm)
	st := copySite(t, template, url, siteRealm, r.Migrator.ID, r.Proof.ID)
	st.server = s
	return st
}

func copySite(t *testing.T, template, url, realm, client, proof string) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, config.DefaultName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !sandboxTarget.Match(data) {
		t.Fatal("the starting set's target has another shape")
	}
	target := "    realm: " + realm + "\n    url: " + url + "\n    transactionLimit: 200ms\n" +
		"    auth: {clientId: " + client + ", clientSecret: \"${SITE_SECRET}\"}\n" +
		"    proof: {clientId: " + proof + ", clientSecret: \"${SITE_PROOF_SECRET}\"}\n"
	if err := os.WriteFile(path, sandboxTarget.ReplaceAll(data, []byte(strings.ReplaceAll(target, "$", "$$"))), 0o644); err != nil {
		t.Fatal(err)
	}
	return &site{t: t, dir: dir, url: url}
}

// command is the real program in the site's folder.
func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Args = append([]string{ui.Program}, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "SITE_SECRET="+siteSecret, "SITE_PROOF_SECRET="+proofSecret, "TMPDIR="+s.temp())
	return cmd
}

// temp is where the program spills.
func (s *site) temp() string {
	dir := filepath.Join(s.dir, "tmp")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

// result is how one call of the program ended.
type result struct {
	code           int // -1: killed
	stdout, stderr string
}

func (s *site) run(args ...string) result {
	s.t.Helper()
	return s.finish(s.command(args...))
}

// finish runs a command to its end; started are told its process.
func (s *site) finish(cmd *exec.Cmd, started ...func(*os.Process)) result {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Start()
	if err == nil {
		for _, f := range started {
			f(cmd.Process)
		}
		err = cmd.Wait()
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		s.t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs the program, which must end with exit code 0.
func (s *site) must(args ...string) result {
	s.t.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.t.Fatalf("%v: exit code %d\n%s\n%s", args, r.code, r.stdout, r.stderr)
	}
	return r
}

// store opens the site's store, secrets unlocked.
func (s *site) store() *snapshots.Store {
	s.t.Helper()
	c, err := config.Load(filepath.Join(s.dir, config.DefaultName))
	if err != nil {
		s.t.Fatal(err)
	}
	st, err := pipelines.OpenStore(s.t.Context(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// dump is all that the realm holds, in a form that two equal realms share.
func (s *site) dump() string {
	s.t.Helper()
	var b bytes.Buffer
	if err := s.server.Dump(&b, siteRealm, []byte("compare")); err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}

// files lists what lies below a folder of the site.
func (s *site) files(dir string) []string {
	s.t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(s.dir, dir), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return out
}
