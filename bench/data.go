package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// columns of a user: some 360 bytes a row, ids in random order. verifier is as
// long and as random as a password hash, and no secret by its looks: DuckDB
// seals nothing.
var columns = []string{"id", "username", "email", "org_id", "dept_id", "enabled", "created_at", "attributes", "verifier"}

// dataset is two nights of one legacy system as CSV files.
type dataset struct {
	Rows  int64
	Bytes int64 // of the first night
	// What the second night changed, in 1 % of the rows.
	Updated, Deleted, Inserted int64
	ChangedBytes               int64 // of the rows that are new or changed

	first, second string // files
}

// Of a thousand rows, so many are changed, gone and new the night after.
const (
	updatedOf, deletedOf, insertedOf = 8, 1, 1
	of                               = 1000
)

// generator is the version of what makes the data: files of another one are
// made anew.
const generator = 2

// makeUsers writes both nights, or takes them where they are there already.
func makeUsers(dir string, rows int64) (*dataset, error) {
	name := func(what string) string {
		return filepath.Join(dir, fmt.Sprintf("users-v%d-%d-%s", generator, rows, what))
	}
	d := &dataset{Rows: rows}
	err := once(name("counts.json"), d, func() error { return d.write(name("1.csv"), name("2.csv")) })
	d.first, d.second = name("1.csv"), name("2.csv")
	return d, err
}

// once makes files and keeps what is told about them, in a file that is written
// last: where it is, the others are complete.
func once(counts string, told any, write func() error) error {
	b, err := os.ReadFile(counts)
	if err == nil {
		return json.Unmarshal(b, told)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := write(); err != nil {
		return err
	}
	if b, err = json.Marshal(told); err != nil {
		return err
	}
	return os.WriteFile(counts, b, 0o600)
}

func (d *dataset) write(first, second string) error {
	a, err := newTable(first, columns)
	if err != nil {
		return err
	}
	b, err := newTable(second, columns)
	if err != nil {
		return err
	}
	err = inChunks(d.Rows, func(c *chunk, i uint64) {
		switch x := user(i, 99).IntN(of); {
		case x < updatedOf:
			c.a = appendUser(c.a, i, 0)
			before := len(c.b)
			c.b = appendUser(c.b, i, 1)
			c.updated, c.changed = c.updated+1, c.changed+int64(len(c.b)-before)
		case x < updatedOf+deletedOf:
			c.a = appendUser(c.a, i, 0)
			c.deleted++
		case x < updatedOf+deletedOf+insertedOf:
			c.both(i)
			before := len(c.b)
			c.b = appendUser(c.b, i+1<<40, 0)
			c.inserted, c.changed = c.inserted+1, c.changed+int64(len(c.b)-before)
		default:
			c.both(i)
		}
	}, func(c *chunk) {
		a.write(c.a)
		b.write(c.b)
		d.Updated, d.Deleted, d.Inserted, d.ChangedBytes = d.Updated+c.updated, d.Deleted+c.deleted, d.Inserted+c.inserted, d.ChangedBytes+c.changed
	})
	if err != nil {
		return err
	}
	d.Bytes = a.n
	return errors.Join(a.close(), b.close())
}

// chunk is some rows on their way to the files, and what they count.
type chunk struct {
	a, b                                []byte
	updated, deleted, inserted, changed int64
}

// both adds a row that is the same on both nights.
func (c *chunk) both(i uint64) {
	before := len(c.a)
	c.a = appendUser(c.a, i, 0)
	c.b = append(c.b, c.a[before:]...)
}

// inChunks makes rows on two cores and has them written in order.
func inChunks(rows int64, add func(*chunk, uint64), write func(*chunk)) error {
	return inChunksOf(4096, rows, add, write)
}

func inChunksOf(each, rows int64, add func(*chunk, uint64), write func(*chunk)) error {
	n := (rows + each - 1) / each
	line := make(chan chan *chunk, 16)
	g, ctx := errgroup.WithContext(context.Background())
	g.Go(func() error {
		defer close(line)
		var makers errgroup.Group
		makers.SetLimit(2)
		for at := range n {
			done := make(chan *chunk, 1)
			select {
			case line <- done:
			case <-ctx.Done():
				return ctx.Err()
			}
			makers.Go(func() error {
				c := &chunk{}
				for i := at * each; i < min(rows, (at+1)*each); i++ {
					add(c, uint64(i))
				}
				done <- c
				return nil
			})
		}
		return makers.Wait()
	})
	for done := range line {
		write(<-done)
	}
	return g.Wait()
}

func user(i, version uint64) *rand.Rand { return rand.New(rand.NewPCG(i, version)) }

var titles = []string{"Engineer", "Clerk", "Head of Department", "Accountant", "Nurse", "Driver", "Analyst"}

// appendUser appends the CSV of a user; a version changes all but what tells
// who it is.
func appendUser(b []byte, i, version uint64) []byte {
	who, r := user(i, 0), user(i, version+1)
	b = appendID(b, who.Uint64(), who.Uint64())
	name := strconv.AppendUint(append(strconv.AppendUint(nil, who.Uint64N(1e9), 36), '.'), i, 36)
	b = append(append(append(append(b, ','), name...), ','), name...)
	b = append(b, "@example.org,"...)
	b = append(strconv.AppendInt(b, int64(r.IntN(500)), 10), ',')
	b = append(strconv.AppendInt(b, int64(r.IntN(20000)), 10), ',')
	b = append(strconv.AppendBool(b, r.IntN(20) > 0), ',')
	b = time.UnixMicro(1_300_000_000_000_000+r.Int64N(400_000_000_000_000)).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = strconv.AppendUint(append(b, `,"{""phone"":""+49`...), uint64(r.Uint32()), 10)
	b = append(append(b, `"",""title"":""`...), titles[r.IntN(len(titles))]...)
	b = strconv.AppendUint(append(b, `"",""employeeNumber"":""`...), i, 10)
	b = strconv.AppendInt(append(b, `"",""building"":""B`...), int64(r.IntN(40)), 10)
	b = strconv.AppendInt(append(b, `"",""costCenter"":""`...), int64(r.IntN(9000)), 10)
	b = append(b, `"",""locale"":""en""}",`...)
	var hash [48]byte
	for j := 0; j < len(hash); j += 8 {
		binary.LittleEndian.PutUint64(hash[j:], r.Uint64())
	}
	b = base64.RawStdEncoding.AppendEncode(b, hash[:])
	return append(b, '\n')
}

// appendID appends a random UUID.
func appendID(b []byte, hi, lo uint64) []byte {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], hi&^0xf000|0x4000)
	binary.BigEndian.PutUint64(id[8:], lo&^(3<<62)|2<<62)
	for i, n := range []int{4, 2, 2, 2, 6} {
		if i > 0 {
			b = append(b, '-')
		}
		from := []int{0, 4, 6, 8, 10}[i]
		b = hex.AppendEncode(b, id[from:from+n])
	}
	return b
}

