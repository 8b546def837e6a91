package snapshots

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"
)

// Files of runs and sessions lie beside the snapshots, under these prefixes.
const (
	runsPrefix     = "runs/"
	sessionsPrefix = "sessions/"
)

func checkFileKey(key string) error {
	if !strings.HasPrefix(key, runsPrefix) && !strings.HasPrefix(key, sessionsPrefix) {
		return fmt.Errorf("%q: %w: files lie under %s or %s", key, ErrBadKey, runsPrefix, sessionsPrefix)
	}
	return CheckKey(key)
}

// PutFile creates a file under runs/ or sessions/. It may be called again with
// the same bytes, after an unknown outcome too; ErrExists says that other bytes
// are there.
func (s *Store) PutFile(ctx context.Context, key string, data []byte) error {
	if err := checkFileKey(key); err != nil {
		return err
	}
	return s.putFile(ctx, key, data)
}

func (s *Store) putFile(ctx context.Context, key string, data []byte) error {
	err := s.putBytes(ctx, key, data)
	if err == nil || !inDoubt(err) {
		return err
	}
	there, readErr := readObject(context.WithoutCancel(ctx), s.b, key)
	if readErr == nil && bytes.Equal(there, data) {
		return nil
	}
	return err
}

// ReadFile returns a file's bytes, ErrNotFound if there is none.
func (s *Store) ReadFile(ctx context.Context, key string) ([]byte, error) {
	if err := checkFileKey(key); err != nil {
		return nil, err
	}
	return readObject(ctx, s.b, key)
}

// Files yields the keys of files that start with the prefix, in byte order.
func (s *Store) Files(ctx context.Context, prefix string) iter.Seq2[string, error] {
	if !strings.HasPrefix(prefix, runsPrefix) && !strings.HasPrefix(prefix, sessionsPrefix) {
		return func(yield func(string, error) bool) {
			yield("", fmt.Errorf("%q: %w: files lie under %s or %s", prefix, ErrBadKey, runsPrefix, sessionsPrefix))
		}
	}
	return s.b.List(ctx, prefix, "")
}
