package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/contract"
	"github.com/parallelrun/parallelrun/internal/faultproxy"
	"github.com/parallelrun/parallelrun/internal/sandbox"
)

// box is the sandbox of a script, behind a proxy that watches and slows down.
type box struct {
	server *sandbox.Server
	proxy  *faultproxy.Proxy

	mu       sync.Mutex
	requests int            // since the mark
	path     *regexp.Regexp // of changes that are held
	pass     int            // of those, so many pass first
	held     chan struct{}  // closed by the first that is held; nil: none is
	release  chan struct{}  // closed when they go on
}

type boxKey struct{}

func boxOf(ts *testscript.TestScript) *box { return ts.Value(boxKey{}).(*box) }

// strike counts a request, and holds a change that is to be held.
func (b *box) strike(r faultproxy.Request) faultproxy.Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	if b.held == nil || !changes(r) {
		return faultproxy.Fault{}
	}
	if b.pass > 0 {
		if b.path.MatchString(r.Path) {
			b.pass--
		}
		return faultproxy.Fault{}
	}
	if b.pass == 0 {
		close(b.held)
		b.pass--
	}
	release := b.release
	return faultproxy.Fault{Before: func() { <-release }}
}

// hold holds all changes before the server begins with them, once n whose path
// matches have passed.
func (b *box) hold(n int, path *regexp.Regexp) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.path, b.pass, b.held, b.release = path, n, make(chan struct{}), make(chan struct{})
}

func (b *box) letGo() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held != nil {
		close(b.release)
	}
	b.held = nil
}

const sandboxUsage = "usage: sandbox start [state=DIR] [organizations=off] | realm NAME | hold N PATH | held | release [DURATION] | settle | mark | untouched | dump REALM FILE"

func runSandbox(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf(sandboxUsage)
	}
	b := boxOf(ts)
	if args[0] == "start" {
		b.start(ts, args[1:])
		return
	}
	if b.server == nil {
		ts.Fatalf("sandbox start comes first")
	}
	switch what := args[0] + "/" + strconv.Itoa(len(args)-1); what {
	case "realm/1":
		_, err := b.server.NewRealm(sandbox.RealmOptions{Name: args[1], MigratorSecret: siteSecret, ProofSecret: proofSecret})
		ts.Check(err)
	case "hold/2":
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		path, err := regexp.Compile(args[2])
		ts.Check(err)
		b.hold(n, path)
	case "held/0":
		b.mu.Lock()
		held := b.held
		b.mu.Unlock()
		<-held
	case "release/0":
		b.letGo()
	case "release/1":
		d, err := time.ParseDuration(args[1])
		ts.Check(err)
		time.AfterFunc(d, b.letGo)
	case "settle/0":
		b.proxy.Settle()
	case "mark/0":
		b.mu.Lock()
		b.requests = 0
		b.mu.Unlock()
	case "untouched/0":
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.requests > 0 {
			ts.Fatalf("%d requests came in", b.requests)
		}
	case "dump/2":
		f, err := os.Create(ts.MkAbs(args[2]))
		ts.Check(err)
		ts.Check(b.server.Dump(f, args[1], []byte("compare")))
		ts.Check(f.Close())
	default:
		ts.Fatalf(sandboxUsage)
	}
}

// start serves a sandbox: a second one in a script replaces the first, and has
// the same realm with the same ids and clients.
func (b *box) start(ts *testscript.TestScript, args []string) {
	set, _ := options(args)
	o := sandbox.Options{Realm: sandbox.RealmOptions{Name: siteRealm, ID: siteRealmID, NoOrganizations: set["organizations"] == "off",
		MigratorSecret: siteSecret, ProofSecret: proofSecret}}
	if dir, ok := set["state"]; ok {
		o.StateDir = ts.MkAbs(dir)
	}
	s, err := sandbox.New(o)
	ts.Check(err)
	ts.Defer(func() { ts.Check(s.Close()) })
	ts.Defer(b.letGo) // a held request keeps the server open
	b.server, b.proxy = s, faultproxy.New(s)
	b.proxy.Strike(b.strike)
	ctx, stop := context.WithCancel(context.Background())
	ts.Defer(stop)
	address, err := b.proxy.Start(ctx)
	ts.Check(err)
	r, ok := s.Realm(siteRealm)
	if !ok {
		ts.Fatalf("the sandbox has no realm %s", siteRealm)
	}
	for name, value := range map[string]string{"URL": address, "REALM": r.Name, "CLIENT": r.Migrator.ID, "SECRET": r.Migrator.Secret,
		"PROOF_CLIENT": r.Proof.ID, "PROOF_SECRET": r.Proof.Secret} {
		ts.Setenv("SANDBOX_"+name, value)
	}
}

