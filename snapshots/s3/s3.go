// Package s3 keeps a store in a bucket of Amazon S3, or of a server that speaks
// its protocol.
//
// An object is written by one PutObject with `If-None-Match: *`, which the
// server refuses if the key is taken; it is whole or not there. A write is sent
// exactly once: the SDK repeats none, since a repeated one meets its own first
// try and takes it for another's. What may have happened is ErrUnknownOutcome,
// and package snapshots asks. Reads and lists are repeated.
//
// No multipart uploads: a part has at most some 128 MiB, one request carries
// 5 GiB, and not every server keeps the condition when it completes one.
//
// Nouns: Options say which bucket and how; an Error is what the server said.
// Start with Open.
package s3

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"github.com/parallelrun/parallelrun/snapshots"
)

// Backend is a store's place in a bucket.
type Backend struct {
	o      Options
	client *s3.Client
	slots  chan struct{} // requests at once
	put    sse           // encryption of what is written
	page   int32         // keys per page of a list; zero: as the server likes
}

var _ snapshots.Sweeper = (*Backend)(nil)

// Open makes a client for the bucket. It sends nothing yet: whether the bucket
// can be reached shows with the first object.
func Open(ctx context.Context, o Options) (*Backend, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	cfg, err := config.LoadDefaultConfig(ctx, o.load()...)
	if err != nil {
		return nil, &Error{Op: "configure", Object: o.location(), Message: err.Error(), Err: ErrRefused, hint: "correct the profile, or the files and variables that the AWS command line reads too"}
	}
	if cfg.Region == "" && o.Endpoint == "" && cfg.BaseEndpoint == nil {
		return nil, &Error{Op: "configure", Object: o.location(), Message: "no region is set", Err: ErrRefused, hint: "set s3.region in the configuration, or AWS_REGION"}
	}
	if cfg.Region == "" {
		cfg.Region = defaultRegion
	}
	b := &Backend{o: o, slots: make(chan struct{}, o.Concurrency), put: o.Encryption.headers()}
	b.client = s3.NewFromConfig(cfg, o.apply)
	if err := b.checkEndpoint(); err != nil {
		return nil, err
	}
	return b, nil
}

// defaultRegion is what servers of others expect in signatures.
const defaultRegion = "us-east-1"

// load are the options for the SDK's own configuration: credentials, region and
// endpoint come from its chain unless set here.
func (o *Options) load() []func(*config.LoadOptions) error {
	l := []func(*config.LoadOptions) error{
		config.WithHTTPClient(o.httpClient()),
		config.WithLogger(logging.Nop{}),
		config.WithAppID("parallelrun"),
	}
	if o.Region != "" {
		l = append(l, config.WithRegion(o.Region))
	}
	if o.Profile != "" {
		l = append(l, config.WithSharedConfigProfile(o.Profile))
	}
	return l
}

// readTries is how often a read is sent in all.
const readTries = 6

func (o *Options) apply(c *s3.Options) {
	if o.Endpoint != "" {
		c.BaseEndpoint = aws.String(o.Endpoint)
	}
	c.UsePathStyle = c.BaseEndpoint != nil // few servers of others have a name per bucket
	if o.PathStyle != nil {
		c.UsePathStyle = *o.PathStyle
	}
	// We send the checksum that we mean to send (Create), and compare bytes with
	// SHA-256 ourselves.
	c.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	c.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	c.ContinueHeaderThresholdBytes = -1 // proxies stumble over Expect
	c.DisableLogOutputChecksumValidationSkipped = true
	c.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
		r.MaxAttempts = readTries
		r.MaxBackoff = 5 * time.Second
	})
}

// httpClient waits for an answer no longer than the time-out. It is the SDK's
// own kind, so that AWS_CA_BUNDLE is heard.
func (o *Options) httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = min(o.Timeout, 10*time.Second) }).
		WithTransportOptions(func(t *http.Transport) {
			t.ResponseHeaderTimeout = o.Timeout
			t.MaxIdleConnsPerHost = o.Concurrency
			if t.TLSClientConfig == nil {
				t.TLSClientConfig = &tls.Config{}
			}
			t.TLSClientConfig.MinVersion = tls.VersionTLS12
		})
}

// checkEndpoint refuses to send a customer's key in the clear.
func (b *Backend) checkEndpoint() error {
	endpoint := aws.ToString(b.client.Options().BaseEndpoint)
	if b.o.Encryption.CustomerKey == nil || !strings.HasPrefix(endpoint, "http://") || isLoopback(endpoint) {
		return nil
	}
	return &Error{Op: "configure", Object: b.Location(), Message: "a customer key would cross the network in the clear", Err: ErrRefused, hint: "use an https:// endpoint"}
}

// Location is the bucket and prefix as a URL.
func (b *Backend) Location() string { return b.o.location() }

// key is an object's name in the bucket.
func (b *Backend) key(key string) *string { return aws.String(b.o.Prefix + key) }

// name is an object as messages name it.
func (b *Backend) name(key string) string { return "s3://" + b.o.Bucket + "/" + b.o.Prefix + key }

// usable is asked before every operation.
func usable(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return snapshots.CheckKey(key)
}

// slot waits for leave to send a request; the returned function gives it back.
func (b *Backend) slot(ctx context.Context) (func(), error) {
	select {
	case b.slots <- struct{}{}:
		return func() { <-b.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// slowest is the rate that a network must keep up, in bytes per second: what a
// transfer may take is the time-out and its bytes at this rate.
const slowest = 64 << 10

func (b *Backend) within(ctx context.Context, bytes int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, b.o.Timeout+transfer(bytes))
}

func transfer(bytes int64) time.Duration { return time.Duration(bytes) * time.Second / slowest }

// patient bounds a read with its repetitions.
func (b *Backend) patient(ctx context.Context, bytes int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 3*b.o.Timeout+transfer(bytes))
}
