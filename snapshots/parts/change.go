package parts

import (
	"context"
	"errors"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
)

// Change is an entry of a change layer's index: what becomes of a row of the
// layers below. New is zero for a row that is gone, Old for one that was not
// there. They are equal where only what digests do not tell was written anew:
// the boxes of secrets.
type Change struct {
	ID       schemas.RowID
	New, Old schemas.Digest
}

// The index of a part of a change layer is a list as other indexes are, with
// entries of row id (16), new digest (16), old digest (16).
const (
	changeMagic = "PRchang1"
	changeEntry = 48
)

func changeAt(b []byte) Change {
	return Change{ID: schemas.RowID(b[:16]), New: schemas.Digest(b[16:32]), Old: schemas.Digest(b[32:48])}
}

func isZero(d schemas.Digest) bool { return d == schemas.Digest{} }

// openChanges opens the index of a part of a change layer.
func (r *Reader) openChanges(ctx context.Context, p Part) (*list, func() error, error) {
	src, closer, err := r.open(ctx, p.Index)
	if err != nil {
		return nil, nil, err
	}
	l, err := openList(p.Index, src, changeMagic, changeEntry)
	if err == nil && l.rows != p.Rows+p.Deleted {
		err = corrupt(p.Index, "index has %d changes, its part %d rows and %d deletions", l.rows, p.Rows, p.Deleted)
	}
	if err != nil {
		return nil, nil, errors.Join(err, closer.Close())
	}
	return l, closer.Close, nil
}

// changeCursor walks the index of one change layer in order of the ids, within
// bounds. It holds one open index.
type changeCursor struct {
	r        *Reader
	ctx      context.Context
	layer    int
	from, to schemas.RowID

	part  int // of the layer, the open one
	list  *list
	close func() error
	check orderCheck
	block []byte // what is left of the block at hand
	read  int64  // entries of the part read so far
	rows  int64  // of them upserts

	// The entry at hand. row is its place among the rows of the part.
	change Change
	row    int64
	ok     bool
}

func (c *changeCursor) parts() []Part { return c.r.t.Layers[c.layer].Parts }

// advance goes to the next entry; ok is false behind the last.
func (c *changeCursor) advance() error {
	for {
		c.ok = false
		if c.list == nil {
			if more, err := c.openNext(); err != nil || !more {
				return err
			}
		}
		if len(c.block) == 0 {
			more, err := c.nextBlock()
			if err != nil {
				return err
			}
			if !more {
				if err := c.leave(); err != nil {
					return err
				}
				c.part++
				continue
			}
		}
		if err := c.take(); err != nil {
			return err
		}
		if !c.to.IsZero() && c.change.ID.Compare(c.to) >= 0 {
			c.part = len(c.parts())
			return c.leave()
		}
		if c.change.ID.Compare(c.from) >= 0 {
			c.ok = true
			return nil
		}
	}
}

// seek goes forward to the first entry that does not come before id.
func (c *changeCursor) seek(id schemas.RowID) error {
	if c.ok && c.change.ID.Compare(id) >= 0 {
		return nil
	}
	c.from = id
	if c.list != nil { // a part that ends before the id need not be read to its end
		if _, hi, more, err := prefixRange(c.parts()[c.part].Prefix); err == nil && more && hi.Compare(id) <= 0 {
			if err := c.leave(); err != nil {
				return err
			}
			c.part++
		}
	}
	return c.advance()
}

// openNext opens the next part that reaches into the bounds.
func (c *changeCursor) openNext() (bool, error) {
	for ; c.part < len(c.parts()); c.part++ {
		p := c.parts()[c.part]
		lo, hi, more, err := prefixRange(p.Prefix)
		if err != nil {
			return false, &Corruption{Detail: err.Error(), Advice: adviceRestore}
		}
		if more && hi.Compare(c.from) <= 0 {
			continue
		}
		if !c.to.IsZero() && lo.Compare(c.to) >= 0 {
			return false, nil
		}
		if c.list, c.close, err = c.r.openChanges(c.ctx, p); err != nil {
			c.list = nil
			return false, err
		}
		c.check, c.block, c.read, c.rows = orderCheck{prefix: p.Prefix}, nil, 0, 0
		return true, nil
	}
	return false, nil
}

