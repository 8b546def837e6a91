package parts

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// ScanOptions say which rows and columns to read, and how.
type ScanOptions struct {
	// From and To bound the row ids: From <= id < To; zero means no bound.
	From, To schemas.RowID
	// Columns lists the columns to read; nil means all. Cells of others are
	// nil.
	Columns []string
	// KeepLarge leaves large values as objects of their own, listed in
	// Row.Large; otherwise each row is read whole.
	KeepLarge bool
}

// StoredRow is a row with the digest that its part has for it.
type StoredRow struct {
	schemas.Row
	Digest schemas.Digest
}

// Scan yields rows in order of their ids. They belong to the caller.
func (r *Reader) Scan(ctx context.Context, o ScanOptions) iter.Seq2[schemas.Row, error] {
	return func(yield func(schemas.Row, error) bool) {
		for row, err := range r.ScanStored(ctx, o) {
			if !yield(row.Row, err) {
				return
			}
		}
	}
}

// errStopped ends a scan that the caller left; it never leaves the package.
var errStopped = errors.New("stopped")

// ScanStored is Scan with each row's digest.
func (r *Reader) ScanStored(ctx context.Context, o ScanOptions) iter.Seq2[StoredRow, error] {
	return func(yield func(StoredRow, error) bool) {
		err := r.scan(ctx, o, func(row StoredRow) error {
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

func (r *Reader) scan(ctx context.Context, o ScanOptions, f func(StoredRow) error) (err error) {
	want, err := r.wanted(o.Columns)
	if err != nil {
		return err
	}
	over, err := r.overlay(ctx, o, want, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, over.close()) }()
	if err := over.merge(); err != nil {
		return err
	}
	for p, err := range r.within(o.From, o.To) {
		if err != nil {
			return err
		}
		if err := r.scanPart(ctx, p, o, want, over, f); err != nil {
			return err
		}
	}
	return over.finish()
}

// wanted marks the columns to read; nil means all.
func (r *Reader) wanted(columns []string) ([]bool, error) {
	if columns == nil {
		return nil, nil
	}
	want := make([]bool, len(r.t.Columns))
	for _, name := range columns {
		i := r.shape.Column(name)
		if i < 0 {
			return nil, fmt.Errorf("table %s has no column %q: see its columns in the snapshot", r.t.Name, name)
		}
		want[i] = true
	}
	return want, nil
}

// scanPart reads the rows of one part of the lowest layer that lie within
// bounds, and those of the layers above that come between them. The index tells
// where From begins, so that row groups before it are not decoded.
func (r *Reader) scanPart(ctx context.Context, p Part, o ScanOptions, want []bool, over *overlay, f func(StoredRow) error) (err error) {
	skip := int64(0)
	if lo, _, _, _ := prefixRange(p.Prefix); o.From.Compare(lo) > 0 {
		if skip, err = r.position(ctx, p, o.From); err != nil {
			return err
		}
	}
	pf, err := r.openPart(ctx, p, want)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pf.Close()) }()
	s := rowScan{r: r, ctx: ctx, p: p, o: o, want: want, over: over, f: f, check: orderCheck{prefix: p.Prefix}}
	start := int64(0)
	for g := range pf.groups() {
		n := pf.groupRows(g)
		if start+n > skip {
			err := s.group(pf, g, int(max(skip-start, 0)))
			if errors.Is(err, errPastEnd) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		start += n
	}
	return nil
}

// position is how many rows of a part come before an id.
func (r *Reader) position(ctx context.Context, p Part, id schemas.RowID) (n int64, err error) {
	err = r.withIndex(ctx, p, func(l *list) error {
		return l.each(0, func(b []byte) bool {
			if schemas.RowID(b[:16]).Compare(id) >= 0 {
				return false
			}
			n++
			return true
		})
	})
	return n, err
}

// errPastEnd ends the reading of a part at ScanOptions.To.
var errPastEnd = errors.New("past the end")

// rowScan makes rows out of decoded groups of one part.
type rowScan struct {
	r     *Reader
	ctx   context.Context
	p     Part
	o     ScanOptions
	want  []bool
	over  *overlay
	f     func(StoredRow) error
	check orderCheck
}

func (s *rowScan) group(pf *partFile, g int, from int) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	grp, err := pf.read(g)
	if err != nil {
		return err
	}
	for i := from; i < grp.rows; i++ {
		if err := s.row(grp, i); err != nil {
			return err
		}
	}
	return nil
}

func (s *rowScan) row(g *group, i int) error {
	id := schemas.RowID(g.ids.Value(i))
	if err := s.check.next(id, s.p.Object); err != nil {
		return err
	}
	if !s.o.To.IsZero() && id.Compare(s.o.To) >= 0 {
		return errPastEnd
	}
	if hidden, err := s.over.pass(id); err != nil || hidden {
		return err
	}
	row, err := s.r.rowAt(g, i, s.want, s.p.Object)
	if err != nil {
		return err
	}
	if !s.o.KeepLarge {
		if err := s.r.resolve(s.ctx, &row.Row, s.p.Object); err != nil {
			return err
		}
	}
	return s.f(row)
}

// rowAt copies a row out of a decoded group.
func (r *Reader) rowAt(g *group, i int, want []bool, o Object) (row StoredRow, err error) {
	err = guard(o, func() error {
		row.ID, row.Digest = schemas.RowID(g.ids.Value(i)), schemas.Digest(g.digest.Value(i))
		if g.keys.IsValid(i) {
			row.Key = string([]byte(g.keys.Value(i)))
		}
		row.Values = make([]any, len(r.t.Columns))
		for c, col := range g.own {
			if col != nil {
				row.Values[c] = schemas.ValueAt(col, r.t.Columns[c].Type, i)
			}
		}
		row.Large = g.refs(nil, i)
		return nil
	})
	if want != nil && row.Large != nil {
		row.Large = slices.DeleteFunc(row.Large, func(ref schemas.LargeRef) bool {
			p, ok := r.place(ref.Path)
			return ok && !want[p.column]
		})
	}
	return row, err
}
