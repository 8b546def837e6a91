package keymate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

const updatePassword = "UPDATE_PASSWORD"

// ProjectUser says what the realm will hold of a user and of what belongs to
// it.
func (t *Target) ProjectUser(u schemas.Bundle) (schemas.Bundle, []load.Note) {
	p := projector{cfg: &t.cfg, facts: t.facts()}
	p.notes.table = schemas.Users
	out := schemas.Bundle{User: p.user(u.User)}
	var more []load.Note
	var mustChange bool
	out.Credentials, mustChange, more = p.credentials(u.Credentials)
	if mustChange {
		const tb = schemas.Users
		put(tb, out.User, "required_actions", append(slices.Clone(texts(tb, out.User, "required_actions")), updatePassword))
	}
	var fromMemberships []load.Note
	out.Memberships, fromMemberships = projectMemberships(u.Memberships, p.membershipLimit())
	return out, slices.Concat(p.notes.list, more, fromMemberships)
}

// projector projects one user.
type projector struct {
	cfg   *Config
	facts *realmFacts
	notes notes
}

func (p *projector) user(row schemas.Row) schemas.Row {
	const tb = schemas.Users
	out := blankRow(tb, row.ID, row.Key)
	put(tb, out, "username", p.lower(row, "username"))
	put(tb, out, "email", p.email(row))
	put(tb, out, "email_verified", flag(tb, row, "email_verified") && text(tb, out, "email") != "")
	put(tb, out, "first_name", p.name(row, "first_name", "firstName"))
	put(tb, out, "last_name", p.name(row, "last_name", "lastName"))
	put(tb, out, "enabled", flag(tb, row, "enabled"))
	if at, ok := moment(tb, row, "expires_at"); ok {
		put(tb, out, "expires_at", at)
		p.notes.add(load.Kept, "expires_at", "kept in an attribute; Keycloak does not end accounts by itself")
	}
	if at, ok := moment(tb, row, "created_at"); ok {
		put(tb, out, "created_at", toMicros(toMillis(at)))
	}
	put(tb, out, "locale", p.locale(row))
	put(tb, out, "required_actions", p.actions(row))
	put(tb, out, "attributes", p.attributes(row))
	put(tb, out, "realm_roles", p.roles(row))
	put(tb, out, "groups", texts(tb, row, "groups"))
	put(tb, out, "federated_links", p.links(row))
	return out
}

func (p *projector) lower(row schemas.Row, column string) string {
	s := text(schemas.Users, row, column)
	low := schemas.LowerLogin(s)
	if low != s {
		p.notes.add(load.Changed, column, "lower-cased")
	}
	return low
}

// email leaves an address out that the server refuses in edits: an account
// that has one could not even be disabled.
func (p *projector) email(row schemas.Row) string {
	s := p.lower(row, "email")
	if s == "" || validEmail(s) && units(s) <= maxColumn {
		return s
	}
	p.notes.add(load.LeftOut, "email", "no e-mail address by the target's rules, so that the account could not be edited or disabled")
	return ""
}

// name leaves out characters that the server refuses in edits, for the same
// reason.
func (p *projector) name(row schemas.Row, column, attribute string) string {
	s := text(schemas.Users, row, column)
	if p.facts.Profile.validates(attribute, "person-name-prohibited-characters") {
		clean := strings.Join(strings.Fields(strings.Map(nameRune, s)), " ")
		if clean != s && strings.IndexFunc(s, func(r rune) bool { return nameRune(r) != r }) >= 0 {
			p.notes.add(load.Changed, column, "characters left out that the target's user profile refuses in names")
			s = clean
		}
	}
	limit := maxColumn
	if n, ok := p.facts.Profile.limit(attribute); ok {
		limit = min(limit, n)
	}
	if units(s) > limit {
		p.notes.add(load.LeftOut, column, fmt.Sprintf("longer than the %d characters that the target holds", limit))
		return ""
	}
	return bounded(s, maxColumn, column, &p.notes)
}

// nameRune is what becomes of a character in a person's name: those of
// Keycloak's person-name-prohibited-characters become spaces.
func nameRune(r rune) rune {
	switch {
	case strings.ContainsRune("<>&\"$%!#?§;*~/\\|^=[]{}()", r), unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return ' '
	}
	return r
}

// Keycloak's own pattern for e-mail addresses, after Hibernate Validator;
// compiled when first needed, which takes milliseconds.
var (
	emailLocal = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile("(?i)^(?:[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\uFFFF-]+(?:\\.[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\uFFFF-]+)*)$")
	})
	emailDomain = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile("(?i)^(?:[a-z0-9\u0080-\uFFFF](?:[a-z0-9\u0080-\uFFFF-]*[a-z0-9\u0080-\uFFFF])?)(?:\\.[a-z0-9\u0080-\uFFFF](?:[a-z0-9\u0080-\uFFFF-]*[a-z0-9\u0080-\uFFFF])?)*$")
	})
)

