package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/parallelrun/parallelrun/schemas"
)

// Sizes of a plan's files, in lines.
const (
	defaultRangeOps = 500
	findingLines    = 1000
)

// lineFile collects lines of JSON and stores them as numbered files.
type lineFile struct {
	files  Files
	run    string
	prefix string
	bound  int
	n      int // files stored
	lines  int
	last   [8]byte // prefix of the row that was added last
	buf    bytes.Buffer
	stored func(PlanFile)
}

// add appends a line about a row. The rows of one user are never parted, since
// files may be worked on at the same time.
func (f *lineFile) add(ctx context.Context, id schemas.RowID, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if prefix := [8]byte(id[:8]); f.lines >= f.bound && prefix != f.last {
		if err := f.cut(ctx); err != nil {
			return err
		}
	}
	f.last = [8]byte(id[:8])
	f.buf.Write(data)
	f.buf.WriteByte('\n')
	f.lines++
	return nil
}

// cut stores what was collected as a file of its own.
func (f *lineFile) cut(ctx context.Context) error {
	if f.lines == 0 {
		return nil
	}
	f.n++
	pf := PlanFile{File: fmt.Sprintf("%s-%06d.jsonl", f.prefix, f.n), Lines: f.lines, SHA256: sha256.Sum256(f.buf.Bytes())}
	if err := f.files.PutFile(ctx, planKey(f.run, pf.File), bytes.Clone(f.buf.Bytes())); err != nil {
		return fmt.Errorf("store plan of run %s: %w", f.run, err)
	}
	f.stored(pf)
	f.lines = 0
	f.buf.Reset()
	return nil
}

// readLines verifies a file of the plan and hands its lines to decode.
func (m *Manifest) readLines(ctx context.Context, files Files, pf PlanFile, decode func(*json.Decoder) error) error {
	data, err := files.ReadFile(ctx, planKey(m.Run, pf.File))
	if err != nil {
		return fmt.Errorf("plan of run %s: %w", m.Run, err)
	}
	if sha256.Sum256(data) != pf.SHA256 {
		return fmt.Errorf("plan of run %s: %s: %w: digest differs (make a new plan)", m.Run, pf.File, ErrPlanDamaged)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	for n := 0; ; n++ {
		err := decode(dec)
		switch {
		case errors.Is(err, io.EOF) && n == pf.Lines:
			return nil
		case err != nil:
			return fmt.Errorf("plan of run %s: %s, line %d of %d: %w: %v", m.Run, pf.File, n+1, pf.Lines, ErrPlanDamaged, err)
		}
	}
}
