package pipelines

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/s3"
)

// OpenBackend opens the place that a store's name leads to; how a bucket is
// spoken to says o. A folder that is not there is an error unless it is to be
// made; a bucket is never made.
func OpenBackend(ctx context.Context, name string, o config.S3, make bool) (snapshots.Backend, error) {
	place, err := config.ParseStore(name)
	if err != nil {
		return nil, err
	}
	switch {
	case place.IsBucket():
		return openBucket(ctx, place, o)
	case make:
		return local.Create(place.Dir)
	}
	return local.Open(place.Dir)
}

func openBucket(ctx context.Context, place config.Place, o config.S3) (snapshots.Backend, error) {
	key, err := o.Encryption.Key()
	if err != nil {
		return nil, fmt.Errorf("s3.encryption.customerKey: %w", err)
	}
	return s3.Open(ctx, s3.Options{
		Bucket: place.Bucket, Prefix: place.Prefix, Region: o.Region, Profile: o.Profile, Endpoint: o.Endpoint,
		PathStyle: o.PathStyle, Checksums: s3.Checksums(o.Checksums), Timeout: time.Duration(o.Timeout),
		Encryption: s3.Encryption{KMSKey: o.Encryption.KMSKey, CustomerKey: key},
	})
}

// CheckStore says whether the configured store can be one, without reaching it.
func CheckStore(c *config.Config) error {
	place, err := config.ParseStore(c.Store)
	if err != nil || !place.IsBucket() {
		return err
	}
	_, err = openBucket(context.Background(), place, c.S3)
	return err
}

// OpenStore opens the configured store with its secrets unlocked, and makes it
// where there is none. A configuration without an identity opens a store that
// takes no secrets.
func OpenStore(ctx context.Context, c *config.Config) (*snapshots.Store, error) {
	b, err := OpenBackend(ctx, c.Store, c.S3, true)
	if err != nil {
		return nil, err
	}
	id, to, err := access(c)
	if err != nil {
		return nil, err
	}
	return initAndOpen(ctx, b, id, to)
}

func initAndOpen(ctx context.Context, b snapshots.Backend, id *seal.Identity, to []seal.Recipient) (*snapshots.Store, error) {
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{Recipients: to}); err != nil {
		return nil, err
	}
	var o snapshots.Options
	if id != nil {
		k, err := snapshots.Unlock(ctx, b, id)
		if err != nil {
			return nil, err
		}
		o.Keyring = k
	}
	return snapshots.Open(ctx, b, o)
}

func identity(c *config.Config) (*seal.Identity, error) {
	v, err := c.Keys.Identity.Value()
	if err != nil {
		return nil, fmt.Errorf("%s: keys.identity: %w", c.Path, errors.Join(seal.ErrNoKey, err))
	}
	id, err := seal.ParseIdentity([]byte(v.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("%s: keys.identity (%s): %w", c.Path, c.Keys.Identity, err)
	}
	return id, nil
}
