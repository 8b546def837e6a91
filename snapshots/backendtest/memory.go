package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
)

// Memory is a back end that forgets. Its zero value is empty and ready.
type Memory struct {
	// Now is the clock for the times of objects; nil: time.Now.
	Now func() time.Time

	mu sync.Mutex
	m  map[string][]byte
	at map[string]time.Time
}

var _ snapshots.Sweeper = (*Memory)(nil)

// Location names the back end.
func (m *Memory) Location() string { return "memory" }

// Create keeps a copy of the body.
func (m *Memory) Create(ctx context.Context, key string, body io.ReadSeeker) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("create %s: %w", key, err)
	}
	if err := snapshots.CheckKey(key); err != nil {
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	data, err := io.ReadAll(readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return body.Read(p)
	}))
	if err != nil {
		return fmt.Errorf("create %s: %w", key, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.m[key]; ok {
		return fmt.Errorf("create %s: %w", key, snapshots.ErrExists)
	}
	if m.m == nil {
		m.m, m.at = map[string][]byte{}, map[string]time.Time{}
	}
	m.m[key], m.at[key] = data, m.now()
	return nil
}

// Open returns the object.
func (m *Memory) Open(ctx context.Context, key string) (snapshots.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open %s: %w", key, err)
	}
	if err := snapshots.CheckKey(key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.m[key]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", key, snapshots.ErrNotFound)
	}
	return memObject{bytes.NewReader(data)}, nil
}

// Stat returns the object's size.
func (m *Memory) Stat(ctx context.Context, key string) (int64, error) {
	o, err := m.Open(ctx, key)
	if err != nil {
		return 0, err
	}
	return o.Size(), nil
}

// List yields keys in order.
func (m *Memory) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		m.mu.Lock()
		keys := slices.Sorted(maps.Keys(m.m))
		m.mu.Unlock()
		for _, k := range keys {
			if err := ctx.Err(); err != nil {
				yield("", fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			if strings.HasPrefix(k, prefix) && k > after && !yield(k, nil) {
				return
			}
		}
	}
}

// Delete takes an object away.
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	if err := snapshots.CheckKey(key); err != nil {
		return err
	}
	m.Remove(key)
	return nil
}

// Details yields keys in order, with sizes and times.
func (m *Memory) Details(ctx context.Context, prefix, after string) iter.Seq2[snapshots.Detail, error] {
	return func(yield func(snapshots.Detail, error) bool) {
		for key, err := range m.List(ctx, prefix, after) {
			m.mu.Lock()
			d := snapshots.Detail{Key: key, Size: int64(len(m.m[key])), Modified: m.at[key]}
			m.mu.Unlock()
			if !yield(d, err) {
				return
			}
		}
	}
}

func (m *Memory) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

// Replace puts other bytes in an object's place, as a failing disk would.
func (m *Memory) Replace(key string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m[key] = data
}

// Remove takes an object away, as no store command does.
func (m *Memory) Remove(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.m, key)
}

// Bytes returns an object's bytes, nil if there is none.
func (m *Memory) Bytes(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.m[key])
}

type memObject struct{ *bytes.Reader }

func (memObject) Close() error { return nil }

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
