package keymate

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// Target is one open realm. Its methods are safe for concurrent use. Preflight
// comes first: UserID, Project and ProjectUser need what it learned and panic
// without it.
type Target struct {
	cfg   Config
	http  *client
	names directory

	mu    sync.Mutex
	realm *realmFacts // nil before the first look at the realm
}

var (
	_ load.Target  = (*Target)(nil)
	_ load.Counter = (*Target)(nil)
)

// Open makes a target. It sends nothing; Preflight does.
func Open(cfg Config) (*Target, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &Target{cfg: cfg, http: newClient(cfg)}
	t.names.target = t
	return t, nil
}

// Close drops the connections that are kept open.
func (t *Target) Close() error {
	t.http.closeIdle()
	return nil
}

// Abilities are those of the stock server.
func (t *Target) Abilities() load.Abilities {
	return load.Abilities{
		BatchUsers:        t.cfg.BatchUsers,
		Concurrency:       t.cfg.Concurrency,
		TransactionLimit:  t.cfg.TransactionLimit,
		ChangeFeed:        true,
		ObserveBatch:      observeBatch,
		RoundTripsPerUser: 6, // its share of a batch, roles, groups, organizations, departments, credentials
	}
}

// UserID is the target id of a user row: UUIDv5(realm id, row id), since
// Keycloak's user ids are unique across realms.
func (t *Target) UserID(id schemas.RowID) string {
	return userID(t.facts().ID, id)
}

func userID(realmID string, id schemas.RowID) string {
	space, err := uuid.Parse(realmID)
	if err != nil { // a realm made with an id of its own
		space = uuid.NewSHA1(uuid.Nil, []byte(realmID))
	}
	return uuid.NewSHA1(space, id[:]).String()
}

// facts returns what the first look at the realm found.
func (t *Target) facts() *realmFacts {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.realm == nil {
		panic("keymate: the target's Preflight comes first")
	}
	return t.realm
}

// look returns the realm's facts, reading them if nobody has.
func (t *Target) look(ctx context.Context) (*realmFacts, error) {
	t.mu.Lock()
	known := t.realm
	t.mu.Unlock()
	if known != nil {
		return known, nil
	}
	return t.refresh(ctx)
}

// refresh reads the realm's facts anew.
func (t *Target) refresh(ctx context.Context) (*realmFacts, error) {
	f, err := t.readFacts(ctx)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.realm != nil && t.realm.ID != f.ID {
		return nil, &load.Error{Class: load.Setup, Op: "look at the realm",
			Message: fmt.Sprintf("realm %s now has another id than when the run began", t.cfg.Realm),
			Hint:    "it was deleted and made anew: start a new run"}
	}
	t.realm = f
	return f, nil
}
