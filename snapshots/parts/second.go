package parts

import (
	"context"
	"errors"
	"io"
	"iter"
)

// SecondMemory is the memory limit of a second reader's process, in bytes.
const SecondMemory = 512 << 20

// SecondError says what a second reader made of a part that ours can read
// (package second).
type SecondError struct {
	// Differs: it read other cells. Else it failed.
	Differs bool
	What    string
}

func (e *SecondError) Error() string { return "second reader: " + e.What }

// PartRows yields the rows of one part of a layer as they stand in its file,
// large values as objects of their own.
func (r *Reader) PartRows(ctx context.Context, layer, part int) iter.Seq2[StoredRow, error] {
	return func(yield func(StoredRow, error) bool) {
		err := r.partRows(ctx, r.t.Layers[layer].Parts[part], func(row StoredRow) error {
			if !yield(row, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(StoredRow{}, r.damage(err))
		}
	}
}

func (r *Reader) partRows(ctx context.Context, p Part, f func(StoredRow) error) (err error) {
	pf, err := r.openPart(ctx, p, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pf.Close()) }()
	for g := range pf.groups() {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		grp, err := pf.read(g)
		if err != nil {
			return err
		}
		for i := range grp.rows {
			row, err := r.rowAt(grp, i, nil, p.Object)
			if err == nil {
				err = f(row)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Spooled is a temporary file without a name.
type Spooled struct{ *nameless }

// SpoolPart copies a part's file, whose bytes are checked first, to a temporary
// file behind a head, for a process that reads it from there.
func (r *Reader) SpoolPart(ctx context.Context, layer, part int, dir string, head []byte) (*Spooled, error) {
	p := r.t.Layers[layer].Parts[part]
	src, closer, err := r.open(ctx, p.Object)
	if err != nil {
		return nil, err
	}
	f, err := newNameless(dir, "parallelrun-second-*")
	if err != nil {
		return nil, errors.Join(wrapTemp(dir, err), closer.Close())
	}
	_, err = f.Write(head)
	if err == nil {
		_, err = io.Copy(f, io.NewSectionReader(src, 0, p.Object.Bytes))
	}
	if err = errors.Join(wrapTemp(dir, err), closer.Close()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Spooled{f}, nil
}
