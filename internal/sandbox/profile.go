package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// profile is the realm's user profile: which attributes people have, who may see and set them, what they may hold.
type profile struct {
	rep        map[string]any // as GET shows it; replaced as a whole
	attributes map[string]*declared
	policy     string // of attributes that are not declared
}

type declared struct {
	name             string
	multivalued      bool
	requiredForAdmin bool
	requiredForUser  bool
	viewAdmin        bool
	editAdmin        bool
	editUser         bool
	validators       map[string]map[string]any
}

const unmanagedLimit = 2048 // of a value whose attribute has no length validator

// visible returns the attributes that an administrator sees.
func (p *profile) visible(u *user) map[string][]string {
	if len(u.attributes) == 0 {
		return nil
	}
	out := make(map[string][]string, len(u.attributes))
	for _, a := range u.attributes {
		if u.realm.hides(a.name) {
			continue
		}
		if d := p.attributes[a.name]; d != nil {
			if d.viewAdmin {
				out[a.name] = a.values
			}
		} else if p.policy != "" {
			out[a.name] = a.values
		}
	}
	return out
}

// ldapNames are attributes that the server keeps for itself: not even an administrator sees or changes them.
var ldapNames = map[string]bool{
	"kerberos_principal": true, "ldap_id": true, "ldap_entry_dn": true, "created_timestamp": true, "createtimestamp": true, "modifytimestamp": true,
}

// hides tells whether the server keeps an attribute out of sight. An import stores it all the same; another write of it is ignored.
func (re *realm) hides(name string) bool {
	switch name {
	case "locale":
		return !re.flag("internationalizationEnabled")
	case "terms_and_conditions", "kc.email.pending":
		return true
	}
	return ldapNames[strings.ToLower(name)]
}

// userChange is what a write through the profile will do; nothing has been done yet.
type userChange struct {
	re          *realm
	username    *string
	email       string
	first, last *string
	attributes  []attribute
}

var basicAttributes = []string{"username", "email", "firstName", "lastName"}

// change validates a user that somebody sent, as an administrator's write. u is nil for a new one.
//
// Without attributes in the body only the fields sent change. With them they are the whole truth, and e-mail, first and last name that
// are not sent are erased.
func (p *profile) change(re *realm, u *user, b *userBody) (*userChange, *reply) {
	raw := make(map[string][]string, len(b.attributes)+4)
	maps.Copy(raw, b.attributes)
	for name, v := range map[string]*string{"username": b.username, "email": b.email, "firstName": b.firstName, "lastName": b.lastName} {
		if v != nil {
			raw[name] = []string{*v}
		} else if name == "username" || name == "email" {
			delete(raw, name)
		}
	}
	existing := existingValues(u)
	if b.attributes == nil {
		for name, values := range existing {
			if _, sent := raw[name]; !sent {
				raw[name] = values
			}
		}
	}
	if _, sent := raw["username"]; !sent && u != nil {
		raw["username"] = []string{u.username}
	}
	errs, refused := p.validate(re, u, raw, existing)
	if refused != nil {
		return nil, refused
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b fieldError) int { return cmp.Compare(a.Field, b.Field) })
		r := fail(400, map[string]any{"errors": errs})
		if len(errs) == 1 {
			r = fail(400, errs[0])
		}
		return nil, &r
	}
	ch := &userChange{re: re}
	if name := strings.ToLower(first(raw["username"])); u != nil && name != u.username {
		ch.username = &name
	}
	ch.email = strings.ToLower(first(raw["email"]))
	ch.first, ch.last = kept("firstName", raw, existing), kept("lastName", raw, existing)
	ch.attributes = p.merge(re, raw, existing)
	return ch, nil
}

func existingValues(u *user) map[string][]string {
	m := map[string][]string{}
	if u == nil {
		return m
	}
	for _, a := range u.attributes {
		m[a.name] = a.values
	}
	m["username"] = []string{u.username}
	if u.email != "" {
		m["email"] = []string{u.email}
	}
	if u.has(hasFirst) {
		m["firstName"] = []string{u.first}
	}
	if u.has(hasLast) {
		m["lastName"] = []string{u.last}
	}
	return m
}

