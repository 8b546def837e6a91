package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"syscall"

	"github.com/parallelrun/parallelrun/snapshots"
)

// List yields the keys under a prefix, in byte order of whole keys.
func (b *Backend) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := b.broken.Load(); err != nil {
			yield("", fmt.Errorf("%s: %w", b.dir, *err))
			return
		}
		l := lister{b: b, ctx: ctx, prefix: prefix, after: after, yield: yield}
		// Start at the deepest directory that the prefix names.
		dir := "."
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			dir = prefix[:i]
			if snapshots.CheckKey(dir) != nil {
				return // no key looks like that
			}
		}
		l.walk(dir)
	}
}

// Details yields the keys that List yields, with size and time of the last
// change of each file. One that is deleted meanwhile is left out.
func (b *Backend) Details(ctx context.Context, prefix, after string) iter.Seq2[snapshots.Detail, error] {
	return func(yield func(snapshots.Detail, error) bool) {
		for key, err := range b.List(ctx, prefix, after) {
			d := snapshots.Detail{Key: key}
			if err == nil {
				var info fs.FileInfo
				if info, err = b.root.Lstat(key); errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err == nil {
					d.Size, d.Modified = info.Size(), info.ModTime()
				}
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

type lister struct {
	b             *Backend
	ctx           context.Context
	prefix, after string
	yield         func(string, error) bool
}

// walk lists one directory; false stops the whole listing.
func (l *lister) walk(dir string) bool {
	if err := l.ctx.Err(); err != nil {
		l.yield("", fmt.Errorf("list %s: %w", l.prefix, err))
		return false
	}
	entries, err := fs.ReadDir(l.b.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return true
	}
	if err != nil {
		l.yield("", fmt.Errorf("list %s in %s: %w", l.prefix, l.b.dir, err))
		return false
	}
	for _, name := range names(dir, entries) {
		if !l.visit(name) {
			return false
		}
	}
	return true
}

// visit takes a key, or a directory's name with a slash behind it.
func (l *lister) visit(name string) bool {
	dir, isDir := strings.CutSuffix(name, "/")
	if !isDir {
		if strings.HasPrefix(name, l.prefix) && name > l.after {
			return l.yield(name, nil)
		}
		return true
	}
	inPrefix := strings.HasPrefix(name, l.prefix) || strings.HasPrefix(l.prefix, name)
	// All keys below start with name: they sort after `after` unless name is
	// smaller and no prefix of it.
	if !inPrefix || name < l.after && !strings.HasPrefix(l.after, name) {
		return true
	}
	return l.walk(dir)
}

// names gives the entries' keys, directories with a slash behind them, sorted
// so that walking them in turn yields keys in byte order ("a.b" before "a/x").
func names(dir string, entries []fs.DirEntry) []string {
	var out []string
	for _, e := range entries {
		name := e.Name()
		if snapshots.CheckKey(name) != nil || !e.IsDir() && !e.Type().IsRegular() {
			continue // .tmp, or not ours
		}
		if dir != "." {
			name = dir + "/" + name
		}
		if e.IsDir() {
			name += "/"
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
