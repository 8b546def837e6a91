package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/faultproxy"
	"github.com/parallelrun/parallelrun/internal/sandbox"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
)

// front is a site with a proxy between the program and its target, which
// strikes at an exact moment.
type front struct {
	*site
	proxy *faultproxy.Proxy
}

// newFront serves a realm with the state in stateDir ("": empty, in memory)
// behind a proxy, for a copy of the template.
func newFront(t *testing.T, template, stateDir string) *front {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{StateDir: stateDir, Realm: sandbox.RealmOptions{
		Name: siteRealm, ID: siteRealmID, MigratorSecret: siteSecret, ProofSecret: proofSecret,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	r, _ := s.Realm(siteRealm)
	f := &front{proxy: faultproxy.New(s)}
	f.site = copySite(t, template, f.start(t), siteRealm, r.Migrator.ID, r.Proof.ID)
	f.server = s
	return f
}

func (f *front) start(t *testing.T) string {
	t.Helper()
	url, err := f.proxy.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// edit changes the configuration.
func (f *front) edit(old, new string) {
	f.t.Helper()
	path := filepath.Join(f.dir, config.DefaultName)
	data, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		f.t.Fatalf("%s does not hold %q", path, old)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(data, []byte(old), []byte(new)), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// victim is the program as a process that can be killed at a moment.
type victim struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	started, dead  chan struct{}
	once           sync.Once
}

// begin starts the program, and lets strike decide about requests from its
// first one on.
func (f *front) begin(strike func(*victim, faultproxy.Request) faultproxy.Fault, args ...string) *victim {
	f.t.Helper()
	v := &victim{cmd: f.command(args...), started: make(chan struct{}), dead: make(chan struct{})}
	v.cmd.Stdout, v.cmd.Stderr = &v.stdout, &v.stderr
	f.proxy.Strike(func(r faultproxy.Request) faultproxy.Fault { return strike(v, r) })
	if err := v.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	close(v.started)
	go func() {
		_ = v.cmd.Wait()
		close(v.dead)
	}()
	return v
}

// kill ends the program as a power cut does, and returns when it is dead.
func (v *victim) kill() {
	v.once.Do(func() {
		<-v.started
		_ = v.cmd.Process.Kill()
	})
	<-v.dead
}

// end waits for the program and for the requests that it left behind.
func (f *front) end(v *victim) result {
	<-v.dead
	f.proxy.Settle()
	f.proxy.Strike(nil)
	return result{v.cmd.ProcessState.ExitCode(), v.stdout.String(), v.stderr.String()}
}

// prove compares with the uninterrupted run, and checks what is not to be seen
// in the target: every operation has one outcome, and another run changes
// nothing.
func (f *front) prove(u *uninterrupted) {
	f.t.Helper()
	f.wantOneOutcomeEach()
	f.wantSame(u)
	for _, r := range f.undisturbed() {
		f.t.Errorf("another run sent %s %s", r.Method, r.Path)
	}
}

// changes reports whether a request changes the target. A dialect may import
// nobody, to try its rights.
func changes(r faultproxy.Request) bool {
	return r.Writes() && !bytes.Contains(r.Body, []byte(`"users":[]`))
}

// wantOneOutcomeEach reads the latest run's ledger as it lies in the store:
// every operation that has a request of its own has one outcome there, done.
func (f *front) wantOneOutcomeEach() {
	f.t.Helper()
	ctx, st := f.t.Context(), f.store()
	rec, err := pipelines.ReadRecord(ctx, st, "latest")
	if err != nil {
		f.t.Fatal(err)
	}
	outcomes := map[int64][]load.OutcomeResult{}
	for key, err := range st.Files(ctx, "runs/"+rec.ID+"/ledger/") {
		if err != nil {
			f.t.Fatal(err)
		}
		data, err := st.ReadFile(ctx, key)
		if err != nil {
			f.t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			var o load.Outcome
			if err := json.Unmarshal(line, &o); err != nil {
				f.t.Fatalf("%s: %v", key, err)
			}
			outcomes[o.Seq] = append(outcomes[o.Seq], o.Result)
		}
	}
	plan, err := load.OpenPlan(ctx, st, rec.ID)
	if err != nil {
		f.t.Fatal(err)
	}
	for op, err := range plan.AllOperations(ctx, st) {
		if err != nil {
			f.t.Fatal(err)
		}
		got := outcomes[op.Seq]
		delete(outcomes, op.Seq)
		if op.With == 0 && (len(got) != 1 || got[0] != load.OutcomeDone) {
			f.t.Errorf("operation %d (%s %s): outcomes %v, want one: done", op.Seq, op.Kind, op.Table, got)
		}
	}
	for seq := range outcomes {
		f.t.Errorf("the ledger has an outcome of operation %d, which the plan has not", seq)
	}
}

// nextNight is a source that changed after a first, uninterrupted run: what
// sites of the second run are copied from.
type nextNight struct {
	*uninterrupted
	state string
}

// front serves the target as the first run left it.
func (n *nextNight) front(t *testing.T) *front {
	t.Helper()
	state := filepath.Join(t.TempDir(), "state")
	if err := os.CopyFS(state, os.DirFS(n.state)); err != nil {
		t.Fatal(err)
	}
	return newFront(t, n.template, state)
}

// newNextNight runs once, changes the source, and runs again in another copy.
func newNextNight(t *testing.T) (n *nextNight, journal []faultproxy.Request) {
	t.Helper()
	first := newTemplate(t, crashData)
	served := filepath.Join(t.TempDir(), "served")
	f := newFront(t, first, served)
	f.must("run", "--apply")
	if err := f.server.Close(); err != nil {
		t.Fatal(err)
	}
	n = &nextNight{uninterrupted: &uninterrupted{template: f.dir}, state: served}
	config, err := os.ReadFile(filepath.Join(first, config.DefaultName))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(f.dir, "migration.yaml"), config, 0o644), changeSource(filepath.Join(f.dir, "legacy.ldif"))); err != nil {
		t.Fatal(err)
	}
	second := n.front(t)
	journal = second.undisturbed()
	n.dump, n.base = second.dump(), second.baseDigests()
	return n, journal
}

// undisturbed runs to the end and returns the changes that it made.
func (f *front) undisturbed() []faultproxy.Request {
	f.t.Helper()
	var journal []faultproxy.Request
	v := f.begin(func(_ *victim, r faultproxy.Request) faultproxy.Fault {
		if changes(r) {
			journal = append(journal, r)
		}
		return faultproxy.Fault{}
	}, "run", "--apply")
	if r := f.end(v); r.code != 0 {
		f.t.Fatalf("exit code %d\n%s\n%s", r.code, r.stdout, r.stderr)
	}
	return journal
}

// changeSource edits the legacy directory as a day does: people get other
// titles, passwords and departments, are locked and leave; a department is
// described anew, and a group loses somebody.
func changeSource(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	entries := strings.Split(string(data), "\n\n")
	person, unit, group := 0, 0, 0
	kept := entries[:0]
	for _, e := range entries {
		switch {
		case strings.Contains(e, "objectClass: legacyAccount") && strings.Contains(e, "accountStatus: active"):
			if e = changePerson(e, person); e == "" {
				person++
				continue
			}
			person++
		case strings.Contains(e, "objectClass: legacyDepartment"):
			if unit++; unit%6 == 0 {
				e = replaceLine(e, "costCenter: ", fmt.Sprintf("costCenter: CC-9%03d\n", unit))
			}
		case strings.Contains(e, "objectClass: groupOfNames"):
			if group++; group <= 3 {
				e = replaceLine(e, "member: employeeNumber=", "")
			}
		}
		kept = append(kept, e)
	}
	return os.WriteFile(path, []byte(strings.Join(kept, "\n\n")), 0o600)
}

// changePerson changes person number n; "" removes it.
func changePerson(e string, n int) string {
	switch n % 40 {
	case 3, 13, 23:
		return replaceLine(e, "title: ", "title: Promoted\n")
	case 6, 16:
		e = replaceLine(e, "pwdChangedTime: ", "pwdChangedTime: 20250301080000Z\n")
		return replaceLine(e, "userPassword:", "userPassword: "+newHash+"\n")
	case 9:
		return strings.Replace(e, "accountStatus: active", "accountStatus: disabled", 1)
	case 12, 22, 32:
		return replaceLine(e, "departmentDN: ", "")
	case 15:
		return ""
	}
	return e
}

// newHash is a hash that no password has.
var newHash = "{PBKDF2-SHA256}1000$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43)

// replaceLine replaces the first attribute line that starts so, with the lines
// that it is folded into.
func replaceLine(entry, start string, with string) string {
	lines := strings.SplitAfter(entry, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, start) {
			continue
		}
		end := i + 1
		for end < len(lines) && strings.HasPrefix(lines[end], " ") {
			end++
		}
		return strings.Join(lines[:i], "") + with + strings.Join(lines[end:], "")
	}
	return entry
}

// onlyOf takes the cases that a short run tries: every third.
func onlyOf(n int) bool { return !testing.Short() || n%3 == 0 }

// soon is much longer than taking a lease over takes, and much shorter than
// waiting for it to run out.
const soon = 25 * time.Second
