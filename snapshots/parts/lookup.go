package parts

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
)

// Lookup yields the rows of the given ids, which must ascend; ids that the
// table does not have yield nothing. Only parts and row groups that hold one of
// them are decoded, and memory does not grow with the number of ids. From and
// To of the options are not looked at.
func (r *Reader) Lookup(ctx context.Context, ids iter.Seq[schemas.RowID], o ScanOptions) iter.Seq2[StoredRow, error] {
	return func(yield func(StoredRow, error) bool) {
		err := r.lookup(ctx, ids, o, func(row StoredRow) error {
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

func (r *Reader) lookup(ctx context.Context, ids iter.Seq[schemas.RowID], o ScanOptions, f func(StoredRow) error) (err error) {
	want, err := r.wanted(o.Columns)
	if err != nil {
		return err
	}
	o.From, o.To = schemas.RowID{}, schemas.RowID{}
	over, err := r.overlay(ctx, o, want, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, over.close()) }()
	next, stop := iter.Pull(ids)
	defer stop()
	in := idStream{next: next, claim: over.claim}
	if err := in.advance(); err != nil {
		return err
	}
	for p, err := range r.within(schemas.RowID{}, schemas.RowID{}) {
		if err != nil {
			return err
		}
		positions, err := r.find(ctx, p, &in)
		if err != nil {
			return err
		}
		if len(positions) > 0 {
			if err := r.fetch(ctx, p, positions, o, want, over, f); err != nil {
				return err
			}
		}
		if err := over.emitBefore(nil); err != nil {
			return err
		}
	}
	if err := over.finish(); err != nil {
		return err
	}
	for in.ok { // ids after the last part must ascend as well
		if err := in.advance(); err != nil {
			return err
		}
	}
	return over.emitBefore(nil)
}

// idStream is a sequence of ids that must ascend, with one at hand. Ids that
// claim takes are left out.
type idStream struct {
	next  func() (schemas.RowID, bool)
	claim func(schemas.RowID) (bool, error)
	last  schemas.RowID // of those taken from next
	any   bool
	id    schemas.RowID
	ok    bool
}

func (s *idStream) advance() error {
	for {
		s.id, s.ok = s.next()
		if !s.ok {
			return nil
		}
		if s.any && s.id.Compare(s.last) <= 0 {
			return fmt.Errorf("look-up of row %s after %s: sort the ids and drop duplicates", s.id, s.last)
		}
		s.any, s.last = true, s.id
		if taken, err := s.claim(s.id); err != nil || !taken {
			return err
		}
	}
}

// find consumes the ids under a part's prefix and returns the positions of
// those that the part has.
func (r *Reader) find(ctx context.Context, p Part, in *idStream) (positions []int64, err error) {
	lo, hi, more, err := prefixRange(p.Prefix)
	if err != nil {
		return nil, err
	}
	for in.ok && in.id.Compare(lo) < 0 {
		if err := in.advance(); err != nil {
			return nil, err
		}
	}
	inside := func() bool { return in.ok && (!more || in.id.Compare(hi) < 0) }
	if !inside() {
		return nil, nil
	}
	err = r.withIndex(ctx, p, func(l *list) error {
		var bad error
		at := int64(0)
		err := l.each(0, func(b []byte) bool {
			id := schemas.RowID(b[:16])
			for inside() && in.id.Compare(id) < 0 && bad == nil {
				bad = in.advance()
			}
			if inside() && in.id == id && bad == nil {
				positions = append(positions, at)
				bad = in.advance()
			}
			at++
			return bad == nil && inside()
		})
		return errors.Join(bad, err)
	})
	for err == nil && inside() {
		err = in.advance()
	}
	return positions, err
}

// fetch reads the rows at ascending positions of a part.
func (r *Reader) fetch(ctx context.Context, p Part, positions []int64, o ScanOptions, want []bool, over *overlay, f func(StoredRow) error) (err error) {
	pf, err := r.openPart(ctx, p, want)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pf.Close()) }()
	s := rowScan{r: r, ctx: ctx, p: p, o: o, want: want, over: over, f: f, check: orderCheck{prefix: p.Prefix}}
	start := int64(0)
	for g := 0; g < pf.groups() && len(positions) > 0; g++ {
		end := start + pf.groupRows(g)
		n := 0
		for n < len(positions) && positions[n] < end {
			n++
		}
		if n > 0 {
			if err := s.some(pf, g, start, positions[:n]); err != nil {
				return err
			}
		}
		start, positions = end, positions[n:]
	}
	if len(positions) > 0 {
		return corrupt(p.Object, "index has a row %d that the part has not", positions[0])
	}
	return nil
}

// some reads the rows at the given positions of the part out of a group that
// begins at start.
func (s *rowScan) some(pf *partFile, g int, start int64, positions []int64) error {
	grp, err := pf.read(g)
	if err != nil {
		return err
	}
	for _, at := range positions {
		if err := s.row(grp, int(at-start)); err != nil {
			return err
		}
	}
	return nil
}
