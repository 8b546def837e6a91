package load

import (
	"fmt"
	"net/http"
	"time"
)

// ErrorClass tells the loader what to do next.
type ErrorClass string

// Classes of errors of a target.
const (
	// Transient: nothing was written; try the same again later.
	Transient ErrorClass = "transient"
	// Permanent: the target refuses this row; trying again is no use.
	Permanent ErrorClass = "permanent"
	// Unknown: it may have been written, now or later; look before anything
	// else is sent for the rows concerned.
	Unknown ErrorClass = "unknown"
	// Setup: the target as a whole is not fit (token refused, realm missing,
	// organizations off); stop the run.
	Setup ErrorClass = "setup"
)

// Error is a target's answer, or the lack of one. It holds no secret and no
// personal data: bodies are cut down to the server's own message.
type Error struct {
	Class    ErrorClass
	Op       string // what was tried, such as "POST partialImport (20 users)"
	Endpoint string // method and path, without query
	Status   int    // zero: no answer
	Message  string
	Hint     string // the next step for a person
	// RetryAfter is the server's wish, zero if it had none.
	RetryAfter time.Duration
	Err        error
}

func (e *Error) Error() string {
	s := e.Op
	if e.Endpoint != "" {
		s += ": " + e.Endpoint
	}
	if e.Status != 0 {
		s += fmt.Sprintf(": status %d", e.Status)
	}
	if e.Message != "" {
		s += ": " + e.Message
	} else if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Answered reports whether the target itself spoke. A gateway that could not
// reach it, or did not wait, says no more than silence does.
func (e *Error) Answered() bool {
	return e.Status != 0 && e.Status != http.StatusBadGateway && e.Status != http.StatusGatewayTimeout
}

// Busy reports whether the target asks to try later: that says nothing against
// the row, however often it is said.
func (e *Error) Busy() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable
}

func (e *Error) Unwrap() error { return e.Err }
