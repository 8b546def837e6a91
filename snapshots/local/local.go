// Package local keeps a store in a directory.
//
// An object is written to a temporary file under .tmp/, synced, and linked to
// its name with link(2), which fails if the name is taken (rename would
// overwrite); then the directory is synced. So an object is whole and durable,
// or not there. Several processes, also on several machines over a network
// file system, may write at once.
//
// Start with Create or Open.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
)

const (
	tmpDir = ".tmp"
	// staleTmp is how old a temporary file must be before Open takes it for the
	// leaving of a dead process. No write of one object lasts that long.
	staleTmp = 7 * 24 * time.Hour

	dirMode  = 0o700 // personal data: for the owner alone
	fileMode = 0o400 // objects never change
)

var (
	// ErrNoStoreDir: the directory is not there. Make it with the command that
	// makes stores, or correct the path.
	ErrNoStoreDir = errors.New("store directory does not exist (the first parallelrun run makes it)")
	// ErrCantMake: the directory can't be made there. Choose another path, or
	// see what the cause says.
	ErrCantMake = errors.New("make store directory")
	// ErrNoLinks: the file system can't do what commits need. Put the store on
	// another file system.
	ErrNoLinks = errors.New("file system has no hard links, which a store needs (put the store on another file system, such as ext4, xfs, apfs or nfs)")
	// ErrSyncFailed: the disk did not take what was written, and may have lost
	// what it took before. The back end refuses all further work: check the
	// disk, then start anew.
	ErrSyncFailed = fmt.Errorf("%w: sync to disk failed, nothing more is read or written (check the disk and its free space, then run the command again)", snapshots.ErrBroken)
)

// Backend is a store's directory.
type Backend struct {
	dir     string
	root    *os.Root
	synced  sync.Map // directories whose own entry in their parent is durable
	broken  atomic.Pointer[error]
	syncing func(*os.File) error // os.File.Sync, save in tests
	linking func(from, to string) error
}

var _ snapshots.Sweeper = (*Backend)(nil)

// Create opens the directory and makes it first if it is not there.
func Create(dir string) (*Backend, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, withHint(fmt.Errorf("%w: %w", ErrCantMake, err))
	}
	return Open(dir)
}

// Open opens a directory that is there; else it fails with ErrNoStoreDir.
func Open(dir string) (*Backend, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("store directory: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoStoreDir)
	}
	if err != nil {
		return nil, fmt.Errorf("open store directory: %w", err)
	}
	b := &Backend{dir: abs, root: root, syncing: (*os.File).Sync, linking: root.Link}
	b.sweep()
	return b, nil
}

// Close frees the directory.
func (b *Backend) Close() error { return b.root.Close() }

// Location is the directory's absolute path.
func (b *Backend) Location() string { return b.dir }

// sweep removes what processes that died long ago left in .tmp; failing to is
// harmless.
func (b *Backend) sweep() {
	entries, err := fs.ReadDir(b.root.FS(), tmpDir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleTmp {
			_ = b.root.Remove(path.Join(tmpDir, e.Name()))
		}
	}
}

// Create writes an object as the package comment tells. Once the name is
// linked, cancellation no longer stops it: it ends by knowing.
func (b *Backend) Create(ctx context.Context, key string, body io.ReadSeeker) error {
	if err := b.usable(ctx, key); err != nil {
		return err
	}
	if err := b.create(ctx, key, body); err != nil {
		return withHint(fmt.Errorf("create %s in %s: %w", key, b.dir, err))
	}
	return nil
}

// withHint adds the next step to errors that a person can do something about.
func withHint(err error) error {
	var hint string
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		hint = "free space there, then run the command again; what was committed is safe"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission) && !errors.Is(err, ErrNoLinks):
		hint = "choose a path that you may write to, or change its permissions"
	case errors.Is(err, syscall.ENOTDIR):
		hint = "a file is in the way: choose another path"
	case errors.Is(err, ErrCantMake):
		hint = "choose another path"
	default:
		return err
	}
	return &hintedError{err, hint}
}

// hintedError is an error with its next step.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return fmt.Sprintf("%v (%s)", e.err, e.hint) }

func (e *hintedError) Unwrap() error { return e.err }

// Hint says what to do.
func (e *hintedError) Hint() string { return e.hint }

func (b *Backend) create(ctx context.Context, key string, body io.ReadSeeker) error {
	if err := b.makeDir(path.Dir(key)); err != nil {
		return err
	}
	// An early look saves copying what is there already; the link decides.
	if _, err := b.root.Lstat(key); err == nil {
		return b.taken(key)
	}
	tmp, err := b.writeTmp(ctx, body)
	if tmp != "" {
		defer func() { _ = b.root.Remove(tmp) }()
	}
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.link(tmp, key); err != nil {
		if errors.Is(err, snapshots.ErrExists) {
			return b.taken(key)
		}
		return err
	}
	return b.syncDir(path.Dir(key))
}

