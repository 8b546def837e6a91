package pipelines

import (
	"context"
	"errors"
	"fmt"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// createBackend opens the place that a store's location names, and makes it
// where there is none.
func createBackend(location string) (snapshots.Backend, error) {
	dir, err := config.StoreDir(location)
	if err != nil {
		return nil, err
	}
	return local.Create(dir)
}

// OpenStore opens the configured store with its secrets unlocked, and makes it
// where there is none. A configuration without an identity opens a store that
// takes no secrets.
func OpenStore(ctx context.Context, c *config.Config) (*snapshots.Store, error) {
	b, err := createBackend(c.Store)
	if err != nil {
		return nil, err
	}
	if c.Keys.Identity.IsZero() {
		return initAndOpen(ctx, b, nil, nil)
	}
	id, err := identity(c)
	if err != nil {
		return nil, err
	}
	to, err := recipients(c, id)
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

// recipients are those that the configuration names, or the identity's own.
func recipients(c *config.Config, id *seal.Identity) ([]seal.Recipient, error) {
	if len(c.Keys.Recipients) == 0 {
		return id.Recipients(), nil
	}
	var to []seal.Recipient
	for _, text := range c.Keys.Recipients {
		r, err := seal.ParseRecipient(text)
		if err != nil {
			return nil, fmt.Errorf("%s: keys.recipients: %w", c.Path, err)
		}
		to = append(to, r)
	}
	return to, nil
}
