package transform

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// Flags of the order of candidates with one row id: excluded ones come last,
// those that came by an alias after those whose own key it is.
const (
	flagAliased  byte = 1
	flagExcluded byte = 2
)

// isExcluded reads the flag out of a user key.
func isExcluded(userKey []byte) bool { return userKey[len(schemas.RowID{})]&flagExcluded != 0 }

// flags are those of a candidate.
func (c *candidate) flags() (f byte) {
	if c.aliased() {
		f |= flagAliased
	}
	if c.excluded != "" {
		f |= flagExcluded
	}
	return f
}

// userKey orders users by row id and flags, and tells two candidates with one
// row id apart.
func userKey(c *candidate) []byte {
	k := append(slices.Clone(c.id[:]), c.flags())
	k = append(k, c.origin[:]...)
	return binary.BigEndian.AppendUint16(k, uint16(c.rule.index))
}

// admitUser hands a user, alone or merged, to the joins.
func (r *run) admitUser(c *candidate) error {
	k := userKey(c)
	if c.excluded == "" {
		if err := r.addIdentities(c, k); err != nil {
			return err
		}
	}
	for _, l := range c.lookups {
		if err := r.register(l, k); err != nil {
			return err
		}
	}
	c.lookups = nil
	return r.users.add(k, encode(c))
}

// Kinds of identities. An e-mail address is one only where it is unique in the
// target.
const (
	identityUsername byte = 0
	identityEmail    byte = 1
)

func (r *run) addIdentities(c *candidate, userKey []byte) error {
	kinds := []struct {
		kind   byte
		column string
	}{{identityUsername, "username"}, {identityEmail, "email"}}
	if !r.in.Profile.UniqueEmail {
		kinds = kinds[:1]
	}
	for _, k := range kinds {
		text := c.text(k.column)
		if text == "" {
			continue
		}
		if r.in.Profile.LowerCase {
			text = schemas.LowerLogin(text)
		}
		h := hashValue(text)
		key := append(append(h[:], k.kind), userKey...)
		if err := r.identities.add(key, []byte(c.key)); err != nil {
			return err
		}
	}
	return nil
}

// holder is a user that has a username or e-mail address.
type holder struct{ userKey, key []byte }

// findDuplicates rejects users that share a username or an e-mail address:
// whose it is can't be told.
func (r *run) findDuplicates(ctx context.Context) error {
	var value valueHash // of the group of equal values at hand
	var kind byte
	var last, username holder
	reported := false // last has been rejected for this value
	for rec, err := range r.identities.Sorted() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		v, k := valueHash(rec.Key[:len(value)]), rec.Key[len(value)]
		h := holder{slices.Clone(rec.Key[len(value)+1:]), slices.Clone(rec.Value)}
		switch {
		case v != value || last.key == nil:
			value, username, reported = v, holder{}, false
			if k == identityUsername {
				username = h
			}
		case k != kind: // the first address equal to a username
			reported = false
			err = r.clash(username, h)
		default:
			if err = r.duplicate(k, last, h, reported); err == nil && k == identityEmail {
				err = r.clash(username, h)
			}
			reported = true
		}
		if err != nil {
			return err
		}
		last, kind = h, k
	}
	return nil
}

func (r *run) duplicate(kind byte, a, b holder, reported bool) error {
	rule, field := RuleDuplicateUsername, "username"
	if kind == identityEmail {
		rule, field = RuleDuplicateEmail, "email"
	}
	message := func(other holder) string {
		return "the same " + field + " as key " + string(other.key) + ": correct one of them, exclude one, or merge them in the mapping"
	}
	if !reported {
		if err := r.eventFailure(a.userKey, failure{rule, field, message(b)}); err != nil {
			return err
		}
	}
	return r.eventFailure(b.userKey, failure{rule, field, message(a)})
}

