package extract

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoKey is wrapped when a source meets a secret and has no Sealer: make a
// key, name it in the configuration and read again. Nothing was written.
var ErrNoKey = errors.New("no key to seal secrets with")

// ErrEmpty is wrapped when a source, or one file of it, holds no entry. It is
// never to be taken for a legacy system without users.
var ErrEmpty = errors.New("no entries")

// ErrChanged is wrapped when a source changed while it was read: read again,
// from something that stands still.
var ErrChanged = errors.New("changed while it was read")

// Error is what is wrong at one place of a source. It holds names (file,
// DN, attribute), never a value.
type Error struct {
	File string // as the configuration names it
	Line int    // zero: the file as a whole
	DN   string // of the entry, if known
	Attr string // attribute, if it is about one
	// Problem says what is wrong, Next what a person does about it.
	Problem string
	Next    string
	Err     error // the cause, if any
}

// UnsureError means that a Lookup can't tell whether keys are gone: rows of the
// table can't be read, and their keys are not known. Nobody is to be taken for
// gone by it.
type UnsureError struct {
	Table string
	Rows  int64  // that can't be read
	First string // where the first stands
}

func (e *UnsureError) Error() string {
	return fmt.Sprintf("table %s: %d rows can't be read, the first at %s: whose they are is not known", e.Table, e.Rows, e.First)
}

// Hint says what to do.
func (e *UnsureError) Hint() string { return "correct these rows in the source and read it again" }

// maxNameInMessage bounds a DN or attribute name in a message: what stands in a
// damaged file may be anything.
const maxNameInMessage = 200

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.DN != "" {
		fmt.Fprintf(&b, ": entry %q", cut(e.DN))
	}
	if e.Attr != "" {
		b.WriteString(": attribute " + cut(e.Attr))
	}
	b.WriteString(": " + e.Problem)
	if e.Next != "" {
		b.WriteString(" (" + e.Next + ")")
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *Error) Hint() string { return e.Next }

func cut(s string) string {
	if len(s) <= maxNameInMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxNameInMessage], "") + "..."
}
