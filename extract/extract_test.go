package extract

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

func TestBatcherBounds(t *testing.T) {
	table := schemas.Table{Name: "people", Columns: []schemas.Column{{ID: 10, Name: "uid", Type: schemas.String}}}
	for _, tt := range []struct {
		name   string
		limits Limits
		sizes  []int // of the rows' values
		want   []int // rows of each batch
	}{
		{"rows", Limits{Rows: 2}, []int{1, 1, 1, 1, 1}, []int{2, 2, 1}},
		{"bytes: the row that crosses is the last", Limits{Bytes: 200}, []int{100, 100, 100, 500, 1}, []int{2, 2, 1}},
		{"defaults", Limits{}, make([]int, DefaultRows+1), []int{DefaultRows, 1}},
		{"defaults in bytes", Limits{}, []int{DefaultBytes, 1}, []int{1, 1}},
		{"nothing", Limits{}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []int
			next := int64(0)
			b := NewBatcher(&table, tt.limits, func(batch Batch) error {
				got = append(got, int(batch.Record.NumRows()))
				for _, o := range batch.Origins {
					if o != next {
						t.Errorf("origin %d, want %d", o, next)
					}
					next++
				}
				return nil
			})
			defer b.Release()
			for i, n := range tt.sizes {
				if err := b.Add(schemas.Row{Key: "k", Values: []any{strings.Repeat("x", n)}}, int64(i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Flush(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatalf("batches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBatcherStopsAtTheReceiversError(t *testing.T) {
	table := schemas.Table{Name: "people", Columns: []schemas.Column{{ID: 10, Name: "uid", Type: schemas.String}}}
	full := errors.New("disk full")
	b := NewBatcher(&table, Limits{Rows: 1}, func(Batch) error { return full })
	defer b.Release()
	if err := b.Add(schemas.Row{Key: "k", Values: []any{"x"}}, 1); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
}

func TestErrorMessage(t *testing.T) {
	long := &Error{File: "p.ldif", Line: 7, DN: "cn=" + strings.Repeat("ü", 300), Attr: "sn", Problem: "bad", Next: "fix it", Err: ErrEmpty}
	for _, tt := range []struct {
		err  *Error
		want string
	}{
		{&Error{File: "p.ldif", Problem: "has no entries"}, "p.ldif: has no entries"},
		{&Error{File: "p.ldif", Line: 7, DN: "cn=a\nb", Attr: "sn", Problem: "bad", Next: "fix it"}, `p.ldif:7: entry "cn=a\nb": attribute sn: bad (fix it)`},
		{long, `p.ldif:7: entry "cn=` + strings.Repeat("ü", 98) + `...": attribute sn: bad (fix it)`},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	if !errors.Is(long, ErrEmpty) {
		t.Error("the cause is lost")
	}
}
