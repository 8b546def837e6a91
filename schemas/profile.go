package schemas

import "slices"

// Support says what a target does with a column.
type Support string

// The three answers.
const (
	Native      Support = "native"
	Encoded     Support = "encoded" // kept in attributes because there is no place for it
	Unsupported Support = "unsupported"
)

// ColumnSupport is what a target does with one column, as its dialect states.
type ColumnSupport struct {
	Support Support
	// Readable says that the target gives the value back, so that verify can
	// compare it.
	Readable bool
	// Fixed says that the value can't be changed once the row is there.
	Fixed bool
	// Note is one clause for people: how it is encoded, or why it is left out.
	Note string
}

// TargetProfile is what a target can hold and verify, as data. The dialect
// makes it, transform checks against it, planner and docs read it. Zero limits
// mean no limit. Lengths count characters unless the name says bytes.
type TargetProfile struct {
	Dialect string
	// Columns by table, then column name.
	Columns map[string]map[string]ColumnSupport

	// PasswordSchemes lists the neutral algorithms that the target verifies.
	PasswordSchemes []string

	// LowerCase: usernames and e-mail addresses are stored lower-cased.
	LowerCase   bool
	UniqueEmail bool

	MaxUsername       int
	MaxEmail          int
	MaxName           int // first and last name
	MaxGroupName      int // groups, departments, organizations
	MaxAttributeName  int
	MaxAttributeValue int
	MaxGroupAttribute int

	// DeclaredAttributes lists what the target's user profile declares;
	// UndeclaredAttributes says that others are kept too.
	DeclaredAttributes   []string
	UndeclaredAttributes bool
	// AttributeRules are what the profile asks of declared attributes, by name.
	AttributeRules map[string]AttributeRule

	// SelfEdited are declared attributes that people may set on their own
	// accounts; SelfEditsUndeclared says that they may set others too.
	SelfEdited          []string
	SelfEditsUndeclared bool
	// SelfRegistration: people may make accounts for themselves.
	SelfRegistration bool

	// ReservedAttributes are names that the dialect uses itself.
	ReservedAttributes []string
	// RequiredActions lists the names that the target knows.
	RequiredActions []string
	// RealmRoles are the roles that the target has, or that preparing it makes.
	RealmRoles []string

	// Remarks are what an operator should know of the target before a run, one
	// sentence each; none of it stops the run.
	Remarks []string
}

// SelfEdits says whether people may set an attribute of their own accounts.
func (p *TargetProfile) SelfEdits(attribute string) bool {
	if slices.Contains(p.DeclaredAttributes, attribute) {
		return slices.Contains(p.SelfEdited, attribute)
	}
	return p.SelfEditsUndeclared
}

// AttributeRule is what a target's user profile asks of one attribute, for
// every user of the target. Zero values ask nothing.
type AttributeRule struct {
	Required bool
	// Single: one value at most.
	Single               bool
	MinValues, MaxValues int
	// MinLength and MaxLength count the characters of each value.
	MinLength, MaxLength int
	// Pattern must match the whole of each value. It is a regular expression of
	// the target's, which need not be one of Go's.
	Pattern string
	// Options are the values allowed, nil for any.
	Options []string
	// Kind is integer, number, email, uri or date; empty for any text.
	Kind string
	// Minimum and Maximum are decimal numbers, empty for no bound.
	Minimum, Maximum string
}
