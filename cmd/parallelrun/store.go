package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/snapshots"
)

// loadConfig reads the configuration that --config names, with the store that
// --store names, if any.
func (a *app) loadConfig() (*config.Config, error) {
	c, err := config.Load(a.flags.config)
	if err != nil || a.flags.store == "" {
		return c, err
	}
	c.Store, err = a.namedStore()
	return c, err
}

// namedStore is the store that --store names, its path absolute.
func (a *app) namedStore() (string, error) { return absoluteStore("--store", a.flags.store) }

// absoluteStore is a store that a flag names, its path absolute.
func absoluteStore(flag, name string) (string, error) {
	place, err := config.ParseStore(name)
	if err != nil {
		return "", ui.Refusef(config.StoreHint, "%s: %w", flag, err)
	}
	if !place.IsBucket() {
		place.Dir, err = filepath.Abs(place.Dir)
	}
	return place.String(), err
}

// openPlace opens where the store lies, which --store or the configuration
// says. It makes nothing.
func (a *app) openPlace(ctx context.Context) (snapshots.Backend, error) {
	store := ""
	if a.flags.store != "" {
		var err error
		if store, err = a.namedStore(); err != nil {
			return nil, err
		}
	}
	return a.openAt(ctx, store)
}

// openAt opens a place, empty for the configuration's. How a bucket is spoken
// to is the configuration's to say, if there is one.
func (a *app) openAt(ctx context.Context, store string) (snapshots.Backend, error) {
	var o config.S3
	if place, err := config.ParseStore(store); err == nil && (store == "" || place.IsBucket()) {
		c, err := config.Load(a.flags.config)
		switch {
		case err == nil && store == "":
			store, o = c.Store, c.S3
		case err == nil:
			o = c.S3
		case store == "" || !errors.Is(err, config.ErrNoConfig):
			return nil, err
		}
	}
	b, err := pipelines.OpenBackend(ctx, store, o, false)
	if err != nil {
		return nil, storeError(err)
	}
	return b, nil
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
	b, err := a.openPlace(ctx)
	if err != nil {
		return nil, err
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
	return ui.Refusef("name the store with --store, or correct store: in the configuration", "%w", err)
}
