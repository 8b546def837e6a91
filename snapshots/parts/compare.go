package parts

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
)

// Compare calls f for every id within a range whose digests differ, in order:
// Old is the digest in a, New in b, zero where a side has no such row. It returns
// how many rows are the same. Only indexes are read, and of parts that are the
// same on both sides nothing; they are checked by the checksums of their blocks.
func Compare(ctx context.Context, a, b *Reader, in Range, f func(Change) error) (same int64, err error) {
	equal := equalParts(a.t, b.t)
	for _, p := range b.t.Layers[:min(1, len(b.t.Layers))] {
		for _, p := range p.Parts {
			if rows, ok := equal[p.Prefix]; ok && in.holds(p.Prefix) {
				same += rows
			}
		}
	}
	skip := func(p Part) bool { _, ok := equal[p.Prefix]; return ok }
	nextA, stopA := iter.Pull2(a.entryRuns(ctx, in, skip))
	defer stopA()
	nextB, stopB := iter.Pull2(b.entryRuns(ctx, in, skip))
	defer stopB()
	m := runMerge{a: runCursor{next: nextA}, b: runCursor{next: nextB}, f: f}
	err = m.run()
	return same + m.same, err
}

// runMerge walks two sequences of runs of entries.
type runMerge struct {
	a, b runCursor
	f    func(Change) error
	same int64
}

// runCursor is a sequence of runs with what is left of one at hand.
type runCursor struct {
	next func() ([]byte, error, bool)
	run  []byte
}

func (c *runCursor) fill() error {
	for len(c.run) == 0 {
		run, err, ok := c.next()
		if !ok || err != nil {
			return err
		}
		c.run = run
	}
	return nil
}

// equalEntries is how many entries are compared at once while nothing differs.
const equalEntries = 8

func (m *runMerge) run() error {
	for {
		if err := errors.Join(m.a.fill(), m.b.fill()); err != nil {
			return err
		}
		x, y := m.a.run, m.b.run
		switch {
		case len(x) == 0 && len(y) == 0:
			return nil
		case len(x) == 0, len(y) == 0:
			if err := m.rest(); err != nil {
				return err
			}
			continue
		}
		if err := m.both(); err != nil {
			return err
		}
	}
}

// rest tells of the run at hand where the other side has no more.
func (m *runMerge) rest() error {
	for x := m.a.run; len(x) > 0; x = x[indexEntry:] {
		if err := m.f(Change{ID: schemas.RowID(x[:16]), Old: schemas.Digest(x[16:32])}); err != nil {
			return err
		}
	}
	for y := m.b.run; len(y) > 0; y = y[indexEntry:] {
		if err := m.f(Change{ID: schemas.RowID(y[:16]), New: schemas.Digest(y[16:32])}); err != nil {
			return err
		}
	}
	m.a.run, m.b.run = nil, nil
	return nil
}

// both walks the runs at hand until one of them ends.
func (m *runMerge) both() error {
	x, y := m.a.run, m.b.run
	const chunk = equalEntries * indexEntry
	for len(x) > 0 && len(y) > 0 {
		if len(x) >= chunk && len(y) >= chunk && bytes.Equal(x[:chunk], y[:chunk]) {
			x, y, m.same = x[chunk:], y[chunk:], m.same+equalEntries
			continue
		}
		for n := 0; n < equalEntries && len(x) > 0 && len(y) > 0; n++ {
			c := Change{}
			order := compareIDs(x, y)
			if order == 0 && bytes.Equal(x[16:32], y[16:32]) {
				x, y, m.same = x[indexEntry:], y[indexEntry:], m.same+1
				continue
			}
			if order <= 0 {
				c.ID, c.Old = schemas.RowID(x[:16]), schemas.Digest(x[16:32])
				x = x[indexEntry:]
			}
			if order >= 0 {
				c.ID, c.New = schemas.RowID(y[:16]), schemas.Digest(y[16:32])
				y = y[indexEntry:]
			}
			if err := m.f(c); err != nil {
				return err
			}
		}
	}
	m.a.run, m.b.run = x, y
	return nil
}

func compareIDs(x, y []byte) int {
	if c := cmp.Compare(binary.BigEndian.Uint64(x), binary.BigEndian.Uint64(y)); c != 0 {
		return c
	}
	return cmp.Compare(binary.BigEndian.Uint64(x[8:]), binary.BigEndian.Uint64(y[8:]))
}
