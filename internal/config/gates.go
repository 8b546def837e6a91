package config

// Gates are evidence that a run needs before it writes.
type Gates struct {
	// Widening bounds the access that a run may give; nil: no bound.
	Widening *WideningGate `json:"widening,omitempty"`
}

// WideningGate says what a run may widen. Kinds are words that package load
// knows.
type WideningGate struct {
	// Users in the target who may gain what is not named below.
	Users int64 `json:"users,omitempty"`
	// Roles that anybody may gain.
	Roles []string `json:"roles,omitempty"`
	// Kinds of widening that are allowed whatever they give.
	Kinds []string `json:"kinds,omitempty"`
	// NewUsers: accounts that the run makes count as well.
	NewUsers bool `json:"newUsers,omitempty"`
}
