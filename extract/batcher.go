package extract

import (
	"fmt"

	"github.com/parallelrun/parallelrun/schemas"
)

// Zero values of Limits.
const (
	DefaultRows  = 4096
	DefaultBytes = 4 << 20
)

// WithDefaults replaces zero limits.
func (l Limits) WithDefaults() Limits {
	if l.Rows <= 0 {
		l.Rows = DefaultRows
	}
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	return l
}

// Batcher collects the rows of one table and yields them in batches within
// limits. It is not safe for use by several goroutines.
type Batcher struct {
	table   *schemas.Table
	limits  Limits
	yield   func(Batch) error
	builder *schemas.Builder
	origins []int64
}

// NewBatcher returns an empty batcher; Release it when done.
func NewBatcher(t *schemas.Table, l Limits, yield func(Batch) error) *Batcher {
	return &Batcher{table: t, limits: l.WithDefaults(), yield: yield, builder: schemas.NewBuilder(t)}
}

// Add copies a row; when that crosses a limit the batch is yielded.
func (b *Batcher) Add(r schemas.Row, origin int64) error {
	if err := b.builder.Append(r); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	b.origins = append(b.origins, origin)
	if b.builder.Len() >= b.limits.Rows || b.builder.Bytes() >= b.limits.Bytes {
		return b.Flush()
	}
	return nil
}

// Flush yields what was collected, if anything.
func (b *Batcher) Flush() error {
	if len(b.origins) == 0 {
		return nil
	}
	rec := b.builder.Record()
	defer rec.Release()
	origins := b.origins
	b.origins = make([]int64, 0, len(origins))
	return b.yield(Batch{Table: b.table.Name, Record: rec, Origins: origins})
}

// Release frees the batcher; rows not flushed are lost.
func (b *Batcher) Release() { b.builder.Release() }
