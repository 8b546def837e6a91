package load

import (
	"context"
	"fmt"
)

// ChangeFeed is what a target adds whose Abilities say ChangeFeed: it tells
// whom others changed since a moment, so that not everybody need be looked at.
// A feed that can't tell all of it says so with a *FeedError; it never stands
// for "no change".
type ChangeFeed interface {
	// Mark is the cursor of now: what is committed after this call is told by
	// Changes from it. Text of the dialect's own.
	Mark(ctx context.Context) (cursor string, err error)
	// Changes tells what may have changed since a cursor; too much rather than
	// too little.
	Changes(ctx context.Context, cursor string) (*Changes, error)
}

// MostChanges is how many changed users a feed keeps in memory; beyond it,
// looking at everybody is the better way.
const MostChanges = 1_000_000

// Changes are what a feed tells.
type Changes struct {
	// Users are the target ids of those who may have changed.
	Users map[string]bool
	// Structure: an organization, department or group may have changed.
	Structure bool
	// Gone are target ids of organizations, departments and groups that were
	// deleted: whoever was in them, or in what was below them, changed as well.
	Gone map[string]bool
	// Roles are realm roles that were deleted: whoever had one changed.
	Roles map[string]bool
	// Next is the cursor to go on from.
	Next string
	// Blind names what the feed never tells, for people.
	Blind []string
}

// FeedError means that the feed can't tell all that changed. Take the next
// step, or look at everything.
type FeedError struct {
	Why  string
	Next string
}

func (e *FeedError) Error() string {
	return fmt.Sprintf("the target can't tell what changed: %s", e.Why)
}

// Hint is the next step.
func (e *FeedError) Hint() string { return e.Next }
