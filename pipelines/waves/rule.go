package waves

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform"
)

// Rules are the waves of a migration, in order.
type Rules struct {
	// Salt is hashed with each user's key for percentages.
	Salt  string
	Waves []Rule
}

// Rule says which users a wave takes: those who meet every criterion that it
// has. Of one criterion's values any will do.
type Rule struct {
	Name string
	// Departments are organization alias and path, or legacy keys. A department
	// stands for itself and all below it.
	Departments []string
	// Groups are paths or legacy keys.
	Groups []string
	// Keys and the lines of KeysFile are users' legacy keys: one criterion.
	Keys     []string
	KeysFile string
	// Percent is a share of all users in millionths; zero: no such criterion.
	Percent int64
	// Where is a CEL expression (see compileWhere).
	Where string
}

// Names of the criteria, as in the configuration.
const (
	criterionName        = "name"
	criterionDepartments = "departments"
	criterionGroups      = "groups"
	criterionKeys        = "keys"
	criterionKeysFile    = "keysFile"
	criterionPercent     = "percent"
	criterionWhere       = "where"
)

// ByHand is what an assignment has for the rule of a user that a list by hand
// assigned.
const ByHand = "by hand"

// recorded names a rule's criteria as the assignment keeps them: what took the
// user.
func (r Rule) recorded() string {
	var kinds []string
	for _, k := range []struct {
		has  bool
		name string
	}{
		{len(r.Departments) > 0, "department"}, {len(r.Groups) > 0, "group"}, {r.byKey(), "key"},
		{r.Percent > 0, "percent"}, {r.Where != "", "where"},
	} {
		if k.has {
			kinds = append(kinds, k.name)
		}
	}
	return strings.Join(kinds, ", ")
}

func (r Rule) byKey() bool { return len(r.Keys) > 0 || r.KeysFile != "" }

// Words is the rule as people say it.
func (r Rule) Words() string {
	var all []string
	if len(r.Departments) > 0 {
		all = append(all, "in "+either(r.Departments)+" or below")
	}
	if len(r.Groups) > 0 {
		all = append(all, "in group "+either(r.Groups))
	}
	switch n := len(r.Keys); {
	case n > 0 && r.KeysFile != "":
		all = append(all, fmt.Sprintf("listed (%d keys, and those of %s)", n, r.KeysFile))
	case n > 0:
		all = append(all, fmt.Sprintf("listed (%d keys)", n))
	case r.KeysFile != "":
		all = append(all, "listed in "+r.KeysFile)
	}
	if r.Percent > 0 {
		all = append(all, percent(r.Percent)+" % of all users")
	}
	if r.Where != "" {
		all = append(all, "where "+r.Where)
	}
	return strings.Join(all, "; and ")
}

// either lists a few values.
func either(values []string) string {
	const most = 3
	if len(values) > most {
		return strings.Join(values[:most], ", ") + fmt.Sprintf(" or %d more", len(values)-most)
	}
	if n := len(values); n > 1 {
		return strings.Join(values[:n-1], ", ") + " or " + values[n-1]
	}
	return values[0]
}

func percent(millionths int64) string {
	return strconv.FormatFloat(float64(millionths)/10_000, 'f', -1, 64)
}

// RuleError means that a wave's rule can't be used: correct the configuration.
type RuleError struct {
	Wave      string
	Index     int    // of the wave, from 0
	Criterion string // as in the configuration
	What      string
	Next      string
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("wave %q: %s: %s", e.Wave, e.Criterion, e.What)
}

// Hint is the next step to take.
func (e *RuleError) Hint() string { return e.Next }

// RuleErrors are everything found wrong with the rules, in their order.
type RuleErrors []*RuleError

func (es RuleErrors) Error() string { return joined(es) }

// Unwrap gives the single errors to errors.As and to printers.
func (es RuleErrors) Unwrap() []error { return unwrapped(es) }

func joined[E error](es []E) string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

func unwrapped[E error](es []E) []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// Selection is the compiled rules. It is not changed by use and safe for
// concurrent use.
type Selection struct {
	rules []Rule
	salt  string
	where []*transform.Predicate // by wave; nil: no such criterion
	users schemas.Table
}

// Names of what expressions know beside `user`, the user's row, and `key`, its
// legacy key: the paths (as in Rule.Departments) of the departments that the
// user is in, not those above them, and the aliases of its organizations.
const (
	userName          = "user"
	departmentsName   = "departments"
	organizationsName = "organizations"
)

// Compile checks rules as far as that is possible without users: names,
// criteria, expressions. Its error is RuleErrors.
func Compile(rules Rules) (*Selection, error) {
	s := &Selection{rules: rules.Waves, salt: rules.Salt, where: make([]*transform.Predicate, len(rules.Waves)), users: schemas.Entities()[schemas.Users]}
	var errs RuleErrors
	seen := map[string]bool{}
	for i, r := range rules.Waves {
		wrong := func(criterion, what, next string) {
			errs = append(errs, &RuleError{Wave: r.Name, Index: i, Criterion: criterion, What: what, Next: next})
		}
		switch {
		case r.Name == "":
			wrong(criterionName, "the wave has no name", "give it one")
		case seen[r.Name]:
			wrong(criterionName, "a second wave has this name", "give each wave its own name")
		case r.recorded() == "":
			wrong(criterionName, "it does not say which users it takes", "give it a criterion")
		}
		seen[r.Name] = true
		if r.Percent < 0 || r.Percent > whole {
			wrong(criterionPercent, percent(r.Percent)+" is out of range", "write a share over 0 and at most 100")
		}
		if r.Where == "" {
			continue
		}
		var err error
		if s.where[i], err = s.compileWhere(r.Where); err != nil {
			next := ""
			if h, ok := err.(interface{ Hint() string }); ok {
				next = h.Hint()
			}
			wrong(criterionWhere, err.Error(), next)
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return s, nil
}

func (s *Selection) compileWhere(expression string) (*transform.Predicate, error) {
	return transform.CompilePredicate(expression, transform.PredicateVars{
		Row: userName, Table: &s.users, Lists: []string{departmentsName, organizationsName},
	})
}

// Names lists the waves in order.
func (s *Selection) Names() []string {
	names := make([]string, len(s.rules))
	for i, r := range s.rules {
		names[i] = r.Name
	}
	return names
}

// Rule is the rule of a wave.
func (s *Selection) Rule(wave string) (Rule, bool) {
	i := s.index(wave)
	if i < 0 {
		return Rule{}, false
	}
	return s.rules[i], true
}

func (s *Selection) index(wave string) int {
	return slices.IndexFunc(s.rules, func(r Rule) bool { return r.Name == wave })
}
