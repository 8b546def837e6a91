package s3

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/parallelrun/parallelrun/snapshots"
)

// Delete takes an object away; in a bucket with versions it is hidden. Like a
// read it is repeated: nobody writes a name again that was given up.
func (b *Backend) Delete(ctx context.Context, key string) error {
	if err := usable(ctx, key); err != nil {
		return err
	}
	return b.insisting(ctx, key, func(ctx context.Context) error {
		limited, cancel := b.patient(ctx, 0)
		defer cancel()
		_, err := b.client.DeleteObject(limited, &s3.DeleteObjectInput{Bucket: aws.String(b.o.Bucket), Key: b.key(key)})
		if err == nil {
			return nil
		}
		if err = b.readError("delete", key, err, ctx.Err()); errors.Is(err, snapshots.ErrNotFound) {
			return nil // some servers say so to the slower of two
		}
		return err
	})
}
