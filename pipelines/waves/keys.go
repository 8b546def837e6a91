package waves

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/internal/extsort"
	"github.com/parallelrun/parallelrun/schemas"
)

// keyLists are the users' keys that the rules of all waves list, sorted by the
// row ids that follow from them, so that they are read beside the users. They
// are as long as people like: the sort spills.
type keyLists struct {
	sorter *extsort.Sorter
}

// listed is one key of a list.
type listed struct {
	id   schemas.RowID
	wave int
	line uint32 // of the file; zero: of the configuration
	key  string
}

func newKeyLists(memory int64, tempDir string) *keyLists {
	return &keyLists{extsort.New(extsort.Options{Memory: memory, Dir: tempDir})}
}

func (l *keyLists) Close() error { return l.sorter.Close() }

func (l *keyLists) add(in *Input, k listed) error {
	id := in.userID(k.key)
	value := binary.BigEndian.AppendUint32(nil, uint32(k.wave))
	value = binary.BigEndian.AppendUint32(value, k.line)
	return l.sorter.Add(id[:], append(value, k.key...))
}

// all yields the keys in the order of their row ids; of one id in the order in
// which they were added.
func (l *keyLists) all() iter.Seq2[listed, error] {
	return func(yield func(listed, error) bool) {
		for r, err := range l.sorter.Sorted() {
			if err != nil {
				yield(listed{}, err)
				return
			}
			k := listed{id: schemas.RowID(r.Key), wave: int(binary.BigEndian.Uint32(r.Value)), line: binary.BigEndian.Uint32(r.Value[4:]), key: string(r.Value[8:])}
			if !yield(k, nil) {
				return
			}
		}
	}
}

// addRule adds what a rule lists.
func (l *keyLists) addRule(ctx context.Context, in *Input, wave int, r Rule) error {
	for _, key := range r.Keys {
		if err := l.add(in, listed{wave: wave, key: key}); err != nil {
			return err
		}
	}
	if r.KeysFile == "" {
		return nil
	}
	f, err := openFile(r.KeysFile)
	if err != nil {
		return RuleErrors{{Wave: r.Name, Index: wave, Criterion: criterionKeysFile, What: err.Error(), Next: "write the users' legacy keys there, one a line"}}
	}
	defer f.Close()
	lines, n := bufio.NewScanner(f), uint32(0)
	for lines.Scan() {
		n++
		key := strings.TrimSpace(lines.Text())
		if n == 1 {
			key = strings.TrimPrefix(key, byteOrderMark)
		}
		switch {
		case key == "":
			continue
		case !utf8.ValidString(key):
			return &FileError{File: r.KeysFile, Line: int(n), What: "the key is no valid UTF-8", Next: "save the file as UTF-8"}
		case n%4096 == 0 && ctx.Err() != nil:
			return ctx.Err()
		}
		if err := l.add(in, listed{wave: wave, line: n, key: key}); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return &FileError{File: r.KeysFile, Line: int(n) + 1, What: "the line is too long for a key", Next: "write one legacy key a line"}
	} else if err != nil {
		return fmt.Errorf("%s: %w", r.KeysFile, err)
	}
	return nil
}

const byteOrderMark = "\ufeff"

// openFile opens a list; its error names the file once.
func openFile(name string) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("%s: %w", name, pe.Err)
	}
	return f, err
}

// FileError is something wrong with a list: correct the file. Nothing was
// written.
type FileError struct {
	File string
	Line int // from 1; zero: the file as a whole
	What string
	Next string
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.What)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What)
}

// Hint is the next step to take.
func (e *FileError) Hint() string { return e.Next }

// FileErrors are what was found wrong with a list, in the order of its lines.
type FileErrors []*FileError

func (es FileErrors) Error() string { return joined(es) }

// Unwrap gives the single errors to errors.As and to printers.
func (es FileErrors) Unwrap() []error { return unwrapped(es) }
