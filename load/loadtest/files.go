package loadtest

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Files keeps a run's files in memory, create-only as a store does.
type Files struct {
	// OnPut, if set, may refuse a file.
	OnPut func(key string) error

	mu    sync.Mutex
	files map[string][]byte
}

var _ load.Files = (*Files)(nil)

// PutFile implements load.Files.
func (f *Files) PutFile(_ context.Context, key string, data []byte) error {
	if err := snapshots.CheckKey(key); err != nil {
		return err
	}
	if f.OnPut != nil {
		if err := f.OnPut(key); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files == nil {
		f.files = map[string][]byte{}
	}
	if there, ok := f.files[key]; ok && !bytes.Equal(there, data) {
		return fmt.Errorf("put %s: %w", key, snapshots.ErrExists)
	}
	f.files[key] = bytes.Clone(data)
	return nil
}

// ReadFile implements load.Files.
func (f *Files) ReadFile(_ context.Context, key string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, ok := f.files[key]
	if !ok {
		return nil, fmt.Errorf("read %s: %w", key, snapshots.ErrNotFound)
	}
	return bytes.Clone(data), nil
}

// Files implements load.Files.
func (f *Files) Files(_ context.Context, prefix string) iter.Seq2[string, error] {
	f.mu.Lock()
	keys := slices.Sorted(maps.Keys(f.files))
	f.mu.Unlock()
	return func(yield func(string, error) bool) {
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) && !yield(k, nil) {
				return
			}
		}
	}
}

// Tamper changes a file behind everyone's back.
func (f *Files) Tamper(key string, change func([]byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[key] = change(bytes.Clone(f.files[key]))
}
