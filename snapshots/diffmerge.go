package snapshots

import (
	"errors"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
)

// merge walks two sequences in order of their ids and calls f with the items
// of each id, nil where one side has none. The items are valid during the call.
func merge[T any](a, b iter.Seq2[T, error], id func(*T) schemas.RowID, f func(x, y *T) error) error {
	nextA, stopA := iter.Pull2(a)
	defer stopA()
	nextB, stopB := iter.Pull2(b)
	defer stopB()
	ca, cb := cursor[T]{next: nextA}, cursor[T]{next: nextB}
	if err := errors.Join(ca.advance(), cb.advance()); err != nil {
		return err
	}
	for ca.ok || cb.ok {
		takeA, takeB := ca.ok, cb.ok
		if takeA && takeB {
			order := id(&ca.item).Compare(id(&cb.item))
			takeA, takeB = order <= 0, order >= 0
		}
		if err := f(ca.at(takeA), cb.at(takeB)); err != nil {
			return err
		}
		if takeA {
			if err := ca.advance(); err != nil {
				return err
			}
		}
		if takeB {
			if err := cb.advance(); err != nil {
				return err
			}
		}
	}
	return nil
}

// cursor is a sequence with one item at hand.
type cursor[T any] struct {
	next func() (T, error, bool)
	item T
	ok   bool
}

func (c *cursor[T]) advance() (err error) {
	c.item, err, c.ok = c.next()
	return err
}

func (c *cursor[T]) at(take bool) *T {
	if !take {
		return nil
	}
	return &c.item
}