func runTarget(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: target NAME REALM")
	}
	path := ts.MkAbs(config.DefaultName)
	data, err := os.ReadFile(path)
	ts.Check(err)
	text, err := withTarget(string(data), args[0], realmTarget{
		url: ts.Getenv("SANDBOX_URL"), realm: args[1], client: ts.Getenv("SANDBOX_CLIENT"), secret: "${SANDBOX_SECRET}",
		proofClient: ts.Getenv("SANDBOX_PROOF_CLIENT"), proofSecret: "${SANDBOX_PROOF_SECRET}",
	})
	ts.Check(err)
	ts.Check(os.WriteFile(path, []byte(text), 0o644))
}

func runAdmin(ts *testscript.TestScript, neg bool, args []string) {
	set, args := options(args)
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: admin [realm=NAME] METHOD PATH [BODY]")
	}
	a := administratorOf(ts, set["realm"])
	body := ""
	if len(args) > 2 {
		body = args[2]
	}
	fmt.Fprintln(ts.Stdout(), a.do(args[0], a.path(args[1]), body))
}

func runEdit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: edit USERNAME JSON")
	}
	a := administratorOf(ts, "")
	path := "/users/" + a.user(args[0])
	var account map[string]any
	ts.Check(json.Unmarshal([]byte(a.do("GET", path, "")), &account))
	var change map[string]any
	ts.Check(json.Unmarshal([]byte(args[1]), &change))
	for k, v := range change {
		have, _ := account[k].(map[string]any)
		if more, ok := v.(map[string]any); ok && have != nil {
			maps.Copy(have, more)
			v = have
		}
		account[k] = v
	}
	body, err := json.Marshal(account)
	ts.Check(err)
	a.do("PUT", path, string(body))
}

// administrator changes a realm by hand.
type administrator struct {
	ts    *testscript.TestScript
	realm *contract.Target
}

// administratorOf is that of a realm of the sandbox, of the first one for "".
func administratorOf(ts *testscript.TestScript, realm string) *administrator {
	return &administrator{ts: ts, realm: &contract.Target{Name: "sandbox", URL: ts.Getenv("SANDBOX_URL"), Realm: cmp.Or(realm, ts.Getenv("SANDBOX_REALM")),
		Migrator: contract.Client{ID: ts.Getenv("SANDBOX_CLIENT"), Secret: ts.Getenv("SANDBOX_SECRET")}}}
}

func (a *administrator) do(method, path, body string) string {
	answer, err := a.realm.Do(context.Background(), contract.Step{Method: method, Path: path, Body: body}, contract.Vars{})
	a.ts.Check(err)
	if answer.Status/100 != 2 {
		a.ts.Fatalf("%s %s: status %d: %s", method, path, answer.Status, answer.Body)
	}
	return answer.Body
}

// path puts ids in the place of names.
func (a *administrator) path(path string) string {
	parts := strings.Split(path, "/")
	switch {
	case len(parts) >= 3 && parts[1] == "user":
		return strings.Join(append([]string{"", "users", a.user(parts[2])}, parts[3:]...), "/")
	case len(parts) == 4 && parts[1] == "member":
		return "/organizations/" + a.id("/organizations?search="+url.QueryEscape(parts[2])) + "/members/" + a.user(parts[3])
	}
	return path
}

func (a *administrator) user(name string) string {
	return a.id("/users?exact=true&username=" + url.QueryEscape(name))
}

// id is the id of the one thing that a search finds.
func (a *administrator) id(search string) string {
	var found []struct{ ID string }
	a.ts.Check(json.Unmarshal([]byte(a.do("GET", search, "")), &found))
	if len(found) != 1 {
		a.ts.Fatalf("GET %s: %d found, want one", search, len(found))
	}
	return found[0].ID
}
