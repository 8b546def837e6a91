package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// loadConfig reads the configuration that --config names, with the store that
// --store names, if any.
func (a *app) loadConfig() (*config.Config, error) {
	c, err := config.Load(a.flags.config)
	if err != nil || a.flags.store == "" {
		return c, err
	}
	c.Store, err = a.storeDir()
	return c, err
}

// storeDir is the folder of the store: --store, else the configuration's.
func (a *app) storeDir() (string, error) {
	if a.flags.store == "" {
		c, err := config.Load(a.flags.config)
		if err != nil {
			return "", err
		}
		return c.Store, nil
	}
	dir, err := config.StoreDir(a.flags.store)
	if err != nil {
		return "", ui.Refusef("name a folder, or file:///PATH", "--store: %w", err)
	}
	return filepath.Abs(dir)
}

// readState opens the store as readStore does, with what its log says now.
func (a *app) readState(ctx context.Context) (*snapshots.Store, snapshots.State, error) {
	s, err := a.readStore(ctx)
	if err != nil {
		return nil, snapshots.State{}, err
	}
	st, err := s.State(ctx)
	return s, st, err
}

// readStore opens the store for reading and for naming snapshots: secrets stay
// sealed. It makes nothing.
func (a *app) readStore(ctx context.Context) (*snapshots.Store, error) {
	dir, err := a.storeDir()
	if err != nil {
		return nil, err
	}
	b, err := local.Open(dir)
	if err != nil {
		return nil, storeError(err)
	}
	s, err := snapshots.Open(ctx, b, snapshots.Options{})
	if err != nil {
		return nil, storeError(err)
	}
	return s, nil
}

// storeError is about a place where no store can be opened: most often the
// wrong place.
func storeError(err error) error {
	err = fmt.Errorf("store: %w", err)
	if code := exitCode(err); code != ui.Failed {
		return err
	}
	return ui.Refusef("name the store's folder with --store, or correct store: in the configuration", "%w", err)
}
