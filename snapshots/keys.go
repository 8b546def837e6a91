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
