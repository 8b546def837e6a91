package load

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/internal/extsort"
	"github.com/parallelrun/parallelrun/schemas"
)

// adoptable is a user whom the rules give an account.
type adoptable struct {
	Probe   UserProbe      `json:"probe"`
	Account ForeignAccount `json:"account"`
	Rule    string         `json:"rule"`
}

// adoptables are the users whom rules give accounts, until all accounts that are
// somebody's are known. They may be everybody: they spill.
type adoptables struct {
	sorter *extsort.Sorter
	// own are the accounts of the users that were found, wanted those that rules
	// give away: hashes, since there may be millions.
	own, wanted accountSet
}

const adoptMemory = 16 << 20

func (a *adoptables) add(x adoptable) error {
	if a.sorter == nil {
		a.sorter = extsort.New(extsort.Options{Memory: adoptMemory})
	}
	a.wanted.add(x.Account.TargetID)
	data, err := json.Marshal(x)
	if err != nil {
		return err
	}
	return a.sorter.Add(x.Probe.ID[:], data)
}

func (a *adoptables) close() error {
	if a.sorter == nil {
		return nil
	}
	return a.sorter.Close()
}

// all yields them in row-id order, with why one is not adopted after all.
func (a *adoptables) all() iter.Seq2[adoptable, error] {
	return func(yield func(adoptable, error) bool) {
		if a.sorter == nil {
			return
		}
		a.own.close()
		a.wanted.close()
		for rec, err := range a.sorter.Sorted() {
			var x adoptable
			if err == nil {
				err = json.Unmarshal(rec.Value, &x)
			}
			if !yield(x, err) || err != nil {
				return
			}
		}
	}
}

// refused says why an account is not given to the user whom a rule gives it.
func (a *adoptables) refused(x *adoptable) string {
	switch {
	case a.own.count(x.Account.TargetID) > 0:
		return "it could be adopted by " + x.Rule + ", but is the account of another user"
	case a.wanted.count(x.Account.TargetID) > 1:
		return "it could be adopted by " + x.Rule + ", but another user could adopt it as well"
	}
	return ""
}

// adopted writes which accounts were adopted and which were not, and yields the
// users to look at under their accounts.
func (s *observedSink) adopted(failed *error) iter.Seq2[UserProbe, error] {
	return func(yield func(UserProbe, error) bool) {
		for x, err := range s.adoptables.all() {
			if err != nil {
				yield(UserProbe{}, err)
				return
			}
			if why := s.adoptables.refused(&x); why != "" {
				if err := s.writeForeign(&x.Probe, []ForeignAccount{x.Account}, adoption{why: why}); err != nil {
					*failed = err
					return
				}
				continue
			}
			if err := s.foreignRow(&x.Probe, x.Account, nil, x.Account.Match, x.Rule, ""); err != nil {
				*failed = err
				return
			}
			p := x.Probe
			p.TargetID = x.Account.TargetID
			if !yield(p, nil) {
				return
			}
		}
	}
}

// adopt looks at the accounts that rules give to users.
func (s *observedSink) adopt(ctx context.Context) error {
	if s.adoptables.sorter == nil {
		return nil
	}
	const part = 1000 // users of one look
	var failed error
	var batch []UserProbe
	look := func() error {
		if len(batch) == 0 {
			return failed
		}
		users := slices.Clone(batch)
		batch = batch[:0]
		return s.in.Target.Observe(ctx, Scope{Users: each(users), IDs: s.in.IDs}, s)
	}
	for p, err := range s.adopted(&failed) {
		if err != nil {
			return err
		}
		if batch = append(batch, p); len(batch) >= part {
			if err := look(); err != nil {
				return err
			}
		}
	}
	if failed != nil {
		return failed
	}
	return look()
}

// writeForeign writes the accounts in the way of one user, and that the user is
// not there.
func (s *observedSink) writeForeign(p *UserProbe, found []ForeignAccount, a adoption) error {
	f, match := found[a.account], found[a.account].Match
	if slices.ContainsFunc(found, func(o ForeignAccount) bool { return o.Match != match }) {
		match = MatchBoth
	}
	var others []string
	for i, o := range found {
		if i != a.account {
			others = append(others, o.TargetID)
		}
	}
	s.rep.Foreign++
	if err := s.foreignRow(p, f, others, match, "", a.why); err != nil {
		return err
	}
	return s.Absent(*p)
}

func (s *observedSink) foreignRow(p *UserProbe, f ForeignAccount, others []string, match, rule, why string) error {
	null := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	var more any
	if len(others) > 0 {
		more = others
	}
	return s.write(ForeignAccounts, schemas.Row{ID: p.ID, Key: p.Key,
		Values: []any{f.TargetID, f.Username, f.Email, match, null(rule), null(why), more}})
}

// accountSet is a set of target ids, kept by their hashes. It errs, once in
// billions, towards saying that an id is there.
type accountSet struct {
	hashes []uint64
	closed bool // sorted, and nothing is added any more
}

func (s *accountSet) add(targetID string) {
	if !s.closed {
		s.hashes = append(s.hashes, accountHash(targetID))
	}
}

func (s *accountSet) close() {
	slices.Sort(s.hashes)
	s.closed = true
}

// count is how often an id was added to a closed set.
func (s *accountSet) count(targetID string) int {
	h := accountHash(targetID)
	i, ok := slices.BinarySearch(s.hashes, h)
	n := 0
	for ; ok && i < len(s.hashes) && s.hashes[i] == h; i++ {
		n++
	}
	return n
}

func accountHash(targetID string) uint64 {
	h := fnv.New128a()
	_, _ = h.Write([]byte(targetID))
	return binary.BigEndian.Uint64(h.Sum(nil)[8:])
}
