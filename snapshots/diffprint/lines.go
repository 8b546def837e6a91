package diffprint

import (
	"io"

	"github.com/parallelrun/parallelrun/snapshots"
)

// NewText prints for people: rows as they come, counts after a blank line.
func NewText(w io.Writer) Printer { return &textPrinter{w: w} }

type textPrinter struct {
	w    io.Writer
	rows bool // some were printed
}

func (p *textPrinter) Row(c snapshots.RowChange) error { p.rows = true; return Row(p.w, c) }
func (p *textPrinter) ThreeWay(c snapshots.ThreeWayChange) error {
	p.rows = true
	return threeWayText(p.w, c)
}

func (p *textPrinter) Stat(st snapshots.Stat) error {
	if err := p.blank(); err != nil {
		return err
	}
	return Stat(p.w, st)
}

func (p *textPrinter) ThreeWayStat(st snapshots.ThreeWayStat) error {
	if err := p.blank(); err != nil {
		return err
	}
	return threeWayStatText(p.w, st)
}

func (p *textPrinter) blank() (err error) {
	if p.rows {
		_, err = io.WriteString(p.w, "\n")
	}
	return err
}

func (p *textPrinter) Close() error { return nil }

// NewJSON prints one object per line.
func NewJSON(w io.Writer) Printer { return jsonPrinter{w} }

type jsonPrinter struct{ w io.Writer }

func (p jsonPrinter) Row(c snapshots.RowChange) error              { return RowJSON(p.w, c) }
func (p jsonPrinter) Stat(st snapshots.Stat) error                 { return StatJSON(p.w, st) }
func (p jsonPrinter) ThreeWay(c snapshots.ThreeWayChange) error    { return threeWayJSON(p.w, c) }
func (p jsonPrinter) ThreeWayStat(st snapshots.ThreeWayStat) error { return threeWayStatJSON(p.w, st) }
func (p jsonPrinter) Close() error                                 { return nil }
