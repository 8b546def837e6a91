package parts

import "github.com/parallelrun/parallelrun/schemas"

// censusDigits is how many digits of an id a census looks at: ids are hashes, so
// that 4096 prefixes hold half a billion rows within the default bounds.
const censusDigits = 3

// census counts rows by the first digits of their ids while they come in, so
// that the parts of a table are known without reading it once for that.
type census []tally

// tally is what a prefix holds.
type tally struct{ rows, bytes int64 }

func (c *census) add(id schemas.RowID, bytes int64) {
	if *c == nil {
		*c = make(census, 1<<(4*censusDigits))
	}
	t := &(*c)[int(id[0])<<4|int(id[1]>>4)]
	t.rows++
	t.bytes += bytes
}

// cuts are the parts that a cutter would find in the rows. ok is false where
// some of them end deeper than the census looks.
func (c census) cuts(b Bounds) (cuts []cut, ok bool) {
	k := cutter{bounds: b}
	for i, t := range c {
		if t.rows == 0 {
			continue
		}
		if !b.hold(t.rows, t.bytes) && t.rows > 1 {
			return nil, false
		}
		k.join(subtree{id: schemas.RowID{byte(i >> 4), byte(i << 4)}, rows: t.rows, bytes: t.bytes})
	}
	return k.finish(), true
}
