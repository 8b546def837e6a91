// Package extsort sorts more records than fit in memory.
//
// Nouns: a record is a key and a value, both bytes; a run is a sorted stretch
// of records in a temporary file; a merge reads several runs in order. Runs are
// sealed under a key that lives only in the Sorter's memory, so a spill file
// is worthless to whoever finds it, and they are unlinked as soon as they are
// open where the system allows it, so that a killed process leaves none.
//
// Memory is accounted, not guessed: the buffers in which records are collected
// and merged are allocated by the Sorter, reused, and never exceed
// Options.Memory, save for a single record that is larger by itself.
//
// Start with New, Add each record, then range over Sorted.
package extsort

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"sync"
)

// DefaultMemory is the limit when Options.Memory is zero.
const DefaultMemory = 64 << 20

// Options say what a Sorter may use.
type Options struct {
	// Memory bounds the Sorter's buffers in bytes; zero means DefaultMemory.
	// Values under 128 KiB are raised to it.
	Memory int64
	// Dir is where runs are spilled; empty means os.TempDir.
	Dir string
	// Workers is how many runs are made at once when memory is full; zero means
	// one.
	Workers int
}

// Record is one key with its value.
type Record struct{ Key, Value []byte }

// Sorter collects records, then yields them in order of their keys (by raw
// bytes); records with equal keys keep the order in which they were added. Add
// is not safe for concurrent use. Once Sorted or Range has been called, both
// may be called again, also from several goroutines, but Add refuses.
type Sorter struct {
	memory  int64
	dir     string
	workers int
	aead    cipher.AEAD
	create  func(dir string) (file, error) // replaced in tests

	buf     arena
	runs    []*run // oldest first, levels falling
	nextRun uint32
	spilled int64

	once   sync.Once
	sealed bool // no more Add
	err    error
}

// ErrSorted: records were already read; start a new Sorter.
var ErrSorted = errors.New("extsort: add after sorted")

// SpillError says that a run could not be written or read back. What was
// sorted so far is lost; free space in Dir or name another folder, then start
// the sort again.
type SpillError struct {
	Dir string
	Op  string
	Err error
}

func (e *SpillError) Error() string {
	return fmt.Sprintf("%s spill file in %s: %v: free space there or name another folder for temporary files", e.Op, e.Dir, e.Err)
}

func (e *SpillError) Unwrap() error { return e.Err }

// New returns an empty Sorter. It touches no disk until it must spill. Close
// it in any case.
func New(o Options) *Sorter {
	s := &Sorter{memory: o.Memory, dir: o.Dir, workers: max(o.Workers, 1), create: createTemp}
	if s.memory <= 0 {
		s.memory = DefaultMemory
	}
	s.memory = max(s.memory, 128<<10)
	if s.dir == "" {
		s.dir = os.TempDir()
	}
	s.aead = ephemeralAEAD()
	s.buf = newArena(s.memory * 3 / 4)
	return s
}

// ephemeralAEAD makes a cipher under a fresh random key that nobody keeps.
// Nonces are run and block numbers, so no pair repeats under one key.
func ephemeralAEAD() cipher.AEAD {
	var key [32]byte
	rand.Read(key[:]) // never fails (documented)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a wrong key length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// Add takes a record; key and value are copied. An error is final.
func (s *Sorter) Add(key, value []byte) error {
	if s.sealed {
		return ErrSorted
	}
	if s.err != nil {
		return s.err
	}
	if int64(len(key)) > math.MaxUint32 || int64(len(value)) > math.MaxUint32 {
		return fmt.Errorf("extsort: record of %d bytes is too large: split it", len(key)+len(value))
	}
	if s.buf.full(len(key) + len(value)) {
		if s.err = s.spill(); s.err != nil {
			return s.err
		}
	}
	s.buf.add(key, value)
	return nil
}

// Sorted yields all records in order. A record's bytes are valid until the
// next one is asked for. After an error the iteration ends.
func (s *Sorter) Sorted() iter.Seq2[Record, error] { return s.Range(nil, nil) }

// Range yields the records with from <= key < to in order; nil means no bound.
// Each iteration has read buffers of its own, MergeMemory bytes.
func (s *Sorter) Range(from, to []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := s.finish(); err != nil {
			yield(Record{}, err)
			return
		}
		if len(s.runs) == 0 {
			s.buf.each(from, to, func(r Record) bool { return yield(r, nil) })
			return
		}
		err := s.merge(s.runs, from, to, func(r Record) error {
			if !yield(r, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && err != errStop {
			yield(Record{}, err)
		}
	}
}

// errStop ends a merge early; it never leaves the package.
var errStop = errors.New("stop")

// Spilled is how many bytes have been written to disk so far.
func (s *Sorter) Spilled() int64 { return s.spilled }

// MergeMemory is about how many bytes of buffers one Range holds, known once
// Sorted or Range has begun.
func (s *Sorter) MergeMemory() int64 { return int64(len(s.runs)) * int64(s.blockSize()) }

// Close removes the files and frees the memory. Iterations under way end with
// an error.
func (s *Sorter) Close() error {
	s.sealed = true
	errs := make([]error, 0, len(s.runs))
	for _, r := range s.runs {
		errs = append(errs, r.f.Close())
	}
	s.runs = nil
	s.buf = arena{}
	if s.err == nil {
		s.err = errors.New("extsort: sorter is closed")
	}
	return errors.Join(errs...)
}

// finish ends collecting: sorts in memory when nothing was spilled, else
// spills the rest and merges until one merge can read all runs.
func (s *Sorter) finish() error {
	s.once.Do(func() {
		if s.err != nil {
			return
		}
		s.sealed = true
		if len(s.runs) == 0 {
			s.buf.sort()
			return
		}
		s.err = s.spill()
		s.buf = arena{}
		for s.err == nil && len(s.runs) > s.fanIn() {
			s.err = s.mergeLast(min(s.fanIn(), len(s.runs)-s.fanIn()+1))
		}
	})
	return s.err
}
