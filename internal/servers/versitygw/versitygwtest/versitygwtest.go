// Package versitygwtest lends tests a real S3 server: gateways over a directory of their own, one bucket per call of Bucket.
//
// Start with Start; several gateways over one directory come from further calls of Serve.
package versitygwtest

import (
	"testing"

	"github.com/parallelrun/parallelrun/internal/servers/servertest"
	"github.com/parallelrun/parallelrun/internal/servers/versitygw"
)

// Start runs a gateway until the test ends. It ends the test by name if this machine cannot build one.
func Start(t testing.TB) *versitygw.Server {
	t.Helper()
	d, err := versitygw.NewDirectory(t.Context())
	servertest.Require(t, err)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close the gateway's directory: %v", err)
		}
	})
	return Serve(t, d)
}

// Serve runs one more gateway over a directory.
func Serve(t testing.TB, d *versitygw.Directory) *versitygw.Server {
	t.Helper()
	s, err := d.Serve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Bucket makes an empty bucket.
func Bucket(t testing.TB, d *versitygw.Directory) string {
	t.Helper()
	name, err := d.NewBucket()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// Credentials puts the directory's keys into the environment, where the SDK's chain finds them, and keeps the machine's own
// configuration out.
func Credentials(t testing.TB, d *versitygw.Directory) {
	t.Helper()
	for _, e := range Environment(d) {
		t.Setenv(e[0], e[1])
	}
}

// Environment is what Credentials sets, as names and values.
func Environment(d *versitygw.Directory) [][2]string {
	return [][2]string{
		{"AWS_ACCESS_KEY_ID", d.AccessKey}, {"AWS_SECRET_ACCESS_KEY", d.SecretKey}, {"AWS_SESSION_TOKEN", ""},
		{"AWS_PROFILE", ""}, {"AWS_CONFIG_FILE", "/dev/null"}, {"AWS_SHARED_CREDENTIALS_FILE", "/dev/null"}, {"AWS_EC2_METADATA_DISABLED", "true"},
	}
}
