package transform

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

func (w *written) Tables() []string { return slices.Sorted(maps.Keys(w.rows)) }

func (w *written) Table(name string) (*schemas.Table, bool) {
	if _, ok := w.rows[name]; !ok {
		return nil, false
	}
	return tableOf(name), true
}

func (w *written) Scan(_ context.Context, table string) iter.Seq2[schemas.Row, error] {
	return func(yield func(schemas.Row, error) bool) {
		ids := slices.SortedFunc(maps.Keys(w.rows[table]), schemas.RowID.Compare)
		for _, id := range ids {
			if !yield(w.rows[table][id], nil) {
				return
			}
		}
	}
}

func TestWriteRejects(t *testing.T) {
	m := acme(t)
	person(m, "=cmd|'/c calc'!A0", "kim", cells{"mail": []string{"broken", "x"}, "uid": nil})
	person(m, "P3", "joe", cells{"status": "left"})
	out, _ := runMapping(t, m, loadText(t, directoryMapping, m), nil)
	var b strings.Builder
	n, err := WriteRejects(t.Context(), &b, &written{out}, false)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{CSVColumns,
		{"users", "'=cmd|'/c calc'!A0", "people", "rejected", RuleRequired, "username", "username is empty: fill it in the source, or give the mapping an expression that does"},
		{"users", "'=cmd|'/c calc'!A0", "people", "rejected", RuleEmail, "email", "not an e-mail address: correct it in the source, or let the mapping leave it empty: b*** (6 characters)"},
		{"memberships", "'=cmd|'/c calc'!A0/O1/U1", "people", "rejected", RuleUserRejected, "user", "the user (key =cmd|'/c calc'!A0) is rejected: correct that row first"},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n != int64(len(want)-1) {
		t.Errorf("%d lines counted", n)
	}
	b.Reset()
	if n, err = WriteRejects(t.Context(), &b, &written{out}, true); err != nil || n != 5 {
		t.Errorf("with excluded rows: %d lines, %v", n, err)
	}
}

// A row that is lost anywhere breaks the equation.
func TestReportBreaksWhenARowIsLost(t *testing.T) {
	m := acme(t)
	person(m, "P2", "kim", cells{"mail": []string{"broken"}})
	_, report := runMapping(t, m, loadText(t, directoryMapping, m), nil)
	for name, lose := range map[string]func(r *Report){
		"source row": func(r *Report) { r.Sources[2].Read++ },
		"user":       func(r *Report) { r.Entities[userEntity].Yielded-- },
		"reject":     func(r *Report) { r.Entities[userEntity].Rejected-- },
	} {
		broken := *report
		broken.Sources, broken.Entities = slices.Clone(report.Sources), slices.Clone(report.Entities)
		lose(&broken)
		if err := broken.Check(); !errors.Is(err, ErrUnbalanced) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := report.Check(); err != nil {
		t.Error(err)
	}
}

type failingWriter struct {
	collector
	left int
}

var errFull = errors.New("disk full")

func (w *failingWriter) WriteRow(ctx context.Context, table string, row schemas.Row, origin int64) error {
	w.mu.Lock()
	w.left--
	left := w.left
	w.mu.Unlock()
	if left < 0 {
		return errFull
	}
	return w.collector.WriteRow(ctx, table, row, origin)
}

// Fail write 0, then 1, then 2, until a run passes: every failure comes out.
func TestFailingWriter(t *testing.T) {
	m := acme(t)
	person(m, "P2", "kim", cells{"mail": []string{"broken"}})
	mapping := loadText(t, directoryMapping, m)
	for n := 0; ; n++ {
		in := Input{Legacy: m, Mapping: mapping, Profile: testProfile(), Keyring: testKeyring(t), Namespace: testNamespace, Workers: 2}
		_, err := Run(t.Context(), in, &failingWriter{left: n})
		if err == nil {
			if n < 6 {
				t.Fatalf("passes after %d writes", n)
			}
			return
		}
		if !errors.Is(err, errFull) {
			t.Fatalf("write %d: %v", n, err)
		}
	}
}

type failingScan struct{ *memory }

var errDamaged = errors.New("part is damaged")

func (f failingScan) Scan(_ context.Context, table string) iter.Seq2[schemas.Row, error] {
	return func(yield func(schemas.Row, error) bool) {
		for row := range f.memory.Scan(context.Background(), table) {
			if !yield(row, nil) {
				return
			}
		}
		if table == "people" {
			yield(schemas.Row{}, errDamaged)
		}
	}
}

func TestFailingSource(t *testing.T) {
	m := acme(t)
	in := Input{Legacy: failingScan{m}, Mapping: loadText(t, directoryMapping, m), Profile: testProfile(), Keyring: testKeyring(t), Namespace: testNamespace}
	if _, err := Run(t.Context(), in, &collector{}); !errors.Is(err, errDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestCancelledRun(t *testing.T) {
	m := acme(t)
	for i := range 2000 {
		person(m, fmt.Sprintf("Q%d", i), fmt.Sprintf("q%d", i), nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	in := Input{Legacy: m, Mapping: loadText(t, directoryMapping, m), Profile: testProfile(), Keyring: testKeyring(t), Namespace: testNamespace,
		Progress: func(string, int64) { cancel() }}
	if _, err := Run(ctx, in, &collector{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
