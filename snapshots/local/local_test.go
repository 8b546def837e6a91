package local

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

func mustOpen(t *testing.T, dir string) *Backend {
	t.Helper()
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) func() snapshots.Backend {
		dir := t.TempDir()
		return func() snapshots.Backend { return mustOpen(t, dir) }
	})
}

func TestOpenMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "typo")
	if _, err := Open(dir); !errors.Is(err, ErrNoStoreDir) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a mistyped path was made")
	}
	b, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}

// After a failed fsync nothing is believed any more, reads included: a commit
// must not be taken for done because its entry can be seen.
func TestFailedSyncIsFatal(t *testing.T) {
	for at := range 4 {
		b := mustOpen(t, t.TempDir())
		n := 0
		b.syncing = func(f *os.File) error {
			if n++; n-1 == at {
				return syscall.EIO
			}
			return f.Sync()
		}
		err := backendtest.Put(t.Context(), b, "log/1", []byte("x"))
		if !errors.Is(err, ErrSyncFailed) || errors.Is(err, snapshots.ErrUnknownOutcome) {
			t.Fatalf("sync %d failed: got %v", at, err)
		}
		_, openErr := b.Open(t.Context(), "log/1")
		_, listErr := backendtest.Keys(t.Context(), b, "", "")
		for _, err := range []error{backendtest.Put(t.Context(), b, "log/2", nil), openErr, listErr} {
			if !errors.Is(err, ErrSyncFailed) {
				t.Errorf("sync %d failed, then: got %v", at, err)
			}
		}
	}
}

func TestLinkErrors(t *testing.T) {
	tests := []struct {
		name   string
		link   func(b *Backend, from, to string) error
		want   error
		absent bool
	}{
		{"no hard links", func(*Backend, string, string) error { return syscall.EPERM }, ErrNoLinks, true},
		{"not supported", func(*Backend, string, string) error { return syscall.EOPNOTSUPP }, ErrNoLinks, true},
		{"disk full", func(*Backend, string, string) error { return syscall.ENOSPC }, syscall.ENOSPC, true},
		{"i/o error", func(*Backend, string, string) error { return syscall.EIO }, snapshots.ErrUnknownOutcome, true},
		{"repeated over nfs", func(b *Backend, from, to string) error {
			return errors.Join(b.root.Link(from, to), b.root.Link(from, to))
		}, nil, false},
		{"reply lost over nfs", func(b *Backend, from, to string) error {
			return errors.Join(b.root.Link(from, to), syscall.EIO)
		}, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := mustOpen(t, t.TempDir())
			b.linking = func(from, to string) error { return test.link(b, from, to) }
			err := backendtest.Put(t.Context(), b, "log/1", []byte("x"))
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if _, err := b.Open(t.Context(), "log/1"); (err != nil) != test.absent {
				t.Errorf("then open: %v", err)
			}
		})
	}
}

// What a person can mend comes with the next step.
func TestHints(t *testing.T) {
	for cause, want := range map[error]string{
		syscall.ENOSPC: "free space there", syscall.EROFS: "choose a path that you may write to",
		syscall.EACCES: "choose a path that you may write to", syscall.EPERM: "hard links",
	} {
		b := mustOpen(t, t.TempDir())
		b.linking = func(string, string) error { return cause }
		err := backendtest.Put(t.Context(), b, "log/1", nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), b.Location()) {
			t.Errorf("%v: got %v, want %q", cause, err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(filepath.Join(file, "store")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("store below a file: %v", err)
	}
}

const nobody = 65534

func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	if os.Getuid() == 0 { // root may write everywhere: be somebody else, on this thread
		if err := errors.Join(os.Chown(dir, nobody, nobody), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread() // and never unlock: the thread ends with the test
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Setfsuid(0) })
	}
	b := mustOpen(t, dir)
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	err := backendtest.Put(t.Context(), b, "log/1", nil)
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

// Nothing but objects stays behind; what a killed process left is swept when
// it is old.
func TestTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	b := mustOpen(t, dir)
	for range 2 {
		_ = backendtest.Put(t.Context(), b, "log/1", bytes.Repeat([]byte("x"), 1000))
	}
	tmp := filepath.Join(dir, tmpDir)
	if left, _ := os.ReadDir(tmp); len(left) != 0 {
		t.Errorf("%d temporary files left", len(left))
	}
	for name, age := range map[string]time.Duration{"old": 8 * 24 * time.Hour, "new": time.Hour} {
		path := filepath.Join(tmp, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	mustOpen(t, dir)
	left, _ := os.ReadDir(tmp)
	if len(left) != 1 || left[0].Name() != "new" {
		t.Errorf("after sweeping: %v", left)
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	b, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := backendtest.Put(t.Context(), b, "log/1", nil); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{"": 0o700, "log": 0o700, "log/1": 0o400} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

// A store directory can't be used to reach outside of it.
func TestNoEscape(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "x"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	b := mustOpen(t, dir)
	if _, err := b.Open(t.Context(), "link/x"); err == nil {
		t.Error("read through a symbolic link out of the store")
	}
	if err := backendtest.Put(t.Context(), b, "link/y", nil); err == nil {
		t.Error("wrote through a symbolic link out of the store")
	}
}
