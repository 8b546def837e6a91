// Package sourcetest is the conformance suite of extract.Source: what every
// kind of source promises, whatever it reads.
//
// Start with Run.
package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/schemas"
)

// Person is a row that a source under test holds in its table people, with key
// ID, columns name (string) and mail (strings), and the secret password.
type Person struct {
	ID, Name string
	Mail     []string
	Password string // empty: none
}

// Open writes people as the source holds them and opens the source. A nil
// sealer is to be passed on as one. There are at least two files where the
// source reads files and there are two people.
type Open func(t *testing.T, people []Person, sealer extract.Sealer) (extract.Source, error)

// Run runs the suite.
func Run(t *testing.T, open Open) {
	s := suite{open}
	for name, f := range map[string]func(*testing.T){
		"every row once":              s.everyRow,
		"batches keep to the limits":  s.limits,
		"the same whatever the limit": s.same,
		"an error of yield stops":     s.stops,
		"a cancelled read is none":    s.cancelled,
		"secrets are sealed":          s.sealed,
		"no key, no secrets":          s.noKey,
		"empty is an error":           s.empty,
		"reads at the same time":      s.concurrent,
		"places":                      s.places,
		"look-up":                     s.lookup,
		"counts":                      s.counts,
	} {
		t.Run(name, f)
	}
}

type suite struct{ open Open }

const secret = "{SSHA}0000000000000000000000000000000000000000"

// people makes so many of them.
func people(n int) []Person {
	out := make([]Person, n)
	for i := range out {
		out[i] = Person{ID: fmt.Sprintf("k%05d", i), Name: fmt.Sprintf("Name, \"%d\"", i), Mail: []string{fmt.Sprintf("a%d@example.org", i), "b@example.org"}}
		if i%3 == 0 {
			out[i].Password = secret + fmt.Sprint(i)
		}
	}
	return out
}

