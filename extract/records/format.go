package records

import "github.com/parallelrun/parallelrun/extract/files"

// Format is one kind of file of records. It is safe for concurrent use; its
// Parsers are not.
type Format interface {
	Kind() files.Kind
	// Header says that the first record of a file names its fields.
	Header() bool
	// Cut finds the first record of data, which is not empty and starts where a
	// record does. eof says that no more follows; a record of more than limit
	// bytes is Bad.
	Cut(data []byte, eof bool, limit int) Cut
	// Parser makes a parser for records of so many fields by position; 0 for any
	// number, or for a format whose records name their fields. flatten makes
	// fields of the members of nested objects.
	Parser(fields int, flatten bool) Parser
}

// Cut is a piece of text that was found. The zero Cut asks for more data.
type Cut struct {
	// N is its length in bytes with the end of its line, Lines how many ends of
	// lines it holds.
	N, Lines int
	// Blank: it holds no record.
	Blank bool
	// Bad says why it can't be read, empty where it can.
	Bad string
	// Rest: the line goes on behind it, and is to be left out as well.
	Rest bool
}

// Parser takes records apart.
type Parser interface {
	// Parse yields the fields of a record that Cut found, valid until the next
	// call, or says what is wrong with it.
	Parse(record []byte) (fields []Field, bad string)
}

// Field is a field of a record: one value, a list of them, or null.
type Field struct {
	Name  string // empty in formats that know fields by position
	Kind  FieldKind
	Value []byte   // of One
	List  [][]byte // of Many
}

// FieldKind says what a field holds.
type FieldKind uint8

// The kinds of fields.
const (
	Null FieldKind = iota
	One
	Many
)
