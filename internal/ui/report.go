package ui

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Program is the name that errors are signed with.
const Program = "parallelrun"

// ReportError tells people what went wrong, and what to do on a line of its
// own. An error that is several prints each with its hint. Explain finds an
// error's hint and its text without it; nil: Hint and Error.
func ReportError(w io.Writer, err error, explain func(error) (hint, text string)) {
	if err == nil || errors.Is(err, ErrFound) {
		return
	}
	if explain == nil {
		explain = func(err error) (string, string) { return Hint(err), err.Error() }
	}
	for _, e := range parts(err) {
		hint, text := explain(e)
		fmt.Fprintf(w, "%s: %s\n", Program, strings.TrimSpace(text))
		if hint != "" {
			fmt.Fprintf(w, "hint: %s\n", hint)
		}
	}
}

// parts splits an error that is nothing but a list of others.
func parts(err error) []error {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var texts []string
	for _, e := range list.Unwrap() {
		texts = append(texts, e.Error())
	}
	if strings.Join(texts, "\n") != err.Error() {
		return []error{err} // it has words of its own
	}
	var all []error
	for _, e := range list.Unwrap() {
		all = append(all, parts(e)...)
	}
	return all
}