func (s suite) must(t *testing.T, people []Person) extract.Source {
	t.Helper()
	src, err := s.open(t, people, sealer{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return src
}

// sealer seals in a way that the suite recognises and nobody else reads.
type sealer struct{}

func (sealer) Seal(table string, row schemas.RowID, column string, plaintext []byte) (schemas.Sealed, error) {
	box := slices.Clone(plaintext)
	for i := range box {
		box[i] ^= 0xff
	}
	out := schemas.Sealed{Box: box}
	copy(out.MAC[:], row[:])
	return out, nil
}

// seen are rows by table and key, each as one text, with its place.
type seen map[string]string

func read(t *testing.T, src extract.Source, l extract.Limits) (seen, error) {
	t.Helper()
	got := seen{}
	err := src.Read(t.Context(), l, got.take(t, src))
	return got, err
}

// take notes the rows of a batch and checks its shape.
func (s seen) take(t *testing.T, src extract.Source) func(extract.Batch) error {
	return func(b extract.Batch) error {
		spec := specOf(src, b.Table)
		if spec == nil {
			t.Errorf("a batch of table %q, which is not declared", b.Table)
			return nil
		}
		if want := spec.Table.ArrowSchema(); !b.Record.Schema().Equal(want) {
			t.Errorf("table %s: columns %v, want %v", b.Table, b.Record.Schema(), want)
		}
		if len(b.Origins) != int(b.Record.NumRows()) || len(b.Origins) == 0 {
			t.Errorf("table %s: %d rows, %d origins", b.Table, b.Record.NumRows(), len(b.Origins))
		}
		for i := range int(b.Record.NumRows()) {
			row := spec.Table.RowAt(b.Record, i)
			at := b.Table + " " + row.Key
			if _, twice := s[at]; twice {
				t.Errorf("%s came twice", at)
			}
			if row.ID != schemas.LegacyRowID(Namespace, b.Table, row.Key) {
				t.Errorf("%s: row id %v", at, row.ID)
			}
			s[at] = fmt.Sprintf("%s %q", src.Describe(b.Origins[i]), row.Values)
		}
		return nil
	}
}

// Namespace is what sources under test are opened with.
const Namespace = "suite"

func specOf(src extract.Source, table string) *extract.TableSpec {
	for _, spec := range src.Tables() {
		if spec.Table.Name == table {
			return &spec
		}
	}
	return nil
}

func (s suite) everyRow(t *testing.T) {
	all := people(1000)
	got, err := read(t, s.must(t, all), extract.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(all) {
		t.Errorf("%d rows, want %d", len(got), len(all))
	}
	for _, p := range all {
		row := got["people "+p.ID]
		if !strings.Contains(row, fmt.Sprintf("%q", p.Name)) || !strings.Contains(row, fmt.Sprintf("%q", p.Mail)) {
			t.Fatalf("%s is %s", p.ID, row)
		}
	}
}

func (s suite) limits(t *testing.T) {
	src := s.must(t, people(500))
	for _, l := range []extract.Limits{{Rows: 7}, {Bytes: 300}, {Rows: 1}} {
		err := src.Read(t.Context(), l, func(b extract.Batch) error {
			if n := b.Record.NumRows(); l.Rows > 0 && n > int64(l.Rows) || l.Bytes > 0 && n > 10 {
				t.Errorf("%+v: a batch of %d rows", l, n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s suite) same(t *testing.T) {
	src := s.must(t, people(500))
	want, err := read(t, src, extract.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []extract.Limits{{Rows: 1}, {Rows: 33}, {Bytes: 100}} {
		got, err := read(t, src, l)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v: other rows, %v", l, err)
		}
	}
}

func (s suite) stops(t *testing.T) {
	full := errors.New("disk full")
	src := s.must(t, people(500))
	calls := 0
	err := src.Read(t.Context(), extract.Limits{Rows: 10}, func(extract.Batch) error {
		calls++
		return full
	})
	if !errors.Is(err, full) || calls != 1 {
		t.Errorf("%v after %d batches", err, calls)
	}
}

func (s suite) cancelled(t *testing.T) {
	src := s.must(t, people(5000))
	ctx, cancel := context.WithCancel(t.Context())
	err := src.Read(ctx, extract.Limits{Rows: 1}, func(extract.Batch) error {
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := src.Read(ctx, extract.Limits{}, func(extract.Batch) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("begun when cancelled: %v", err)
	}
}

// No bytes of a secret may lie in any column.
func (s suite) sealed(t *testing.T) {
	src := s.must(t, people(100))
	boxes := 0
	err := src.Read(t.Context(), extract.Limits{}, func(b extract.Batch) error {
		boxes += countSecrets(b, specOf(src, b.Table))
		for i, col := range b.Record.Columns() {
			for _, buf := range buffers(col.Data()) {
				if bytes.Contains(buf, []byte("SSHA")) {
					t.Errorf("table %s: a secret in the clear in column %s", b.Table, b.Record.ColumnName(i))
				}
			}
		}
		return nil
	})
	if err != nil || boxes != 34 {
		t.Errorf("%d sealed values, want 34, %v", boxes, err)
	}
}

func buffers(data arrow.ArrayData) [][]byte {
	var out [][]byte
	for _, b := range data.Buffers() {
		if b != nil {
			out = append(out, b.Bytes())
		}
	}
	for _, c := range data.Children() {
		out = append(out, buffers(c)...)
	}
	return out
}

func countSecrets(b extract.Batch, spec *extract.TableSpec) (n int) {
	for i := range int(b.Record.NumRows()) {
		for _, v := range spec.Table.RowAt(b.Record, i).Values {
			switch x := v.(type) {
			case []schemas.Sealed:
				n += len(x)
			case map[string][]schemas.Sealed:
				for _, l := range x {
					n += len(l)
				}
			}
		}
	}
	return n
}

func (s suite) noKey(t *testing.T) {
	src, err := s.open(t, people(5), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	_, err = read(t, src, extract.Limits{})
	if !errors.Is(err, extract.ErrNoKey) {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "SSHA") {
		t.Errorf("the error tells the secret: %v", err)
	}
}

func (s suite) empty(t *testing.T) {
	src, err := s.open(t, nil, sealer{})
	if err == nil {
		defer src.Close()
		_, err = read(t, src, extract.Limits{})
	}
	if !errors.Is(err, extract.ErrEmpty) {
		t.Errorf("got %v", err)
	}
}

func (s suite) concurrent(t *testing.T) {
	src := s.must(t, people(300))
	want, err := read(t, src, extract.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("reads", func(t *testing.T) {
		for range 3 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				if got, err := read(t, src, extract.Limits{Rows: 50}); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("other rows, %v", err)
				}
			})
		}
	})
}

func (s suite) places(t *testing.T) {
	got, err := read(t, s.must(t, people(50)), extract.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]bool{}
	for _, row := range got {
		place, _, _ := strings.Cut(row, " ")
		if !strings.Contains(place, ":") {
			t.Fatalf("a row's place is %q", place)
		}
		places[place] = true
	}
	if len(places) != 50 {
		t.Errorf("%d places of 50 rows", len(places))
	}
}

func (s suite) lookup(t *testing.T) {
	src, ok := s.must(t, people(100)).(extract.Lookup)
	if !ok {
		t.Skip("not a Lookup")
	}
	got := seen{}
	err := src.Get(t.Context(), "people", []string{"k00003", "k00099", "nobody"}, got.take(t, src))
	if err != nil || len(got) != 2 || got["people k00003"] == "" || got["people k00099"] == "" {
		t.Errorf("got %v, %v", got, err)
	}
	if err := src.Get(t.Context(), "no such table", []string{"k00003"}, func(extract.Batch) error { return nil }); err == nil {
		t.Error("a table that is not there is no error")
	}
}

func (s suite) counts(t *testing.T) {
	src, ok := s.must(t, people(100)).(extract.Reporter)
	if !ok {
		t.Skip("not a Reporter")
	}
	if _, err := read(t, src, extract.Limits{}); err != nil {
		t.Fatal(err)
	}
	st := src.Stats()
	if st.Entries != 100 || st.Tables["people"].Rows != 100 || st.Bytes == 0 {
		t.Errorf("got %+v", st)
	}
}
