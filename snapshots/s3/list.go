package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/parallelrun/parallelrun/snapshots"
)

// List yields the keys under a prefix, in byte order. A server that lists in
// another order is refused: a reader that stops at a gap would miss entries.
func (b *Backend) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for d, err := range b.Details(ctx, prefix, after) {
			if !yield(d.Key, err) {
				return
			}
		}
	}
}

// Details yields what List yields, with what the server says of each object.
func (b *Backend) Details(ctx context.Context, prefix, after string) iter.Seq2[snapshots.Detail, error] {
	return func(yield func(snapshots.Detail, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(snapshots.Detail{}, fmt.Errorf("list %s: %w", b.name(prefix), err))
			return
		}
		if !startsKey(prefix) {
			return
		}
		l := lister{b: b, prefix: prefix, last: after, yield: yield}
		in := &s3.ListObjectsV2Input{Bucket: aws.String(b.o.Bucket), Prefix: aws.String(b.o.Prefix + prefix)}
		if b.page > 0 {
			in.MaxKeys = aws.Int32(b.page)
		}
		if b.o.Prefix+after != "" {
			in.StartAfter = aws.String(b.o.Prefix + after)
		}
		for l.page(ctx, in) {
		}
	}
}

// SmallPages is the back end with lists in pages of so many keys, to see that
// the server turns them.
func (b *Backend) SmallPages(keys int32) snapshots.Backend {
	c := *b
	c.page = keys
	return &c
}

// startsKey: some key may start like this.
func startsKey(prefix string) bool {
	prefix, _ = strings.CutSuffix(prefix, "/")
	return prefix == "" || snapshots.CheckKey(prefix) == nil
}

type lister struct {
	b      *Backend
	prefix string
	last   string
	yield  func(snapshots.Detail, error) bool
}

// page yields one page, and says whether there is another.
func (l *lister) page(ctx context.Context, in *s3.ListObjectsV2Input) bool {
	var out *s3.ListObjectsV2Output
	err := l.b.insisting(ctx, l.prefix, func(ctx context.Context) (err error) {
		out, err = l.ask(ctx, in)
		return err
	})
	if err != nil {
		l.yield(snapshots.Detail{}, err)
		return false
	}
	for _, o := range out.Contents {
		key, ours := strings.CutPrefix(aws.ToString(o.Key), l.b.o.Prefix)
		if !ours || snapshots.CheckKey(key) != nil {
			continue // not a store's
		}
		if !strings.HasPrefix(key, l.prefix) || key <= l.last && l.last != "" {
			l.yield(snapshots.Detail{}, l.disorder(key))
			return false
		}
		l.last = key
		if !l.yield(snapshots.Detail{Key: key, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}, nil) {
			return false
		}
	}
	in.ContinuationToken = out.NextContinuationToken
	return aws.ToBool(out.IsTruncated) && in.ContinuationToken != nil
}

// ask sends one request. A page that broke off is an error without a judgement.
func (l *lister) ask(ctx context.Context, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	ctx, cancel := l.b.patient(ctx, 0)
	defer cancel()
	out, err := l.b.client.ListObjectsV2(ctx, in)
	if r, ok := errors.AsType[*awshttp.ResponseError](err); ok && r.HTTPStatusCode() == http.StatusOK {
		return nil, fmt.Errorf("page of a list: %w", r.Err)
	}
	if err != nil {
		return nil, l.b.readError("list", l.prefix, err, nil)
	}
	return out, nil
}

func (l *lister) disorder(key string) error {
	return &Error{Op: "list", Object: l.b.name(l.prefix), Err: ErrRefused, disorder: true, hint: "use a server that lists in byte order and heeds start-after; `parallelrun store doctor` says more",
		Message: fmt.Sprintf("%q was listed after %q: a store can't lie there", key, l.last)}
}
