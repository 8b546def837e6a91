package transform

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// aliasHeader is the first line of a file of aliases.
var aliasHeader = []string{"entity", "old", "new"}

// maxAliasErrors bounds what is told of one file.
const maxAliasErrors = 20

// LoadAliases reads a file of aliases: CSV with the header entity,old,new. What
// is wrong with it comes as AliasErrors with the file's name as messages show it.
func LoadAliases(path, shown string) (*Aliases, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err
		}
		return nil, &AliasError{File: shown, What: err.Error(), Next: "write a CSV file with the header " + strings.Join(aliasHeader, ",") + " there, or correct the path"}
	}
	return ParseAliases(shown, data)
}

// ParseAliases is LoadAliases without a file system.
func ParseAliases(file string, data []byte) (*Aliases, error) {
	p := aliasReader{a: &Aliases{file: file, bytes: int64(len(data))}, in: csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))}
	p.in.FieldsPerRecord, p.in.Comment = -1, '#'
	if err := p.read(); err != nil {
		return nil, err
	}
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	if err := p.a.index(); err != nil {
		return nil, err
	}
	return p.a, nil
}

type aliasReader struct {
	a    *Aliases
	in   *csv.Reader
	errs AliasErrors
}

// read takes in every line, and notes what is wrong with each.
func (p *aliasReader) read() error {
	header, err := p.in.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return p.csvError(err)
	}
	if !slices.Equal(header, aliasHeader) {
		return &AliasError{File: p.a.file, Line: 1, What: "the header is not " + strings.Join(aliasHeader, ","), Next: "old is the key that the row was known by, new the one that legacy has now"}
	}
	for len(p.errs) < maxAliasErrors {
		row, err := p.in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return p.csvError(err)
		}
		line, _ := p.in.FieldPos(0)
		p.row(line, row)
	}
	return nil
}

func (p *aliasReader) csvError(err error) error {
	line := 1
	if ce, ok := errors.AsType[*csv.ParseError](err); ok {
		line, err = ce.Line, ce.Err
	}
	return &AliasError{File: p.a.file, Line: line, What: "not valid CSV: " + err.Error(), Next: "put a key that holds a comma or a quote between double quotes, and write each quote in it twice"}
}

func (p *aliasReader) row(line int, row []string) {
	wrong := func(next, format string, args ...any) {
		p.errs = append(p.errs, &AliasError{File: p.a.file, Line: line, What: fmt.Sprintf(format, args...), Next: next})
	}
	if len(row) != len(aliasHeader) {
		wrong("write entity, old key and new key", "%d fields, want %d", len(row), len(aliasHeader))
		return
	}
	at := slices.Index(AliasEntities, row[0])
	switch {
	case at < 0:
		wrong("use one of "+strings.Join(AliasEntities, ", "), "entity %q has no aliases", clip(row[0]))
	case row[1] == "" || row[2] == "":
		wrong("write both keys as legacy has them", "a key is empty")
	case !utf8.ValidString(row[1]) || !utf8.ValidString(row[2]):
		wrong("save the file as UTF-8", "a key is not valid UTF-8")
	default:
		p.a.list = append(p.a.list, alias{entity: AliasEntities[at], row: row[1], legacy: row[2], line: int32(line)})
	}
}
