package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"github.com/parallelrun/parallelrun/snapshots"
)

// lookFirst is the size from which a look is worth its round trip: what is
// there already is not sent again.
const lookFirst = 1 << 20

// Create sends an object once, and says what is known of the outcome.
func (b *Backend) Create(ctx context.Context, key string, body io.ReadSeeker) error {
	if err := usable(ctx, key); err != nil {
		return err
	}
	m, err := measure(ctx, body)
	if err != nil {
		return fmt.Errorf("create %s: %w", b.name(key), err)
	}
	if m.size >= lookFirst {
		if _, err := b.Stat(ctx, key); err == nil {
			return fmt.Errorf("create %s: %w", b.name(key), snapshots.ErrExists)
		}
	}
	return b.sendOnce(ctx, key, body, m)
}

// sendTries is how often a request is tried that could not leave.
const sendTries = 5

// sendOnce tries until the request could leave; from then on it is not tried
// again.
func (b *Backend) sendOnce(ctx context.Context, key string, body io.ReadSeeker, m measured) error {
	pause := 100 * time.Millisecond
	for tries := 1; ; tries++ {
		err := b.send(ctx, key, body, m)
		if err == nil || !errors.Is(err, ErrUnreachable) || tries == sendTries || !snapshots.Sleep(ctx, pause) {
			return err
		}
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("create %s: %w", b.name(key), err)
		}
		pause *= 2
	}
}

// CreateDamaged sends bytes that are not those that it announces, as if one had
// changed on the way: a server that takes them keeps damage. It is for probing.
func (b *Backend) CreateDamaged(ctx context.Context, key string, body io.ReadSeeker) error {
	if err := usable(ctx, key); err != nil {
		return err
	}
	m, err := measure(ctx, body)
	if err != nil {
		return fmt.Errorf("create %s: %w", b.name(key), err)
	}
	m.sum[0] ^= 1
	return b.send(ctx, key, body, m)
}

// measured is what a request says of its body before it is sent.
type measured struct {
	size int64
	sum  [sha256.Size]byte
}

// measure reads a body through and leaves it at its start.
func measure(ctx context.Context, body io.ReadSeeker) (m measured, err error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return m, err
	}
	h := sha256.New()
	if m.size, err = io.Copy(h, snapshots.Copying(ctx, body)); err != nil {
		return m, err
	}
	h.Sum(m.sum[:0])
	_, err = body.Seek(0, io.SeekStart)
	return m, err
}

func (b *Backend) send(ctx context.Context, key string, body io.ReadSeeker, m measured) error {
	release, err := b.slot(ctx)
	if err != nil {
		return fmt.Errorf("create %s: %w", b.name(key), err)
	}
	defer release()
	limited, cancel := b.within(ctx, m.size)
	defer cancel()
	in := &s3.PutObjectInput{
		Bucket: aws.String(b.o.Bucket), Key: b.key(key), Body: body, ContentLength: aws.Int64(m.size), IfNoneMatch: aws.String("*"),
		ServerSideEncryption: b.put.mode, SSEKMSKeyId: b.put.kmsKey,
		SSECustomerAlgorithm: b.put.customerAlgorithm, SSECustomerKey: b.put.customerKey, SSECustomerKeyMD5: b.put.keyMD,
	}
	if b.o.Checksums != WhenRequired {
		in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(m.sum[:]))
	}
	// sent: the request has begun to leave, so that it may be carried out.
	var sent atomic.Bool
	limited = httptrace.WithClientTrace(limited, &httptrace.ClientTrace{WroteHeaderField: func(string, []string) { sent.Store(true) }})
	_, err = b.client.PutObject(limited, in, once, signs(m))
	if err == nil {
		return nil
	}
	return b.writeError("create", key, err, ctx.Err(), sent.Load())
}

// once: no write is repeated by the SDK.
func once(o *s3.Options) { o.Retryer = aws.NopRetryer{} }

// signs has the request signed over the digest that we know already.
func signs(m measured) func(*s3.Options) {
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("ParallelRunPayloadHash",
			func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
				return next.HandleFinalize(v4.SetPayloadHash(ctx, hex.EncodeToString(m.sum[:])), in)
			}), middleware.Before)
	})
}
