package transform

import (
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/internal/mask"
	"github.com/parallelrun/parallelrun/schemas"
)

// checker holds a row against what the target can hold, before it is ever
// sent: the target's own import path accepts much that locks people out, and
// answers the rest without a reason.
type checker struct {
	profile  schemas.TargetProfile
	declared map[string]bool
	reserved map[string]bool
	actions  map[string]bool
}

func newChecker(p schemas.TargetProfile) *checker {
	set := func(l []string) map[string]bool {
		m := make(map[string]bool, len(l))
		for _, s := range l {
			m[s] = true
		}
		return m
	}
	return &checker{profile: p, declared: set(p.DeclaredAttributes), reserved: set(p.ReservedAttributes), actions: set(p.RequiredActions)}
}

// check notes every rule that a candidate by itself breaks.
func (ck *checker) check(c *candidate) {
	if len(c.failures) > 0 && c.failures[0].rule == RuleUnreadRow {
		return // all of it is missing; one reason is enough
	}
	ck.required(c)
	ck.characters(c)
	switch c.rule.entity.id {
	case organizationEntity:
		ck.organization(c)
	case departmentEntity, groupEntity, departmentTemplateEntity:
		ck.groupName(c, "name")
	case userEntity:
		ck.user(c)
	}
	ck.attributes(c)
	ck.template(c)
}

func (ck *checker) required(c *candidate) {
	for _, name := range c.rule.entity.required {
		if c.text(name) == "" && !c.failedField(name) {
			c.fail(RuleRequired, name, fmt.Sprintf("%s is empty: fill it in the source, or give the mapping an expression that does", name))
		}
	}
}

func (c *candidate) failedField(name string) bool {
	return slices.ContainsFunc(c.failures, func(f failure) bool { return f.field == name })
}

// characters refuses NUL and other control characters in columns, where the
// target's database refuses them or people can't see them, and NUL anywhere.
func (ck *checker) characters(c *candidate) {
	for i, col := range c.rule.entity.table.Columns {
		if i == c.rule.entity.attributes {
			continue
		}
		for _, s := range textsOf(c.values[i]) {
			multiline := col.Name == "description"
			if bad := controlIn(s, multiline); bad != "" {
				c.fail(RuleControl, col.Name, fmt.Sprintf("the value holds %s: correct it in the source, or replace it in the mapping", bad))
				break
			}
		}
	}
	attrs := c.attributeMap()
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		for _, s := range attrs[name] {
			if !utf8.ValidString(s) {
				c.fail(RuleInvalidUTF8, attributeField(c.rule.entity, name), "a value is no valid UTF-8: use base64() for binary values")
				break
			}
			if strings.ContainsRune(s, 0) {
				c.fail(RuleControl, attributeField(c.rule.entity, name), "a value holds NUL, which the target can't store: use base64() for binary values")
				break
			}
		}
	}
}

func textsOf(v any) []string {
	switch x := v.(type) {
	case string:
		return []string{x}
	case []string:
		return x
	case map[string][]string:
		var out []string
		for k, l := range x {
			out = append(append(out, k), l...)
		}
		return out
	}
	return nil
}

func controlIn(s string, multiline bool) string {
	if !utf8.ValidString(s) {
		return "bytes that are no UTF-8"
	}
	for _, r := range s {
		switch {
		case r == 0:
			return "NUL"
		case multiline && (r == '\n' || r == '\r' || r == '\t'):
		case unicode.IsControl(r), r == '\u2028', r == '\u2029', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return fmt.Sprintf("the control character %U", r)
		}
	}
	return ""
}

func (ck *checker) tooLong(c *candidate, column string, limit int) {
	s := c.text(column)
	if n := utf8.RuneCountInString(s); limit > 0 && n > limit {
		c.fail(RuleTooLong, column, fmt.Sprintf("%s has %d characters, the target takes %d: shorten it in the source or in the mapping", column, n, limit))
	}
}

