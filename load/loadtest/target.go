package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// Call is one request to the target.
type Call struct {
	N  int64  // from 1
	Op string // "create", "observe", "login", or kind and table
	// Users are the users that the request is about.
	Users []schemas.RowID
}

// Fault is what happens to a request. The zero value is none.
type Fault struct {
	// Refuse is returned, and nothing is written.
	Refuse error
	// Lose writes, but no answer comes.
	Lose bool
	// Late writes after a while; no answer comes.
	Late time.Duration
	// Slow answers after a while.
	Slow time.Duration
}

// ErrGone is the error of a request that nobody answered.
func ErrGone(op string) error {
	return &load.Error{Class: load.Unknown, Op: op, Err: errors.New("connection closed")}
}

// Refusal is an answer of the target.
func Refusal(class load.ErrorClass, status int, message string) error {
	return &load.Error{Class: class, Op: "request", Status: status, Message: message}
}

// Target is a realm in memory. It refuses what it does not understand, commits
// requests whole or not at all, and notes what no loader may do.
type Target struct {
	Can  load.Abilities
	Kept schemas.TargetProfile
	// Fault, if set, is asked about every request. It may be called by several
	// goroutines.
	Fault func(Call) Fault
	// Poison says, by legacy key, how the target refuses a user or row.
	Poison map[string]error
	// Refuse, if set, says how the target refuses an operation that would leave a
	// row like this. It may be called by several goroutines.
	Refuse func(op load.Operation, row schemas.Row) error
	// Passwords, by user name, are those that Login accepts.
	Passwords map[string]string
	// Graph is what roles contain and groups grant.
	Graph load.RoleGraph

	mu         sync.Mutex
	calls      int64
	users      map[string]*account
	nodes      map[string]*node
	nextID     int
	busy       map[schemas.RowID]int
	violations []string
	writes     int64
	late       sync.WaitGroup
}

type account struct {
	user        schemas.Row // zero id: nobody's
	credentials map[schemas.RowID]schemas.Row
	memberships map[schemas.RowID]schemas.Row
}

type node struct {
	table string
	row   schemas.Row
}

var _ load.Target = (*Target)(nil)

// NewTarget makes an empty realm.
func NewTarget() *Target {
	return &Target{
		Can:   load.Abilities{BatchUsers: 20, Concurrency: 4, TransactionLimit: 50 * time.Millisecond, ObserveBatch: 50, RoundTripsPerUser: 3},
		Kept:  Profile(),
		users: map[string]*account{}, nodes: map[string]*node{}, busy: map[schemas.RowID]int{},
	}
}

// Profile is what the realm holds: all but templates; secrets are not given
// back.
func Profile() schemas.TargetProfile {
	p := schemas.TargetProfile{Dialect: "memory", LowerCase: true, UniqueEmail: true, PasswordSchemes: []string{schemas.PBKDF2SHA256}, Columns: map[string]map[string]schemas.ColumnSupport{}}
	for name, t := range schemas.Entities() {
		p.Columns[name] = map[string]schemas.ColumnSupport{}
		for _, c := range t.Columns {
			s := schemas.ColumnSupport{Support: schemas.Native, Readable: true}
			switch {
			case strings.HasSuffix(name, "_templates"):
				s = schemas.ColumnSupport{Support: schemas.Unsupported}
			case name == schemas.Credentials && !slices.Contains([]string{"user", "type", "changed_at"}, c.Name):
				s.Readable = false
			}
			p.Columns[name][c.Name] = s
		}
	}
	return p
}

// Preflight implements load.Target.
func (t *Target) Preflight(context.Context) (schemas.TargetProfile, error) { return t.Kept, nil }

// Prepare implements load.Target.
func (t *Target) Prepare(context.Context, bool) ([]string, error) { return nil, nil }

// Abilities implements load.Target.
func (t *Target) Abilities() load.Abilities { return t.Can }

// UserID implements load.Target.
func (t *Target) UserID(id schemas.RowID) string { return "user-" + id.String() }

// Close implements load.Target.
func (t *Target) Close() error { return nil }

// Project lower-cases nothing here: structure is held as it is.
func (t *Target) Project(_ string, row schemas.Row) (schemas.Row, []load.Note) { return row, nil }

// ProjectUser lower-cases user name and e-mail.
func (t *Target) ProjectUser(u schemas.Bundle) (schemas.Bundle, []load.Note) {
	shape := shapes[schemas.Users]
	row := u.User
	row.Values = slices.Clone(row.Values)
	var notes []load.Note
	for _, name := range []string{"username", "email"} {
		i := shape.Column(name)
		s, ok := row.Values[i].(string)
		if low := strings.ToLower(s); ok && low != s {
			row.Values[i] = low
			notes = append(notes, load.Note{Table: schemas.Users, Column: name, What: load.Changed, Why: "lower-cased"})
		}
	}
	u.User = row
	return u, notes
}

