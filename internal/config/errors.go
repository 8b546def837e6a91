package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong with a configuration, where it stands and what to
// do. It never holds a value that may be a secret.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1; zero: the file as a whole
	Column int    `json:"column"` // from 1, in characters
	Path   string `json:"path,omitempty"`
	What   string `json:"what"`
	Next   string `json:"hint,omitempty"`
}

// Error is file:line:column: what.
func (p *Problem) Error() string {
	switch {
	case p.Line == 0:
		return fmt.Sprintf("%s: %s", p.File, p.What)
	case p.Column == 0:
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.What)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.What)
}

// Hint is the next step to take.
func (p *Problem) Hint() string { return p.Next }

// Problems are everything found wrong, in the order of the file. Nothing of
// the configuration may be used: correct the file first.
type Problems []*Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single problems to errors.As and to printers.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// sorted puts problems into the order of the file and drops repetitions.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return slices.CompactFunc(ps, func(a, b *Problem) bool { return *a == *b })
}
