package diffprint

import (
	"errors"
	"io"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// ErrNoThreeWay: the format has no place for a third side. Choose another.
var ErrNoThreeWay = errors.New("a three-way diff can't be written as Parquet")

// NewParquet writes one file per table that differs, as parts.ChangeFile
// describes it. Rows must come with DiffOptions.Rows set. create makes a table's
// file, from is b where it has the table, else a.
func NewParquet(a, b *snapshots.Snapshot, create func(table string) (io.WriteCloser, error)) Printer {
	return &parquetPrinter{a: a, b: b, create: create}
}

type parquetPrinter struct {
	a, b   *snapshots.Snapshot
	create func(table string) (io.WriteCloser, error)
	table  string
	file   io.WriteCloser
	out    *parts.ChangeFile
}

func (p *parquetPrinter) Row(c snapshots.RowChange) error {
	if p.out == nil || c.Table != p.table {
		if err := p.begin(c.Table); err != nil {
			return err
		}
	}
	changed := parts.Changed{Change: parts.Change{ID: c.ID, Old: c.OldDigest, New: c.NewDigest}, Key: c.Key, Kind: string(c.Kind), Row: c.New}
	if c.Fields != nil {
		changed.Columns = []string{}
	}
	for _, f := range c.Fields {
		changed.Columns = append(changed.Columns, f.Column)
	}
	return p.out.Add(changed)
}

func (p *parquetPrinter) begin(table string) (err error) {
	if err := p.end(); err != nil {
		return err
	}
	shape, ok := p.b.Table(table)
	if !ok {
		if shape, ok = p.a.Table(table); !ok {
			shape = &schemas.Table{Name: table}
		}
	}
	if p.file, err = p.create(table); err != nil {
		return err
	}
	p.table = table
	p.out, err = parts.NewChangeFile(p.file, *shape, !mayHoldSecrets(p.a, table) && !mayHoldSecrets(p.b, table))
	return err
}

func mayHoldSecrets(s *snapshots.Snapshot, table string) bool {
	t, ok := s.Stored(table)
	return ok && t.MayHoldSecrets()
}

func (p *parquetPrinter) end() error {
	if p.file == nil {
		return nil
	}
	var err error
	if p.out != nil {
		err = p.out.Close()
	}
	if err == nil {
		err = p.file.Close()
	}
	p.file, p.out = nil, nil
	return err
}

func (p *parquetPrinter) Stat(snapshots.Stat) error                 { return nil }
func (p *parquetPrinter) ThreeWay(snapshots.ThreeWayChange) error   { return ErrNoThreeWay }
func (p *parquetPrinter) ThreeWayStat(snapshots.ThreeWayStat) error { return ErrNoThreeWay }
func (p *parquetPrinter) Close() error                              { return p.end() }
