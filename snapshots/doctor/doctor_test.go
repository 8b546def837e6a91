package doctor_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/servers/badbucket"
	"github.com/parallelrun/parallelrun/internal/servers/versitygw/versitygwtest"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/doctor"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/s3"
)

func run(t *testing.T, open func(context.Context) (snapshots.Backend, error)) doctor.Report {
	t.Helper()
	r, err := doctor.Run(t.Context(), doctor.Options{Open: open, Rounds: 5})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func names(probes []doctor.Probe) (names []string) {
	for _, p := range probes {
		names = append(names, p.Name)
	}
	return names
}

// Every flaw is caught by the probe that is about it, with a next step.
func TestFlaws(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "y")
	for name, c := range map[string]struct {
		flaws badbucket.Flaws
		want  []string
	}{
		"none":                {badbucket.Flaws{}, nil},
		"conditions ignored":  {badbucket.Flaws{IgnoreConditions: true}, []string{"create only", "racing writers"}},
		"conditions racy":     {badbucket.Flaws{Racy: true}, []string{"racing writers"}},
		"checksums ignored":   {badbucket.Flaws{IgnoreChecksums: true}, []string{"checksum refused"}},
		"stale reads":         {badbucket.Flaws{StaleReads: true}, []string{"round trip", "create only", "read after write"}},
		"stale lists":         {badbucket.Flaws{StaleLists: true}, []string{"list consistency"}},
		"lists backwards":     {badbucket.Flaws{Disordered: true}, []string{"list consistency"}},
		"start-after ignored": {badbucket.Flaws{IgnoreStartAfter: true}, []string{"list consistency"}},
		"pages repeat":        {badbucket.Flaws{IgnorePages: true}, []string{"list consistency"}},
		"wrong ranges":        {badbucket.Flaws{ForgetfulRanges: true}, []string{"round trip", "create only"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(badbucket.New(c.flaws))
			defer server.Close()
			r := run(t, func(ctx context.Context) (snapshots.Backend, error) {
				return s3.Open(ctx, s3.Options{Bucket: "bucket", Prefix: "p", Endpoint: server.URL})
			})
			if got := names(r.Broken()); !slices.Equal(got, c.want) {
				t.Errorf("broken: %q, want %q", got, c.want)
			}
			for _, p := range r.Broken() {
				t.Logf("%s: %s (%s)", p.Name, p.What, p.Next)
				if p.What == "" || p.Next == "" {
					t.Errorf("%s: what %q, hint %q", p.Name, p.What, p.Next)
				}
			}
			if len(r.Probes) != 6 || r.Location != "s3://bucket/p" || r.Objects == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestRealServer(t *testing.T) {
	server := versitygwtest.Start(t)
	versitygwtest.Credentials(t, server.Directory)
	bucket := versitygwtest.Bucket(t, server.Directory)
	open := func(ctx context.Context) (snapshots.Backend, error) {
		return s3.Open(ctx, s3.Options{Bucket: bucket, Endpoint: server.URL})
	}
	if r := run(t, open); len(r.Broken()) > 0 {
		t.Errorf("%+v", r.Broken())
	}
	usable(t, open)
}

// What probes leave behind is in nobody's way: a store can be made there.
func usable(t *testing.T, open func(context.Context) (snapshots.Backend, error)) {
	t.Helper()
	b, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left, err := backendtest.Keys(t.Context(), b, "", "")
	if err != nil || len(left) == 0 {
		t.Fatalf("%d keys, %v", len(left), err)
	}
	for _, key := range left {
		if !strings.HasPrefix(key, snapshots.DoctorPrefix) {
			t.Errorf("left behind: %s", key)
		}
	}
	if err := snapshots.Init(t.Context(), b, snapshots.InitOptions{}); err != nil {
		t.Error(err)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	open := func(context.Context) (snapshots.Backend, error) { return local.Open(dir) }
	r := run(t, open)
	if len(r.Broken()) > 0 || r.Probes[5].Result != doctor.NotTested {
		t.Errorf("%+v", r.Probes)
	}
	usable(t, open)
}

// What can't be asked is an error, not a broken promise.
func TestUnreachable(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "y")
	server := httptest.NewServer(nil)
	server.Close()
	_, err := doctor.Run(t.Context(), doctor.Options{Open: func(ctx context.Context) (snapshots.Backend, error) {
		return s3.Open(ctx, s3.Options{Bucket: "bucket", Endpoint: server.URL})
	}})
	if !errors.Is(err, s3.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}
