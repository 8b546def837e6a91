package snapshots

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Change is what Commit makes true, all of it or nothing.
type Change struct {
	Reason  string // one line for people
	Run     string // id of the run it belongs to, may be empty
	Actions []Action
	// Check says whether the change still makes sense upon the state; its
	// error, wrapped, is Commit's. It runs before every attempt, so again when
	// another's commit came in between. Nil: always.
	Check func(State) error
}

// Commit appends one entry to the log and returns its number: then all of the
// change is done and durable. When another writer takes the number first, the
// change is checked upon the new state and tries the next.
//
// A commit whose outcome is not known is never undone: the log is asked. If
// the answer can't be had, the error is an *OutcomeUnknownError. After any
// other error nothing was committed. Cancellation before the first attempt
// stops it; once an attempt has begun, Commit finds out how it ended.
//
// What the change makes known is all there when it is committed: what garbage
// collection gave up meanwhile gets a new name first (see secure), and what is
// sealed in a key epoch that was ended meanwhile is refused (*EpochEndedError).
func (s *Store) Commit(ctx context.Context, c Change) (uint64, error) {
	if len(c.Actions) == 0 {
		return 0, errors.New("commit without actions")
	}
	attempt := uuid.NewString()
	var lost uint64 // number that another writer took
	for {
		st, err := s.State(ctx)
		if err != nil {
			return 0, err
		}
		if st.N < lost {
			return 0, &CorruptError{Object: logKey(lost), What: "can be read and is not listed", Advice: "the back end does not list what it holds: a store can't lie there"}
		}
		if err := c.allowed(st); err != nil {
			return 0, fmt.Errorf("commit %q: %w", c.Reason, err)
		}
		if err := s.sealedAlive(ctx, st, c.Actions); err != nil {
			return 0, fmt.Errorf("commit %q: %w", c.Reason, err)
		}
		if err := s.secure(ctx, st, c.Actions); err != nil {
			return 0, fmt.Errorf("commit %q: %w", c.Reason, err)
		}
		n, ours, err := s.try(ctx, st, c, attempt)
		if err != nil {
			return n, err
		}
		if ours {
			s.pack(ctx, n)
			return n, nil
		}
		lost = n
	}
}

// allowed checks the change upon a state, each action upon those before it.
func (c *Change) allowed(st State) error {
	if len(st.Unknown) > 0 {
		return fmt.Errorf("%w: %s", ErrNewerStore, st.Unknown[0])
	}
	if drop, ok := st.DroppedRuns[c.Run]; ok && c.Run != "" {
		return &DroppedRunError{Run: c.Run, Drop: drop}
	}
	if c.Check != nil {
		if err := c.Check(st); err != nil {
			return err
		}
	}
	scratch := st.clone()
	for _, a := range c.Actions {
		if err := a.check(&scratch); err != nil {
			return err
		}
		a.apply(&scratch, &Entry{N: st.N + 1, Run: c.Run, Reason: c.Reason})
	}
	return nil
}

// try writes the next entry. ours false without an error: another has it.
func (s *Store) try(ctx context.Context, st State, c Change, attempt string) (n uint64, ours bool, err error) {
	e := &Entry{N: st.N + 1, Prev: st.Head, Attempt: attempt, Time: s.o.Now(), Writer: s.o.Writer, Reason: c.Reason, Run: c.Run, Actions: c.Actions}
	data, err := e.encode()
	if err != nil {
		return 0, false, err
	}
	if err := ctx.Err(); err != nil {
		return 0, false, fmt.Errorf("commit %q: %w", c.Reason, err)
	}
	t := attemptToCommit{s: s, key: logKey(e.N), data: data}
	err = s.b.Create(ctx, t.key, bytes.NewReader(data))
	if err == nil {
		return e.N, true, nil
	}
	switch found, err := t.settle(ctx, err); {
	case err != nil:
		if t.doubt {
			err = &OutcomeUnknownError{N: e.N, Attempt: attempt, Location: s.b.Location(), Err: err}
		}
		return 0, false, err
	default:
		return e.N, found, nil
	}
}

// attemptToCommit is an entry whose first write did not succeed plainly.
type attemptToCommit struct {
	s    *Store
	key  string
	data []byte
	// doubt: some write of it may still have happened, or happen.
	doubt bool
}

// plainTries is how often a write that plainly failed is tried in all: that it
// failed is known, so little is gained by insisting.
const plainTries = 3

// settle finds out what became of the entry: it reads the log, and where
// nothing is there it writes the same bytes again, until it knows or patience
// is over. ours tells whose entry is there.
func (t *attemptToCommit) settle(ctx context.Context, err error) (ours bool, _ error) {
	// The question must be answered even if the asker has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.s.o.Patience)
	defer cancel()
	pause := 20 * time.Millisecond
	for tries := 1; ; tries++ {
		t.doubt = t.doubt || inDoubt(err)
		there, readErr := readObject(ctx, t.s.b, t.key)
		if readErr == nil {
			return bytes.Equal(there, t.data), nil
		}
		if !errors.Is(readErr, ErrNotFound) {
			err = errors.Join(err, readErr)
		}
		hopeless := errors.Is(err, ErrBroken) || !t.doubt && tries >= plainTries
		if hopeless || !Sleep(ctx, pause) {
			return false, err
		}
		pause = min(2*pause, 2*time.Second)
		createErr := t.s.b.Create(ctx, t.key, bytes.NewReader(t.data))
		if createErr == nil {
			return true, nil
		}
		err = createErr
	}
}

// inDoubt reports whether a write may have happened in spite of its error.
func inDoubt(err error) bool {
	return errors.Is(err, ErrExists) || errors.Is(err, ErrUnknownOutcome) || errors.Is(err, ErrBroken) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
