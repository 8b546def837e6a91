package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// columns of a user: some 360 bytes a row, ids in random order. verifier is as
// long and as random as a password hash, and no secret by its looks: DuckDB
// seals nothing.
var columns = []string{"id", "username", "email", "org_id", "dept_id", "enabled", "created_at", "attributes", "verifier"}

// dataset is two nights of one legacy system as CSV files.
type dataset struct {
	rows          int64
	first, second string // files
	bytes         int64  // of the first
	// What the second night changed, in 1 % of the rows.
	updated, deleted, inserted int64
	changedBytes               int64 // of the rows that are new or changed
}

// Of a thousand rows, so many are changed, gone and new the night after.
const (
	updatedOf, deletedOf, insertedOf = 8, 1, 1
	of                               = 1000
)

// makeData writes both nights, or takes them where they are there already.
func makeData(dir string, rows int64) (*dataset, error) {
	d := &dataset{rows: rows, first: filepath.Join(dir, fmt.Sprintf("users-%d-1.csv", rows)), second: filepath.Join(dir, fmt.Sprintf("users-%d-2.csv", rows))}
	first, err := newTable(d.first)
	if err != nil {
		return nil, err
	}
	second, err := newTable(d.second)
	if err != nil {
		return nil, err
	}
	var line []byte
	for i := range rows {
		line = appendUser(line[:0], uint64(i), 0)
		first.write(line)
		switch x := user(uint64(i), 99).IntN(of); {
		case x < updatedOf:
			line = appendUser(line[:0], uint64(i), 1)
			d.updated, d.changedBytes = d.updated+1, d.changedBytes+int64(len(line))
		case x < updatedOf+deletedOf:
			d.deleted++
			continue
		case x < updatedOf+deletedOf+insertedOf:
			second.write(line)
			line = appendUser(line[:0], uint64(i)+1<<40, 0)
			d.inserted, d.changedBytes = d.inserted+1, d.changedBytes+int64(len(line))
		}
		second.write(line)
	}
	if d.bytes, err = first.close(); err != nil {
		return nil, err
	}
	_, err = second.close()
	return d, err
}

func user(i, version uint64) *rand.Rand { return rand.New(rand.NewPCG(i, version)) }

var titles = []string{"Engineer", "Clerk", "Head of Department", "Accountant", "Nurse", "Driver", "Analyst"}

// appendUser appends the CSV of a user; a version changes all but what tells
// who it is.
func appendUser(b []byte, i, version uint64) []byte {
	who, r := user(i, 0), user(i, version+1)
	hi, lo := who.Uint64(), who.Uint64()
	b = fmt.Appendf(b, "%08x-%04x-4%03x-8%03x-%012x", hi>>32, hi>>16&0xffff, hi&0xfff, lo>>52, lo&(1<<48-1))
	name := strconv.FormatUint(who.Uint64N(1e9), 36) + "." + strconv.FormatUint(i, 36)
	b = fmt.Appendf(b, ",%s,%s@example.org,%d,%d,%t,", name, name, r.IntN(500), r.IntN(20000), r.IntN(20) > 0)
	b = time.UnixMicro(1_300_000_000_000_000+r.Int64N(400_000_000_000_000)).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = fmt.Appendf(b, `,"{""phone"":""+49%d"",""title"":""%s"",""employeeNumber"":""%d"",""building"":""B%d"",""costCenter"":""%d"",""locale"":""en""}",`,
		r.Uint32(), titles[r.IntN(len(titles))], i, r.IntN(40), r.IntN(9000))
	var hash [48]byte
	for j := 0; j < len(hash); j += 8 {
		x := r.Uint64()
		for k := range 8 {
			hash[j+k] = byte(x >> (8 * k))
		}
	}
	b = base64.RawStdEncoding.AppendEncode(b, hash[:])
	return append(b, '\n')
}

// table is a CSV file that is being written; its errors come at the end.
type table struct {
	f *os.File
	w *bufio.Writer
	n int64
}

func newTable(path string) (*table, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	t := &table{f: f, w: bufio.NewWriterSize(f, 1<<20)}
	for i, c := range columns {
		if i > 0 {
			t.write([]byte{','})
		}
		t.write([]byte(c))
	}
	t.write([]byte{'\n'})
	return t, nil
}

func (t *table) write(b []byte) {
	_, _ = t.w.Write(b) // kept by the writer until Flush
	t.n += int64(len(b))
}

func (t *table) close() (int64, error) {
	if err := t.w.Flush(); err != nil {
		return 0, err
	}
	if _, err := t.f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	return t.n, t.f.Close()
}