// request runs one request: the fault first, then do under the lock.
func (t *Target) request(ctx context.Context, op string, users []schemas.RowID, do func() error) error {
	t.mu.Lock()
	t.calls++
	c := Call{N: t.calls, Op: op, Users: users}
	fault := t.Fault
	write := op != "observe" && op != "login"
	if write {
		t.enter(op, users)
	}
	t.mu.Unlock()
	var f Fault
	if fault != nil {
		f = fault(c)
	}
	if f.Slow > 0 {
		time.Sleep(f.Slow)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if write {
		defer t.leave(users)
	}
	switch {
	case f.Refuse != nil:
		return f.Refuse
	case f.Late > 0:
		t.late.Go(func() {
			time.Sleep(f.Late)
			t.mu.Lock()
			defer t.mu.Unlock()
			_ = do()
		})
		return ErrGone(op)
	}
	err := do()
	if f.Lose {
		return ErrGone(op)
	}
	return err
}

// enter notes a write that overlaps with another on the same user.
func (t *Target) enter(op string, users []schemas.RowID) {
	t.writes++
	for _, id := range users {
		t.busy[id]++
		if t.busy[id] > 1 {
			t.violations = append(t.violations, fmt.Sprintf("%s overlaps with another write on user %s", op, id))
		}
	}
}

func (t *Target) leave(users []schemas.RowID) {
	for _, id := range users {
		t.busy[id]--
	}
}

// Wait waits until every late write has happened.
func (t *Target) Wait() { t.late.Wait() }

// Violations are things that no loader may do.
func (t *Target) Violations() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.violations)
}

// Calls is how many requests there were, Writes how many of them wrote.
func (t *Target) Calls() (calls, writes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls, t.writes
}

// CreateUsers implements load.Target: all or none.
func (t *Target) CreateUsers(ctx context.Context, users []schemas.Bundle, ids load.IDs) error {
	var rows []schemas.RowID
	for _, u := range users {
		rows = append(rows, u.User.ID)
	}
	return t.request(ctx, "create", rows, func() error {
		if len(users) > t.Can.BatchUsers {
			return Refusal(load.Permanent, http.StatusRequestEntityTooLarge, "too many users")
		}
		made := map[string]*account{}
		for _, u := range users {
			if err := t.checkNew(u, ids, made); err != nil {
				return err
			}
			a := newAccount(u.User)
			for _, c := range u.Credentials {
				a.credentials[c.ID] = c
			}
			made[t.UserID(u.User.ID)] = a
		}
		for id, a := range made {
			t.users[id] = a
		}
		return nil
	})
}

func newAccount(row schemas.Row) *account {
	return &account{user: row, credentials: map[schemas.RowID]schemas.Row{}, memberships: map[schemas.RowID]schemas.Row{}}
}

func (t *Target) checkNew(u schemas.Bundle, ids load.IDs, made map[string]*account) error {
	if err := t.Poison[u.User.Key]; err != nil {
		return err
	}
	if len(u.Memberships) > 0 {
		return errors.New("CreateUsers was given memberships")
	}
	id := t.UserID(u.User.ID)
	if t.users[id] != nil || made[id] != nil {
		return Refusal(load.Unknown, http.StatusConflict, "Duplicate resource error")
	}
	if err := t.checkUser(&u.User, ids, id, made); err != nil {
		return err
	}
	for _, c := range u.Credentials {
		if s, ok := get(schemas.Credentials, &c, "secret").(schemas.Sealed); !ok || len(s.Box) == 0 {
			return Refusal(load.Permanent, http.StatusBadRequest, "credential without a secret")
		}
	}
	return nil
}

// checkUser refuses names that others have, and groups that are not there.
func (t *Target) checkUser(row *schemas.Row, ids load.IDs, own string, made map[string]*account) error {
	name, mail := str(schemas.Users, row, "username"), str(schemas.Users, row, "email")
	if name == "" || name != strings.ToLower(name) {
		return Refusal(load.Permanent, http.StatusBadRequest, "user name is empty or not lower-cased")
	}
	for _, accounts := range []map[string]*account{t.users, made} {
		for id, a := range accounts {
			if id == own {
				continue
			}
			if str(schemas.Users, &a.user, "username") == name || mail != "" && str(schemas.Users, &a.user, "email") == mail {
				return Refusal(load.Unknown, http.StatusConflict, "Duplicate resource error")
			}
		}
	}
	groups, _ := get(schemas.Users, row, "groups").([]string)
	for _, g := range groups {
		if err := t.there(g, ids); err != nil {
			return err
		}
	}
	return nil
}

// there checks that a reference leads to a row of the realm.
func (t *Target) there(ref string, ids load.IDs) error {
	id, err := schemas.ParseRowID(ref)
	if err != nil {
		return fmt.Errorf("reference %q: %w", ref, err)
	}
	target, ok := ids.TargetID(id)
	if !ok || t.nodes[target] == nil {
		return Refusal(load.Permanent, http.StatusBadRequest, "reference to what is not there")
	}
	return nil
}

// Login implements load.Target.
func (t *Target) Login(ctx context.Context, username, password string) (res load.LoginResult, err error) {
	err = t.request(ctx, "login", nil, func() error {
		res = load.LoginRefused
		if want, ok := t.Passwords[username]; ok && want == password {
			res = load.LoginOK
		}
		return nil
	})
	return res, err
}

var _ load.RoleReader = (*Target)(nil)

// RoleGraph implements load.RoleReader: what Graph says.
func (t *Target) RoleGraph(context.Context, load.IDs, []string) (*load.RoleGraph, error) {
	g := t.Graph
	return &g, nil
}