// validEmail accepts no address that the server refuses.
func validEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 {
		return false
	}
	local, domain := s[:at], s[at+1:]
	if units(local) > 64 || len(domain) > 255 || !emailLocal().MatchString(local) || !emailDomain().MatchString(domain) {
		return false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if len(label) > 63 {
			return false
		}
	}
	return true
}

func (p *projector) locale(row schemas.Row) string {
	s := bounded(text(schemas.Users, row, "locale"), maxColumn, "locale", &p.notes)
	if s != "" && !p.facts.localeNative() {
		p.notes.add(load.Kept, "locale", "kept in an attribute, since the realm speaks one language only")
	}
	return s
}

func (p *projector) actions(row schemas.Row) []string {
	return slices.DeleteFunc(asSet(texts(schemas.Users, row, "required_actions")), func(a string) bool {
		if slices.Contains(p.facts.requiredActions(), a) {
			return false
		}
		p.notes.add(load.LeftOut, fmt.Sprintf("required_actions[%q]", a), "the target does not know this action")
		return true
	})
}

func (p *projector) roles(row schemas.Row) []string {
	roles := slices.Clone(texts(schemas.Users, row, "realm_roles"))
	for i, role := range roles {
		if p.facts.foreignDefault(role) {
			roles[i] = p.facts.defaultRole()
			p.notes.add(load.Changed, "realm_roles", "another realm's default role replaced by this one's")
		}
	}
	roles = asSet(roles)
	if role := p.facts.defaultRole(); p.cfg.DefaultRole && !slices.Contains(roles, role) {
		roles = append(roles, role)
		p.notes.add(load.Changed, "realm_roles", "the realm's default role added")
	}
	return roles
}

// attributes are those that the account can hold and that later edits accept.
func (p *projector) attributes(row schemas.Row) map[string][]string {
	m := textMap(schemas.Users, row, "attributes")
	out := map[string][]string{}
	for _, name := range sortedKeys(m) {
		label := fmt.Sprintf("attributes[%q]", name)
		if !p.attributeName(name, label) {
			continue
		}
		limit, kept := p.valueLimit(name)
		if !kept {
			p.notes.add(load.LeftOut, label, "the realm's user profile does not declare it and drops what it does not declare")
			continue
		}
		if list := p.values(m[name], limit, label); len(list) > 0 {
			out[name] = list
		}
	}
	return out
}

func (p *projector) attributeName(name, label string) bool {
	if slices.Contains(forbiddenUserAttributes, strings.ToLower(name)) {
		p.notes.add(load.LeftOut, label, "Keycloak uses this name for a field of its own: map it to another")
		return false
	}
	return attributeName(name, label, &p.notes)
}

// valueLimit is the longest value of an attribute in UTF-16 units; false for
// one that the realm would drop.
func (p *projector) valueLimit(name string) (int, bool) {
	if slices.Contains(p.cfg.LongAttributes, name) {
		return p.cfg.AttributeLimit, true
	}
	return p.facts.Profile.limit(name)
}

func (p *projector) values(list []string, limit int, label string) []string {
	return slices.DeleteFunc(asSet(list), func(s string) bool {
		switch {
		case hasNUL(s):
			p.notes.add(load.LeftOut, label, "holds a NUL character, which the target's database refuses")
		case units(s) > limit:
			p.notes.add(load.LeftOut, label, fmt.Sprintf("longer than the %d characters that the target takes", limit))
		case !utf8.ValidString(s):
			p.notes.add(load.LeftOut, label, "no valid UTF-8")
		default:
			return false
		}
		return true
	})
}

// links are those to identity providers that the realm has: a link to another
// is dropped by the server without a word.
func (p *projector) links(row schemas.Row) map[string][]string {
	m := textMap(schemas.Users, row, "federated_links")
	out := map[string][]string{}
	for _, alias := range sortedKeys(m) {
		label := fmt.Sprintf("federated_links[%q]", alias)
		list := m[alias]
		switch {
		case !p.facts.AliasesKnown:
			p.notes.add(load.LeftOut, label, "the client may not read the realm's identity providers (view-identity-providers)")
		case !slices.Contains(p.facts.Aliases, alias):
			p.notes.add(load.LeftOut, label, "the realm has no identity provider of that alias")
		case len(list) != 2 || list[0] == "":
			p.notes.add(load.LeftOut, label, "want a user id and a user name")
		case bounded(list[0], maxColumn, label, &p.notes) == "" || list[1] != "" && bounded(list[1], maxColumn, label, &p.notes) == "":
		default:
			out[alias] = slices.Clone(list)
		}
	}
	return out
}

// membershipLimit is the longest text in which a membership can be kept.
func (p *projector) membershipLimit() int {
	n, ok := p.facts.Profile.limit(membershipsAttribute)
	if !ok {
		return 0
	}
	return min(n, maxMembershipValue)
}
