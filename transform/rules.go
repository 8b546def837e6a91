package transform

// Names of the rules by which rows are rejected. They are stable: reports,
// CSV files and waivers name them.
const (
	RuleExpression     = "expression-failed"
	RuleUnreadable     = "unreadable-value"
	RuleUnreadRow      = "unreadable-row"
	RuleExpressionCost = "expression-too-costly"
	RuleInvalidUTF8    = "invalid-utf8"
	RuleControl        = "control-character"
	RuleRequired       = "required-field-missing"
	RuleTooLong        = "too-long"
	RuleEmail          = "not-an-email"
	RuleUsername       = "not-a-username"
	RuleSlash          = "slash-in-name"
	RuleAlias          = "not-an-alias"
	RuleAttributeName  = "attribute-name"
	RuleReserved       = "reserved-attribute"
	RuleUndeclared     = "undeclared-attribute"
	RuleAction         = "unknown-required-action"
	RuleTemplate       = "property-template"

	RuleDuplicateKey      = "duplicate-key"
	RuleDuplicateUsername = "duplicate-username"
	RuleDuplicateEmail    = "duplicate-email"
	RuleUsernameIsEmail   = "username-is-anothers-email"
	RuleDuplicateAlias    = "duplicate-alias"
	RuleDuplicateName     = "duplicate-name"
	RuleDuplicateDomain   = "duplicate-domain"
	RuleSiblingName       = "sibling-name"

	RuleUnknownParent       = "unknown-parent"
	RuleParentRejected      = "parent-rejected"
	RuleDepartmentCycle     = "department-cycle"
	RuleGroupCycle          = "group-cycle"
	RuleTemplateCycle       = "template-cycle"
	RuleOtherGroup          = "parent-of-another-group"
	RuleTemplateRejected    = "template-rejected"
	RuleTwinRejected        = "merged-row-rejected"
	RuleMissingOrganization = "missing-organization"
	RuleMissingDepartment   = "missing-department"
	RuleOtherOrganization   = "department-of-another-organization"
	RuleAmbiguous           = "ambiguous-reference"
	RuleUnknownUser         = "unknown-user"
	RuleUserRejected        = "user-rejected"
	RuleMerge               = "merge-too-wide"

	RuleHash      = "hash-not-verifiable"
	RulePassword  = "password-unreadable"
	RuleClearText = "clear-text-password"
	RuleState     = "unknown-state"
)

// Names of the rules by which rows are excluded without the mapping naming one.
const (
	// RuleNone: no rule of the mapping takes the row.
	RuleNone = "no-rule"
	// RuleNothing: a rule takes the row but yields nothing for it (an empty
	// `each`).
	RuleNothing = "nothing-to-yield"
	// RuleUserExcluded: the row belongs to a user that is excluded.
	RuleUserExcluded = "user-excluded"
)
