package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/servers/versitygw"
	"github.com/parallelrun/parallelrun/internal/servers/versitygw/versitygwtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/s3"
)

// Other people's programs read a store in a bucket where it lies, as they do
// one in a folder (open.txtar).
func TestOpenBucket(t *testing.T) {
	if !hasForeign() {
		t.Skipf("no Python with %s (make deps)", strings.Join(foreign, ", "))
	}
	server := versitygwtest.Start(t)
	versitygwtest.Credentials(t, server.Directory)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_REGION", versitygw.Region)
	bucket := versitygwtest.Bucket(t, server.Directory)
	dir := t.TempDir()
	if err := kindsFixture(filepath.Join(dir, "store"), filepath.Join(dir, "key.txt")); err != nil {
		t.Fatal(err)
	}
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
	s := &site{t: t, dir: dir}
	store := fmt.Sprintf("s3://%s/migration", bucket)
	tool := func(args ...string) string {
		t.Helper()
		r := s.run(append([]string{"--store", store, "snapshots"}, args...)...)
		if r.code != 0 && args[0] != "diff" {
			t.Fatalf("%v: %s", args, r.stderr)
		}
		return r.stdout
	}
	keep := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keep("night-1.jsonl", tool("diff", "empty-1", "night-1", "--rows", "--json"))
	keep("night-2.jsonl", tool("diff", "empty-1", "night-2", "--rows", "--json"))
	keep("views.sql", tool("export", "--duckdb", "night-1"))
	tool("export", "--iceberg", "tables", "--apply")
	read := func(script string, args ...string) string {
		t.Helper()
		cmd := exec.Command(python(), append([]string{filepath.Join(openHome(t), script)}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%.4000s", script, err, out)
		}
		return string(out)
	}
	if out := read("views.py", "views.sql", "people", "night-1.jsonl", "people"); !strings.Contains(out, "40 rows, 32 sealed") {
		t.Error(out)
	}
	out := read("iceberg.py", "tables/hr/legacy/people", "people", "night-1", "night-1.jsonl", "night-2", "night-2.jsonl")
	for _, want := range []string{"pyiceberg of night-1: 40 rows", "duckdb of night-2: 39 rows"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func openHome(t *testing.T) string {
	t.Helper()
	home, err := filepath.Abs("testdata/open")
	if err != nil {
		t.Fatal(err)
	}
	return home
}