func (c *changeCursor) nextBlock() (more bool, err error) {
	if c.read == c.list.rows {
		if p := c.parts()[c.part]; c.rows != p.Rows {
			return false, corrupt(p.Index, "index has %d rows, its part %d", c.rows, p.Rows)
		}
		return false, nil
	}
	if err := context.Cause(c.ctx); err != nil {
		return false, err
	}
	c.block, err = c.list.readBlock(c.read / blockOf)
	return true, err
}

// take reads an entry of the block at hand.
func (c *changeCursor) take() error {
	c.change, c.row = changeAt(c.block), c.rows
	c.block = c.block[changeEntry:]
	c.read++
	switch {
	case !isZero(c.change.New):
		c.rows++
	case isZero(c.change.Old):
		return corrupt(c.list.o, "row %s is deleted and was not there", c.change.ID)
	}
	return c.check.next(c.change.ID, c.list.o)
}

func (c *changeCursor) leave() error {
	if c.list == nil {
		return nil
	}
	c.list, c.block = nil, nil
	return c.close()
}

// changeMerge walks the indexes of several change layers side by side.
type changeMerge struct {
	cursors []*changeCursor // lowest layer first
	// id is the row at hand, at the cursors that have a change of it.
	id schemas.RowID
	at []*changeCursor
	ok bool
}

// changesFrom merges the change layers from one on, between two ids.
func (r *Reader) changesFrom(ctx context.Context, layer int, from, to schemas.RowID) (*changeMerge, error) {
	m := &changeMerge{}
	for i := layer; i < len(r.t.Layers); i++ {
		m.cursors = append(m.cursors, &changeCursor{r: r, ctx: ctx, layer: i, from: from, to: to})
	}
	for _, c := range m.cursors {
		if err := c.advance(); err != nil {
			return nil, errors.Join(err, m.close())
		}
	}
	m.gather()
	return m, nil
}

// gather finds the lowest id and who has it.
func (m *changeMerge) gather() {
	m.at = m.at[:0]
	for _, c := range m.cursors {
		if !c.ok {
			continue
		}
		if len(m.at) > 0 {
			order := c.change.ID.Compare(m.id)
			if order > 0 {
				continue
			}
			if order < 0 {
				m.at = m.at[:0]
			}
		}
		m.at, m.id = append(m.at, c), c.change.ID
	}
	m.ok = len(m.at) > 0
}

// advance goes to the next row that any of the layers changes.
func (m *changeMerge) advance() error {
	for _, c := range m.at {
		if err := c.advance(); err != nil {
			return err
		}
	}
	m.gather()
	return nil
}

// top is the change of the highest layer that has one of the row at hand.
func (m *changeMerge) top() *changeCursor { return m.at[len(m.at)-1] }

// change is what the layers do to the row at hand in sum.
func (m *changeMerge) change() Change {
	return Change{ID: m.id, New: m.top().change.New, Old: m.at[0].change.Old}
}

func (m *changeMerge) close() error {
	var errs []error
	for _, c := range m.cursors {
		errs = append(errs, c.leave())
	}
	return errors.Join(errs...)
}

// Changes yields what the layers from the given one on change in sum, in order
// of the ids: the difference to a table that has only the layers below. Rows
// that end as they began are left out. Only the indexes of these layers are
// read.
func (r *Reader) Changes(ctx context.Context, layer int) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		err := r.eachChange(ctx, layer, func(m *changeMerge) error {
			if c := m.change(); c.New != c.Old && !yield(c, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Change{}, r.damage(err))
		}
	}
}

func (r *Reader) eachChange(ctx context.Context, layer int, f func(*changeMerge) error) (err error) {
	if err := r.checkLayers(); err != nil {
		return err
	}
	m, err := r.changesFrom(ctx, max(layer, 1), schemas.RowID{}, schemas.RowID{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	for m.ok {
		if err := f(m); err != nil {
			return err
		}
		if err := m.advance(); err != nil {
			return err
		}
	}
	return nil
}

// change adds an entry to the index of a part of a change layer.
func (w *listWriter) change(c Change) { w.add(c.ID[:], c.New[:], c.Old[:]) }
