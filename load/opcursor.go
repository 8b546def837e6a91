package load

import (
	"context"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
)

// opCursor walks the operations on the user tables beside a walk over people:
// within each section they come in the same order, save those that wait for one
// another, which are few and are held in memory. Parking is left out: what
// becomes of the row is its last operation.
type opCursor struct {
	loose  map[[8]byte][]Operation
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
	c.readLoose(ctx, plan, files)
	return c
}

func (c *opCursor) readLoose(ctx context.Context, plan *Manifest, files Files) {
	sub := *plan
	sub.Ranges = plan.rangesOf(SectionTakeovers)
	c.loose = map[[8]byte][]Operation{}
	for op, err := range sub.AllOperations(ctx, files) {
		if err != nil {
			c.err = err
			return
		}
		k := [8]byte(op.ID[:8])
		c.loose[k] = append(c.loose[k], op)
	}
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
	for i, op := range c.loose[prefix] {
		c.have[op.ID] = &c.loose[prefix][i]
	}
	delete(c.loose, prefix)
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
	for _, ops := range c.loose {
		return &ops[0]
	}
	return nil
}

func (c *opCursor) close() {
	for _, stop := range c.stop {
		stop()
	}
}