// merge puts the attributes sent together with those that the caller may not write, which stay.
func (p *profile) merge(re *realm, raw, existing map[string][]string) []attribute {
	closed := func(name string) bool {
		d := p.attributes[name]
		return re.hides(name) || d == nil && p.policy != "ENABLED" && p.policy != "ADMIN_EDIT" || d != nil && !d.editAdmin
	}
	final := map[string][]string{}
	for name, values := range raw {
		if closed(name) {
			continue
		}
		if !slices.Equal(values, existing[name]) {
			values = slices.DeleteFunc(slices.Clone(values), blank)
		}
		if len(values) > 0 {
			final[name] = values
		}
	}
	for name, values := range existing {
		if closed(name) {
			final[name] = values
		}
	}
	for _, name := range basicAttributes {
		delete(final, name)
	}
	return attributeList(final)
}

func attributeList(m map[string][]string) []attribute {
	list := make([]attribute, 0, len(m))
	for name, values := range m {
		list = append(list, attribute{name, values})
	}
	slices.SortFunc(list, func(a, b attribute) int { return cmp.Compare(a.name, b.name) })
	return list
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// badMailDomain tells whether what follows the @ is no domain in the eyes of the organizations.
func badMailDomain(email string) bool {
	_, after, hasAt := strings.Cut(email, "@")
	return hasAt && !domainName().MatchString(after)
}

// inEnabledOrganization tells whether an organization watches over the user's e-mail: it may be absent, but not emptied.
func (u *user) inEnabledOrganization() bool {
	return slices.ContainsFunc(u.organizations, func(o *organization) bool { return o.enabled })
}

func blank(v string) bool { return strings.TrimSpace(v) == "" }

// kept is a name as it will be: blank means none, unless it was so before (an import lets that pass).
func kept(name string, raw, existing map[string][]string) *string {
	values := raw[name]
	if len(values) == 0 || blank(values[0]) && !slices.Equal(values, existing[name]) {
		return nil
	}
	return &values[0]
}

// tooLong tells whether the database would refuse what the validators let pass.
func (ch *userChange) tooLong() bool {
	for _, a := range ch.attributes {
		if badText(a.name, 255) || slices.ContainsFunc(a.values, func(v string) bool { return badText(v, 0) }) {
			return true
		}
	}
	return badText(ch.email, 255) || ch.first != nil && badText(*ch.first, 255) || ch.last != nil && badText(*ch.last, 255)
}

func (ch *userChange) apply(s *Server, u *user) {
	if ch.username != nil {
		ch.re.rename(u, *ch.username)
	}
	ch.re.setEmail(u, ch.email)
	u.setFirst(ch.first)
	u.setLast(ch.last)
	for i := range ch.attributes {
		ch.attributes[i].name = s.intern(ch.attributes[i].name)
	}
	u.attributes = ch.attributes
}

func (u *user) setFirst(v *string) {
	u.set(hasFirst, v != nil)
	u.first = ""
	if v != nil {
		u.first = *v
	}
}

func (u *user) setLast(v *string) {
	u.set(hasLast, v != nil)
	u.last = ""
	if v != nil {
		u.last = *v
	}
}

func (p *profile) validate(re *realm, u *user, raw, existing map[string][]string) ([]fieldError, *reply) {
	refuse := func(r reply) ([]fieldError, *reply) { return nil, &r }
	username, email := strings.ToLower(first(raw["username"])), strings.ToLower(first(raw["email"]))
	if u != nil && re.organizationsEnabled && len(re.orgs) > 0 && badMailDomain(u.email) && !u.inEnabledOrganization() {
		// The server looks an organization up by the domain of the e-mail that stands there now, and falls over. Such an
		// account, which only an import lets in, cannot be changed any more, not even its e-mail.
		return refuse(couldNotUpdate())
	}
	if strings.TrimSpace(username) == "" && (u == nil || username != u.username) {
		return refuse(message(400, "User name is missing"))
	}
	if strings.IndexByte(username, 0) >= 0 || strings.IndexByte(email, 0) >= 0 { // the look-up in the database fails
		if u != nil {
			return refuse(couldNotUpdate())
		}
		return refuse(unknownError())
	}
	if other := re.emails[email]; email != "" && other != nil && other != u && !re.flag("duplicateEmailsAllowed") {
		return refuse(message(409, "User exists with same email"))
	}
	if other := re.users[username]; other != nil && other != u {
		return refuse(message(409, "User exists with same username"))
	}
	var errs []fieldError
	if values, sent := raw["email"]; sent {
		member := u != nil && u.inEnabledOrganization()
		switch {
		case member && blank(first(values)):
			errs = append(errs, fieldError{"email", "Email not set", []any{"email"}})
		case member && !validEmail(email):
			errs = append(errs, fieldError{"email", "error-invalid-email", []any{"email", first(values)}}) // and once more below
		}
	}
	readOnlyUsername := u != nil && !re.flag("editUsernameAllowed")
	for name, values := range raw {
		d := p.attributes[name]
		switch {
		case ldapNames[strings.ToLower(name)]:
			if !slices.Equal(values, existing[name]) {
				errs = append(errs, fieldError{name, "updateReadOnlyAttributesRejectedMessage", []any{name}})
			}
		case name == "username" && readOnlyUsername:
			if username != u.username {
				errs = append(errs, fieldError{name, "error-user-attribute-read-only", []any{name}})
				errs = append(errs, d.check(values)...)
			}
		case d != nil && !d.editAdmin:
			if !slices.Equal(values, existing[name]) {
				errs = append(errs, fieldError{name, "error-user-attribute-read-only", []any{name}})
			}
		case d != nil:
			errs = append(errs, d.check(values)...)
		case p.policy == "ENABLED" || p.policy == "ADMIN_EDIT":
			errs = append(errs, checkLength(name, values, map[string]any{"min": 0, "max": unmanagedLimit})...)
		}
	}
	for name, d := range p.attributes {
		if d.requiredForAdmin && d.editAdmin && strings.TrimSpace(first(raw[name])) == "" {
			errs = append(errs, fieldError{name, "error-user-attribute-required", []any{name}})
		}
	}
	return errs, nil
}

// profileComplete tells whether a login would not be stopped by VERIFY_PROFILE: what the person has to fill in is there and valid.
func (re *realm) profileComplete(u *user) bool {
	values := existingValues(u)
	for name, d := range re.profile.attributes {
		if !d.editUser || name == "username" && !re.flag("editUsernameAllowed") {
			continue
		}
		if d.requiredForUser && strings.TrimSpace(first(values[name])) == "" {
			return false
		}
		if len(d.check(values[name])) > 0 {
			return false
		}
	}
	return true
}

func (d *declared) check(values []string) []fieldError {
	if !d.multivalued && len(values) > 1 {
		return []fieldError{{d.name, "error-invalid-multivalued-size", []any{d.name, 0, 1}}}
	}
	var errs []fieldError
	if _, has := d.validators["length"]; !has {
		errs = append(errs, checkLength(d.name, values, map[string]any{"min": 0, "max": unmanagedLimit})...)
	}
	for kind, config := range d.validators {
		if v := validators[kind]; v != nil {
			errs = append(errs, v(d.name, values, config)...)
		}
	}
	return errs
}

// validator checks an attribute's values. Empty values are not looked at, except by length.
type validator func(name string, values []string, config map[string]any) []fieldError

// validators are those that this server knows. nil: known by name, and passing everything.
var validators = map[string]validator{
	"length":  checkLength,
	"integer": checkNumber(func(s string) (float64, error) { n, err := strconv.ParseInt(s, 10, 64); return float64(n), err }, false),
	"double":  checkNumber(func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }, true),
	"pattern": checkPattern,
	"options": checkOptions,
	"email": perValue(func(name, v string) *fieldError {
		if validEmail(v) {
			return nil
		}
		return &fieldError{name, "error-invalid-email", []any{name, v}}
	}),
	"uri": perValue(func(name, v string) *fieldError {
		if u, err := url.Parse(v); err == nil && u.Scheme != "" && (u.Scheme == "http" || u.Scheme == "https") {
			return nil
		}
		return &fieldError{name, "error-invalid-uri", []any{name, v}}
	}),
	"local-date": nil,
	"iso-date": perValue(func(name, v string) *fieldError {
		if _, err := time.Parse(time.DateOnly, v); err == nil {
			return nil
		}
		return &fieldError{name, "error-invalid-date", []any{name, v}}
	}),
	"multivalued":                       checkCount,
	"person-name-prohibited-characters": prohibited(`<>&"$%!#?§;*~/\|^=[]{}()`, false, "error-person-name-invalid-character"),
	"username-prohibited-characters":    prohibited(`<>&"'$%!#?§,;:*~/\|^=[]{}()`+"`", true, "error-username-invalid-character"),
	"up-username-not-idn-homograph": perValue(func(name, v string) *fieldError {
		if latinOrCommon().MatchString(v) {
			return nil
		}
		return &fieldError{name, "error-username-invalid-character", []any{name}}
	}),
}

