package parts

import (
	"context"
	"errors"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// overlay gives the rows of the change layers to whoever reads the lowest one,
// each in its place. A scan lets it walk all changes within bounds (merge); a
// look-up asks it for each id (claim). Both only go forward, so that every part
// is opened once. It holds, per layer, an open index and a decoded row group.
// Nil stands for a table without change layers.
type overlay struct {
	r       *Reader
	ctx     context.Context
	f       func(StoredRow) error
	rows    []*rowCursor    // by layer, nil for the lowest
	merged  *changeMerge    // of a scan
	asked   []*changeCursor // of a look-up, highest layer first
	waiting []layerRow      // found by a look-up, to be given in their places
	last    bool            // no row of the lowest layer comes any more
}

// layerRow is where a row of a change layer lies.
type layerRow struct {
	change Change
	layer  int
	part   int
	row    int64
}

func (c *changeCursor) at() layerRow {
	return layerRow{change: c.change, layer: c.layer, part: c.part, row: c.row}
}

func (r *Reader) overlay(ctx context.Context, o ScanOptions, want []bool, f func(StoredRow) error) (*overlay, error) {
	if err := r.checkLayers(); err != nil || !r.t.Layered() {
		return nil, err
	}
	v := &overlay{r: r, ctx: ctx, f: f, rows: make([]*rowCursor, len(r.t.Layers))}
	for i := 1; i < len(r.t.Layers); i++ {
		v.rows[i] = &rowCursor{r: r, ctx: ctx, parts: r.t.Layers[i].Parts, o: o, want: want}
		v.asked = append(v.asked, &changeCursor{r: r, ctx: ctx, layer: i, from: o.From, to: o.To})
	}
	slices.Reverse(v.asked)
	return v, nil
}

// merge begins the walk over all changes.
func (v *overlay) merge() (err error) {
	if v == nil {
		return nil
	}
	o := v.rows[1].o
	v.merged, err = v.r.changesFrom(v.ctx, 1, o.From, o.To)
	return err
}

// claim says whether a row is for the change layers to answer, be it that they
// deleted it. Ids must ascend.
func (v *overlay) claim(id schemas.RowID) (bool, error) {
	if v == nil {
		return false, nil
	}
	for _, c := range v.asked {
		if err := c.seek(id); err != nil {
			return false, err
		}
		if !c.ok || c.change.ID != id {
			continue
		}
		switch {
		case isZero(c.change.New):
			return true, nil
		case v.last:
			return true, v.emit(c.at())
		}
		v.waiting = append(v.waiting, c.at())
		return true, nil
	}
	return false, nil
}

// pass gives the rows that come before one of the lowest layer. hidden says that
// a layer above has that row, or that it is gone.
func (v *overlay) pass(id schemas.RowID) (hidden bool, err error) {
	if v == nil {
		return false, nil
	}
	if err := v.emitBefore(&id); err != nil || v.merged == nil || !v.merged.ok || v.merged.id != id {
		return false, err
	}
	return true, v.emitMerged()
}

// emitBefore gives the rows before an id, nil for all that are left.
func (v *overlay) emitBefore(id *schemas.RowID) error {
	if v == nil {
		return nil
	}
	for len(v.waiting) > 0 && (id == nil || v.waiting[0].change.ID.Compare(*id) < 0) {
		if err := v.emit(v.waiting[0]); err != nil {
			return err
		}
		v.waiting = v.waiting[1:]
	}
	for v.merged != nil && v.merged.ok && (id == nil || v.merged.id.Compare(*id) < 0) {
		if err := v.emitMerged(); err != nil {
			return err
		}
	}
	return nil
}

// finish gives what waits for rows of the lowest layer: none comes any more.
func (v *overlay) finish() error {
	if v == nil {
		return nil
	}
	v.last = true
	return v.emitBefore(nil)
}

// emitMerged gives the row that the walk has at hand and goes on.
func (v *overlay) emitMerged() error {
	if top := v.merged.top(); !isZero(top.change.New) {
		if err := v.emit(top.at()); err != nil {
			return err
		}
	}
	return v.merged.advance()
}

func (v *overlay) emit(at layerRow) error {
	row, err := v.rows[at.layer].read(at)
	if err != nil {
		return err
	}
	return v.f(row)
}

func (v *overlay) close() error {
	if v == nil {
		return nil
	}
	var errs []error
	if v.merged != nil {
		errs = append(errs, v.merged.close())
	}
	for _, c := range v.asked {
		errs = append(errs, c.leave())
	}
	for _, c := range v.rows[1:] {
		errs = append(errs, c.leave())
	}
	return errors.Join(errs...)
}

// rowCursor reads rows of one change layer by their places, which ascend.
type rowCursor struct {
	r     *Reader
	ctx   context.Context
	parts []Part
	o     ScanOptions
	want  []bool

	part  int // the open one
	pf    *partFile
	g     int    // row group at hand
	start int64  // its first row
	grp   *group // nil until it is decoded
}

func (c *rowCursor) read(at layerRow) (row StoredRow, err error) {
	if c.pf == nil || c.part != at.part {
		if err := c.open(at.part); err != nil {
			return row, err
		}
	}
	p := c.parts[c.part]
	for c.g < c.pf.groups() && at.row >= c.start+c.pf.groupRows(c.g) {
		c.start += c.pf.groupRows(c.g)
		c.g, c.grp = c.g+1, nil
	}
	if c.g == c.pf.groups() {
		return row, corrupt(p.Object, "index has a row %d that the part has not", at.row)
	}
	if c.grp == nil {
		if err := context.Cause(c.ctx); err != nil {
			return row, err
		}
		if c.grp, err = c.pf.read(c.g); err != nil {
			return row, err
		}
	}
	if row, err = c.r.rowAt(c.grp, int(at.row-c.start), c.want, p.Object); err != nil {
		return row, err
	}
	if row.ID != at.change.ID || row.Digest != at.change.New {
		return row, corrupt(p.Object, "row %s stands where the index has %s, or not as the index has it", row.ID, at.change.ID)
	}
	if !c.o.KeepLarge {
		err = c.r.resolve(c.ctx, &row.Row, p.Object)
	}
	return row, err
}

func (c *rowCursor) open(part int) (err error) {
	if err := c.leave(); err != nil {
		return err
	}
	c.part, c.g, c.start, c.grp = part, 0, 0, nil
	c.pf, err = c.r.openPart(c.ctx, c.parts[part], c.want)
	return err
}

func (c *rowCursor) leave() error {
	if c.pf == nil {
		return nil
	}
	pf := c.pf
	c.pf, c.grp = nil, nil
	return pf.Close()
}
