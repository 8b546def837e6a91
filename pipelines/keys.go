package pipelines

import (
	"context"
	"fmt"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/seal/awskms"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
)

// UnlockedStore is a store with its keys, and what the configuration says of who may
// open them.
type UnlockedStore struct {
	Store      *snapshots.Store // unlocked
	Identity   *seal.Identity
	Recipients []seal.Recipient // that keys are to be wrapped for
}

// OpenKeys unlocks the store on a back end with the configured identity. It makes
// nothing.
func OpenKeys(ctx context.Context, c *config.Config, b snapshots.Backend) (*UnlockedStore, error) {
	id, to, err := access(c)
	if err != nil {
		return nil, err
	}
	if id == nil {
		return nil, ui.Refusef("add  keys: {identity: \"file:keys/identity.txt\"}  to it", "%s names no identity: %w", c.Path, seal.ErrNoKey)
	}
	if _, err := snapshots.Open(ctx, b, snapshots.Options{}); err != nil {
		return nil, err // no store: that is worse than no key
	}
	ring, err := snapshots.Unlock(ctx, b, id)
	if err != nil {
		return nil, err
	}
	s, err := snapshots.Open(ctx, b, snapshots.Options{Keyring: ring})
	return &UnlockedStore{Store: s, Identity: id, Recipients: to}, err
}

// Rotate makes the next key epoch.
func (k *UnlockedStore) Rotate(ctx context.Context) (uint32, error) {
	return k.Store.NewEpoch(ctx, k.Identity, k.Recipients...)
}

// Rewrap wraps a key for the configured recipients.
func (k *UnlockedStore) Rewrap(ctx context.Context, w seal.Wrapped) error {
	return k.Store.Rewrap(ctx, w, k.Identity, k.Recipients...)
}

// EndEpoch ends a key epoch and destroys its keys, in the name of who calls this
// program. That needs no key.
func EndEpoch(ctx context.Context, s *snapshots.Store, epoch uint32) (entry uint64, destroyed int, err error) {
	return s.EndEpoch(ctx, epoch, operator(), DraftRoots(s))
}

// access is what opens the store's keys, nil for nothing, and who they are
// wrapped for: the configured recipients, or the identity's own.
func access(c *config.Config) (id *seal.Identity, to []seal.Recipient, err error) {
	if !c.Keys.Identity.IsZero() {
		if id, err = identity(c); err != nil {
			return nil, nil, err
		}
	}
	var services seal.Services
	if c.Keys.UsesKMS() {
		k := c.Keys.KMS
		services = seal.Services{awskms.Scheme: awskms.New(awskms.Options{Region: k.Region, Profile: k.Profile, Endpoint: k.Endpoint})}
		id = id.With(services)
	}
	if id == nil {
		return nil, nil, nil
	}
	if len(c.Keys.Recipients) == 0 {
		to = id.Recipients()
		return id, to, nil
	}
	for _, text := range c.Keys.Recipients {
		r, err := seal.ParseRecipient(text, services)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: keys.recipients: %w", c.Path, err)
		}
		to = append(to, r)
	}
	return id, to, nil
}
