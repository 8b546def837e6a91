package parts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
)

// ReadOptions of a Reader.
type ReadOptions struct {
	// Raw opens an object of the right size whose bytes nobody has checked. If it
	// is set, comparing reads indexes through it and checks the checksums of their
	// blocks; else they are checked against their SHA-256 like all else.
	Raw func(ctx context.Context, o Object) (Source, error)
}

// Reader reads one table. It is safe for concurrent use. Damage that it finds
// is a *Corruption.
type Reader struct {
	t     Table
	shape schemas.Table
	open  OpenFunc
	raw   func(ctx context.Context, o Object) (Source, error)
}

// OpenTable returns a reader of a table that a manifest lists.
func OpenTable(t Table, open OpenFunc, o ReadOptions) *Reader {
	return &Reader{t: t, shape: t.Schema(), open: open, raw: o.Raw}
}

// Table is the table as the manifest lists it.
func (r *Reader) Table() Table { return r.t }

// checkLayers refuses what this version can't read.
func (r *Reader) checkLayers() error {
	for i, l := range r.t.Layers {
		if i == 0 && l.Kind == KindWhole || i > 0 && l.Kind == KindChange {
			continue
		}
		return fmt.Errorf("table %s has a layer %d of kind %q, which this version does not read: use a newer version", r.t.Name, i, l.Kind)
	}
	if len(r.t.Layers) == 0 {
		return r.damage(&Corruption{Detail: "the manifest gives it no layer", Advice: adviceRestore})
	}
	return nil
}

// parts are the parts of the lowest layer, which holds all rows of its time.
func (r *Reader) parts() ([]Part, error) {
	if err := r.checkLayers(); err != nil {
		return nil, err
	}
	return r.t.Layers[0].Parts, nil
}

// within yields the parts of the lowest layer that may hold ids with from <= id < to; a zero to
// means no end.
func (r *Reader) within(from, to schemas.RowID) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		parts, err := r.parts()
		if err != nil {
			yield(Part{}, err)
			return
		}
		for _, p := range parts {
			lo, hi, more, err := prefixRange(p.Prefix)
			if err != nil {
				yield(Part{}, r.damage(&Corruption{Detail: err.Error(), Advice: adviceRestore}))
				return
			}
			if more && hi.Compare(from) <= 0 {
				continue
			}
			if !to.IsZero() && lo.Compare(to) >= 0 {
				return
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// damage names the table in a corruption that does not.
func (r *Reader) damage(err error) error {
	if c, ok := errors.AsType[*Corruption](err); ok && c.Table == "" {
		c.Table = r.t.Name
	}
	return err
}

// Index yields row ids and digests in order, from the indexes alone.
func (r *Reader) Index(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := r.index(ctx, func(e Entry) error {
			if !yield(e, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Entry{}, r.damage(err))
		}
	}
}

// index merges the indexes of all layers.
func (r *Reader) index(ctx context.Context, f func(Entry) error) error {
	return r.eachRow(ctx, func(below *Entry, m *changeMerge) error {
		switch {
		case m == nil:
			return f(*below)
		case !isZero(m.top().change.New):
			return f(Entry{ID: m.id, Digest: m.top().change.New})
		}
		return nil
	})
}

// eachRow calls f for every id that any layer knows, in order: with its entry
// in the lowest layer, nil for none, and with the changes of the layers above,
// nil for none.
func (r *Reader) eachRow(ctx context.Context, f func(below *Entry, m *changeMerge) error) error {
	return r.eachRowIn(ctx, Range{}, f)
}

// eachRowIn is eachRow within a range that cuts no part of the lowest layer.
func (r *Reader) eachRowIn(ctx context.Context, in Range, f func(below *Entry, m *changeMerge) error) (err error) {
	if err := r.checkLayers(); err != nil {
		return err
	}
	m, err := r.changesFrom(ctx, 1, in.From, in.To)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	for p, err := range r.within(in.From, in.To) {
		if err != nil {
			return err
		}
		for e, err := range r.PartIndex(ctx, p) {
			if err != nil {
				return err
			}
			if err := m.until(&e.ID, f); err != nil {
				return err
			}
			if !m.ok || m.id != e.ID {
				if err := f(&e, nil); err != nil {
					return err
				}
				continue
			}
			if err := f(&e, m); err != nil {
				return err
			}
			if err := m.advance(); err != nil {
				return err
			}
		}
	}
	return m.until(nil, f)
}

// until calls f for the rows before an id, nil for all that are left, that the
// lowest layer does not have.
func (m *changeMerge) until(id *schemas.RowID, f func(*Entry, *changeMerge) error) error {
	for m.ok && (id == nil || m.id.Compare(*id) < 0) {
		if err := f(nil, m); err != nil {
			return err
		}
		if err := m.advance(); err != nil {
			return err
		}
	}
	return nil
}

// PartIndex yields the index of one part of a whole layer: what a diff reads of parts that
// differ.
func (r *Reader) PartIndex(ctx context.Context, p Part) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		stopped := false
		err := r.withIndex(ctx, p, func(l *list) error {
			check := orderCheck{prefix: p.Prefix}
			var bad error
			err := l.each(0, func(b []byte) bool {
				e := entryAt(b)
				if bad = check.next(e.ID, p.Index); bad != nil {
					return false
				}
				stopped = !yield(e, nil)
				return !stopped
			})
			return errors.Join(err, bad)
		})
		if err != nil && !stopped {
			yield(Entry{}, r.damage(err))
		}
	}
}

