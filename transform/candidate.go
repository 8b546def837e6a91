package transform

import (
	"github.com/parallelrun/parallelrun/schemas"
)

// candidate is a row that a rule made, before it is known to stand. References
// are legacy values still.
type candidate struct {
	rule *rule
	id   schemas.RowID
	key  string
	// legacyKey is the key that legacy has; empty for rows that no source row
	// stands behind.
	legacyKey string
	source    int           // legacy table, by index of the run's sources
	origin    schemas.RowID // the legacy row
	primary   bool          // its fate is the class of the legacy row
	// excluded names the rule that left the row out.
	excluded string
	failures []failure

	values     []any // by column of the entity's table; nil where unresolved
	marks      []mark
	attributes map[string]mark

	parent, organization, department, user string // normalised, empty for none
	groups                                 []groupValue
	members                                []string // normalised; of groups, until admitted
	lookups                                []lookupValue
	mergeKey, prefer                       string
	secrets                                []*secret
	instantiates                           []*instantiation // of organizations, until admitted

	memberships, credentials []*candidate // of users
}

// failure is one reason why a row is rejected. Messages never hold values,
// redacted ones excepted.
type failure struct{ rule, field, message string }

// lookupValue is a value under which a lookup knows the row.
type lookupValue struct {
	lookup int
	value  string
}

// groupValue is a reference to a group that the user's row holds, read by the
// lookups of the rule (by index) that made it.
type groupValue struct {
	rule  int
	value string
}

// mark says what became of a field.
type mark uint8

const (
	markNone mark = iota
	markCarried
	markChanged
	markEncoded
)

// aliased says that an alias led to the row's key.
func (c *candidate) aliased() bool { return c.legacyKey != "" && c.legacyKey != c.key }

func (c *candidate) fail(rule, field, message string) {
	c.failures = append(c.failures, failure{rule, field, message})
}

// set stores a column by name.
func (c *candidate) set(column string, v any) {
	c.values[c.rule.entity.table.Column(column)] = v
}

// text is a column's text, empty for null.
func (c *candidate) text(column string) string {
	s, _ := c.values[c.rule.entity.table.Column(column)].(string)
	return s
}

// attributeMap is the row's attributes, nil when it has none.
func (c *candidate) attributeMap() map[string][]string {
	if c.rule.entity.attributes < 0 {
		return nil
	}
	m, _ := c.values[c.rule.entity.attributes].(map[string][]string)
	return m
}
