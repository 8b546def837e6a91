package snapshots

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/parallelrun/parallelrun/internal/seal"
)

// KeyFiles shows a back end's key files to package seal.
func KeyFiles(b Backend) seal.Files { return keyFiles{b} }

// Unlock opens a store's keys, for Options.Keyring.
func Unlock(ctx context.Context, b Backend, id *seal.Identity) (*seal.Keyring, error) {
	k, err := seal.Unlock(ctx, KeyFiles(b), id)
	if err != nil {
		return nil, fmt.Errorf("unlock %s: %w", b.Location(), err)
	}
	return k, nil
}

type keyFiles struct{ b Backend }

func (f keyFiles) Put(ctx context.Context, name string, data []byte) error {
	_, err := createInsisting(ctx, f.b, name, bytes.NewReader(data))
	if errors.Is(err, ErrExists) {
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	return err
}

func (f keyFiles) Get(ctx context.Context, name string) ([]byte, error) {
	data, err := readObject(ctx, f.b, name)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return data, err
}

func (f keyFiles) List(ctx context.Context, prefix string) (names []string, err error) {
	for name, err := range f.b.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// Delete destroys a wrapped key. Only a back end that can sweep can.
func (f keyFiles) Delete(ctx context.Context, name string) error {
	sweeper, ok := f.b.(Sweeper)
	if !ok {
		return fmt.Errorf("%s: %w", f.b.Location(), ErrCantSweep)
	}
	return sweeper.Delete(ctx, name)
}

// NewEpoch makes the next key epoch, wrapped for the recipients, of whom the
// identity has to be one. Who unlocks the store from now on seals in it; who has
// unlocked it before goes on in the last one.
func (s *Store) NewEpoch(ctx context.Context, id *seal.Identity, to ...seal.Recipient) (uint32, error) {
	if err := s.writable(ctx); err != nil {
		return 0, err
	}
	return seal.NewEpoch(ctx, KeyFiles(s.b), s.ID(), id, to...)
}

// Rewrapping lists the keys that are not wrapped for just these recipients; those
// of ended epochs are left out, for they are to be destroyed.
func (s *Store) Rewrapping(ctx context.Context, to ...seal.Recipient) (keys []seal.Wrapped, err error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	all, err := seal.List(ctx, KeyFiles(s.b))
	for _, w := range all {
		if _, ended := st.Ended[w.Epoch]; !ended && !w.WrappedFor(to) {
			keys = append(keys, w)
		}
	}
	return keys, err
}

// Rewrap wraps a key for other recipients. A key whose epoch is ended meanwhile
// does not come back by that.
func (s *Store) Rewrap(ctx context.Context, w seal.Wrapped, id *seal.Identity, to ...seal.Recipient) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	if err := seal.Rewrap(ctx, KeyFiles(s.b), s.ID(), w, id, to...); err != nil {
		return err
	}
	st, err := s.State(ctx)
	if err != nil {
		return err
	}
	ended, ok := st.Ended[w.Epoch]
	if !ok {
		return nil
	}
	_, err = seal.Destroy(ctx, KeyFiles(s.b), w.Epoch)
	return errors.Join(&EpochEndedError{Epoch: w.Epoch, Ended: ended}, err)
}

// writable refuses a store that a newer program wrote to.
func (s *Store) writable(ctx context.Context) error {
	st, err := s.State(ctx)
	if err == nil && len(st.Unknown) > 0 {
		err = fmt.Errorf("%w: %s", ErrNewerStore, st.Unknown[0])
	}
	return err
}