// photoBytes is how large a photo is, before base64.
const photoBytes = 40 << 10

// makePhotos writes a table of people with photos, whose bytes are random, as
// those of a JPEG are.
func makePhotos(dir string, rows int64) (file string, bytes int64, err error) {
	file = filepath.Join(dir, fmt.Sprintf("photos-v%d-%d.csv", generator, rows))
	err = once(file+".json", &bytes, func() error {
		t, err := newTable(file, []string{"id", "photo"})
		if err != nil {
			return err
		}
		err = inChunksOf(64, rows, func(c *chunk, i uint64) {
			c.a = append(appendID(c.a, user(i, 0).Uint64(), i), ',')
			var seed [32]byte
			binary.LittleEndian.PutUint64(seed[:], i)
			var photo [photoBytes]byte
			rand.NewChaCha8(seed).Read(photo[:]) //nolint:errcheck // never fails
			c.a = append(base64.StdEncoding.AppendEncode(c.a, photo[:]), '\n')
		}, func(c *chunk) { t.write(c.a) })
		bytes = t.n
		return errors.Join(err, t.close())
	})
	return file, bytes, err
}

// makeMembers writes the memberships of one group, a row each.
func makeMembers(dir string, rows int64) (file string, bytes int64, err error) {
	file = filepath.Join(dir, fmt.Sprintf("members-v%d-%d.csv", generator, rows))
	err = once(file+".json", &bytes, func() error {
		t, err := newTable(file, []string{"user", "group", "role"})
		if err != nil {
			return err
		}
		err = inChunks(rows, func(c *chunk, i uint64) {
			who := user(i, 0)
			c.a = append(appendID(c.a, who.Uint64(), who.Uint64()), ",everybody,member\n"...)
		}, func(c *chunk) { t.write(c.a) })
		bytes = t.n
		return errors.Join(err, t.close())
	})
	return file, bytes, err
}

// table is a CSV file that is being written; its errors come at the end.
type table struct {
	f *os.File
	w *bufio.Writer
	n int64
}

func newTable(path string, columns []string) (*table, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	t := &table{f: f, w: bufio.NewWriterSize(f, 1<<20)}
	t.write([]byte(strings.Join(columns, ",") + "\n"))
	return t, nil
}

func (t *table) write(b []byte) {
	_, _ = t.w.Write(b) // kept by the writer until Flush
	t.n += int64(len(b))
}

func (t *table) close() error { return errors.Join(t.w.Flush(), t.f.Close()) }
