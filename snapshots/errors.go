package snapshots

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrNoStore: there is no store here. Make one with Init, or correct the
	// location.
	ErrNoStore = errors.New("no store here (the first parallelrun run makes it)")
	// ErrNotEmpty: Init found objects that are not a store's. Choose an empty
	// place.
	ErrNotEmpty = errors.New("not empty, and holds no store (choose an empty place)")
	// ErrNewerStore: the store holds what this program does not know. It can be
	// read as far as it is known, and is never written. Use a newer parallelrun.
	ErrNewerStore = errors.New("the store was written by a newer parallelrun: this one must not write to it (install the newer one)")
)

// ErrNotHeld: nobody holds the target, there is nothing to release.
var ErrNotHeld = errors.New("nobody holds it")

// OutcomeUnknownError: a commit may or may not have happened, and asking again
// did not help. Nothing may be undone or deleted; look before doing it again.
type OutcomeUnknownError struct {
	N        uint64 // log number of the entry
	Attempt  string // the entry holds this id if it is ours
	Location string
	Err      error // the last thing that went wrong
}

func (e *OutcomeUnknownError) Error() string {
	return fmt.Sprintf("commit of %s to %s may or may not have happened: %v (look with: parallelrun snapshots list; it happened if the entry's attempt is %s)",
		logKey(e.N), e.Location, e.Err, e.Attempt)
}

func (e *OutcomeUnknownError) Unwrap() error { return e.Err }

// CorruptError: something in the store is not what it must be. Never write
// over it; follow Advice.
type CorruptError struct {
	Object string // key of the object
	What   string
	Advice string
	Err    error
}

func (e *CorruptError) Error() string {
	s := e.Object + " is corrupt: " + e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Advice != "" {
		s += " (" + e.Advice + ")"
	}
	return s
}

func (e *CorruptError) Unwrap() error { return e.Err }

// UnknownSnapshotError: no snapshot has that name.
type UnknownSnapshotError struct {
	Name string
	Near []string // names that are much like it
	Many []string // digests that start with it, if several do
	Why  string   // more about a name that could be one, or was one
	// dropped is the log entry that dropped it, zero if none did.
	dropped uint64
}

func (e *UnknownSnapshotError) Error() string {
	switch {
	case e.dropped != 0:
		return fmt.Sprintf("no snapshot %q any more: %s", e.Name, e.Why)
	case e.Why != "":
		return fmt.Sprintf("no snapshot %q: %s (see: parallelrun checkpoint list)", e.Name, e.Why)
	case len(e.Many) > 0:
		return fmt.Sprintf("snapshot %q: %d digests start like this: %s (give more digits)", e.Name, len(e.Many), strings.Join(e.Many, ", "))
	case len(e.Near) > 0:
		return fmt.Sprintf("no snapshot %q: did you mean %s? (see: parallelrun snapshots list)", e.Name, strings.Join(e.Near, ", "))
	}
	return fmt.Sprintf("no snapshot %q (see: parallelrun snapshots list)", e.Name)
}

// CheckpointExistsError: the name is taken, and a checkpoint never moves.
// Choose another, or drop the one that has it.
type CheckpointExistsError struct {
	Name string
	Have CheckpointInfo
}

func (e *CheckpointExistsError) Error() string {
	return fmt.Sprintf("there is a checkpoint %q already, of %s: a checkpoint never moves (%s)", e.Name, e.Have.Time.UTC().Format(time.RFC3339), e.Hint())
}

// Hint says what to do.
func (e *CheckpointExistsError) Hint() string {
	return "choose another name, or drop it with: parallelrun checkpoint drop " + e.Name
}

// UnknownCheckpointError: no checkpoint has that name.
type UnknownCheckpointError struct {
	Name string
	Near []string // names that are much like it
}

