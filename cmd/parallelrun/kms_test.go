package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/faultproxy"
	"github.com/parallelrun/parallelrun/internal/servers/moto/mototest"
)

// A store whose keys an age identity opens gets an AWS KMS key beside it, then
// that alone: runs, rotation and re-seal go on, and what KMS refuses is said. A
// store that is made anew needs no identity at all.
func TestKeysOfKMS(t *testing.T) {
	kms := mototest.Start(t)
	arn := kms.NewKey(t, "alias/migration")
	proxy, err := faultproxy.NewKeepingHost(kms.URL)
	if err != nil {
		t.Fatal(err)
	}
	url, err := proxy.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, newTemplate(t, crashData))
	s.must("run", "--apply")
	own := strings.TrimSpace(s.must("key", "init", "spare.txt").stdout) // a further person
	keys := func(lines string) {
		t.Helper()
		s.replaceConfig("keys:\n", "keys:\n"+lines)
	}
	settings := fmt.Sprintf("  kms: {endpoint: %q, region: %s}\n", url, mototest.Region)
	keys(settings + fmt.Sprintf("  recipients: [%s, \"aws-kms:%s\"]\n", own, arn))
	s.must("config", "check")
	if r := s.must("key", "wrap"); !strings.Contains(r.stdout, "would be wrapped for just "+own+", aws-kms:"+arn) {
		t.Error(r.stdout)
	}
	s.must("key", "wrap", "--apply")

	// From here on nobody has the identity.
	s.replaceConfig("  identity: file:keys/identity.txt\n", "")
	if err := os.RemoveAll(filepath.Join(s.dir, "keys")); err != nil {
		t.Fatal(err)
	}
	s.must("config", "check")
	s.renameSome()
	s.must("run", "--apply")
	s.replaceConfig("aws-kms:"+arn, "aws-kms:alias/migration")
	s.must("key", "rotate", "--apply")
	s.must("key", "reseal", "--apply")
	if r := s.must("key", "list"); !strings.Contains(r.stdout, "aws-kms:alias/migration") || !strings.Contains(r.stdout, "newest, can be opened") {
		t.Error(r.stdout)
	}
	s.must("key", "destroy", "1", "--apply")
	s.must("run", "--apply")

	refused := func(what string, f faultproxy.Fault, code int, want string) {
		t.Helper()
		proxy.Strike(func(faultproxy.Request) faultproxy.Fault { return f })
		defer proxy.Strike(func(faultproxy.Request) faultproxy.Fault { return faultproxy.Fault{} })
		for _, args := range [][]string{{"run"}, {"key", "rotate", "--apply"}, {"key", "reseal"}} {
			r := s.run(args...)
			if r.code != code || !strings.Contains(r.stderr, "hint: "+want) || strings.Contains(r.stderr, "hush") {
				t.Errorf("%s, %v: exit code %d\n%s", what, args, r.code, r.stderr)
			}
		}
	}
	said := func(code string) faultproxy.Fault {
		return faultproxy.Fault{Status: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Answer: `{"__type":"` + code + `","message":"made up"}`}
	}
	refused("disabled", said("DisabledException"), 2, "enable the key in AWS KMS")
	refused("denied", said("AccessDeniedException"), 2, "give the identity kms:Encrypt and kms:Decrypt on the key")
	refused("down", faultproxy.Fault{Drop: true}, 3, "is the network up, and the endpoint right?")
	// What needs no secret needs no key.
	s.must("snapshots", "verify")

	if err := os.RemoveAll(filepath.Join(s.dir, ".parallelrun")); err != nil {
		t.Fatal(err)
	}
	s.replaceConfig(own+", ", "")
	s.must("run")
	for _, file := range s.files(".parallelrun/store/keys") {
		data, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(data), `"aws-kms:alias/migration"`) || strings.Contains(string(data), "age1") {
			t.Errorf("%s: %v\n%s", file, err, data)
		}
	}
}
