package keymate

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/load"
)

// realmFacts is what the dialect has to know of the realm: read once by
// Preflight, then constant, so that projection stays pure.
type realmFacts struct {
	realmRep

	ServerVersion string // "": may not be read
	// Hashing are the server's password-hashing providers; nil: may not be read.
	Hashing []string
	Profile profileRep
	// Aliases of the realm's identity providers; AliasesKnown is false where the
	// client may not read them.
	Aliases      []string
	AliasesKnown bool
	// Roles are the realm's, and those that Prepare makes; nil before Preflight.
	Roles []string
	// Actions are the required actions that the server knows.
	Actions []string
}

// readFacts asks the server. What a migration can do without is left empty
// where the client may not read it.
func (t *Target) readFacts(ctx context.Context) (*realmFacts, error) {
	f := &realmFacts{}
	if err := t.http.get(ctx, "read the realm", "", nil, &f.realmRep); err != nil {
		return nil, err
	}
	if f.ID == "" {
		return nil, &load.Error{Class: load.Setup, Op: "read the realm", Endpoint: "GET /admin/realms/" + t.cfg.Realm,
			Message: "the client may see only a part of the realm's settings",
			Hint:    "give its service account the realm-management roles manage-realm, manage-users and manage-organizations"}
	}
	if err := t.http.get(ctx, "read the user profile", "/users/profile", nil, &f.Profile); err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, *realmFacts) error{t.readActions, t.readAliases, t.readServer} {
		if err := read(ctx, f); err != nil && !isStatus(err, http.StatusForbidden) && !isStatus(err, http.StatusNotFound) {
			return nil, err
		}
	}
	return f, nil
}

func (t *Target) readActions(ctx context.Context, f *realmFacts) error {
	return list(ctx, t.http, "list the required actions", "/authentication/required-actions", nil, func(a struct {
		Alias   string
		Enabled bool
	}) error {
		if a.Enabled {
			f.Actions = append(f.Actions, a.Alias)
		}
		return nil
	})
}

func (t *Target) readAliases(ctx context.Context, f *realmFacts) error {
	q := url.Values{"first": {"0"}, "max": {"1000"}, "briefRepresentation": {"true"}}
	err := list(ctx, t.http, "list the identity providers", "/identity-provider/instances", q, func(p struct{ Alias string }) error {
		f.Aliases = append(f.Aliases, p.Alias)
		return nil
	})
	f.AliasesKnown = err == nil
	return err
}

func (t *Target) readServer(ctx context.Context, f *realmFacts) error {
	var info struct {
		SystemInfo struct{ Version string }
		Providers  map[string]struct{ Providers map[string]any }
	}
	if err := t.http.get(ctx, "read the server's information", "//admin/serverinfo", nil, &info); err != nil {
		return err
	}
	f.ServerVersion = info.SystemInfo.Version
	for id := range info.Providers["password-hashing"].Providers {
		f.Hashing = append(f.Hashing, id)
	}
	slices.Sort(f.Hashing)
	return nil
}

// defaultRole is the name of the role that the realm gives to new users.
func (f *realmFacts) defaultRole() string {
	if f.DefaultRole.Name != "" {
		return f.DefaultRole.Name
	}
	return defaultRolePrefix + strings.ToLower(f.Realm)
}

// defaultRolePrefix begins the name of every realm's default role; the realm's
// own name follows.
const defaultRolePrefix = "default-roles-"

// foreignDefault says that a role is another realm's default role, as rows have
// it that come from there (a restore into an empty realm).
func (f *realmFacts) foreignDefault(role string) bool {
	return strings.HasPrefix(role, defaultRolePrefix) && role != f.defaultRole() && f.Roles != nil && !slices.Contains(f.Roles, role)
}

// localeNative says whether the server shows and keeps the attribute locale:
// it hides it unless the realm speaks several languages or declares it.
func (f *realmFacts) localeNative() bool {
	return f.Internationalization || f.Profile.declares(nativeLocale)
}

// hashes says whether the server verifies the algorithm; a server that does
// not say is taken to have what every release since 25 has.
func (f *realmFacts) hashes(provider string) bool {
	if f.Hashing == nil {
		return slices.Contains([]string{"argon2", "pbkdf2", "pbkdf2-sha256", "pbkdf2-sha512"}, provider)
	}
	return slices.Contains(f.Hashing, provider)
}

// requiredActions are those that the server knows, or, where it may not be
// asked, those that every release has.
func (f *realmFacts) requiredActions() []string {
	if f.Actions != nil {
		return f.Actions
	}
	return []string{"CONFIGURE_TOTP", "UPDATE_PASSWORD", "UPDATE_PROFILE", "VERIFY_EMAIL", "VERIFY_PROFILE"}
}
