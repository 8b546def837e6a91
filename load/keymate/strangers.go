package keymate

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
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
	count  int      // users of the realm when the observation began
	names  []string // attributes that accounts are looked for by

	mu      sync.Mutex
	lookups int
	byName  map[string]stranger // nil: not listed
	byEmail map[string][]stranger
	// byAttribute finds accounts by the values of attributes that probes name.
	byAttribute map[attributeValue][]stranger
}

type stranger struct {
	id, username, email string
	attributes          map[string][]string // those that the probe names
}

type attributeValue struct{ name, value string }

// attributeSearch is a search for an attribute in the server's language, which
// has no way to write quotes; empty: there is none.
func attributeSearch(w attributeValue) string {
	if strings.ContainsAny(w.name+w.value, "\"\\") || strings.ContainsAny(w.name, ": ") {
		return ""
	}
	return w.name + ":\"" + w.value + "\""
}

// wantedAttributes are the probe's attributes that accounts are looked for by:
// those with one value, in their order.
func wantedAttributes(p load.UserProbe) []attributeValue {
	var out []attributeValue
	for _, name := range slices.Sorted(maps.Keys(p.Attributes)) {
		if values := p.Attributes[name]; len(values) == 1 && values[0] != "" {
			out = append(out, attributeValue{name, values[0]})
		}
	}
	return out
}

func newStrangers(ctx context.Context, t *Target, attributes []string) (*strangers, error) {
	s := &strangers{target: t, names: attributes}
	err := t.http.get(ctx, "count the users", "/users/count", nil, &s.count)
	return s, err
}

// like returns the accounts that have the probe's user name or e-mail address.
func (s *strangers) like(ctx context.Context, p load.UserProbe) ([]load.ForeignAccount, error) {
	if s.count == 0 {
		return nil, nil
	}
	name, email := schemas.LowerLogin(p.Username), schemas.LowerLogin(p.Email)
	wanted := wantedAttributes(p)
	listed, err := s.worthListing(ctx)
	if err != nil {
		return nil, err
	}
	var found []stranger
	if listed {
		found = s.fromList(name, email, wanted)
	} else if found, err = s.ask(ctx, name, email, wanted); err != nil {
		return nil, err
	}
	return matches(found, p, name, email, wanted), nil
}

// matches says what each account has in common with the probe, once each.
func matches(found []stranger, p load.UserProbe, name, email string, wanted []attributeValue) []load.ForeignAccount {
	var out []load.ForeignAccount
	seen := map[string]bool{p.TargetID: true}
	for _, f := range found {
		byName, byEmail := name != "" && f.username == name, email != "" && f.email == email
		at := slices.IndexFunc(wanted, func(w attributeValue) bool { return slices.Equal(f.attributes[w.name], []string{w.value}) })
		if seen[f.id] || !byName && !byEmail && at < 0 {
			continue
		}
		seen[f.id] = true
		match := "username"
		switch {
		case !byName && !byEmail:
			match = wanted[at].name
		case byName && byEmail:
			match = load.MatchBoth
		case byEmail:
			match = "email"
		}
		out = append(out, load.ForeignAccount{TargetID: f.id, Username: f.username, Email: f.email, Match: match, Attributes: only(f.attributes, p.Attributes)})
	}
	return out
}

// only are the attributes that a probe names.
func only(all, named map[string][]string) map[string][]string {
	if len(named) == 0 {
		return nil
	}
	out := map[string][]string{}
	for name := range named {
		if l := all[name]; len(l) > 0 {
			out[name] = l
		}
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

// list reads all accounts. Attributes come with them where anybody looks for
// accounts by attributes.
func (s *strangers) list(ctx context.Context) error {
	byName, byEmail, byAttribute := map[string]stranger{}, map[string][]stranger{}, map[attributeValue][]stranger{}
	for page := 0; ; page += strangerPage {
		n := 0
		q := url.Values{"briefRepresentation": {strconv.FormatBool(len(s.names) == 0)}, "first": {strconv.Itoa(page)}, "max": {strconv.Itoa(strangerPage)}}
		err := list(ctx, s.target.http, "list the users' names", "/users", q, func(u userRep) error {
			n++
			f := stranger{u.ID, u.Username, u.Email, named(u.Attributes, s.names)}
			byName[u.Username] = f
			if u.Email != "" {
				byEmail[u.Email] = append(byEmail[u.Email], f)
			}
			for name, l := range f.attributes {
				if len(l) == 1 {
					at := attributeValue{name, l[0]}
					byAttribute[at] = append(byAttribute[at], f)
				}
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
	s.byName, s.byEmail, s.byAttribute = byName, byEmail, byAttribute
	return nil
}

func named(all map[string][]string, names []string) map[string][]string {
	var out map[string][]string
	for _, n := range names {
		if l := all[n]; len(l) > 0 {
			if out == nil {
				out = map[string][]string{}
			}
			out[n] = l
		}
	}
	return out
}

func (s *strangers) fromList(name, email string, wanted []attributeValue) []stranger {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []stranger
	if f, ok := s.byName[name]; ok && name != "" {
		found = append(found, f)
	}
	if email != "" {
		found = append(found, s.byEmail[email]...)
	}
	for _, w := range wanted {
		found = append(found, s.byAttribute[w]...)
	}
	return found
}

// ask looks up one name, one address, and the values of attributes.
func (s *strangers) ask(ctx context.Context, name, email string, wanted []attributeValue) ([]stranger, error) {
	var found []stranger
	look := func(by string, q url.Values) error {
		q.Set("exact", "true")
		q.Set("briefRepresentation", strconv.FormatBool(len(wanted) == 0))
		q.Set("max", "10")
		return list(ctx, s.target.http, "look for an account by "+by, "/users", q, func(u userRep) error {
			found = append(found, stranger{u.ID, u.Username, u.Email, u.Attributes})
			return nil
		})
	}
	for field, value := range map[string]string{"username": name, "email": email} {
		if value == "" {
			continue
		}
		if err := look(field, url.Values{field: {value}}); err != nil {
			return nil, err
		}
	}
	for _, w := range wanted {
		q := attributeSearch(w)
		if q == "" {
			continue
		}
		if err := look(w.name, url.Values{"q": {q}}); err != nil {
			return nil, err
		}
	}
	return found, nil
}
