package transform

import (
	"fmt"
	"strings"
)

// MappingError is what LoadMapping returns when a mapping can't be used: every
// problem found, each with its place. The mapping has to be corrected; nothing
// was read or written.
type MappingError struct {
	Problems []Problem
}

// Problem is one thing wrong with a mapping or a template.
type Problem struct {
	File         string
	Line, Column int
	// Path names the place in words of the mapping: users[0].columns.email.
	Path    string
	Message string
	// Offset is where an expression's own text goes wrong, in characters from
	// its start; -1 where the problem is not in an expression.
	Offset int
	Hint   string
}

// String is file:line:column, the path, what is wrong and the next step.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Path != "" {
		fmt.Fprintf(&b, "%s: ", p.Path)
	}
	b.WriteString(p.Message)
	if p.Offset >= 0 {
		fmt.Fprintf(&b, " (at offset %d of the expression)", p.Offset)
	}
	if p.Hint != "" {
		fmt.Fprintf(&b, "\n  hint: %s", p.Hint)
	}
	return b.String()
}

func (e *MappingError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// problems collects what is wrong with one file.
type problems struct {
	file string
	list []Problem
}

func (ps *problems) at(n *node, path, hint, format string, args ...any) {
	ps.list = append(ps.list, Problem{File: ps.file, Line: n.line, Column: n.column, Path: path,
		Message: fmt.Sprintf(format, args...), Offset: -1, Hint: hint})
}

func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	return &MappingError{Problems: ps.list}
}
