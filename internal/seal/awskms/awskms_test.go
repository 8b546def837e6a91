package awskms_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/faultproxy"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/seal/awskms"
	"github.com/parallelrun/parallelrun/internal/seal/sealtest"
	"github.com/parallelrun/parallelrun/internal/servers/moto/mototest"
	"github.com/parallelrun/parallelrun/schemas"
)

const store = "5f0c8a0e-0d4c-4a7e-9f55-0d6a6b1f9d11"

// files is a seal.Files in memory.
type files map[string][]byte

func (f files) Put(_ context.Context, name string, data []byte) error {
	if _, ok := f[name]; ok {
		return fs.ErrExist
	}
	f[name] = data
	return nil
}

func (f files) Get(_ context.Context, name string) ([]byte, error) {
	data, ok := f[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

func (f files) List(_ context.Context, prefix string) (names []string, err error) {
	for _, n := range slices.Sorted(maps.Keys(f)) {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names, nil
}

func (f files) Delete(_ context.Context, name string) error {
	delete(f, name)
	return nil
}

func services(o awskms.Options) seal.Services {
	if o.Region == "" {
		o.Region = mototest.Region
	}
	return seal.Services{awskms.Scheme: awskms.New(o)}
}

func recipient(t *testing.T, in seal.Services, text string) seal.Recipient {
	t.Helper()
	r, err := seal.ParseRecipient(text, in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// proxied puts a proxy before the server.
func proxied(t *testing.T, server *mototest.KMS) (proxy *faultproxy.Proxy, url string) {
	t.Helper()
	proxy, err := faultproxy.NewKeepingHost(server.URL)
	if err == nil {
		url, err = proxy.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return proxy, url
}

var row = schemas.NewRowID("ns", "users", "k1")

// Keys that are wrapped for an identity and for KMS keys, by ARN and by alias,
// are opened by any of them alone; an alias may move afterwards.
func TestAnyRecipientOpens(t *testing.T) {
	server := mototest.Start(t)
	proxy, url := proxied(t, server)
	in := services(awskms.Options{Endpoint: url})
	one, two := server.NewKey(t, ""), server.NewKey(t, "alias/parallelrun")
	id, f := sealtest.Identity(t), files{}
	to := append(id.Recipients(), recipient(t, in, "aws-kms:"+one), recipient(t, in, "aws-kms:alias/parallelrun"))
	if _, err := seal.Create(t.Context(), f, store, to...); err != nil {
		t.Fatal(err)
	}
	ring, err := seal.Unlock(t.Context(), f, id)
	if err != nil {
		t.Fatal(err)
	}
	box, err := ring.Seal("users", row, "secret", []byte("pw"))
	if err != nil {
		t.Fatal(err)
	}
	opens := func(what string, id *seal.Identity) {
		t.Helper()
		ring, err := seal.Unlock(t.Context(), f, id)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		if got, err := ring.Open("users", row, "secret", box); err != nil || string(got) != "pw" {
			t.Errorf("%s: %v", what, err)
		}
	}
	var nobody *seal.Identity
	kms := nobody.With(in)
	disabled := func(arns ...string) {
		proxy.Strike(func(r faultproxy.Request) faultproxy.Fault {
			for _, arn := range arns {
				if strings.Contains(string(r.Body), arn) {
					return said(http.StatusBadRequest, "DisabledException")(r)
				}
			}
			return faultproxy.Fault{}
		})
	}
	opens("both keys", kms)
	disabled(one)
	opens("the second key", kms)
	disabled(two)
	opens("the first key", kms)
	disabled(one, two)
	opens("the identity, with KMS refusing", id.With(in))
	if _, err := seal.Unlock(t.Context(), f, kms); !errors.Is(err, awskms.ErrRefused) || strings.Count(err.Error(), "DisabledException") != 2 {
		t.Errorf("with neither: %v", err)
	}
	disabled()
	// Nobody but the recipients: what is wrapped names its store and its key.
	f["keys/1/1.json"] = []byte(strings.ReplaceAll(string(f["keys/1/1.json"]), store, "another"))
	if _, err := seal.Unlock(t.Context(), f, kms); !errors.Is(err, awskms.ErrRefused) {
		t.Errorf("a key of another store: %v", err)
	}
}

// said answers as KMS does: moto's server lets a disabled key do everything.
func said(status int, code string) func(faultproxy.Request) faultproxy.Fault {
	return func(faultproxy.Request) faultproxy.Fault {
		return faultproxy.Fault{Status: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Answer: `{"__type":"` + code + `","message":"made up"}`}
	}
}

// What KMS refuses, and that it is not there, is told with the key, the file and
// the next step, and with nothing of what is wrapped.
func TestErrors(t *testing.T) {
	server := mototest.Start(t)
	proxy, url := proxied(t, server)
	pass := func(faultproxy.Request) faultproxy.Fault { return faultproxy.Fault{} }
	for name, c := range map[string]struct {
		strike func(faultproxy.Request) faultproxy.Fault
		o      awskms.Options
		is     error
		want   string
	}{
		"disabled":      {strike: said(http.StatusBadRequest, "DisabledException"), is: awskms.ErrRefused, want: "enable the key in AWS KMS"},
		"to be deleted": {strike: said(http.StatusBadRequest, "KMSInvalidStateException"), is: awskms.ErrRefused, want: "cancel the key's deletion"},
		"access denied": {strike: said(http.StatusBadRequest, "AccessDeniedException"), is: awskms.ErrRefused, want: "give the identity kms:Encrypt and kms:Decrypt on the key"},
		"no such key":   {strike: said(http.StatusBadRequest, "NotFoundException"), is: awskms.ErrRefused, want: "correct keys.recipients"},
		"old session":   {strike: said(http.StatusBadRequest, "ExpiredTokenException"), is: awskms.ErrRefused, want: "renew the session's credentials"},
		"broken server": {strike: said(http.StatusInternalServerError, "KMSInternalException"), is: awskms.ErrUnreachable, want: "is the network up"},
		"lost requests": {strike: func(faultproxy.Request) faultproxy.Fault { return faultproxy.Fault{Drop: true} }, is: awskms.ErrUnreachable, want: "is the network up"},
		"endpoint down": {o: awskms.Options{Endpoint: "http://127.0.0.1:9"}, is: awskms.ErrUnreachable, want: "is the network up, and the endpoint right?"},
		"no answer": {strike: func(r faultproxy.Request) faultproxy.Fault {
			return faultproxy.Fault{Before: func() { time.Sleep(500 * time.Millisecond) }}
		},
			o: awskms.Options{Timeout: 100 * time.Millisecond}, is: awskms.ErrUnreachable, want: "is the network up"},
	} {
		t.Run(name, func(t *testing.T) {
			arn, f := server.NewKey(t, ""), files{}
			if _, err := seal.Create(t.Context(), f, store, recipient(t, services(awskms.Options{Endpoint: server.URL}), "aws-kms:"+arn)); err != nil {
				t.Fatal(err)
			}
			proxy.Strike(pass)
			if c.strike != nil {
				proxy.Strike(c.strike)
			}
			if c.o.Endpoint == "" {
				c.o.Endpoint = url
			}
			in := services(c.o)
			var nobody *seal.Identity
			_, unlock := seal.Unlock(t.Context(), f, nobody.With(in))
			_, create := seal.Create(t.Context(), files{}, store, recipient(t, in, "aws-kms:"+arn))
			for _, err := range []error{unlock, create} {
				if !errors.Is(err, c.is) || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), arn) {
					t.Errorf("%v", err)
				}
				for _, secret := range []string{"hush-hush", "AKIAEXAMPLE"} {
					if err != nil && strings.Contains(err.Error(), secret) {
						t.Errorf("it tells %s", secret)
					}
				}
			}
			if _, ok := errors.AsType[*seal.ServiceError](unlock); !ok || !strings.Contains(unlock.Error(), "keys/mac/1.json") {
				t.Errorf("it does not name the file: %v", unlock)
			}
		})
	}
}

// Without credentials nobody is asked, and the error says what to give.
func TestNoCredentials(t *testing.T) {
	for _, e := range mototest.Environment() {
		t.Setenv(e[0], e[1])
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, _, err := awskms.New(awskms.Options{Region: mototest.Region, Endpoint: "http://127.0.0.1:9"}).Wrap(t.Context(), "alias/x", []byte("k"), nil)
	if !errors.Is(err, awskms.ErrRefused) || !strings.Contains(err.Error(), "give credentials and a region") {
		t.Errorf("%v", err)
	}
}
