// Package arrowmem lends Arrow the memory that it gave back before: builders and
// writers that make batch after batch of one size then ask the garbage collector
// for nothing.
//
// As with any allocator that is not the garbage collector's, what a released
// batch or buffer held must not be looked at any more, and new memory holds
// anything. Memory that nobody releases is collected as ever.
//
// Start with Pooled.
package arrowmem

import (
	"math/bits"
	"sync"

	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Pooled is for all goroutines.
var Pooled memory.Allocator = pooled{}

type pooled struct{}

// Sizes between these are pooled, in four steps to each power of two, so that at
// most a fifth is wasted.
const (
	least     = 1 << leastBits
	leastBits = 12
	mostBits  = 24
	steps     = 4
)

var pools [(mostBits-leastBits)*steps + 1]sync.Pool // of *block

// block is memory in a pool.
type block struct{ b []byte }

// class is the pool that lends so many bytes, and how many its blocks have; -1
// for none.
func class(size int) (pool, rounded int) {
	if size < least || size > 1<<mostBits {
		return -1, size
	}
	step := 1 << (bits.Len(uint(size-1)) - 3) // a quarter of the power of two below
	rounded = (size + step - 1) / step * step
	top := bits.Len(uint(rounded)) - 1
	return (top-leastBits)*steps + rounded>>(top-2) - steps, rounded
}

// Allocate returns memory that holds anything.
func (pooled) Allocate(size int) []byte {
	pool, rounded := class(size)
	if pool < 0 {
		return make([]byte, size)
	}
	if x, _ := pools[pool].Get().(*block); x != nil {
		return x.b[:size]
	}
	return make([]byte, size, rounded)
}

// Reallocate keeps what both sizes have.
func (p pooled) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	grown := p.Allocate(size)
	copy(grown, b)
	p.Free(b)
	return grown
}

// Free takes memory back.
func (pooled) Free(b []byte) {
	if pool, rounded := class(cap(b)); pool >= 0 && rounded == cap(b) {
		pools[pool].Put(&block{b[:0:cap(b)]})
	}
}
