package s3_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers/badbucket"
	"github.com/parallelrun/parallelrun/internal/servers/versitygw/versitygwtest"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/s3"
)

const customerKey = "0123456789abcdef0123456789abcdef"

func credentials(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hush-hush-hush", "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
}

// What is sent: the condition, the checksum as asked for, encryption with every
// request that needs it.
func TestHeaders(t *testing.T) {
	credentials(t)
	sum := md5.Sum([]byte(customerKey))
	keyMD5 := base64.StdEncoding.EncodeToString(sum[:])
	for name, c := range map[string]struct {
		o          s3.Options
		put, reads map[string]string // header: value, "" for none
	}{
		"plain": {s3.Options{}, map[string]string{"If-None-Match": "*", "X-Amz-Checksum-Sha256": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
			"X-Amz-Server-Side-Encryption": "", "Content-Encoding": "", "Expect": ""}, nil},
		"no checksums": {s3.Options{Checksums: s3.WhenRequired}, map[string]string{"If-None-Match": "*", "X-Amz-Checksum-Sha256": "", "X-Amz-Sdk-Checksum-Algorithm": "",
			"X-Amz-Checksum-Crc32": "", "X-Amz-Content-Sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}, nil},
		"kms key": {s3.Options{Encryption: s3.Encryption{KMSKey: "alias/x"}}, map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms",
			"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "alias/x"}, map[string]string{"X-Amz-Server-Side-Encryption": ""}},
		"the account's kms key": {s3.Options{Encryption: s3.Encryption{KMSKey: "aws/s3"}}, map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms",
			"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": ""}, nil},
		"customer key": {s3.Options{Encryption: s3.Encryption{CustomerKey: []byte(customerKey)}},
			map[string]string{"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256", "X-Amz-Server-Side-Encryption-Customer-Key-Md5": keyMD5},
			map[string]string{"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256", "X-Amz-Server-Side-Encryption-Customer-Key-Md5": keyMD5}},
	} {
		t.Run(name, func(t *testing.T) {
			fake := badbucket.New(badbucket.Flaws{})
			server := httptest.NewServer(fake)
			defer server.Close()
			c.o.Bucket, c.o.Endpoint = "bucket", server.URL
			b := mustOpen(t, c.o)
			if err := backendtest.Put(t.Context(), b, "x", []byte("abc")); err != nil {
				t.Fatal(err)
			}
			if got, err := backendtest.Get(t.Context(), b, "x"); err != nil || string(got) != "abc" {
				t.Fatalf("%q, %v", got, err)
			}
			if _, err := b.Stat(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			sent := fake.Requests()
			wantHeaders(t, "put", sent[0], c.put)
			for _, h := range sent[1:] {
				wantHeaders(t, "read", h, c.reads)
			}
		})
	}
}

// Region and credentials are those of the options, else of the profile: requests
// are signed with them.
func TestRegionAndProfile(t *testing.T) {
	credentials(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"AWS_CONFIG_FILE":             "[profile store]\nregion = eu-west-9\n",
		"AWS_SHARED_CREDENTIALS_FILE": "[store]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = hush\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, path)
	}
	for _, c := range []struct {
		o    s3.Options
		want string
	}{
		{s3.Options{Region: "mars-1"}, "Credential=AKIAEXAMPLE/*/mars-1/s3/"},
		{s3.Options{Profile: "store"}, "Credential=AKIAPROFILE/*/eu-west-9/s3/"},
		{s3.Options{Profile: "store", Region: "mars-1"}, "Credential=AKIAPROFILE/*/mars-1/s3/"},
	} {
		fake := badbucket.New(badbucket.Flaws{})
		server := httptest.NewServer(fake)
		defer server.Close()
		c.o.Bucket, c.o.Endpoint = "bucket", server.URL
		if err := backendtest.Put(t.Context(), mustOpen(t, c.o), "x", []byte("abc")); err != nil {
			t.Fatal(err)
		}
		before, after, _ := strings.Cut(c.want, "*")
		got := fake.Requests()[0].Get("Authorization")
		if _, rest, ok := strings.Cut(got, before); !ok || !strings.HasPrefix(strings.TrimLeft(rest, "0123456789"), after) {
			t.Errorf("profile %q, region %q: signed %q, want %q", c.o.Profile, c.o.Region, got, c.want)
		}
	}
}

func wantHeaders(t *testing.T, what string, got http.Header, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("%s: %s: %q, want %q", what, name, got.Get(name), value)
		}
	}
}

// What can't work is refused before anything is sent, with the next step and
// without secrets.
func TestRefusedOptions(t *testing.T) {
	credentials(t)
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	for name, o := range map[string]s3.Options{
		"no region":           {},
		"bucket's name":       {Bucket: "Not_A_Bucket"},
		"directory bucket":    {Bucket: "x--use1-az4--x-s3"},
		"prefix":              {Prefix: "a/../b"},
		"two keys":            {Encryption: s3.Encryption{KMSKey: "x", CustomerKey: []byte(customerKey)}},
		"short key":           {Encryption: s3.Encryption{CustomerKey: []byte(customerKey[1:])}},
		"key in the clear":    {Encryption: s3.Encryption{CustomerKey: []byte(customerKey)}, Endpoint: "http://s3.example.org"},
		"checksum mode":       {Checksums: "sometimes"},
		"password in the url": {Endpoint: "https://user:hush-hush-hush@s3.example.org"},
		"endpoint":            {Endpoint: "s3.example.org"},
		"profile":             {Profile: "nobody"},
	} {
		if o.Bucket == "" {
			o.Bucket = "bucket"
		}
		_, err := s3.Open(t.Context(), o)
		e, ok := errors.AsType[*s3.Error](err)
		if !ok || !errors.Is(err, s3.ErrRefused) || e.Hint() == "" || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), customerKey[1:8]) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Every way to fail says whose fault it is, names the object and the next step,
// and holds no secret.
func TestErrors(t *testing.T) {
	server := versitygwtest.Start(t)
	versitygwtest.Credentials(t, server.Directory)
	bucket := versitygwtest.Bucket(t, server.Directory)
	for name, c := range map[string]struct {
		o     s3.Options
		setup func(t *testing.T)
		want  error
		says  string
	}{
		"nobody there":    {s3.Options{Bucket: bucket, Endpoint: "http://127.0.0.1:1"}, nil, s3.ErrUnreachable, "is the network up"},
		"no such bucket":  {s3.Options{Bucket: "nowhere", Endpoint: server.URL}, nil, s3.ErrRefused, "make the bucket first"},
		"wrong secret":    {s3.Options{Bucket: bucket, Endpoint: server.URL}, func(t *testing.T) { t.Setenv("AWS_SECRET_ACCESS_KEY", "hush-hush-hush") }, s3.ErrRefused, "the secret key is not"},
		"wrong key id":    {s3.Options{Bucket: bucket, Endpoint: server.URL}, func(t *testing.T) { t.Setenv("AWS_ACCESS_KEY_ID", "hush-hush-hush") }, s3.ErrRefused, "of another account"},
		"no credentials":  {s3.Options{Bucket: bucket, Endpoint: server.URL}, func(t *testing.T) { t.Setenv("AWS_ACCESS_KEY_ID", ""); t.Setenv("AWS_SECRET_ACCESS_KEY", "") }, s3.ErrRefused, "give credentials"},
		"another service": {s3.Options{Bucket: bucket, Endpoint: notS3(t)}, nil, s3.ErrRefused, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.setup != nil {
				c.setup(t)
			}
			c.o.Timeout = 2 * time.Second
			b := mustOpen(t, c.o)
			_, openErr := b.Open(t.Context(), "log/1")
			_, listErr := backendtest.Keys(t.Context(), b, "", "")
			putErr := backendtest.Put(t.Context(), b, "log/1", []byte("x"))
			for op, err := range map[string]error{"open": openErr, "list": listErr, "create": putErr} {
				if name == "another service" && op == "open" {
					continue // 404 may mean just that
				}
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "s3://"+c.o.Bucket) || strings.Contains(err.Error(), "hush") {
					t.Errorf("%s: got %v, want %v that says %q", op, err, c.want, c.says)
				}
				if errors.Is(err, snapshots.ErrUnknownOutcome) {
					t.Errorf("%s: in doubt: %v", op, err)
				}
			}
		})
	}
}

func notS3(t *testing.T) string {
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.URL
}

// What is there already is not sent again.
func TestLooksBeforeItSends(t *testing.T) {
	credentials(t)
	fake := badbucket.New(badbucket.Flaws{})
	server := httptest.NewServer(fake)
	defer server.Close()
	b := mustOpen(t, s3.Options{Bucket: "bucket", Endpoint: server.URL})
	data := make([]byte, 3<<20)
	if err := backendtest.Put(t.Context(), b, "x", data); err != nil {
		t.Fatal(err)
	}
	before := len(fake.Requests())
	if err := b.Create(context.Background(), "x", bytes.NewReader(data)); !errors.Is(err, snapshots.ErrExists) {
		t.Fatal(err)
	}
	for _, h := range fake.Requests()[before:] {
		if h.Get("If-None-Match") != "" {
			t.Error("sent again")
		}
	}
}
