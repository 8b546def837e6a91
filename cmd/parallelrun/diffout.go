package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots/diffprint"
)

// diffOut is where a diff goes: a printer upon stdout or files, which take
// their names once they are complete.
type diffOut struct {
	diffprint.Printer
	a     *app
	f     diffFlags
	shown int64
	files []*newFile
}

// diffOutput opens what the flags ask for. sides are a and b, or base, a and b.
func (a *app) diffOutput(ctx context.Context, f diffFlags, sides ...namedSnapshot) (*diffOut, error) {
	d := &diffOut{a: a, f: f}
	w := a.stdout
	if f.output != "" && f.format != "parquet" {
		file, err := d.create(f.output)
		if err != nil {
			return nil, err
		}
		w = file
	}
	switch f.format {
	case "json":
		d.Printer = diffprint.NewJSON(w)
	case "csv":
		d.Printer = diffprint.NewCSV(w)
	case "html":
		r := diffprint.Report{Where: f.where, Rows: f.limit}
		for _, s := range sides {
			r.Sides = append(r.Sides, s.String())
			r.Snapshots = append(r.Snapshots, s.Snapshot)
		}
		d.Printer = diffprint.NewHTML(ctx, w, r)
	case "parquet":
		if err := os.MkdirAll(f.output, 0o700); err != nil {
			return nil, outputError(err)
		}
		d.Printer = diffprint.NewParquet(sides[0].Snapshot, sides[1].Snapshot, func(table string) (io.WriteCloser, error) {
			return d.create(filepath.Join(f.output, table+".parquet"))
		})
	default:
		d.Printer = diffprint.NewText(w)
	}
	return d, nil
}

// show says whether one more row is shown. A page counts its rows itself.
func (d *diffOut) show() bool {
	if !d.f.rows || d.f.limit > 0 && d.shown >= d.f.limit && d.f.format != "html" {
		return false
	}
	d.shown++
	return true
}

// finish prints the counts and gives the files their names.
func (d *diffOut) finish(changed int64, stat func(diffprint.Printer) error) error {
	if d.f.rows && changed > d.shown {
		d.a.notef("%s rows shown of %s that differ", ui.Count(d.shown), ui.Count(changed))
	}
	if d.f.format != "text" || !d.f.rows || d.f.stat {
		if err := stat(d.Printer); err != nil {
			return err
		}
	}
	if err := d.Close(); err != nil {
		return err
	}
	for _, f := range d.files {
		if err := f.keep(); err != nil {
			return err
		}
		d.a.notef("%s written", f.path)
	}
	if d.f.format == "parquet" && len(d.files) == 0 {
		d.a.notef("nothing written to %s: no row differs", d.f.output)
	}
	if d.f.output == "" || d.f.format == "text" {
		return nil
	}
	return stat(diffprint.NewText(d.a.stderr))
}

// abandon removes files that did not come to their end.
func (d *diffOut) abandon() {
	for _, f := range d.files {
		f.drop()
	}
}

func (d *diffOut) create(path string) (*newFile, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // for the owner alone: personal data
	if err != nil {
		return nil, outputError(err)
	}
	n := &newFile{File: f, path: path}
	d.files = append(d.files, n)
	return n, nil
}

func outputError(err error) error {
	return ui.Refusef("choose a folder that is there and that you may write to", "--output: %w", err)
}

// newFile is a file that takes its name when it is complete.
type newFile struct {
	*os.File
	path   string
	closed bool
	kept   bool
}

// Close ends the writing.
func (f *newFile) Close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	return f.File.Close()
}

func (f *newFile) keep() error {
	err := f.Close()
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	f.kept = true
	return nil
}

func (f *newFile) drop() {
	if f.kept {
		return
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		fmt.Fprintf(os.Stderr, "%s is left over: %v\n", f.Name(), err)
	}
}
