package snapshots

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors of back ends. Each says what the caller does next.
var (
	// ErrExists: another object has the key; nothing was written. Read it to see
	// whose it is. A server may refuse a moment before the other can be read.
	ErrExists = errors.New("object exists")
	// ErrNotFound: there is no such object.
	ErrNotFound = errors.New("object not found")
	// ErrUnknownOutcome: the write may or may not have happened, or may still
	// happen. Read the key, then decide; never delete.
	ErrUnknownOutcome = errors.New("outcome of the write is unknown")
	// ErrBroken: what the back end has written may be lost, and it refuses all
	// further work. Stop; what was being written may or may not be there.
	ErrBroken = errors.New("the store's back end is broken")
)

// Backend is where a store's objects lie. Objects are created once and never
// change, so that a directory and a bucket behave alike. Implementations are
// safe for concurrent use and wrap the errors above with the object's key.
type Backend interface {
	// Create writes an object under a key that has none; it is durable when
	// Create returns nil. On ErrExists, ErrUnknownOutcome or cancellation the
	// caller must not assume that its bytes are not there.
	Create(ctx context.Context, key string, body io.ReadSeeker) error
	// Open returns the object for reading, ErrNotFound if there is none.
	Open(ctx context.Context, key string) (Object, error)
	// Stat returns an object's size, ErrNotFound if there is none.
	Stat(ctx context.Context, key string) (int64, error)
	// List yields the keys that start with prefix and sort after the key
	// `after`, in byte order. Objects created before the call are all seen.
	List(ctx context.Context, prefix, after string) iter.Seq2[string, error]
	// Location is how people name this back end, without secrets.
	Location() string
}

// Detail is what a back end says of an object without opening it.
type Detail struct {
	Key  string
	Size int64
	// Modified is when the object was created, by the back end's clock.
	Modified time.Time
}

// Object is an open object. Reads at any offset may run concurrently.
type Object interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
