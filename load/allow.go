package load

import (
	"fmt"
	"slices"
	"strings"
)

// Words of Options.Allow: what an operator may ask for that a plan otherwise
// withholds.
const (
	AllowEnable   = "enable"   // enable accounts that were disabled in the target
	AllowRoles    = "roles"    // grant roles that were taken away in the target
	AllowGroups   = "groups"   // put users back into groups they were removed from in the target
	AllowLinks    = "links"    // bring back memberships and federated links that were removed in the target
	AllowPassword = "password" // replace a password that is newer in the target
	AllowRecreate = "recreate" // create anew what was deleted in the target
)

// AllowWords lists the words of Options.Allow.
var AllowWords = []string{AllowEnable, AllowRoles, AllowGroups, AllowLinks, AllowPassword, AllowRecreate}

// allowed holds the words of AllowWords that were given; Operation.Widens and
// Finding.Kinds use the same words.
type allowed map[string]bool

func newAllowed(words []string) (allowed, error) {
	a := allowed{}
	for _, w := range words {
		if !slices.Contains(AllowWords, w) {
			return nil, fmt.Errorf("allow %q: unknown (one of %s)", w, strings.Join(AllowWords, ", "))
		}
		a[w] = true
	}
	return a, nil
}

// grant is how a column that gives access is merged.
type grant struct {
	kind  string // word of AllowWords; empty for required actions
	how   mergeRule
	whole bool // a map's entry is one grant
}

type mergeRule int

const (
	switchRule  mergeRule = iota // a boolean: true widens
	setRule                      // a set: more widens
	actionsRule                  // a set: fewer widens, but its subject may fulfil it
	expiryRule                   // a time: later widens
)

// grants lists the columns where legacy does not simply win: what the target
// narrowed since base stays narrow unless the operator asks.
var grants = map[string]map[string]grant{
	"organizations": {
		"enabled":     {AllowEnable, switchRule, false},
		"realm_roles": {AllowRoles, setRule, false},
	},
	"departments": {
		"realm_roles":  {AllowRoles, setRule, false},
		"client_roles": {AllowRoles, setRule, false},
	},
	"users": {
		"enabled":          {AllowEnable, switchRule, false},
		"expires_at":       {AllowEnable, expiryRule, false},
		"required_actions": {"", actionsRule, false},
		"realm_roles":      {AllowRoles, setRule, false},
		"groups":           {AllowGroups, setRule, false},
		"federated_links":  {AllowLinks, setRule, true},
	},
	"memberships": {
		"roles": {AllowRoles, setRule, false},
	},
}
