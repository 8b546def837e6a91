package s3_test

import (
	"bytes"
	"sync/atomic"
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

func mustOpen(t testing.TB, o s3.Options) *s3.Backend {
	t.Helper()
	b, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The suite runs over two gateways that serve one directory: as a bucket's
// front ends do, they share nothing but the objects.
func TestConformance(t *testing.T) {
	first := versitygwtest.Start(t)
	second := versitygwtest.Serve(t, first.Directory)
	versitygwtest.Credentials(t, first.Directory)
	for name, o := range map[string]s3.Options{
		"with a prefix":                     {Prefix: "team/store"},
		"whole bucket, no checksums beside": {Checksums: s3.WhenRequired},
	} {
		t.Run(name, func(t *testing.T) {
			backendtest.Run(t, func(t *testing.T) func() snapshots.Backend {
				o := o
				o.Bucket = versitygwtest.Bucket(t, first.Directory)
				var n atomic.Int64
				return func() snapshots.Backend {
					o := o
					o.Endpoint = []*versitygw.Server{first, second}[n.Add(1)%2].URL
					return mustOpen(t, o)
				}
			})
		})
	}
}

// overwrite replaces an object, as no store does.
func overwrite(t *testing.T, server *versitygw.Server, bucket, key string, data []byte) {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(versitygw.Region))
	if err != nil {
		t.Fatal(err)
	}
	c := awss3.NewFromConfig(cfg, func(o *awss3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(server.URL), true })
	if _, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)}); err != nil {
		t.Fatal(err)
	}
}
