package load

import (
	"context"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
)

// decidedAway is the reason of rows that a person left out of the target.
const decidedAway = "removed in the target, and decided to stay so"

// staysDeleted leaves out a user whom a person decided not to bring back. Base
// keeps the user, so that the next plan knows.
func (p *userPlanner) staysDeleted(ctx context.Context, x *person) error {
	p.settle(schemas.Users, Unchanged)
	if err := p.find(ctx, ListKept, Finding{Table: schemas.Users, ID: x.id, Key: x.desired.user.Key, Reason: decidedAway}); err != nil {
		return err
	}
	for _, d := range append(x.desired.dependents(), p.missing(x)...) {
		if !x.rejected[d.row.ID] || x.desired.has(d.table, d.row.ID) != nil {
			p.settle(d.table, Unchanged)
		}
	}
	return p.standsAsItIs(ctx, x)
}

// staysUnlinked leaves out a membership in the same manner.
func (p *userPlanner) staysUnlinked(ctx context.Context, want, base *schemas.Row) error {
	p.settle(schemas.Memberships, Unchanged)
	if err := p.find(ctx, ListKept, Finding{Table: schemas.Memberships, ID: want.ID, Key: want.Key, Reason: decidedAway}); err != nil {
		return err
	}
	return p.hold(ctx, schemas.Memberships, base)
}

// adopting is the account that a person or a rule makes the user's own, empty
// for none.
func (p *userPlanner) adopting(x *person) string {
	switch {
	case x.base.user != nil:
		return ""
	case p.decisions.row(x.id) == TakeAdopt:
		return p.decisions.of(x.id)[0].Account
	case foreignText(x.foreign, "rule") != "":
		return foreignText(x.foreign, "target_id")
	}
	return ""
}

// adopted returns the account that becomes the user's own, and keeps the pair;
// empty for none. What differs is then merged as for any row without a base, so
// that access which the account lacks is not given in silence.
func (p *userPlanner) adopted(x *person) string {
	account := p.adopting(x)
	if account == "" {
		return ""
	}
	p.ids.Add(x.id, IDEntry{Entity: schemas.Users, Key: x.desired.user.Key, TargetID: account, Origin: OriginAdopted, Run: p.in.Run})
	return account
}

// Adopting probes users under the accounts that decisions make their own.
func Adopting(users iter.Seq2[UserProbe, error], list []Decision) iter.Seq2[UserProbe, error] {
	accounts := Adoptions(list)
	return func(yield func(UserProbe, error) bool) {
		for p, err := range users {
			if account, ok := accounts[p.ID]; ok && p.TargetID == "" {
				p.TargetID = account
			}
			if !yield(p, err) {
				return
			}
		}
	}
}
