package local_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// spoiler damages a directory as whoever has it on disk can.
type spoiler struct {
	*local.Backend
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
	b, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	backendtest.RunIntegrity(t, spoiler{b, t, dir})
}
