package load

import (
	"context"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
)

// opCursor walks the operations on the user tables beside a walk over people:
// within each section they come in the same order.
type opCursor struct {
	next   [3]func() (Operation, error, bool)
	stop   [3]func()
	head   [3]*Operation
	prefix [8]byte
	have   map[schemas.RowID]*Operation
	err    error
}

func newOpCursor(ctx context.Context, plan *Manifest, files Files) *opCursor {
	c := &opCursor{}
	for i, s := range []Section{SectionUsers, SectionCredentials, SectionMemberships} {
		sub := *plan
		sub.Ranges = plan.rangesOf(s)
		c.next[i], c.stop[i] = iter.Pull2(sub.AllOperations(ctx, files))
		c.advance(i)
	}
	return c
}

func (c *opCursor) advance(i int) {
	op, err, ok := c.next[i]()
	c.head[i] = nil
	switch {
	case err != nil:
		c.err = err
	case ok:
		c.head[i] = &op
	}
}

// of returns the operations on the rows of one user, by row id.
func (c *opCursor) of(user schemas.RowID) (map[schemas.RowID]*Operation, error) {
	prefix := [8]byte(user[:8])
	if c.have != nil && prefix == c.prefix {
		return c.have, c.err
	}
	c.prefix, c.have = prefix, map[schemas.RowID]*Operation{}
	for i := range c.head {
		for c.head[i] != nil && [8]byte(c.head[i].ID[:8]) == prefix {
			c.have[c.head[i].ID] = c.head[i]
			c.advance(i)
		}
	}
	return c.have, c.err
}

// left returns an operation that the walk did not come by; there must be none
// at the end.
func (c *opCursor) left() *Operation {
	for _, h := range c.head {
		if h != nil {
			return h
		}
	}
	return nil
}

func (c *opCursor) close() {
	for _, stop := range c.stop {
		stop()
	}
}
