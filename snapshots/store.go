package snapshots

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parallelrun/parallelrun/internal/seal"
)

// Options are how a store is opened. The zero value will do for reading.
type Options struct {
	// Keyring opens and seals secrets; nil for none (see Unlock).
	Keyring *seal.Keyring
	// Writer names this program and host in the log; empty: parallelrun@<host>.
	Writer string
	// Now is the clock for stamps and leases; nil: time.Now.
	Now func() time.Time
	// Patience is how long a commit whose outcome is unknown is asked about
	// before it is given up; zero: 30 seconds.
	Patience time.Duration
	// PackEvery is how many entries of the log are packed together, so that a long
	// log is read in few requests; zero: 256.
	PackEvery uint64
}

// Store is one migration's snapshots, log and keys upon a back end. It is safe
// for concurrent use.
type Store struct {
	b      Backend
	o      Options
	format Format
	// process says who we are in leases; replaced in tests.
	process func() Holder

	mu    sync.Mutex // held while the log is read
	state State
	// marks are those of state, for who must not wait for the log.
	marks atomic.Pointer[marks]

	repaired struct { // see anyRepaired
		sync.Mutex
		keys map[string]bool // nil: not listed yet
		at   time.Time       // that they were listed
	}
}

// Open opens a store that Init made. It reads format.json and nothing else.
func Open(ctx context.Context, b Backend, o Options) (*Store, error) {
	f, digest, err := readFormat(ctx, b)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.PackEvery == 0 {
		o.PackEvery = packEntries
	}
	if o.Writer == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		o.Writer = "parallelrun@" + host
	}
	s := &Store{b: b, o: o, format: f, process: thisProcess}
	s.state = (&State{Head: digest}).clone()
	s.marks.Store(&marks{})
	return s, nil
}

// ID is the store's own random id.
func (s *Store) ID() string { return s.format.Store }

// Location is where the store lies, for people.
func (s *Store) Location() string { return s.b.Location() }

// Keyring is what the store was opened with, nil for none.
func (s *Store) Keyring() *seal.Keyring { return s.o.Keyring }

// State reads what is new in the log and returns the fold of all of it.
func (s *Store) State(ctx context.Context) (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.catchUp(ctx); err != nil {
		return State{}, fmt.Errorf("read the log of %s: %w", s.b.Location(), err)
	}
	return s.state, nil
}
