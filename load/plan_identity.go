package load

import (
	"context"
	"fmt"

	"github.com/parallelrun/parallelrun/schemas"
)

// RecycledKey is the reason of a conflict about a key that came back as another
// person.
const RecycledKey = "recycled key: legacy created this row at another time than the one in the target"

// recycled says that the key now belongs to another person: the account was
// created at another time.
func (p *userPlanner) recycled(x *person) bool {
	if x.base.user == nil {
		return false
	}
	was, now := cell(p.users.shape, x.base.user, "created_at"), cell(p.users.shape, x.desired.user, "created_at")
	return was != nil && now != nil && was != now
}

// checkOthers refuses decisions that a key came back as another person where
// nothing shows that it did: one person would become two, and be locked out.
func (p *planner) checkOthers(ctx context.Context) error {
	shape := p.shapes[schemas.Users]
	base, desired := newReader(p.in.Base, &shape), newReader(p.in.Desired, &shape)
	for _, d := range p.in.Options.Decisions {
		if d.Take != TakeNew {
			continue
		}
		former, err := base.get(ctx, d.ID)
		if err != nil {
			return err
		}
		now, err := desired.get(ctx, d.Other)
		if err != nil {
			return err
		}
		if former == nil || now == nil {
			continue // the former holder was never here, or the new one has left: unmet tells where neither is
		}
		projected, _ := p.in.Target.ProjectUser(schemas.Bundle{User: *now})
		was, is := cell(&shape, former, "created_at"), cell(&shape, &projected.User, "created_at")
		switch {
		case was == nil || is == nil:
			return &DecisionError{d, "nothing shows that the key came back as another person: one of the two has no created_at", "map created_at, or take the decision out"}
		case was == is:
			return &DecisionError{d, "legacy created both at the same time: it is the same person", "take the decision out"}
		}
	}
	return nil
}

// accountOwners tells whose accounts those are that stand in somebody's way, or
// that shall be adopted.
type accountOwners struct {
	asked  accountSet
	owners map[uint64]owner
}

// owner is the user of base who has an account.
type owner struct {
	id  schemas.RowID
	key string
}

// knowOwners finds the owners of all accounts in question. Of the accounts only
// hashes are held, of the owners those that are found.
func (p *planner) knowOwners(ctx context.Context) error {
	o := &p.owners
	o.owners = map[uint64]owner{}
	for _, d := range p.in.Options.Decisions {
		if d.Take == TakeAdopt {
			o.asked.add(d.Account)
		}
	}
	shape := ForeignAccountsTable()
	for row, err := range newReader(p.in.Observed, &shape).scan(ctx, schemas.RowID{}, schemas.RowID{}) {
		if err != nil {
			return err
		}
		o.asked.add(foreignText(&row, "target_id"))
	}
	o.asked.close()
	if len(o.asked.hashes) == 0 {
		return nil
	}
	ids := schemas.IDMapTable()
	for row, err := range newReader(p.in.Base, &ids).scan(ctx, schemas.RowID{}, schemas.RowID{}) {
		if err != nil {
			return err
		}
		if e := idEntry(&ids, row); e.Entity == schemas.Users && o.asked.count(e.TargetID) > 0 {
			o.owners[accountHash(e.TargetID)] = owner{row.ID, row.Key}
		}
	}
	return nil
}

// other is the user, other than the given one, who has an account.
func (o *accountOwners) other(account string, than schemas.RowID) (key string, ok bool) {
	w, ok := o.owners[accountHash(account)]
	return w.key, ok && w.id != than
}

// adoptionRefused says why an account does not become the user's own although a
// person or a rule gives it; empty: nothing speaks against it.
func (p *userPlanner) adoptionRefused(x *person, take Take) string {
	ruled := foreignText(x.foreign, "rule")
	account := p.adopting(x)
	_, others := p.owners.other(account, x.id)
	switch {
	case x.observed.user == nil:
		return ""
	case ruled != "" && account == "":
		return "the user's own account was confirmed before, and is gone"
	case account == "":
		return ""
	case others:
		return "the account to adopt is that of another user of legacy, present or former"
	case ruled != "" && take == TakeKeymate:
		return "an account could be adopted by " + ruled + ", and it was decided not to"
	}
	return ""
}

// alreadyThere says which account is in the user's way, and what may be done.
func (p *userPlanner) alreadyThere(x *person) string {
	what := fmt.Sprintf("an account with the same %s is already there", foreignText(x.foreign, "match"))
	_, others := p.owners.other(foreignText(x.foreign, "target_id"), x.id)
	if others {
		return what + ": that of another user of legacy, present or former" + p.wayOut(x, true)
	}
	if why := foreignText(x.foreign, "why"); why != "" {
		return what + "; " + why
	}
	return what
}

// wayOut says what may be done about the account of another user, of which gone
// says that it may have left legacy.
func (p *userPlanner) wayOut(x *person, gone bool) string {
	if former, is := p.decisions.former[x.id]; is && p.ownedBy(x.foreign, former) {
		return ": the key's former holder. Rename that account in the target or delete it there, then run again"
	}
	if gone {
		return ". If only the key has changed, write an alias"
	}
	return ""
}

// ownerInTheWay is the key of the user whose account is in somebody's way, empty
// for none.
func (p *userPlanner) ownerInTheWay(x *person) string {
	account := p.adopting(x)
	if account == "" {
		account = foreignText(x.foreign, "target_id")
	}
	key, _ := p.owners.other(account, x.id)
	return key
}

// ownedBy says whether an account in the way is a given user's.
func (p *planner) ownedBy(foreign *schemas.Row, id schemas.RowID) bool {
	return p.owners.owners[accountHash(foreignText(foreign, "target_id"))].id == id
}

// foreignText is a text of an account in the way, empty for none.
func foreignText(foreign *schemas.Row, column string) string {
	if foreign == nil {
		return ""
	}
	shape := ForeignAccountsTable()
	return text(cell(&shape, foreign, column))
}
