package local

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// spoiler damages a directory as whoever has it on disk can.
type spoiler struct {
	*Backend
	t   *testing.T
	dir string
}

func (s spoiler) Replace(key string, data []byte) {
	s.Remove(key)
	path := filepath.Join(s.dir, filepath.FromSlash(key))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s spoiler) Remove(key string) {
	if err := os.Remove(filepath.Join(s.dir, filepath.FromSlash(key))); err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
}

func TestIntegrity(t *testing.T) {
	dir := t.TempDir()
	backendtest.RunIntegrity(t, spoiler{mustOpen(t, dir), t, dir})
}

func TestKeys(t *testing.T) {
	backendtest.RunKeys(t, mustOpen(t, t.TempDir()))
}

func TestModel(t *testing.T) {
	backendtest.RunModel(t, 3, func(t *testing.T) snapshots.Sweeper { return mustOpen(t, t.TempDir()) })
}