var latinOrCommon = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\p{Latin}\p{Common}]+$`) })

func perValue(check func(name, value string) *fieldError) validator {
	return func(name string, values []string, _ map[string]any) []fieldError {
		for _, v := range values {
			if v == "" {
				continue
			}
			if e := check(name, v); e != nil {
				return []fieldError{*e}
			}
		}
		return nil
	}
}

func prohibited(characters string, blanks bool, text string) validator {
	return perValue(func(name, v string) *fieldError {
		for _, r := range v {
			if strings.ContainsRune(characters, r) || r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 ||
				blanks && (r == ' ' || r == 0xa0) {
				return &fieldError{name, text, []any{name}}
			}
		}
		return nil
	})
}

func limit(config map[string]any, key string) (any, float64, bool) {
	switch v := config[key].(type) {
	case int:
		return v, float64(v), true
	case float64:
		return v, v, true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return json.Number(v), f, err == nil
	}
	return nil, 0, false
}

func checkLength(name string, values []string, config map[string]any) []fieldError {
	least, low, hasMin := limit(config, "min")
	most, high, hasMax := limit(config, "max")
	for _, v := range values {
		if v == "" {
			continue
		}
		n := float64(utf16Length(strings.TrimSpace(v)))
		if (!hasMin || n >= low) && (!hasMax || n <= high) {
			continue
		}
		text := "error-invalid-length"
		switch {
		case !hasMin:
			text = "error-invalid-length-too-long"
		case !hasMax:
			text = "error-invalid-length-too-short"
		}
		return []fieldError{{name, text, []any{name, least, most}}}
	}
	return nil
}

// utf16Length is Java's idea of a string's length.
func utf16Length(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

func checkNumber(read func(string) (float64, error), fraction bool) validator {
	return func(name string, values []string, config map[string]any) []fieldError {
		show := func(v any, has bool) any {
			if f, isFloat := v.(float64); has && isFloat && fraction && f == float64(int64(f)) {
				return json.Number(strconv.FormatFloat(f, 'f', 1, 64))
			}
			return v
		}
		least, low, hasMin := limit(config, "min")
		most, high, hasMax := limit(config, "max")
		for _, v := range values {
			if v == "" {
				continue
			}
			n, err := read(v)
			if err != nil {
				return []fieldError{{name, "error-invalid-number", []any{name}}}
			}
			if (!hasMin || n >= low) && (!hasMax || n <= high) {
				continue
			}
			text := "error-number-out-of-range"
			switch {
			case !hasMin:
				text = "error-number-out-of-range-too-big"
			case !hasMax:
				text = "error-number-out-of-range-too-small"
			}
			return []fieldError{{name, text, []any{name, show(least, hasMin), show(most, hasMax)}}}
		}
		return nil
	}
}

func checkPattern(name string, values []string, config map[string]any) []fieldError {
	pattern, _ := config["pattern"].(string)
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	for _, v := range values {
		if v == "" || err == nil && re.MatchString(v) {
			continue
		}
		text, _ := config["error-message"].(string)
		if text == "" {
			text = "error-pattern-no-match"
		}
		return []fieldError{{name, text, []any{name, pattern}}}
	}
	return nil
}

func checkOptions(name string, values []string, config map[string]any) []fieldError {
	options, _ := config["options"].([]any)
	for _, v := range values {
		if v != "" && !slices.Contains(options, any(v)) {
			return []fieldError{{name, "error-invalid-value", []any{name}}}
		}
	}
	return nil
}

func checkCount(name string, values []string, config map[string]any) []fieldError {
	least, low, hasMin := limit(config, "min")
	most, high, hasMax := limit(config, "max")
	if !hasMin {
		least = 0
	}
	n := float64(len(values))
	if n < low || hasMax && n > high {
		return []fieldError{{name, "error-invalid-multivalued-size", []any{name, least, most}}}
	}
	return nil
}

var (
	emailLocal = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile("(?i)^(?:[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\uffff-]+(?:\\.[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\uffff-]+)*|\"[^\"]*\")$")
	})
	emailDomain = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile("(?i)^[a-z0-9\u0080-\uffff](?:[a-z0-9\u0080-\uffff-]*[a-z0-9\u0080-\uffff])?(?:\\.[a-z0-9\u0080-\uffff](?:[a-z0-9\u0080-\uffff-]*[a-z0-9\u0080-\uffff])?)*$")
	})
)

func validEmail(v string) bool {
	at := strings.LastIndexByte(v, '@')
	if at < 1 || utf8.RuneCountInString(v[:at]) > 64 || len(v) > 254+64 {
		return false
	}
	return emailLocal().MatchString(v[:at]) && emailDomain().MatchString(v[at+1:])
}

const defaultProfile = `{"attributes":[
{"name":"username","displayName":"${username}","validations":{"length":{"min":3,"max":255},"username-prohibited-characters":{},"up-username-not-idn-homograph":{}},"permissions":{"view":["admin","user"],"edit":["admin","user"]},"multivalued":false},
{"name":"email","displayName":"${email}","validations":{"email":{},"length":{"max":255}},"required":{"roles":["user"]},"permissions":{"view":["admin","user"],"edit":["admin","user"]},"multivalued":false},
{"name":"firstName","displayName":"${firstName}","validations":{"length":{"max":255},"person-name-prohibited-characters":{}},"required":{"roles":["user"]},"permissions":{"view":["admin","user"],"edit":["admin","user"]},"multivalued":false},
{"name":"lastName","displayName":"${lastName}","validations":{"length":{"max":255},"person-name-prohibited-characters":{}},"required":{"roles":["user"]},"permissions":{"view":["admin","user"],"edit":["admin","user"]},"multivalued":false}],
"groups":[{"name":"user-metadata","displayHeader":"User metadata","displayDescription":"Attributes, which refer to user metadata"}]}`

func stockProfile(policy string) *profile {
	var rep map[string]any
	if err := json.Unmarshal([]byte(defaultProfile), &rep); err != nil {
		panic(err)
	}
	if policy != "" {
		rep["unmanagedAttributePolicy"] = policy
	}
	p, complaint := newProfile(rep)
	if complaint != "" {
		panic(complaint)
	}
	return p
}

var attributeName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// newProfile reads a profile; the complaint is the server's.
func newProfile(rep map[string]any) (p *profile, complaint string) {
	p = &profile{rep: rep, attributes: map[string]*declared{}}
	p.policy, _ = rep["unmanagedAttributePolicy"].(string)
	groups := map[string]bool{}
	for _, g := range asList(rep["groups"]) {
		name, _ := asMap(g)["name"].(string)
		groups[name] = true
	}
	for _, a := range asList(rep["attributes"]) {
		m := asMap(a)
		if _, has := m["multivalued"]; !has {
			m["multivalued"] = false
		}
		name, _ := m["name"].(string)
		if !attributeName.MatchString(name) {
			return nil, fmt.Sprintf("[Invalid attribute name (only letters, numbers and '.' '_' '-' special characters allowed): %s']", name)
		}
		if p.attributes[name] != nil {
			return nil, fmt.Sprintf("[Attribute configuration already exists with 'name':'%s']", name)
		}
		d := &declared{name: name, validators: map[string]map[string]any{}}
		d.multivalued, _ = m["multivalued"].(bool)
		for kind, config := range asMap(m["validations"]) {
			if _, known := validators[kind]; !known {
				return nil, fmt.Sprintf("[Validator '%s' defined for attribute '%s' doesn't exist]", kind, name)
			}
			d.validators[kind] = asMap(config)
		}
		if group, has := m["group"].(string); has && !groups[group] {
			return nil, fmt.Sprintf("[Attribute '%s' references unknown group '%s']", name, group)
		}
		permissions := asMap(m["permissions"])
		edit, view := asList(permissions["edit"]), asList(permissions["view"])
		d.editAdmin, d.editUser = slices.Contains(edit, any("admin")), slices.Contains(edit, any("user"))
		d.viewAdmin = d.editAdmin || slices.Contains(view, any("admin"))
		if required, has := m["required"].(map[string]any); has {
			roles := asList(required["roles"])
			d.requiredForAdmin = len(roles) == 0 && len(asList(required["scopes"])) == 0 || slices.Contains(roles, any("admin"))
			d.requiredForUser = d.requiredForAdmin && len(roles) == 0 || slices.Contains(roles, any("user"))
		}
		p.attributes[name] = d
	}
	for _, name := range []string{"username", "email"} {
		if p.attributes[name] == nil {
			return nil, fmt.Sprintf("[The attribute '%s' can not be removed]", name)
		}
	}
	return p, ""
}

func asList(v any) []any {
	l, _ := v.([]any)
	return l
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func (c *call) putProfile() reply {
	attributes := each(func(raw json.RawMessage) error {
		return object(raw, "UPAttribute", fields{
			"name": nil, "displayName": nil, "validations": nil, "annotations": nil, "required": nil, "permissions": nil, "selector": nil,
			"group": nil, "multivalued": nil, "defaultValue": nil,
		})
	}, func() {})
	groups := each(func(raw json.RawMessage) error {
		return object(raw, "UPGroup", fields{"name": nil, "displayHeader": nil, "displayDescription": nil, "annotations": nil})
	}, func() {})
	err := c.read("UPConfig", fields{"attributes": attributes, "groups": groups, "unmanagedAttributePolicy": func(raw json.RawMessage) error {
		var v *string
		if err := text(&v)(raw); err != nil {
			return err
		}
		if v != nil && !slices.Contains([]string{"ENABLED", "ADMIN_EDIT", "ADMIN_VIEW"}, *v) {
			return errShape
		}
		return nil
	}})
	switch {
	case errors.Is(err, errEmpty):
		return unknownError()
	case err != nil:
		return decodeFailed(err)
	}
	var rep map[string]any
	if json.Unmarshal(c.body, &rep) != nil {
		return decodeFailed(errSyntax)
	}
	if rep["groups"] == nil {
		rep["groups"] = []any{}
	}
	if rep["unmanagedAttributePolicy"] == nil {
		delete(rep, "unmanagedAttributePolicy")
	}
	if len(asList(rep["attributes"])) == 0 { // reset to the stock profile
		c.re.profile = stockProfile("")
		return ok(map[string]any{"groups": []any{}})
	}
	p, complaint := newProfile(rep)
	if complaint != "" {
		return message(400, complaint)
	}
	c.re.profile = p
	return ok(rep)
}
