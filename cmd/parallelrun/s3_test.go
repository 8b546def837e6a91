package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/faultproxy"
	"github.com/parallelrun/parallelrun/internal/servers/badbucket"
	"github.com/parallelrun/parallelrun/internal/servers/versitygw"
	"github.com/parallelrun/parallelrun/internal/servers/versitygw/versitygwtest"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/s3"
)

// bucketSite is a site whose store lies in a bucket of a real server.
func bucketSite(t *testing.T, template string, server *versitygw.Server, url string) *site {
	t.Helper()
	versitygwtest.Credentials(t, server.Directory)
	s := newSite(t, template)
	bucket := versitygwtest.Bucket(t, server.Directory)
	store := fmt.Sprintf("store: s3://%s/migration\ns3: {endpoint: %q, region: %s}\n", bucket, url, versitygw.Region)
	s.replaceConfig("store: .parallelrun/store\n", store)
	// The template's keys come along, so that all sites seal and salt alike.
	dir := filepath.Join(s.dir, ".parallelrun")
	from, err := local.Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := s3.Open(t.Context(), s3.Options{Bucket: bucket, Prefix: "migration", Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	copyObjects(t, from, to)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return s
}

func copyObjects(t *testing.T, from, to snapshots.Backend) {
	t.Helper()
	for key, err := range from.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		o, err := from.Open(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(to.Create(t.Context(), key, io.NewSectionReader(o, 0, o.Size())), o.Close())
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s *site) replaceConfig(old, with string) {
	s.t.Helper()
	path := filepath.Join(s.dir, config.DefaultName)
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), old) {
		s.t.Fatalf("%s does not hold %q: %v", path, old, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), old, with, 1)), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// The whole program with its store in a bucket: run, look, checkpoint, change,
// compare, restore, and the directory holds nothing of a store.
func TestStoreInBucket(t *testing.T) {
	server := versitygwtest.Start(t)
	s := bucketSite(t, newTemplate(t, crashData), server, server.URL)
	s.must("config", "check")
	if r := s.must("store", "doctor", "--json"); !strings.Contains(r.stdout, `"ok": true`) {
		t.Error(r.stdout)
	}
	s.must("run", "--apply")
	s.must("checkpoint", "create", "first")
	before := s.dump()
	s.renameSome()
	if r := s.must("run", "--apply"); s.dump() == before {
		t.Fatalf("the change did not reach the target\n%s", r.stdout)
	}
	r := s.run("snapshots", "diff", "checkpoint/first/base", pipelines.BaseRef("sandbox"), "--json")
	if r.code != 1 || !strings.Contains(r.stdout, `"columns":{"first_name":`) {
		t.Errorf("diff: exit code %d\n%s\n%s", r.code, r.stdout, r.stderr)
	}
	s.must("restore", "first", "--apply")
	if s.dump() != before {
		t.Error("the target is not as at the checkpoint")
	}
	if r := s.must("snapshots", "verify", "--rows"); !strings.Contains(r.stdout, " 0 things damaged") {
		t.Error(r.stdout)
	}
	for _, file := range s.files(".parallelrun") {
		if !strings.HasSuffix(file, ".ledger") { // of this machine's own runs
			t.Errorf("beside the bucket: %s", file)
		}
	}
	if left := s.files("tmp"); len(left) > 0 {
		t.Errorf("temporary files left: %v", left)
	}
}

var givenName = regexp.MustCompile(`(?m)^givenName: .*$`)

// renameSome changes names in the legacy directory.
func (s *site) renameSome() {
	s.t.Helper()
	path := filepath.Join(s.dir, "legacy.ldif")
	data, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	data = givenName.ReplaceAllFunc(data, func(line []byte) []byte {
		if n++; n > 10 {
			return line
		}
		return []byte("givenName: Renamed")
	})
	if err := os.WriteFile(path, data, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// Killed at any request to the bucket, before it is carried out or after, and
// resumed, the run ends as if nobody had disturbed it.
func TestKilledAtTheBucket(t *testing.T) {
	u := newUninterrupted(t)
	server := versitygwtest.Start(t)
	proxy, err := faultproxy.NewKeepingHost(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	url, err := proxy.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	writes := func(r faultproxy.Request) bool { return r.Method == http.MethodPut }
	total := 0
	whole := bucketSite(t, u.template, server, url)
	proxy.Strike(func(r faultproxy.Request) faultproxy.Fault {
		if writes(r) {
			total++
		}
		return faultproxy.Fault{}
	})
	whole.must("run", "--apply")
	proxy.Strike(nil)
	whole.wantSame(u) // a store in a directory comes to the same
	kills := 8
	if testing.Short() {
		kills = 2
	}
	for k := range kills {
		at := 1 + k*total/kills
		t.Run(fmt.Sprintf("write-%d-of-%d", at, total), func(t *testing.T) {
			s := bucketSite(t, u.template, server, url)
			cmd := s.command("run", "--apply")
			n, process := 0, make(chan *os.Process, 1)
			proxy.Strike(func(r faultproxy.Request) faultproxy.Fault {
				if writes(r) {
					n++
				}
				if n != at || !writes(r) {
					return faultproxy.Fault{}
				}
				kill := func() { _ = (<-process).Kill() }
				if k%2 == 0 {
					return faultproxy.Fault{Before: kill, Drop: true}
				}
				return faultproxy.Fault{After: kill, Lose: true}
			})
			if r := s.finish(cmd, func(p *os.Process) { process <- p }); r.code != -1 {
				t.Fatalf("was not killed: exit code %d\n%s", r.code, r.stderr)
			}
			proxy.Strike(nil)
			proxy.Settle()
			s.resumeUntilDone()
			s.wantAs(u)
		})
	}
}

// A bucket that ignores conditions is refused, with the probe and the next step
// named.
func TestDoctorRefuses(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush-hush-hush")
	bad := httptest.NewServer(badbucket.New(badbucket.Flaws{IgnoreConditions: true}))
	defer bad.Close()
	t.Setenv("AWS_ENDPOINT_URL_S3", bad.URL)
	t.Setenv("AWS_REGION", "us-east-1")
	s := &site{t: t, dir: t.TempDir()}
	r := s.run("--store", "s3://bucket/x", "store", "doctor")
	if r.code != 1 || !strings.Contains(r.stderr, `s3://bucket/x is no place for a store: "create only", "racing writers" failed`) || !strings.Contains(r.stderr, "hint: keep the store in a directory") {
		t.Errorf("exit code %d\n%s\n%s", r.code, r.stdout, r.stderr)
	}
	if !strings.Contains(r.stdout, "conditions are ignored") {
		t.Error(r.stdout)
	}
	r = s.run("--store", "s3://bucket/x", "store", "doctor", "--json")
	var view struct {
		OK     bool
		Probes []struct{ Name, Result, Hint string }
	}
	if err := json.Unmarshal([]byte(r.stdout), &view); err != nil || r.code != 1 || view.OK || view.Probes[1].Result != "broken" || view.Probes[1].Hint == "" {
		t.Errorf("exit code %d, %v, %+v", r.code, err, view)
	}
	for code, c := range map[int]struct{ url, says string }{
		3: {"http://127.0.0.1:1", "can't be reached"},
		2: {"not a url", "hint: "},
	} {
		t.Setenv("AWS_ENDPOINT_URL_S3", c.url)
		r := s.run("--store", "s3://bucket/x", "snapshots", "list")
		if r.code != code || !strings.Contains(r.stderr, c.says) || strings.Contains(r.stderr, "hush") {
			t.Errorf("%s: exit code %d, want %d\n%s", c.url, r.code, code, r.stderr)
		}
	}
}
