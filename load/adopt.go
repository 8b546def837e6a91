package load

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// AdoptRule says by what an account that the target already has is known to be
// a user's: all of its fields must agree. A field is username, email, or one key
// of attributes as in attributes["employeeNumber"].
type AdoptRule []string

// AdoptRules are those of a migration; any may match.
type AdoptRules []AdoptRule

func (r AdoptRule) String() string {
	words := make([]string, len(r))
	for i, f := range r {
		words[i] = fieldWord(f)
	}
	return strings.Join(words, " and ")
}

// fieldWord is a field as messages name it.
func fieldWord(field string) string {
	if name, ok := attributeOf(field); ok {
		return name
	}
	return field
}

// attributeOf is the attribute that a field names.
func attributeOf(field string) (string, bool) {
	name, ok := strings.CutPrefix(field, `attributes["`)
	name, closed := strings.CutSuffix(name, `"]`)
	return name, ok && closed && name != ""
}

// AdoptError is a rule that would take accounts which may be somebody else's, or
// that names no field.
type AdoptError struct {
	Rule int // from 0
	What string
	Next string
}

func (e *AdoptError) Error() string { return fmt.Sprintf("adopt[%d]: %s", e.Rule, e.What) }

// AdoptRule is the position of the rule.
func (e *AdoptError) AdoptRule() int { return e.Rule }

// Hint says what a rule needs.
func (e *AdoptError) Hint() string { return e.Next }

// Check says whether every rule is one that an account may be taken by. E-mail
// alone never is: addresses are given out again, and people may set their own.
func (rules AdoptRules) Check() error {
	const next = `match an attribute that never changes, such as attributes["employeeNumber"], or username and a second field`
	for i, r := range rules {
		attributes := 0
		for j, f := range r {
			_, isAttribute := attributeOf(f)
			switch {
			case slices.Contains(r[:j], f):
				return &AdoptError{i, fmt.Sprintf("%s stands there twice", f), next}
			case isAttribute:
				attributes++
			case f != "username" && f != "email":
				return &AdoptError{i, fmt.Sprintf("an account is not known by %q", f), `use username, email and attributes["name"]`}
			}
		}
		switch {
		case len(r) == 0:
			return &AdoptError{i, "the rule names no field", next}
		case attributes > 0 || len(r) > 1:
		case r[0] == "email":
			return &AdoptError{i, "an e-mail address alone says not whose account it is: addresses are given out again, and people may set their own", next}
		default:
			return &AdoptError{i, "a user name alone says not whose account it is: names are given out again", next}
		}
	}
	return nil
}

// CheckProfile says whether the target leaves it to people themselves what a rule
// looks at: whoever writes another's number into the own account would get the
// other's row.
func (rules AdoptRules) CheckProfile(p *schemas.TargetProfile) error {
	for i, r := range rules {
		attributes := 0
		for _, f := range r {
			name, is := attributeOf(f)
			if !is {
				continue
			}
			if attributes++; p.SelfEdits(name) {
				return &AdoptError{i, fmt.Sprintf("people may set attribute %s of their own accounts in the target: it does not say whose account it is", name),
					"let only administrators edit it (user profile of the realm), or match another field"}
			}
		}
		if attributes == 0 && p.SelfRegistration {
			return &AdoptError{i, fmt.Sprintf("people may register themselves in the target: %s do not say whose account it is", r),
				"match an attribute that only administrators set, or decide account by account"}
		}
	}
	return nil
}

// attributes are the names of attributes that rules look at.
func (rules AdoptRules) attributes() []string {
	var out []string
	for _, r := range rules {
		for _, f := range r {
			if name, ok := attributeOf(f); ok {
				out = append(out, name)
			}
		}
	}
	return asSet(out)
}

// Fields are the attributes of a user that rules look at.
func (rules AdoptRules) fields(user *schemas.Row) map[string][]string {
	names := rules.attributes()
	if len(names) == 0 {
		return nil
	}
	shape := schemas.Entities()[schemas.Users]
	all, _ := cell(&shape, user, "attributes").(map[string][]string)
	out := map[string][]string{}
	for _, n := range names {
		if l := all[n]; len(l) > 0 {
			out[n] = l
		}
	}
	return out
}

// agreement is how an account compares with the user in whose way it stands.
type agreement struct {
	rule    AdoptRule // the first that agrees in all of its fields; nil: none
	agrees  []string
	differs []string // attributes that both have, with other values
}

// compare holds an account against a user.
func (rules AdoptRules) compare(p *UserProbe, f *ForeignAccount) agreement {
	var a agreement
	agrees := func(field string) bool {
		switch field {
		case "username":
			return p.Username != "" && schemas.LowerLogin(p.Username) == schemas.LowerLogin(f.Username)
		case "email":
			return p.Email != "" && schemas.LowerLogin(p.Email) == schemas.LowerLogin(f.Email)
		}
		name, _ := attributeOf(field)
		ours, theirs := p.Attributes[name], f.Attributes[name]
		return len(ours) == 1 && slices.Equal(ours, theirs)
	}
	for _, field := range []string{"username", "email"} {
		if agrees(field) {
			a.agrees = append(a.agrees, field)
		}
	}
	for _, name := range rules.attributes() {
		switch ours, theirs := asSet(p.Attributes[name]), asSet(f.Attributes[name]); {
		case len(ours) == 0 || len(theirs) == 0:
		case slices.Equal(ours, theirs):
			a.agrees = append(a.agrees, name)
		default:
			a.differs = append(a.differs, name)
		}
	}
	for _, r := range rules {
		if a.rule == nil && !slices.ContainsFunc(r, func(f string) bool { return !agrees(f) }) {
			a.rule = r
		}
	}
	return a
}

// adoption is what the rules say of the accounts in one user's way.
type adoption struct {
	account int       // position of the account that comes first
	rule    AdoptRule // nil: not adopted
	why     string    // it is not, where a rule had a word
}

// decide finds the one account that rules give to a user.
func (rules AdoptRules) decide(p *UserProbe, found []ForeignAccount) adoption {
	if len(rules) == 0 {
		return adoption{}
	}
	var out adoption
	matched := 0
	var at agreement
	for i := range found {
		a := rules.compare(p, &found[i])
		if a.rule == nil {
			continue
		}
		if matched++; matched == 1 {
			out.account, at = i, a
		}
	}
	switch {
	case matched == 0:
	case matched > 1:
		out.why = fmt.Sprintf("%d accounts could be adopted by the rules", matched)
	case len(at.differs) > 0:
		out.why = fmt.Sprintf("it agrees in %s, but not in %s: another person's?", at.rule, strings.Join(at.differs, ", "))
	case p.Confirmed:
		out.why = "the user's own account was confirmed before, and is gone"
	case len(found) > 1:
		out.why = fmt.Sprintf("it could be adopted by %s, but another account is in the way as well", at.rule)
	default:
		out.rule = at.rule
	}
	return out
}
