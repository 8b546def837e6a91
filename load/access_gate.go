package load

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// GateKinds are the words of WideningGate.Kinds: words of AllowWords.
var GateKinds = []string{AllowEnable, AllowRoles, AllowLinks, AllowPassword, AllowRecreate}

// WideningGate says what a plan may widen. Who gains anything else counts
// against Users; a plan with more of them is not loaded. What is only encoded
// grants nothing by itself, and does not count.
type WideningGate struct {
	// Users who may gain what is not named below.
	Users int64 `json:"users"`
	// Roles that anybody may gain, with all that they contain, as Role.String
	// writes them.
	Roles []string `json:"roles,omitempty"`
	// Kinds of widening that are allowed whatever they give: enable (and a
	// later end), roles (any), links (memberships and identity providers),
	// password, recreate.
	Kinds []string `json:"kinds,omitempty"`
	// NewUsers: accounts that the plan makes count as well.
	NewUsers bool `json:"new_users,omitempty"`
}

// GateKindError: a gate names a kind that does not exist.
type GateKindError struct {
	Index int
	Kind  string
}

func (e *GateKindError) Error() string {
	return fmt.Sprintf("widening %q: there is no such kind", e.Kind)
}

// Hint says what there is.
func (e *GateKindError) Hint() string { return "one of " + strings.Join(GateKinds, ", ") }

// Check says whether every kind exists.
func (g *WideningGate) Check() error {
	for i, k := range g.Kinds {
		if !slices.Contains(GateKinds, k) {
			return &GateKindError{Index: i, Kind: k}
		}
	}
	return nil
}

// GateOutcome is what a gate found in a plan.
type GateOutcome struct {
	WideningGate
	// Over is how many users gain what the gate does not name.
	Over int64 `json:"over"`
	// First are the first of them, What the most frequent gains not named.
	First []GateUser `json:"first,omitempty"`
	What  []Cause    `json:"what,omitempty"`
}

// GateUser is a user who gains what the gate does not name.
type GateUser struct {
	Key  string   `json:"key"`
	What []string `json:"what"`
}

// Closed says that the plan widens more than the gate lets through.
func (o *GateOutcome) Closed() bool { return o.Over > o.Users }

// WideningError stops a run before its first write. Have someone look at the
// access diff; then name what may be widened, in the gate or for one run, and
// plan anew.
type WideningError struct {
	Run  string
	Gate GateOutcome
}

func (e *WideningError) Error() string {
	var who, what []string
	for _, u := range e.Gate.First {
		who = append(who, fmt.Sprintf("%s: %s", u.Key, strings.Join(u.What, ", ")))
	}
	for _, c := range e.Gate.What {
		what = append(what, fmt.Sprintf("%s: %d", c.Reason, c.Count))
	}
	return fmt.Sprintf("plan of run %s widens access beyond what was named, nothing was written: users: %d, limit %d; %s | first %s",
		e.Run, e.Gate.Over, e.Gate.Users, strings.Join(what, "; "), strings.Join(who, "; "))
}

// Hint is the next step.
func (e *WideningError) Hint() string {
	return fmt.Sprintf("look with `parallelrun access %s --widening`; to let it pass name it with --widen and plan anew, or in gates.widening", e.Run)
}

// WideningErr returns a *WideningError when the plan widens more than its gate
// lets through.
func (m *Manifest) WideningErr() error {
	if m.Access == nil || m.Access.Gate == nil || !m.Access.Gate.Closed() {
		return nil
	}
	return &WideningError{Run: m.Run, Gate: *m.Access.Gate}
}

// gateKeeper holds changes against a gate.
type gateKeeper struct {
	gate  WideningGate
	over  int64
	first []GateUser
	what  map[string]int64
}

// Bounds of what a refusal names.
const (
	gateUsers = 5
	gateWhat  = 5
)

func newGateKeeper(g WideningGate) *gateKeeper { return &gateKeeper{gate: g, what: map[string]int64{}} }

func (k *gateKeeper) look(c *AccessChange) {
	if c.New && !k.gate.NewUsers {
		return
	}
	what := k.unnamed(c)
	if len(what) == 0 {
		return
	}
	k.over++
	for _, w := range what {
		k.what[w]++
	}
	if len(k.first) < gateUsers {
		u := GateUser{Key: c.Key, What: what}
		if len(what) > gateWhat {
			u.What = append(slices.Clone(what[:gateWhat]), fmt.Sprintf("and %d more", len(what)-gateWhat))
		}
		k.first = append(k.first, u)
	}
}

// unnamed is what a user gains and the gate does not name.
func (k *gateKeeper) unnamed(c *AccessChange) []string {
	var out []string
	add := func(is bool, kind, what string) {
		if is && !slices.Contains(k.gate.Kinds, kind) {
			out = append(out, what)
		}
	}
	add(c.Recreated, AllowRecreate, "recreated")
	add(c.Enabled, AllowEnable, "enabled")
	add(c.OlderPassword, AllowPassword, "older password")
	for _, g := range c.Gained {
		g.Also = nil // counted by the first way
		switch {
		case g.Encoded:
		case g.Kind == GrantRole:
			add(!slices.Contains(k.gate.Roles, g.What) && !slices.Contains(k.gate.Roles, g.inside), AllowRoles, g.String())
		case g.Kind == GrantTime:
			add(true, AllowEnable, "a later end")
		default:
			add(true, AllowLinks, g.String())
		}
	}
	return out
}

func (k *gateKeeper) outcome() *GateOutcome {
	o := &GateOutcome{WideningGate: k.gate, Over: k.over, First: k.first}
	for _, w := range slices.Sorted(maps.Keys(k.what)) {
		o.What = append(o.What, Cause{Reason: w, Count: k.what[w]})
	}
	slices.SortStableFunc(o.What, func(a, b Cause) int { return cmp.Compare(b.Count, a.Count) })
	o.What = o.What[:min(gateWhat, len(o.What))]
	return o
}
