package keymate

import (
	"maps"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// noCreationDate stands in createdAttribute for a user whose source has no
// creation date: Keycloak always has one.
const noCreationDate = "none"

// writeUser makes a user's fields as the server takes them, without
// credentials, roles and groups. The bundle is in projected form; made is when
// the account was created in the target, nil for one that is about to be.
func writeUser(f *realmFacts, u schemas.Bundle, made *int64) userRep {
	const tb = schemas.Users
	enabled, verified := flag(tb, u.User, "enabled"), flag(tb, u.User, "email_verified")
	actions := texts(tb, u.User, "required_actions")
	if actions == nil {
		actions = []string{} // so that those of the account go
	}
	return userRep{
		Username:        text(tb, u.User, "username"),
		Email:           text(tb, u.User, "email"),
		EmailVerified:   &verified,
		FirstName:       text(tb, u.User, "first_name"),
		LastName:        text(tb, u.User, "last_name"),
		Enabled:         &enabled,
		RequiredActions: &actions,
		Attributes:      writeAttributes(f, u, made),
	}
}

// writeAttributes makes the whole attribute map: the user's own, the anchor,
// and what is encoded.
func writeAttributes(f *realmFacts, u schemas.Bundle, made *int64) map[string][]string {
	const tb = schemas.Users
	m := cloneMap(textMap(tb, u.User, "attributes"))
	m[anchorAttribute] = []string{u.User.Key}
	if at, ok := moment(tb, u.User, "expires_at"); ok {
		m[expiresAttribute] = []string{formatTime(at)}
	}
	switch at, ok := moment(tb, u.User, "created_at"); {
	case !ok:
		m[createdAttribute] = []string{noCreationDate}
	case made != nil && toMicros(*made) != at:
		m[createdAttribute] = []string{formatTime(at)}
	}
	if s := text(tb, u.User, "locale"); s != "" {
		name := localeAttribute
		if f.localeNative() {
			name = nativeLocale
		}
		m[name] = []string{s}
	}
	if values := encodeMemberships(u.Memberships); len(values) > 0 {
		m[membershipsAttribute] = values
	}
	return m
}

// readUser makes the row of a user that the server has, in the form of the
// projection. Roles, groups and links are filled in by the observer.
func readUser(id schemas.RowID, key string, u *userRep) schemas.Row {
	const tb = schemas.Users
	row := blankRow(tb, id, key)
	put(tb, row, "username", u.Username)
	put(tb, row, "email", u.Email)
	put(tb, row, "email_verified", u.EmailVerified != nil && *u.EmailVerified)
	put(tb, row, "first_name", u.FirstName)
	put(tb, row, "last_name", u.LastName)
	put(tb, row, "enabled", u.Enabled != nil && *u.Enabled)
	if at, ok := parseTime(first(u.Attributes[expiresAttribute])); ok {
		put(tb, row, "expires_at", at)
	}
	if at, ok := createdAt(u); ok {
		put(tb, row, "created_at", at)
	}
	put(tb, row, "locale", locale(u))
	if u.RequiredActions != nil {
		put(tb, row, "required_actions", *u.RequiredActions)
	}
	put(tb, row, "attributes", ownAttributes(u.Attributes))
	return row
}

// createdAt is the account's creation date, unless we noted another: a date
// can't be changed in Keycloak once the account is there.
func createdAt(u *userRep) (micros int64, ok bool) {
	noted := first(u.Attributes[createdAttribute])
	if noted == noCreationDate {
		return 0, false
	}
	if at, ok := parseTime(noted); ok {
		return at, true
	}
	if u.CreatedTimestamp == nil {
		return 0, false
	}
	return toMicros(*u.CreatedTimestamp), true
}

func locale(u *userRep) string {
	if s := first(u.Attributes[nativeLocale]); s != "" {
		return s
	}
	return first(u.Attributes[localeAttribute])
}

// ownAttributes are those that are the user's: without the anchor, what is
// encoded, and the language.
func ownAttributes(m map[string][]string) map[string][]string {
	own := asSets(m)
	maps.DeleteFunc(own, func(name string, _ []string) bool {
		return reserved(name) || strings.EqualFold(name, nativeLocale)
	})
	return own
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
