package load

import (
	"context"
	"iter"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

// Target is one open target, spoken to in some dialect. Planner and loader ask
// it what it can do and never switch on its name. Methods are safe for
// concurrent use. Their errors are *Error values where the target answered or
// failed to; anything else is ours.
type Target interface {
	// Preflight checks that the target can be loaded at all: reachable, token
	// granted, rights there, organizations switched on. It writes nothing and
	// returns what the target can hold.
	Preflight(ctx context.Context) (schemas.TargetProfile, error)
	// Prepare makes what a load needs and a person would otherwise do by hand
	// (attributes declared, roles there), as listed by its own dry run.
	Prepare(ctx context.Context, apply bool) (changes []string, err error)
	Abilities() Abilities

	// UserID is the target id that a user row gets: a pure function of the
	// row id, so that a lost id map can be rebuilt.
	UserID(id schemas.RowID) string

	// Project says what the target will hold of a desired row, in the form in
	// which Observe gives it back: normalised, values it can't hold left out.
	// It is pure. Project handles tables that do not depend on users,
	// ProjectUser users with what belongs to them.
	Project(table string, row schemas.Row) (schemas.Row, []Note)
	ProjectUser(u schemas.Bundle) (schemas.Bundle, []Note)

	// Observe reads what the target holds within the scope.
	Observe(ctx context.Context, scope Scope, sink Sink) error

	// CreateUsers writes whole users with their credentials (not their
	// memberships) in one call that the target commits whole or not at all. At
	// most Abilities().BatchUsers of them.
	CreateUsers(ctx context.Context, users []schemas.Bundle, ids IDs) error
	// Apply carries out one operation other than a batched create and returns
	// the target id of the row where the target chose one. It is not retried
	// inside: the loader decides. Applied again after it was carried out in
	// part, it does what is left.
	Apply(ctx context.Context, op Operation, s Subject, ids IDs) (targetID string, err error)

	// Login proves that a user can log in (see LoginResult). It leaves no
	// session behind.
	Login(ctx context.Context, username, password string) (LoginResult, error)

	Close() error
}

// A Counter is a Target that can say how many accounts there are, ours and
// others', those of programs not counted.
type Counter interface {
	CountUsers(ctx context.Context) (int64, error)
}

// Abilities are what a dialect can do, asked instead of its name.
type Abilities struct {
	BatchUsers        int           // most users per CreateUsers
	Concurrency       int           // requests at once to start with
	TransactionLimit  time.Duration // longest that a request already begun can still commit
	ReadsHashes       bool          // Observe gives secrets back
	ChangeFeed        bool
	ObserveBatch      int // users per read-back call
	RoundTripsPerUser int // for estimates
}

// Scope is what Observe shall look at.
type Scope struct {
	// Structure: every organization, department and group of the target, ours
	// and others'.
	Structure bool
	// Users to look at, in row-id order; nil for none. The credentials and
	// memberships of each are read with it.
	Users iter.Seq2[UserProbe, error]
	// Foreign: for every probe whose own account is not there, look for another
	// account with its username or e-mail, or with the value of one of the
	// probe's attributes.
	Foreign bool
	// ForeignBy are the attributes by which probes look for other accounts too.
	ForeignBy []string
	// IDs resolves target ids of structure rows that we know.
	IDs IDs
}

// UserProbe names one user to look at.
type UserProbe struct {
	ID       schemas.RowID
	Key      string
	TargetID string // empty: Target.UserID(ID)
	Username string
	Email    string
	// Attributes are the user's own by which other accounts are looked for.
	Attributes map[string][]string
	// Confirmed: base has the user.
	Confirmed bool
}

// Sink receives what Observe saw. Row is called for rows of the entity tables;
// rows of ours carry their row id and legacy key, others an id derived from
// their target id (ForeignRowID) and an empty key. Calls come from one
// goroutine at a time.
type Sink interface {
	Row(table string, row schemas.Row, targetID string) error
	// Absent: the probed user is not there, and (with Scope.Foreign) no other
	// account stands in its way.
	Absent(p UserProbe) error
	// Foreign: the probed user is not there, but another account stands in its
	// way; with several such accounts it is called for each, in a row.
	Foreign(p UserProbe, f ForeignAccount) error
}

// ForeignAccount is an account of the target that is nobody's and has the
// username or e-mail of one of ours, or an attribute that the probe names.
type ForeignAccount struct {
	TargetID string
	Username string
	Email    string
	Match    string // "username", "email" or MatchBoth; else the attribute
	// Attributes are those that the probe names, as far as the account has them.
	Attributes map[string][]string
}

// MatchBoth is a ForeignAccount's Match where both names of a user are taken,
// by one account or by two.
const MatchBoth = "username and email"

// IDs is the id map in both directions; rows of users need no entry.
type IDs interface {
	TargetID(id schemas.RowID) (string, bool)
	RowID(targetID string) (id schemas.RowID, key string, ok bool)
}

// Subject is what an operation is about, as it shall stand (for deletes and
// unlinks: as it stood). User is set for operations on users, credentials and
// memberships, and holds the whole effective bundle.
type Subject struct {
	Row  schemas.Row
	User *schemas.Bundle
}

// Note says what projection did to a field.
type Note struct {
	Table  string
	Column string // with the key for maps: attributes["photo"]
	What   NoteKind
	Why    string // one clause, no values
}

// NoteKind is what became of a field on its way to the target.
type NoteKind string

// The kinds of notes; a field without a note was carried as it is.
const (
	Changed NoteKind = "changed by a rule"
	Kept    NoteKind = "encoded"
	LeftOut NoteKind = "left out"
)

// LoginResult is what a login proof found.
type LoginResult string

// Results of a login.
const (
	LoginOK         LoginResult = "ok"
	LoginPending    LoginResult = "right password, account not fully set up"
	LoginDisabled   LoginResult = "right password, account disabled"
	LoginRefused    LoginResult = "refused"
	LoginImpossible LoginResult = "impossible" // no direct login for this target
)

// Kind is what an operation does.
type Kind string

// Kinds of operations.
const (
	Create Kind = "create"
	Update Kind = "update"
	Adopt  Kind = "adopt"
	Delete Kind = "delete"
	Link   Kind = "link"
	Unlink Kind = "unlink"
	// Park gives columns of a user temporary values (TemporaryName), so that
	// others can take the old ones before the user gets new ones. A target is
	// sent it as an Update.
	Park Kind = "park"
)

// Operation is one intent of a plan. Its values lie in the plan's effective
// snapshot (for deletes and unlinks: in its base), never in the operation.
type Operation struct {
	Seq   int64         `json:"seq"`
	Table string        `json:"table"`
	Kind  Kind          `json:"kind"`
	ID    schemas.RowID `json:"id"`
	Key   string        `json:"key"`
	// Columns that an update changes, sorted.
	Columns []string `json:"columns,omitempty"`
	// With is the operation whose request carries this one (a password with
	// its user's create); zero: it has a request of its own.
	With int64 `json:"with,omitempty"`
	// Gone: the row is no longer in legacy (an update then disables it).
	Gone bool `json:"gone,omitempty"`
	// Disables and Widens feed the brake and the display.
	Disables bool     `json:"disables,omitempty"`
	Widens   []string `json:"widens,omitempty"`
	// TargetID where it is known when the plan is made.
	TargetID string `json:"target_id,omitempty"`
	// After are operations that come first, since their rows give up names that
	// this one takes.
	After []Turn `json:"after,omitempty"`
}

// Turn is an operation that another one waits for.
type Turn struct {
	Seq int64 `json:"seq"`
	// Column is what the waiting operation takes over.
	Column string `json:"column"`
}
