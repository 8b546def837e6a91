package parts

import (
	"encoding/hex"
	"fmt"

	"github.com/parallelrun/parallelrun/schemas"
)

// Bounds say when a prefix splits: when it holds more than one row, and more
// than Rows rows or Bytes bytes of canonical encoding. Zero means the default.
type Bounds struct {
	Rows  int64
	Bytes int64
}

// Default bounds of a part.
const (
	DefaultRows  = 128 << 10
	DefaultBytes = 128 << 20
)

func (b Bounds) orDefault() Bounds {
	if b.Rows <= 0 {
		b.Rows = DefaultRows
	}
	if b.Bytes <= 0 {
		b.Bytes = DefaultBytes
	}
	return b
}

// hold says whether a prefix with so many rows and bytes is one part.
func (b Bounds) hold(rows, bytes int64) bool { return rows <= b.Rows && bytes <= b.Bytes }

// cut is one part to be: a prefix and how many rows it has.
type cut struct {
	prefix string
	rows   int64
}

// cutter finds the parts of a table from the ids and sizes of its rows, in
// order. The parts are the shortest prefixes whose content is within bounds, a
// pure function of the rows. It holds one path of open prefixes.
type cutter struct {
	bounds Bounds
	any    bool
	last   subtree   // what was joined last
	open   []*branch // where ids seen so far fork, by depth
}

// subtree is all rows under a prefix that nothing more can join.
type subtree struct {
	id    schemas.RowID // any of its rows
	rows  int64
	bytes int64
	cuts  []cut // set when it is out of bounds and so was split
}

// branch is a prefix, depth digits long, whose rows fork after it.
type branch struct {
	depth    int
	children []subtree
}

// add takes the next row.
func (c *cutter) add(id schemas.RowID, bytes int64) { c.join(subtree{id: id, rows: 1, bytes: bytes}) }

// join takes the next rows, which are within bounds or one row.
func (c *cutter) join(s subtree) {
	if c.any {
		c.close(c.last, sharedDigits(c.last.id, s.id))
	}
	c.any, c.last = true, s
}

// close ends all branches deeper than depth and hangs what they held, last
// included, on the branch at depth.
func (c *cutter) close(s subtree, depth int) {
	for len(c.open) > 0 && c.open[len(c.open)-1].depth > depth {
		b := c.open[len(c.open)-1]
		c.open = c.open[:len(c.open)-1]
		b.children = append(b.children, s)
		s = c.sum(b)
	}
	if n := len(c.open); n == 0 || c.open[n-1].depth < depth {
		c.open = append(c.open, &branch{depth: depth})
	}
	b := c.open[len(c.open)-1]
	b.children = append(b.children, s)
}

// sum joins a branch's children into one subtree, split where out of bounds.
func (c *cutter) sum(b *branch) subtree {
	s := subtree{id: b.children[0].id}
	for _, child := range b.children {
		s.rows += child.rows
		s.bytes += child.bytes
	}
	if c.bounds.hold(s.rows, s.bytes) {
		return s
	}
	for _, child := range b.children {
		if child.cuts != nil {
			s.cuts = append(s.cuts, child.cuts...)
		} else {
			s.cuts = append(s.cuts, cut{prefix: hex.EncodeToString(child.id[:])[:b.depth+1], rows: child.rows})
		}
	}
	return s
}

// finish returns the parts in order.
func (c *cutter) finish() []cut {
	if !c.any {
		return nil
	}
	s := c.last
	for len(c.open) > 0 {
		b := c.open[len(c.open)-1]
		c.open = c.open[:len(c.open)-1]
		b.children = append(b.children, s)
		s = c.sum(b)
	}
	if s.cuts == nil {
		return []cut{{rows: s.rows}}
	}
	return s.cuts
}

// prefixRange is the first id under a prefix and the first id after it; more
// is false when none comes after.
func prefixRange(prefix string) (from, to schemas.RowID, more bool, err error) {
	if len(prefix) > idDigits {
		return from, to, false, fmt.Errorf("prefix %q is longer than an id", prefix)
	}
	for i := range len(prefix) {
		d, ok := hexDigit(prefix[i])
		if !ok {
			return from, to, false, fmt.Errorf("prefix %q is not lower-case hex", prefix)
		}
		if i%2 == 0 {
			d <<= 4
		}
		from[i/2] |= d
	}
	to = from
	for i := len(prefix) - 1; i >= 0; i-- {
		unit := byte(16)
		if i%2 == 1 {
			unit = 1
		}
		if digit(to, i) < 15 {
			to[i/2] += unit
			return from, to, true, nil
		}
		to[i/2] -= 15 * unit
	}
	return from, schemas.RowID{}, false, nil
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
