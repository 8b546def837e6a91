package transform

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/schemas"
)

// Bounds of the chunks of rows that workers take.
const (
	chunkRows  = 256
	chunkBytes = 1 << 20
)

// evaluate reads every legacy table once and turns its rows into candidates,
// which go to the sorts.
func (r *run) evaluate(ctx context.Context) error {
	var done atomic.Int64
	for _, src := range r.sources {
		if err := r.evaluateTable(ctx, src, &done); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) evaluateTable(ctx context.Context, src *sourceTable, done *atomic.Int64) error {
	g, ctx := errgroup.WithContext(ctx)
	chunks := make(chan []schemas.Row)
	g.Go(func() error {
		defer close(chunks)
		return r.scan(ctx, src, chunks)
	})
	for range r.in.Workers {
		g.Go(func() error {
			t := newTally(len(r.totals.sources))
			defer func() { r.totals.add(t) }()
			for chunk := range chunks {
				for _, row := range chunk {
					if err := r.evaluateRow(src, row, t); err != nil {
						return err
					}
				}
				r.in.Progress("evaluate", done.Add(int64(len(chunk))))
			}
			return nil
		})
	}
	return g.Wait()
}

func (r *run) scan(ctx context.Context, src *sourceTable, chunks chan<- []schemas.Row) error {
	var chunk []schemas.Row
	var size, read int64
	send := func() error {
		select {
		case chunks <- chunk:
			chunk, size = nil, 0
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for row, err := range r.in.Legacy.Scan(ctx, src.table.Name) {
		if err != nil {
			return err
		}
		read++
		chunk = append(chunk, row)
		if size += rowSize(row); len(chunk) >= chunkRows || size >= chunkBytes {
			if err := send(); err != nil {
				return err
			}
		}
	}
	t := newTally(len(r.totals.sources))
	t.sources[src.index].Read = read
	r.totals.add(t)
	if len(chunk) == 0 {
		return nil
	}
	return send()
}

func rowSize(row schemas.Row) (n int64) {
	for _, v := range row.Values {
		switch x := v.(type) {
		case string:
			n += int64(len(x))
		case []byte:
			n += int64(len(x))
		case []string:
			for _, s := range x {
				n += int64(len(s)) + 16
			}
		case [][]byte:
			for _, s := range x {
				n += int64(len(s)) + 24
			}
		case map[string][][]byte:
			for k, l := range x {
				for _, s := range l {
					n += int64(len(k)+len(s)) + 24
				}
			}
		}
	}
	return n + 256
}

func (r *run) evaluateRow(src *sourceTable, row schemas.Row, t *tally) error {
	candidates, taken := r.ev.row(src, row)
	if len(candidates) == 0 {
		rule := RuleNone
		if len(taken) > 0 {
			rule = RuleNothing
		}
		t.source(src.index, fateExcluded, rule)
		return nil
	}
	excluded := true
	for _, c := range candidates {
		t.candidates[c.rule.entity.id]++
		t.candidates[membershipEntity] += int64(len(c.memberships))
		t.candidates[credentialEntity] += int64(len(c.credentials))
		excluded = excluded && c.excluded != ""
		if err := r.admit(c); err != nil {
			return err
		}
	}
	if !excluded && src.unread(row) == "" {
		leftOut(src, row, taken, t)
	}
	return nil
}

// admit sends a candidate on its way.
func (r *run) admit(c *candidate) error {
	switch c.rule.entity.id {
	case userEntity:
		if c.mergeKey != "" && len(c.failures) == 0 {
			return r.merging.add([]byte(c.mergeKey), encode(c))
		}
		return r.admitUser(c)
	case membershipEntity, credentialEntity:
		return r.refer(c.user, referenceTo{kind: refersDependent, body: encode(c)})
	}
	r.ck.check(c)
	return r.admitStructure(c)
}

func encode(c *candidate) []byte {
	var e encoder
	e.candidate(c)
	return e.b
}

// leftOut counts what a mapped row holds that no rule reads.
func leftOut(src *sourceTable, row schemas.Row, taken []*rule, t *tally) {
	for i, col := range src.table.Columns {
		if col.Name == ProblemsColumn || col.Name == schemas.UnreadColumn {
			continue
		}
		switch x := row.Values[i].(type) {
		case nil:
		case string:
			if x != "" && x != row.Key && !isRead(src, taken, col, "") { // the key is carried as the key
				t.left(src.table.Name, col.Name, "no rule reads it", 1)
			}
		case map[string][][]byte:
			for k, l := range x {
				if !isRead(src, taken, col, k) {
					t.left(src.table.Name, k, "no rule reads it", len(l))
				}
			}
		case map[string][]schemas.Sealed:
			for k, l := range x {
				if !isRead(src, taken, col, k) {
					t.left(src.table.Name, k, "no rule reads it: looks like a secret", len(l))
				}
			}
		case map[string][]string:
			for k, l := range x {
				if !isRead(src, taken, col, k) {
					t.left(src.table.Name, col.Name+"."+k, "no rule reads it", len(l))
				}
			}
		default:
			n := valueCount(x)
			switch {
			case n == 0:
			case !isRead(src, taken, col, ""):
				t.left(src.table.Name, col.Name, "no rule reads it", n)
			case n > 1 && !isWhole(src, taken, col):
				t.left(src.table.Name, col.Name, "rules take the first value only", n-1)
			}
		}
	}
}

func valueCount(v any) int {
	switch x := v.(type) {
	case []string:
		return len(x)
	case [][]byte:
		return len(x)
	case []schemas.Sealed:
		return len(x)
	}
	return 1
}

func isRead(src *sourceTable, taken []*rule, col schemas.Column, key string) bool {
	name := col.Name
	if key != "" {
		name = key
	}
	for _, r := range taken {
		if r.reads.has(col.Name, key) || r.rest != nil && !col.Type.IsSecret() && r.rest.takes(name) {
			return true
		}
	}
	for _, l := range src.lookups {
		if l.by.reads.has(col.Name, key) {
			return true
		}
	}
	return false
}

func isWhole(src *sourceTable, taken []*rule, col schemas.Column) bool {
	for _, r := range taken {
		if r.reads.whole(col.Name) || r.rest != nil && !r.reads.has(col.Name, "") {
			return true
		}
	}
	for _, l := range src.lookups {
		if l.by.reads.whole(col.Name) {
			return true
		}
	}
	return false
}
