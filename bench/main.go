package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 1 { // as a side, in a process of its own
		switch args[0] {
		case "-between":
			return between(args[1:])
		case "-duck":
			return duck(threads, args[1:]...)
		case "-sha256":
			return floor(args[1], false, hashFile)
		case "-decode":
			return floor(args[1], true, decodeFile)
		}
	}
	b := &bench{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rows := flags.Int64("rows", 5_000_000, "users")
	flags.IntVar(&b.runs, "runs", 3, "turns of each work; the median counts")
	flags.StringVar(&b.tool, "tool", "", "parallelrun, the program")
	flags.StringVar(&b.dir, "dir", filepath.Join(os.TempDir(), "parallelrun-bench"), "folder for data and stores: some 2 KB for each user, 130 KB for each photo")
	flags.StringVar(&b.memory, "memory", "512MiB", "the tool's memory limit")
	flags.Int64Var(&b.photos, "photos", -1, "rows of 40 KB (-1: 200,000, fewer where there are less than 5 million users; 0: leave them out)")
	linear := flags.Bool("linear", false, "instead of all else: the same works with as many users and with four times as many")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, err := os.Stat(b.tool); err != nil {
		return fmt.Errorf("-tool: %w (make build makes it)", err)
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	if b.photos < 0 {
		b.photos = min(200_000, *rows/25)
	}
	var err error
	if *linear {
		b.runs = 1
		err = b.linear(*rows)
	} else {
		err = b.all(*rows)
	}
	b.print(os.Stdout)
	return err
}

// users makes the data of so many users and has all that follows use it.
func (b *bench) users(rows int64) (err error) {
	progress("%d users, two nights, into %s", rows, b.dir)
	if b.data, err = makeUsers(b.dir, rows); err != nil {
		return err
	}
	return b.config("migration.yaml", usersTable)
}

// all does all works in the order in which they build on each other. Those of
// the second list stand alone: one that fails is told of at the end.
func (b *bench) all(rows int64) error {
	if err := b.users(rows); err != nil {
		return err
	}
	for _, w := range []func() error{b.write, b.nextNight, b.diffNeighbours, b.neighbourRows, b.compact, b.diffWhole, b.wholeRows, b.diffEqual} {
		if err := w(); err != nil {
			return err
		}
	}
	var errs []error
	for _, w := range []func() error{b.diffCold, b.verifyBytes, b.verifyRows, b.members, b.photoTable} {
		if err := w(); err != nil {
			progress("%v", err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