func (e *UnknownCheckpointError) Error() string {
	if len(e.Near) > 0 {
		return fmt.Sprintf("no checkpoint %q: did you mean %s? (%s)", e.Name, strings.Join(e.Near, ", "), e.Hint())
	}
	return fmt.Sprintf("no checkpoint %q (%s)", e.Name, e.Hint())
}

// Hint says what to do.
func (*UnknownCheckpointError) Hint() string { return "`parallelrun checkpoint list` shows all" }

// RefMovedError: a ref is not what the caller of Commit expected it to be.
// Read the state again, then decide.
type RefMovedError struct {
	Name      string
	Want, Got Digest // zero: no such ref
}

func (e *RefMovedError) Error() string {
	if e.Want.IsZero() {
		return fmt.Sprintf("ref %q exists already, at %s (choose another name)", e.Name, e.Got.Short())
	}
	got := "gone"
	if !e.Got.IsZero() {
		got = "at " + e.Got.Short()
	}
	return fmt.Sprintf("ref %q is %s, expected at %s: someone else moved it (look at it with: parallelrun snapshots show %s)", e.Name, got, e.Want.Short(), e.Name)
}

// NamespaceError: a source's id namespace is fixed by its first commit, since
// all row ids depend on it.
type NamespaceError struct {
	Source, Fixed, Given string
}

func (e *NamespaceError) Error() string {
	return fmt.Sprintf("source %q: id namespace is %q in this store since its first commit, the configuration says %q: every row would get another id (set it back, or use a new store)",
		e.Source, e.Fixed, e.Given)
}

// LeaseHeldError: another holder works on the target. Wait for it, or see what
// has become of it.
type LeaseHeldError struct {
	Target string
	Holder Holder
	Since  time.Time
	// Seen is when its session last showed life.
	Seen time.Time
}

func (e *LeaseHeldError) Error() string {
	return fmt.Sprintf("target %q is held by run %s on host %s (process %d) since %s, last sign of life %s: one run per target at a time (%s)",
		e.Target, e.Holder.Run, e.Holder.Host, e.Holder.PID, e.Since.UTC().Format(time.RFC3339), e.Seen.UTC().Format(time.RFC3339), e.Hint())
}

// Hint says what to do.
func (e *LeaseHeldError) Hint() string {
	return "wait for it, or stop it and start again; see: parallelrun runs show " + e.Holder.Run
}

// LeaseLostError: the lease is no longer ours. Send nothing more to the
// target; resume the run.
type LeaseLostError struct {
	Target string
	Epoch  uint64
	Why    string
}

func (e *LeaseLostError) Error() string {
	return fmt.Sprintf("lease on target %q (epoch %d) is lost: %s (%s)", e.Target, e.Epoch, e.Why, e.Hint())
}

// Hint says what to do.
func (*LeaseLostError) Hint() string { return "nothing more is sent; go on with: parallelrun resume" }

// DroppedRunError: the run's files are not wanted any more, so nothing more is
// done for it. Start a new one.
type DroppedRunError struct {
	Run  string
	Drop DropInfo
}

func (e *DroppedRunError) Error() string {
	return fmt.Sprintf("run %s is no more: %s (%s)", e.Run, e.Drop, e.Hint())
}

// Hint says what to do.
func (*DroppedRunError) Hint() string { return "start a new one with: parallelrun run" }

// CollectedError: what was to be used was garbage, and is gone: no entry of the
// log needed it. Make it anew.
type CollectedError struct {
	Object string // key that it had
	Mark   Mark
}

func (e *CollectedError) Error() string {
	return fmt.Sprintf("%s was garbage, given up on %s (log entry %d), and is gone: no entry of the log needed it (%s)",
		e.Object, e.Mark.Time.UTC().Format(time.RFC3339), e.Mark.N, e.Hint())
}

// Unwrap: it is not there.
func (*CollectedError) Unwrap() error { return ErrNotFound }

// Hint says what to do.
func (*CollectedError) Hint() string {
	return "do the step anew; work that takes longer than the grace period of gc is not safe from it"
}
