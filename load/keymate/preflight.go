package keymate

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// Preflight checks that the realm can be loaded and says what it can hold.
func (t *Target) Preflight(ctx context.Context) (schemas.TargetProfile, error) {
	f, err := t.refresh(ctx)
	if err != nil {
		return schemas.TargetProfile{}, err
	}
	if err := t.fit(f); err != nil {
		return schemas.TargetProfile{}, err
	}
	if err := t.rights(ctx); err != nil {
		return schemas.TargetProfile{}, err
	}
	p := t.profile(f)
	p.RealmRoles, err = t.names.roleNames(ctx)
	p.RealmRoles = asSet(append(p.RealmRoles, t.cfg.Roles...))
	if err == nil {
		t.learnRoles(f, p.RealmRoles)
	}
	return p, err
}

// learnRoles adds the realm's roles to what is known of it.
func (t *Target) learnRoles(f *realmFacts, roles []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	more := *f
	more.Roles = roles
	t.realm = &more
}

// fit refuses a realm whose settings would spoil the load.
func (t *Target) fit(f *realmFacts) error {
	refuse := func(message, hint string) error {
		return &load.Error{Class: load.Setup, Op: "check the realm " + f.Realm, Message: message, Hint: hint}
	}
	switch {
	case !f.Enabled:
		return refuse("the realm is disabled", "switch it on in its settings")
	case !f.OrganizationsEnabled:
		return refuse("organizations are switched off", "switch them on in the realm's settings")
	case f.EmailAsUsername:
		return refuse("the realm takes the e-mail address as user name and would rename people", "switch 'email as username' off in the realm's login settings")
	}
	return nil
}

// rights proves what the service account may do without writing: an import of
// nobody needs the same right as one of many. What can't be tried is read from
// the token, where it says.
func (t *Target) rights(ctx context.Context) error {
	_, err := t.http.do(ctx, call{op: "try the right to import", method: http.MethodPost, path: "/partialImport",
		body: map[string]any{"ifResourceExists": "FAIL", "users": []any{}}})
	if err != nil {
		return err
	}
	for _, path := range []string{"/users/count", "/organizations/count", "/groups/count"} {
		if err := t.http.get(ctx, "try the right to read", path, nil, nil); err != nil {
			return err
		}
	}
	token, err := t.http.tokens.get(ctx, "")
	if err != nil {
		return err
	}
	if granted := managementRoles(token); granted != nil && !slices.Contains(granted, "realm-admin") && !slices.Contains(granted, "manage-users") {
		return &load.Error{Class: load.Setup, Op: "check the client's rights", Message: "the service account lacks manage-users",
			Hint: "give it the realm-management roles manage-users, manage-realm and manage-organizations"}
	}
	return nil
}

// managementRoles reads the token's roles of the client realm-management; nil
// for a token that does not say. It is our own token: nothing is trusted here.
func managementRoles(token string) []string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var claims struct {
		Access map[string]struct{ Roles []string } `json:"resource_access"`
	}
	if json.Unmarshal(b, &claims) != nil {
		return nil
	}
	return claims.Access["realm-management"].Roles
}

// profile says what the realm can hold.
func (t *Target) profile(f *realmFacts) schemas.TargetProfile {
	p := schemas.TargetProfile{
		Dialect:              "keycloak",
		Columns:              support(f),
		LowerCase:            true,
		UniqueEmail:          !f.DuplicateEmails,
		MaxUsername:          maxColumn,
		MaxEmail:             maxColumn,
		MaxName:              maxColumn,
		MaxGroupName:         maxColumn,
		MaxAttributeName:     maxColumn,
		MaxAttributeValue:    t.cfg.AttributeLimit,
		MaxGroupAttribute:    maxColumn,
		DeclaredAttributes:   f.Profile.names(),
		UndeclaredAttributes: f.Profile.undeclared(),
		AttributeRules:       f.Profile.rules(),
		SelfEdited:           f.Profile.selfEdited(),
		SelfEditsUndeclared:  f.Profile.Unmanaged == "ENABLED",
		SelfRegistration:     f.Registration,
		ReservedAttributes: append([]string{anchorAttribute, membershipsAttribute, expiresAttribute, createdAttribute, localeAttribute,
			realmRolesAttribute, templateAttribute, propertyTemplateAttribute}, forbiddenUserAttributes...),
		RequiredActions: f.requiredActions(),
		Remarks:         t.remarks(f),
	}
	for name, s := range schemes {
		if f.hashes(s.provider) {
			p.PasswordSchemes = append(p.PasswordSchemes, name)
		}
	}
	slices.Sort(p.PasswordSchemes)
	return p
}

// remarks are what an operator should know before the run; none of it stops it.
func (t *Target) remarks(f *realmFacts) []string {
	var out []string
	add := func(when bool, format string, a ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, a...))
		}
	}
	_, anchored := f.Profile.limit(anchorAttribute)
	add(!anchored, "the user profile drops undeclared attributes, ours among them: prepare declares them")
	add(f.VerifyEmail && len(f.SMTP) > 0, "the realm verifies e-mail addresses and has a mail server: people with an unverified address get mail at their first login")
	add(!f.EditUsername, "user names can't be changed in this realm: who is renamed in the source keeps the old one, as a conflict, until 'edit username' is on")
	add(f.AdminEventsEnabled, "admin events are on: the load writes a row for each request%s", map[bool]string{true: ", with all that it carries"}[f.AdminEventsDetails])
	add(!f.EventsEnabled, "user events are off: logins and password changes in the target leave no trace to read later")
	add(f.DuplicateEmails, "the realm allows one e-mail address on several accounts")
	add(!f.AliasesKnown, "the client may not read identity providers (view-identity-providers): federated links are left out")
	add(f.Hashing == nil, "the client may not read the server's information: the password-hashing providers are taken to be the usual ones")
	return out
}
