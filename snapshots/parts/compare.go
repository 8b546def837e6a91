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
	return compare(ctx, a, b, in, false, f)
}

// Counts are what Count found.
type Counts struct{ Inserted, Updated, Deleted, Same int64 }

// Count is Compare for who wants no more than numbers. It reads half of the
// indexes: the first 8 bytes of ids and of digests. That two digests of a row
// that differ begin alike happens once in 2^64 changed rows. Where ids begin
// alike, as those of rows that belong to another table's do, it reads all.
func Count(ctx context.Context, a, b *Reader, in Range) (Counts, error) {
	if a.t.DependsOn == "" && b.t.DependsOn == "" && isHead(in.From) && isHead(in.To) {
		n, err := count(ctx, a, b, in, true)
		if !errors.Is(err, errTied) {
			return n, err
		}
	}
	return count(ctx, a, b, in, false)
}

func isHead(id schemas.RowID) bool { return binary.BigEndian.Uint64(id[8:]) == 0 }

func count(ctx context.Context, a, b *Reader, in Range, heads bool) (n Counts, err error) {
	n.Same, err = compare(ctx, a, b, in, heads, func(c Change) error {
		switch {
		case isZero(c.Old):
			n.Inserted++
		case isZero(c.New):
			n.Deleted++
		default:
			n.Updated++
		}
		return nil
	})
	return n, err
}

func compare(ctx context.Context, a, b *Reader, in Range, heads bool, f func(Change) error) (same int64, err error) {
	equal := equalParts(a.t, b.t)
	for _, l := range b.t.Layers[:min(1, len(b.t.Layers))] {
		for _, p := range l.Parts {
			if rows, ok := equal[p.Prefix]; ok && in.holds(p.Prefix) {
				same += rows
			}
		}
	}
	o := runOptions{skip: func(p Part) bool { _, ok := equal[p.Prefix]; return ok }, heads: heads}
	nextA, stopA := iter.Pull2(a.entryRuns(ctx, in, o))
	defer stopA()
	nextB, stopB := iter.Pull2(b.entryRuns(ctx, in, o))
	defer stopB()
	m := runMerge{a: runCursor{next: nextA}, b: runCursor{next: nextB}, size: indexEntry, f: f}
	if heads {
		m.size = halfEntry
	}
	err = m.run()
	return same + m.same, err
}

// runMerge walks two sequences of runs of entries, or of their heads.
type runMerge struct {
	a, b runCursor
	size int // of an entry: half of it id, half digest
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
	for x := m.a.run; len(x) > 0; x = x[m.size:] {
		if err := m.differs(x, nil); err != nil {
			return err
		}
	}
	for y := m.b.run; len(y) > 0; y = y[m.size:] {
		if err := m.differs(nil, y); err != nil {
			return err
		}
	}
	m.a.run, m.b.run = nil, nil
	return nil
}

// differs tells of an entry that both sides have, or one of them.
func (m *runMerge) differs(x, y []byte) error {
	c, id := Change{}, m.size/2
	for _, side := range []struct {
		entry []byte
		into  *schemas.Digest
	}{{x, &c.Old}, {y, &c.New}} {
		if side.entry != nil {
			copy(c.ID[:], side.entry[:id])
			copy(side.into[:], side.entry[id:m.size])
		}
	}
	return m.f(c)
}

// both walks the runs at hand until one of them ends.
func (m *runMerge) both() error {
	x, y, size, id := m.a.run, m.b.run, m.size, m.size/2
	chunk := equalEntries * size
	for len(x) > 0 && len(y) > 0 {
		if len(x) >= chunk && len(y) >= chunk && bytes.Equal(x[:chunk], y[:chunk]) {
			x, y, m.same = x[chunk:], y[chunk:], m.same+equalEntries
			continue
		}
		for n := 0; n < equalEntries && len(x) > 0 && len(y) > 0; n++ {
			order := compareIDs(x, y, id)
			if order == 0 && bytes.Equal(x[id:size], y[id:size]) {
				x, y, m.same = x[size:], y[size:], m.same+1
				continue
			}
			var inA, inB []byte
			if order <= 0 {
				inA, x = x, x[size:]
			}
			if order >= 0 {
				inB, y = y, y[size:]
			}
			if err := m.differs(inA, inB); err != nil {
				return err
			}
		}
	}
	m.a.run, m.b.run = x, y
	return nil
}

// compareIDs compares the ids at the beginning of two entries, which have so
// many bytes: 16, or 8 in heads.
func compareIDs(x, y []byte, bytes int) int {
	if c := cmp.Compare(binary.BigEndian.Uint64(x), binary.BigEndian.Uint64(y)); c != 0 || bytes == 8 {
		return c
	}
	return cmp.Compare(binary.BigEndian.Uint64(x[8:]), binary.BigEndian.Uint64(y[8:]))
}
