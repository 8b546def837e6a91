package seal

import (
	"errors"
	"fmt"
)

var (
	// ErrNoKey: there is no key to seal or open secrets with. Make one with
	// `parallelrun key init` and name it in the configuration; nothing was
	// written.
	ErrNoKey = errors.New("no key for secrets (make one with: parallelrun key init)")
	// ErrWrongIdentity: the identity is none of those that the keys were
	// wrapped for. Use the identity file that belongs to the store.
	ErrWrongIdentity = errors.New("the identity does not open this store's keys")
	// ErrDamagedKey: a key file is there and can't be used. Restore it from a
	// backup; without it the secrets of its epoch can't be read.
	ErrDamagedKey = errors.New("key file is damaged")
	// ErrEpochMissing: the value was sealed in a key epoch whose key is gone or
	// was wrapped for others.
	ErrEpochMissing = errors.New("key epoch is not in the keyring")
	// ErrOpen: the box is damaged, or belongs to another cell or store. Treat
	// it as corruption.
	ErrOpen = errors.New("sealed value can't be opened")
	// ErrIdentityExists: NewIdentity found a file in the way and left it alone.
	ErrIdentityExists = errors.New("key file exists already")
)

// KeyFileError names the key file that stands behind an error.
type KeyFileError struct {
	File string
	Err  error // one of the errors above
	Hint string
}

func (e *KeyFileError) Error() string {
	s := e.File + ": " + e.Err.Error()
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *KeyFileError) Unwrap() error { return e.Err }

// ServiceError: a service that a key was wrapped with did not open it. Err says
// why, and what to do.
type ServiceError struct {
	File string
	Err  error
}

func (e *ServiceError) Error() string { return e.File + ": " + e.Err.Error() }

func (e *ServiceError) Unwrap() error { return e.Err }

// shut says whether an error means that a key is wrapped for others, or that
// its service does not open it, and neither that it is damaged nor that it could
// not be read.
func shut(err error) bool {
	_, refused := errors.AsType[*ServiceError](err)
	return refused || errors.Is(err, ErrWrongIdentity)
}

// CellError names the cell whose secret could not be opened.
type CellError struct {
	Table, Column, Row string
	Epoch              uint32
	Err                error
}

func (e *CellError) Error() string {
	return fmt.Sprintf("table %s, row %s, column %s: key epoch %d: %v", e.Table, e.Row, e.Column, e.Epoch, e.Err)
}

func (e *CellError) Unwrap() error { return e.Err }