// taken reports that the key has an object. Its writer may not have synced the
// directory yet, and callers build on what they find: so it is synced first.
func (b *Backend) taken(key string) error {
	if err := b.syncDir(path.Dir(key)); err != nil {
		return err
	}
	return snapshots.ErrExists
}

// writeTmp copies the body to a synced temporary file. It returns the file's
// name, once there is one, with an error too.
func (b *Backend) writeTmp(ctx context.Context, body io.ReadSeeker) (name string, err error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("rewind: %w", err)
	}
	if err := b.makeDir(tmpDir); err != nil {
		return "", err
	}
	name = path.Join(tmpDir, rand.Text())
	f, err := b.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(f, snapshots.Copying(ctx, body)); err != nil {
		return name, errors.Join(err, f.Close())
	}
	if err := b.sync(f); err != nil {
		return name, errors.Join(err, f.Close())
	}
	return name, f.Close()
}

// link gives the temporary file its name. Over a network file system the
// answer may be lost or stem from a repeated request, so after any error the
// names themselves are asked.
func (b *Backend) link(tmp, key string) error {
	err := b.linking(tmp, key)
	if err == nil || b.same(tmp, key) {
		return nil
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return snapshots.ErrExists
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EMLINK):
		return fmt.Errorf("%w: %w", ErrNoLinks, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		return err
	}
	return fmt.Errorf("%w: %w", snapshots.ErrUnknownOutcome, err)
}

func (b *Backend) same(tmp, key string) bool {
	x, err1 := b.root.Lstat(tmp)
	y, err2 := b.root.Lstat(key)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// makeDir makes a directory and its parents, each durable in its own parent.
// A directory made by another process may not be, so the first use syncs.
func (b *Backend) makeDir(dir string) error {
	if dir == "." {
		return nil
	}
	if _, done := b.synced.Load(dir); done {
		return nil
	}
	parent := path.Dir(dir)
	if err := b.makeDir(parent); err != nil {
		return err
	}
	if err := b.root.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := b.syncDir(parent); err != nil {
		return err
	}
	b.synced.Store(dir, true)
	return nil
}

func (b *Backend) syncDir(dir string) error {
	f, err := b.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return b.sync(f)
}

// sync makes a file durable. After a failed fsync the kernel may have dropped
// the pages and answers well the next time: so the first failure is the last
// word of this back end.
func (b *Backend) sync(f *os.File) error {
	err := b.syncing(f)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%w: %w", ErrSyncFailed, err)
	b.broken.CompareAndSwap(nil, &err)
	return err
}

// usable is asked before every operation.
func (b *Backend) usable(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if err := b.broken.Load(); err != nil {
		return fmt.Errorf("%s: %w", b.dir, *err)
	}
	return snapshots.CheckKey(key)
}

// Stat looks up an object's size.
func (b *Backend) Stat(ctx context.Context, key string) (int64, error) {
	if err := b.usable(ctx, key); err != nil {
		return 0, err
	}
	info, err := b.root.Stat(key)
	if err != nil {
		return 0, b.openError(key, err)
	}
	if !info.Mode().IsRegular() {
		return 0, b.openError(key, fs.ErrNotExist)
	}
	return info.Size(), nil
}

func (b *Backend) openError(key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%s in %s: %w", key, b.dir, snapshots.ErrNotFound)
	}
	return fmt.Errorf("open %s in %s: %w", key, b.dir, err)
}

// Open opens an object for reading.
func (b *Backend) Open(ctx context.Context, key string) (snapshots.Object, error) {
	if err := b.usable(ctx, key); err != nil {
		return nil, err
	}
	f, err := b.root.Open(key)
	if err != nil {
		return nil, b.openError(key, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(b.openError(key, err), f.Close())
	}
	if !info.Mode().IsRegular() {
		return nil, errors.Join(b.openError(key, fs.ErrNotExist), f.Close())
	}
	return &object{f, info.Size()}, nil
}

// Delete removes an object's file. Its folder stays, for a writer may be about
// to use it. Nothing is synced: an object that comes back after a power cut is
// found and deleted again.
func (b *Backend) Delete(ctx context.Context, key string) error {
	if err := b.usable(ctx, key); err != nil {
		return err
	}
	info, err := b.root.Lstat(key)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		err = b.root.Remove(key)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return withHint(fmt.Errorf("delete %s in %s: %w", key, b.dir, err))
	}
	return nil
}

type object struct {
	*os.File
	size int64
}

func (o *object) Size() int64 { return o.size }
