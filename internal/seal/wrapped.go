package seal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Wrapped is one of a store's keys as it lies there.
type Wrapped struct {
	Epoch      uint32 // zero: the long-lived key
	Files      []string
	Recipients []string // of all files together, sorted
	Damaged    error    // of a file that can't be read
}

// List tells how all keys are wrapped: the long-lived one, then the epochs.
func List(ctx context.Context, f Files) ([]Wrapped, error) {
	macs, err := f.List(ctx, macPrefix)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	files, err := epochFiles(ctx, f)
	if err != nil {
		return nil, err
	}
	if len(macs) > 0 {
		files[0] = macs
	}
	var out []Wrapped
	for _, e := range slices.Sorted(maps.Keys(files)) {
		w := Wrapped{Epoch: e, Files: files[e]}
		for _, name := range w.Files {
			switch file, err := readKeyFile(ctx, f, name); {
			case errors.Is(err, ErrDamagedKey):
				w.Damaged = err
			case errors.Is(err, fs.ErrNotExist): // taken away meanwhile
			case err != nil:
				return nil, err
			default:
				w.Recipients = append(w.Recipients, file.Recipients...)
			}
		}
		slices.Sort(w.Recipients)
		w.Recipients = slices.Compact(w.Recipients)
		out = append(out, w)
	}
	return out, nil
}

// WrappedFor says whether a key is wrapped for just these recipients.
func (w Wrapped) WrappedFor(to []Recipient) bool {
	return w.Damaged == nil && slices.Equal(w.Recipients, texts(to))
}

// Rewrap wraps one of the store's keys for other recipients, of which the
// identity has to be one: a new file comes, then those that were there before
// go. It may be stopped at any point and be called again; a key is never without
// a file that opens it.
//
// Who could open the key before may have kept it. Only a new epoch, a re-seal
// and the end of the old epoch shut somebody out.
func Rewrap(ctx context.Context, f Files, store string, w Wrapped, id *Identity, to ...Recipient) error {
	if len(to) == 0 || id == nil {
		return ErrNoKey
	}
	key, err := unwrapAny(ctx, f, w.Files, w.Epoch, id)
	if err != nil {
		return err
	}
	is := keyID{store, w.Epoch}
	data, err := newKeyFile(ctx, is, key, id, to)
	if err != nil {
		return fmt.Errorf("%s: %w", is.dir(), err)
	}
	if err := putNext(ctx, f, is, w.Files, data); err != nil {
		return err
	}
	for _, old := range w.Files {
		if err := f.Delete(ctx, old); err != nil {
			return fmt.Errorf("take away %s: %w", old, err)
		}
	}
	return nil
}

// putNext creates the key's next file.
func putNext(ctx context.Context, f Files, is keyID, have []string, data []byte) error {
	last := 0
	for _, name := range have {
		n, err := strconv.Atoi(strings.TrimSuffix(path.Base(name), ".json"))
		if err == nil {
			last = max(last, n)
		}
	}
	for {
		last++
		err := f.Put(ctx, is.file(last), data)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		// Another's, or ours after a lost reply.
		if there, err := f.Get(ctx, is.file(last)); err == nil && string(there) == string(data) {
			return nil
		}
	}
}

// Destroy takes all files of an epoch away and returns how many there were. It
// may be called again.
func Destroy(ctx context.Context, f Files, epoch uint32) (n int, err error) {
	if epoch == 0 {
		return 0, errors.New("the long-lived key is never destroyed: row digests need it")
	}
	names, err := f.List(ctx, keyID{epoch: epoch}.dir())
	if err != nil {
		return 0, fmt.Errorf("list keys: %w", err)
	}
	for _, name := range names {
		if err := f.Delete(ctx, name); err != nil {
			return n, fmt.Errorf("destroy %s: %w", name, err)
		}
		n++
	}
	return n, nil
}