func (ck *checker) user(c *candidate) {
	ck.tooLong(c, "username", ck.profile.MaxUsername)
	ck.tooLong(c, "email", ck.profile.MaxEmail)
	ck.tooLong(c, "first_name", ck.profile.MaxName)
	ck.tooLong(c, "last_name", ck.profile.MaxName)
	if u := c.text("username"); u != "" && strings.TrimSpace(u) != u {
		c.fail(RuleUsername, "username", "the username starts or ends with a blank: use trim(...) in the mapping: "+mask.Value(u))
	}
	if e := c.text("email"); e != "" && !isEmail(e) {
		c.fail(RuleEmail, "email", "not an e-mail address: correct it in the source, or let the mapping leave it empty: "+mask.Value(e))
	}
	for _, a := range textsOf(c.values[c.rule.entity.table.Column("required_actions")]) {
		if len(ck.actions) > 0 && !ck.actions[a] {
			c.fail(RuleAction, "required_actions", fmt.Sprintf("the target knows no required action %q%s", clip(a), known(ck.actions)))
		}
	}
}

// clip bounds names that come from the mapping or the source in messages.
func clip(s string) string {
	if utf8.RuneCountInString(s) > 40 {
		return string([]rune(s)[:40]) + "…"
	}
	return s
}

func known(set map[string]bool) string {
	return ": known are " + strings.Join(slices.Sorted(maps.Keys(set)), ", ")
}

// isEmail holds an address against what the target's own validation takes:
// one bare address with a domain, lengths as in RFC 5321.
func isEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Name != "" || a.Address != s || strings.ContainsAny(s, " \t\"<>()") {
		return false
	}
	local, domain, _ := strings.Cut(s, "@")
	if len(local) > 64 || len(domain) > 255 || strings.HasSuffix(domain, ".") {
		return false
	}
	for _, label := range strings.Split(domain, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return !strings.HasPrefix(domain, "[")
}

func (ck *checker) organization(c *candidate) {
	ck.tooLong(c, "alias", ck.profile.MaxGroupName)
	ck.tooLong(c, "name", ck.profile.MaxGroupName)
	if a := c.text("alias"); strings.ContainsFunc(a, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`/\?#%&;:"<>|*`, r) }) {
		c.fail(RuleAlias, "alias", "an alias stands in URLs: blanks and the characters / \\ ? # % & ; : \" < > | * are not taken")
	}
	i := c.rule.entity.table.Column("domains")
	for _, d := range textsOf(c.values[i]) {
		if !isDomain(d) {
			c.fail(RuleAlias, "domains", "not a domain name: "+mask.Value(d))
		}
	}
}

func isDomain(d string) bool {
	return isEmail("x@" + d)
}

// groupName checks names that become part of a path, where a slash would make
// another group of them.
func (ck *checker) groupName(c *candidate, column string) {
	ck.tooLong(c, column, ck.profile.MaxGroupName)
	if strings.Contains(c.text(column), "/") {
		c.fail(RuleSlash, column, "the name holds a slash, which breaks paths in the target: replace it in the mapping, as in row.x.replace(\"/\", \"-\")")
	}
}

func (ck *checker) attributes(c *candidate) {
	attrs := c.attributeMap()
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		field := attributeField(c.rule.entity, name)
		switch {
		case ck.reserved[name]:
			c.fail(RuleReserved, field, fmt.Sprintf("the attribute name %q is used by the tool itself: give it another name in the mapping", clip(name)))
		case !validAttributeName(name):
			c.fail(RuleAttributeName, field, fmt.Sprintf("the target takes no attribute name %q: give it another name in the mapping", clip(name)))
		case ck.profile.MaxAttributeName > 0 && utf8.RuneCountInString(name) > ck.profile.MaxAttributeName:
			c.fail(RuleTooLong, field, fmt.Sprintf("an attribute name has %d characters, the target takes %d", utf8.RuneCountInString(name), ck.profile.MaxAttributeName))
		case c.rule.entity.id == userEntity && !ck.profile.UndeclaredAttributes && !ck.declared[name]:
			c.fail(RuleUndeclared, field, fmt.Sprintf("the target's user profile does not declare %q: declare it there, or leave it out", clip(name)))
		}
	}
}

func validAttributeName(name string) bool {
	return name != "" && controlIn(name, false) == "" && strings.TrimSpace(name) == name
}

func (ck *checker) template(c *candidate) {
	t := c.rule.template
	if t == nil {
		return
	}
	for _, v := range t.schema.Attributes(c.attributeMap()) {
		field := attributeField(c.rule.entity, v.Property)
		c.fail(RuleTemplate, field, fmt.Sprintf("template %s: %s", t.name, v.Message))
	}
}
