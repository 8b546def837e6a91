package ui

import (
	"errors"
	"fmt"
)

// Code is an exit code. Scripts rely on the numbers: they never change.
type Code int

// The exit codes.
const (
	Done           Code = 0
	Failed         Code = 1
	Refused        Code = 2
	Unreachable    Code = 3
	UnknownOutcome Code = 4
	Corrupt        Code = 5
)

// Codes lists every code with its meaning, in the order of help texts.
var Codes = []struct {
	Code    Code
	Meaning string
}{
	{Done, "done"},
	{Failed, "differences or failures found"},
	{Refused, "refused, or a bad call: nothing was written"},
	{Unreachable, "store, source or target not reachable: try again"},
	{UnknownOutcome, "a write may or may not have happened: look before trying again"},
	{Corrupt, "stored data is damaged"},
}

// Failure gives an error an exit code and a hint.
type Failure struct {
	Code Code
	Err  error
	Next string // the next step to take; may be empty
}

func (f *Failure) Error() string { return f.Err.Error() }

func (f *Failure) Unwrap() error { return f.Err }

// Hint is the next step to take.
func (f *Failure) Hint() string { return f.Next }

// Refusef makes an error of a call that can't be carried out as it is.
func Refusef(hint, format string, args ...any) error {
	return &Failure{Code: Refused, Err: fmt.Errorf(format, args...), Next: hint}
}

// ErrFound ends a command that did its work and found differences or failures,
// which it has printed: exit code 1, nothing more to say.
var ErrFound = errors.New("differences or failures found")

// hinter is an error that knows the next step.
type hinter interface {
	error
	Hint() string
}

// Hint returns the first hint in an error's tree, empty if there is none.
func Hint(err error) string {
	h, ok := errors.AsType[hinter](err)
	if !ok {
		return ""
	}
	if hint := h.Hint(); hint != "" {
		return hint
	}
	for _, e := range unwrap(h) {
		if hint := Hint(e); hint != "" {
			return hint
		}
	}
	return ""
}

func unwrap(err error) []error {
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if e := u.Unwrap(); e != nil {
			return []error{e}
		}
	case interface{ Unwrap() []error }:
		return u.Unwrap()
	}
	return nil
}