// withIndex opens a part's index for f.
func (r *Reader) withIndex(ctx context.Context, p Part, f func(*list) error) error {
	src, closer, err := r.open(ctx, p.Index)
	if err != nil {
		return err
	}
	l, err := openIndexList(p.Index, src)
	if err == nil && l.rows != p.Rows {
		err = corrupt(p.Index, "index has %d rows, its part %d", l.rows, p.Rows)
	}
	if err == nil {
		err = f(l)
	}
	return errors.Join(err, closer.Close())
}

// orderCheck sees that ids ascend and lie under a prefix. Of heads several may be
// the same.
type orderCheck struct {
	prefix string
	heads  bool
	any    bool
	last   schemas.RowID
	lo, hi schemas.RowID
	more   bool
}

func (c *orderCheck) next(id schemas.RowID, o Object) error {
	if !c.any {
		var err error
		if c.lo, c.hi, c.more, err = prefixRange(c.prefix); err != nil {
			return corrupt(o, "%v", err)
		}
	}
	if order := id.Compare(c.last); c.any && (order < 0 || order == 0 && !c.heads) {
		return corrupt(o, "row %s does not come after the one before it", id)
	}
	if id.Compare(c.lo) < 0 || c.more && id.Compare(c.hi) >= 0 {
		return corrupt(o, "row %s does not belong under prefix %q", id, c.prefix)
	}
	c.any, c.last = true, id
	return nil
}

// LargeObjects yields the objects that the large values of all its layers live
// in; one that several parts use comes several times.
func (r *Reader) LargeObjects(ctx context.Context) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := r.checkLayers(); err != nil {
			yield(Object{}, err)
			return
		}
		for p := range r.t.parts() {
			if p.Large == nil {
				continue
			}
			objects, err := r.largeOf(ctx, *p.Large)
			if err != nil {
				yield(Object{}, r.damage(err))
				return
			}
			for _, o := range objects {
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}

// LargeIn lists the objects of one list, a Part's Large, for who looks at many
// tables that share their parts.
func (r *Reader) LargeIn(ctx context.Context, list Object) ([]Object, error) {
	objects, err := r.largeOf(ctx, list)
	if err != nil {
		return nil, r.damage(err)
	}
	return objects, nil
}

func (r *Reader) largeOf(ctx context.Context, o Object) ([]Object, error) {
	return LargeOf(ctx, r.open, o)
}

// LargeOf reads a part's list of the objects that its large values live in.
func LargeOf(ctx context.Context, open OpenFunc, o Object) (objects []Object, err error) {
	src, closer, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	l, err := openList(o, src, largeMagic, largeEntry)
	if err != nil {
		return nil, err
	}
	err = l.each(0, func(b []byte) bool {
		objects = append(objects, largeEntryAt(b))
		return true
	})
	return objects, err
}

// readObject reads an object whole: a large value.
func (r *Reader) readObject(ctx context.Context, o Object) (b []byte, err error) {
	src, closer, err := r.open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	var buf bytes.Buffer
	buf.Grow(int(o.Bytes))
	_, err = io.Copy(&buf, io.NewSectionReader(src, 0, o.Bytes))
	if err == nil && int64(buf.Len()) != o.Bytes {
		err = corrupt(o, "%d of %d bytes could be read", buf.Len(), o.Bytes)
	}
	return buf.Bytes(), err
}
