package keymate

import (
	"context"
	"net/url"
	"strconv"
	"sync"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// How accounts that stand in our way are looked for: one by one at first, by a
// list of all of them once that is cheaper and fits into memory.
const (
	lookupsBeforeList = 50
	maxStrangerList   = 200_000
	strangerPage      = 1000
)

// strangers finds accounts by user name and e-mail address.
type strangers struct {
	target *Target
	count  int // users of the realm when the observation began

	mu      sync.Mutex
	lookups int
	byName  map[string]stranger // nil: not listed
	byEmail map[string][]stranger
}

type stranger struct{ id, username, email string }

func newStrangers(ctx context.Context, t *Target) (*strangers, error) {
	s := &strangers{target: t}
	err := t.http.get(ctx, "count the users", "/users/count", nil, &s.count)
	return s, err
}

// like returns the accounts that have the probe's user name or e-mail address.
func (s *strangers) like(ctx context.Context, p load.UserProbe) ([]load.ForeignAccount, error) {
	if s.count == 0 {
		return nil, nil
	}
	name, email := schemas.LowerLogin(p.Username), schemas.LowerLogin(p.Email)
	listed, err := s.worthListing(ctx)
	if err != nil {
		return nil, err
	}
	var found []stranger
	if listed {
		found = s.fromList(name, email)
	} else if found, err = s.ask(ctx, name, email); err != nil {
		return nil, err
	}
	return matches(found, p.TargetID, name, email), nil
}

// matches says what each account has in common with the probe, once each.
func matches(found []stranger, self, name, email string) []load.ForeignAccount {
	var out []load.ForeignAccount
	seen := map[string]bool{self: true}
	for _, f := range found {
		byName, byEmail := name != "" && f.username == name, email != "" && f.email == email
		if seen[f.id] || !byName && !byEmail {
			continue
		}
		seen[f.id] = true
		match := "username"
		switch {
		case byName && byEmail:
			match = "username and email"
		case byEmail:
			match = "email"
		}
		out = append(out, load.ForeignAccount{TargetID: f.id, Username: f.username, Email: f.email, Match: match})
	}
	return out
}

// worthListing decides, and lists once it is worth it. Whoever waits for the
// list meanwhile would only have asked for a part of it.
func (s *strangers) worthListing(ctx context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName != nil {
		return true, nil
	}
	s.lookups++
	if s.lookups < lookupsBeforeList || s.count > maxStrangerList || s.count > strangerPage*s.lookups {
		return false, nil
	}
	return true, s.list(ctx)
}

func (s *strangers) list(ctx context.Context) error {
	byName, byEmail := map[string]stranger{}, map[string][]stranger{}
	for page := 0; ; page += strangerPage {
		n := 0
		q := url.Values{"briefRepresentation": {"true"}, "first": {strconv.Itoa(page)}, "max": {strconv.Itoa(strangerPage)}}
		err := list(ctx, s.target.http, "list the users' names", "/users", q, func(u userRep) error {
			n++
			f := stranger{u.ID, u.Username, u.Email}
			byName[u.Username] = f
			if u.Email != "" {
				byEmail[u.Email] = append(byEmail[u.Email], f)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if n < strangerPage {
			break
		}
	}
	s.byName, s.byEmail = byName, byEmail
	return nil
}

func (s *strangers) fromList(name, email string) []stranger {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []stranger
	if f, ok := s.byName[name]; ok && name != "" {
		found = append(found, f)
	}
	if email != "" {
		found = append(found, s.byEmail[email]...)
	}
	return found
}

// ask looks up one name and one address.
func (s *strangers) ask(ctx context.Context, name, email string) ([]stranger, error) {
	var found []stranger
	for field, value := range map[string]string{"username": name, "email": email} {
		if value == "" {
			continue
		}
		q := url.Values{field: {value}, "exact": {"true"}, "briefRepresentation": {"true"}, "max": {"10"}}
		err := list(ctx, s.target.http, "look for an account by "+field, "/users", q, func(u userRep) error {
			found = append(found, stranger{u.ID, u.Username, u.Email})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
