package s3_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/parallelrun/parallelrun/internal/servers/versitygw"
	"github.com/parallelrun/parallelrun/internal/servers/versitygw/versitygwtest"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/s3"
)

// spoiler damages a bucket as whoever has all rights can.
type spoiler struct {
	*s3.Backend
	t      *testing.T
	server *versitygw.Server
	bucket string
}

func (s spoiler) Replace(key string, data []byte) { overwrite(s.t, s.server, s.bucket, key, data) }

func (s spoiler) Remove(key string) {
	cfg, err := config.LoadDefaultConfig(s.t.Context(), config.WithRegion(versitygw.Region))
	if err != nil {
		s.t.Fatal(err)
	}
	c := awss3.NewFromConfig(cfg, func(o *awss3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(s.server.URL), true })
	if _, err := c.DeleteObject(s.t.Context(), &awss3.DeleteObjectInput{Bucket: &s.bucket, Key: &key}); err != nil {
		s.t.Fatal(err)
	}
}

func TestIntegrity(t *testing.T) {
	server := versitygwtest.Start(t)
	versitygwtest.Credentials(t, server.Directory)
	bucket := versitygwtest.Bucket(t, server.Directory)
	backendtest.RunIntegrity(t, spoiler{mustOpen(t, s3.Options{Bucket: bucket, Endpoint: server.URL}), t, server, bucket})
}

func TestKeys(t *testing.T) {
	server := versitygwtest.Start(t)
	versitygwtest.Credentials(t, server.Directory)
	backendtest.RunKeys(t, mustOpen(t, s3.Options{Bucket: versitygwtest.Bucket(t, server.Directory), Endpoint: server.URL}))
}

// Buckets in which the test binary is a writer or a collector, for TestKill and
// TestKillCollector.
const (
	crashStore   = "PARALLELRUN_TEST_CRASH_STORE"
	collectStore = "PARALLELRUN_TEST_COLLECT_STORE"
)

func TestMain(m *testing.M) {
	for role, play := range map[string]func(context.Context, snapshots.Backend, io.Writer) error{
		crashStore: backendtest.WriteForever, collectStore: backendtest.CollectForever,
	} {
		if bucket, endpoint, ok := strings.Cut(os.Getenv(role), " "); ok {
			ctx := context.Background()
			b, err := s3.Open(ctx, s3.Options{Bucket: bucket, Endpoint: endpoint})
			if err == nil {
				err = play(ctx, b, os.Stdout)
			}
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// As TestKill over a directory.
func TestKill(t *testing.T) { kill(t, crashStore, backendtest.RunKill) }

// As TestKillCollector over a directory.
func TestKillCollector(t *testing.T) { kill(t, collectStore, backendtest.RunKillCollector) }

func kill(t *testing.T, role string, run func(*testing.T, int, func() *exec.Cmd, func() snapshots.Backend)) {
	server := versitygwtest.Start(t)
	versitygwtest.Credentials(t, server.Directory)
	bucket := versitygwtest.Bucket(t, server.Directory)
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	run(t, rounds, func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), role+"="+bucket+" "+server.URL)
		return cmd
	}, func() snapshots.Backend { return mustOpen(t, s3.Options{Bucket: bucket, Endpoint: server.URL}) })
}

func TestModel(t *testing.T) {
	server := versitygwtest.Start(t)
	versitygwtest.Credentials(t, server.Directory)
	backendtest.RunModel(t, 2, func(t *testing.T) snapshots.Sweeper {
		return mustOpen(t, s3.Options{Bucket: versitygwtest.Bucket(t, server.Directory), Endpoint: server.URL})
	})
}