// clash rejects a user whose e-mail address is another's username: whoever
// types it would be taken for the other.
func (r *run) clash(username, email holder) error {
	if username.userKey == nil || bytes.Equal(username.userKey, email.userKey) {
		return nil
	}
	if err := r.eventFailure(username.userKey, failure{RuleUsernameIsEmail, "username", "the username is the e-mail address of key " + string(email.key) + ": correct one of them"}); err != nil {
		return err
	}
	return r.eventFailure(email.userKey, failure{RuleUsernameIsEmail, "email", "the e-mail address is the username of key " + string(username.key) + ": correct one of them"})
}

// Kinds of events.
const (
	eventFailed    byte = 'f'
	eventGroup     byte = 'g'
	eventDependent byte = 'd'
)

func (r *run) eventFailure(userKey []byte, f failure) error {
	e := encoder{b: []byte{eventFailed}}
	e.text(f.rule)
	e.text(f.field)
	e.text(f.message)
	return r.events.add(userKey, e.b)
}

// maxMerged is how many rows one person may have. More are no person but a
// wrong merge rule.
const maxMerged = 1000

// mergeUsers joins the rows of one person: of the rows with one merge key the
// preferred leads, the others fill what it lacks.
func (r *run) mergeUsers(ctx context.Context) error {
	t := newTally(len(r.totals.sources))
	defer func() { r.totals.add(t) }()
	var group []*candidate
	var key []byte
	many := false
	flush := func() error {
		if len(group) == 0 {
			return nil
		}
		lead := mergeGroup(group, t)
		group = nil
		return r.admitUser(lead)
	}
	for rec, err := range r.merging.Sorted() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(rec.Key, key) {
			if err := flush(); err != nil {
				return err
			}
			key, many = slices.Clone(rec.Key), false
		}
		c, err := r.decode(rec.Value)
		if err != nil {
			return err
		}
		group = append(group, c)
		if many = many || len(group) > maxMerged; many {
			if err := r.refuseMerge(group); err != nil {
				return err
			}
			group = nil
		}
	}
	return flush()
}

func (r *run) refuseMerge(group []*candidate) error {
	for _, c := range group {
		c.fail(RuleMerge, "merge.by", fmt.Sprintf("more than %d rows have the same merge key: correct the mapping's merge rule", maxMerged))
		if err := r.admitUser(c); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) decode(b []byte) (*candidate, error) {
	d := decoder{b: b, m: r.in.Mapping}
	c := d.candidate()
	return c, d.err
}

// mergeGroup makes one user of several rows.
func mergeGroup(group []*candidate, t *tally) *candidate {
	slices.SortFunc(group, func(a, b *candidate) int {
		if n := strings.Compare(b.prefer, a.prefer); n != 0 {
			return n
		}
		return bytes.Compare(userKey(a), userKey(b))
	})
	lead := group[0]
	for _, c := range group[1:] {
		lead.absorb(c, t)
	}
	return lead
}

// absorb fills what the row lacks from another of the same person.
func (c *candidate) absorb(o *candidate, t *tally) {
	at := c.rule.entity.attributes
	for i, v := range o.values {
		if c.values[i] == nil && v != nil && i != at {
			c.values[i], c.marks[i] = v, o.marks[i]
		}
	}
	attrs := c.attributeMap()
	for name, l := range o.attributeMap() {
		if _, has := attrs[name]; has {
			continue
		}
		if attrs == nil {
			attrs = map[string][]string{}
			c.values[at] = attrs
		}
		attrs[name], c.attributes[name] = l, o.attributes[name]
	}
	c.groups = append(c.groups, o.groups...)
	c.lookups = append(c.lookups, o.lookups...)
	c.memberships = append(c.memberships, o.memberships...)
	if len(c.credentials) == 0 {
		c.credentials = o.credentials
	} else {
		for _, x := range o.credentials {
			t.settled(x, fateMerged)
		}
	}
	t.settled(o, fateMerged)
}
