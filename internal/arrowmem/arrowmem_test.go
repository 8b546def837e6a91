package arrowmem

import (
	"bytes"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Every size gets as much as it asks for, little more, and gives it back to the
// pool that lends it.
func TestClasses(t *testing.T) {
	last := -1
	for size := least; size <= 1<<mostBits; size += 1 + size/97 {
		pool, rounded := class(size)
		if rounded < size || rounded > size+size/4 {
			t.Fatalf("%d bytes get %d", size, rounded)
		}
		if pool < last || pool >= len(pools) {
			t.Fatalf("%d bytes come out of pool %d after %d", size, pool, last)
		}
		if again, same := class(rounded); again != pool || same != rounded {
			t.Fatalf("a block of %d bytes goes to pool %d as %d, it came out of %d", rounded, again, same, pool)
		}
		last = pool
	}
}

// Arrays are the same out of memory that held something else.
func TestArraysOutOfUsedMemory(t *testing.T) {
	for range 3 {
		for size := least; size < 1<<20; size *= 2 {
			b := Pooled.Allocate(size)
			for i := range b {
				b[i] = 0xa5
			}
			Pooled.Free(b)
		}
		pooled, plain := fill(Pooled), fill(memory.NewGoAllocator())
		if !array.Equal(pooled, plain) {
			t.Fatal("an array out of used memory differs")
		}
		pooled.Release()
	}
}

func fill(mem memory.Allocator) *array.Binary {
	b := array.NewBinaryBuilder(mem, arrow.BinaryTypes.Binary)
	defer b.Release()
	for i := range 5000 {
		switch i % 3 {
		case 0:
			b.AppendNull()
		case 1:
			b.AppendEmptyValue()
		default:
			b.Append(bytes.Repeat([]byte{byte(i)}, i%100))
		}
	}
	return b.NewBinaryArray()
}

// What grows keeps what it holds.
func TestReallocate(t *testing.T) {
	b := Pooled.Allocate(least)
	for i := range b {
		b[i] = byte(i)
	}
	want := bytes.Clone(b)
	b = Pooled.Reallocate(10*least, b)
	if len(b) != 10*least || !bytes.Equal(b[:least], want) {
		t.Fatal("growing lost what was there")
	}
	if b = Pooled.Reallocate(100, b); len(b) != 100 || !bytes.Equal(b, want[:100]) {
		t.Fatal("shrinking lost what was there")
	}
}
