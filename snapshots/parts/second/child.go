package second

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/xitongsys/parquet-go/reader"
	"github.com/xitongsys/parquet-go/source"

	"github.com/parallelrun/parallelrun/schemas"
)

// request stands before a part on the child's standard input, as JSON after
// its length (u64).
type request struct {
	Types  []schemas.Type `json:"types"`  // of the table's columns
	Memory int64          `json:"memory"` // limit in bytes, zero: none
	Part   int64          `json:"part"`   // bytes of the part, which follows
}

// Of the child's output: a mark before every record, and after the last.
const (
	markRow = 'r'
	markEnd = 'e'
)

// fixed is what every record has before the hashes of its cells: row id, row
// digest, hash of the legacy key.
const fixed = 16 + 16 + 8

// Main is the child: it reads a request and a part from in, which must be a
// file, and writes what it read to out. It is to be called in a process that
// does nothing else: it limits the whole process.
func Main(in *os.File, out io.Writer) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("it panicked in %s", caller())
		}
	}()
	req, at, err := readRequest(in)
	if err != nil {
		return err
	}
	if err := limitProcess(req.Memory); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	debug.SetMemoryLimit(max(req.Memory*3/4, 1<<20))
	w := bufio.NewWriter(out)
	if err := readPart(&file{at: io.NewSectionReader(in, at, req.Part)}, req.Types, w); err != nil {
		return err
	}
	return w.Flush()
}

// caller is the function that panicked: no message of the library is passed on,
// since it may hold a value.
func caller() string {
	pc := make([]uintptr, 32)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	for {
		f, more := frames.Next()
		if f.Function != "" && f.Func != nil && f.Function[:min(8, len(f.Function))] != "runtime." {
			return f.Function
		}
		if !more {
			return "a place unknown"
		}
	}
}

func readRequest(in io.ReaderAt) (req request, at int64, err error) {
	var head [8]byte
	if _, err := in.ReadAt(head[:], 0); err != nil {
		return req, 0, fmt.Errorf("no request on standard input: %w", err)
	}
	n := binary.BigEndian.Uint64(head[:])
	if n > 1<<20 {
		return req, 0, errors.New("no request on standard input")
	}
	data := make([]byte, n)
	if _, err := in.ReadAt(data, 8); err != nil {
		return req, 0, err
	}
	err = json.Unmarshal(data, &req)
	return req, 8 + int64(n), err
}

// readPart reads row group by row group.
func readPart(f *file, types []schemas.Type, w *bufio.Writer) error {
	pr, err := reader.NewParquetColumnReader(f, 1)
	if err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	want := 1 + 1 + 1 + 3
	for _, t := range types {
		want += leavesOf(t)
	}
	if got := len(pr.SchemaHandler.ValueColumns); got != want {
		return fmt.Errorf("it sees %d Parquet columns, want %d", got, want)
	}
	leaves := make([]leaf, want)
	var total int64
	for _, g := range pr.Footer.GetRowGroups() {
		rows := int(g.NumRows)
		total += g.NumRows
		if rows == 0 {
			continue
		}
		for i := range leaves {
			l := &leaves[i]
			if l.values, l.rep, l.def, err = pr.ReadColumnByIndex(int64(i), int64(rows)); err != nil {
				return fmt.Errorf("Parquet column %d: %w", i, err)
			}
			if err := l.split(rows); err != nil {
				return fmt.Errorf("Parquet column %d: %w", i, err)
			}
		}
		for i := range rows {
			if err := writeRow(w, types, leaves, i); err != nil {
				return err
			}
		}
	}
	if total != pr.Footer.NumRows {
		return fmt.Errorf("row groups have %d rows, the footer says %d", total, pr.Footer.NumRows)
	}
	return w.WriteByte(markEnd)
}

func writeRow(w *bufio.Writer, types []schemas.Type, leaves []leaf, i int) error {
	at := func(n int, count int) []leaf {
		out := make([]leaf, count)
		for j := range out {
			out[j] = leaves[n+j].row(i)
		}
		return out
	}
	b := []byte{markRow}
	for _, n := range []int{0, 2} {
		s, err := asString(at(n, 1), 0)
		if err != nil || len(s) != 16 {
			return errors.Join(err, fmt.Errorf("Parquet column %d: no 16 bytes", n))
		}
		b = append(b, s...)
	}
	key, err := asString(at(1, 1), 0)
	if err != nil {
		return err
	}
	b = binary.BigEndian.AppendUint64(b, cellHash(key))
	n := 3
	for c, t := range types {
		v, err := cell(t, at(n, leavesOf(t)))
		if err != nil {
			return fmt.Errorf("column %d of the table, row %d of the group: %w", c, i, err)
		}
		b = binary.BigEndian.AppendUint64(b, cellHash(v))
		n += leavesOf(t)
	}
	large, err := refs(at(n, 3))
	if err != nil {
		return fmt.Errorf("large values, row %d of the group: %w", i, err)
	}
	_, err = w.Write(binary.BigEndian.AppendUint64(b, cellHash(large)))
	return err
}

// file is a part as the library wants it.
type file struct {
	at  *io.SectionReader
	own *io.SectionReader // with a place of its own
}

var _ source.ParquetFile = (*file)(nil)

func (f *file) section() *io.SectionReader {
	if f.own == nil {
		f.own = io.NewSectionReader(f.at, 0, f.at.Size())
	}
	return f.own
}

func (f *file) Read(p []byte) (int, error)                { return f.section().Read(p) }
func (f *file) Seek(off int64, whence int) (int64, error) { return f.section().Seek(off, whence) }
func (*file) Write([]byte) (int, error)                   { return 0, errors.ErrUnsupported }
func (*file) Close() error                                { return nil }
func (f *file) Open(string) (source.ParquetFile, error)   { return &file{at: f.at}, nil }
func (*file) Create(string) (source.ParquetFile, error)   { return nil, errors.ErrUnsupported }
