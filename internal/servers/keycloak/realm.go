package keycloak

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Names of the two clients that every realm of ours has.
const (
	MigratorClient = "parallelrun-migrator" // service account with the rights of a migration
	ProofClient    = "parallelrun-proof"    // password grant, to prove that people can log in
)

// migratorRoles are the rights of the migrator, all of the client realm-management. Those that the server does not know are left out.
var migratorRoles = []string{
	"manage-users", "manage-realm", "manage-organizations", "view-users", "view-realm", "view-organizations",
	"view-clients", "view-identity-providers", "view-events", "query-users", "query-groups", "query-clients", "query-realms",
}

// RealmOptions say how a realm differs from one that is ready for a migration. The zero value does not.
type RealmOptions struct {
	Name                string         // "": chosen at random
	NoOrganizations     bool           // leave organizations switched off
	UnmanagedAttributes string         // the profile's unmanagedAttributePolicy; "": ADMIN_EDIT; "DISABLED": none, the server's own default
	TokenLifespan       time.Duration  // of access tokens; 0: 300 s, the server's default
	Roles               []string       // realm roles to make
	Extra               map[string]any // more fields of the realm's representation
}

// Client is a confidential client of a realm.
type Client struct {
	ID     string // what a token request calls client_id
	Secret string
}

// Realm is one realm of a [Server].
type Realm struct {
	Server   *Server
	Name     string
	ID       string
	Migrator Client
	Proof    Client
}

// NewRealm makes a realm: organizations switched on, unmanaged attributes open to administrators, and the two clients.
func (s *Server) NewRealm(ctx context.Context, o RealmOptions) (*Realm, error) {
	r := &Realm{
		Server: s, Name: o.Name,
		Migrator: Client{MigratorClient, rand.Text()},
		Proof:    Client{ProofClient, rand.Text()},
	}
	if r.Name == "" {
		r.Name = "pr-" + strings.ToLower(rand.Text()[:10])
	}
	rep := map[string]any{
		"realm": r.Name, "enabled": true, "organizationsEnabled": !o.NoOrganizations,
		"clients": []map[string]any{
			{"clientId": r.Migrator.ID, "secret": r.Migrator.Secret, "publicClient": false, "serviceAccountsEnabled": true, "standardFlowEnabled": false},
			{"clientId": r.Proof.ID, "secret": r.Proof.Secret, "publicClient": false, "directAccessGrantsEnabled": true, "standardFlowEnabled": false},
		},
	}
	if o.TokenLifespan != 0 {
		rep["accessTokenLifespan"] = int(o.TokenLifespan / time.Second)
	}
	maps.Copy(rep, o.Extra)
	if err := s.Admin(ctx, http.MethodPost, "/admin/realms", rep, nil); err != nil {
		return nil, fmt.Errorf("make the realm %s: %w", r.Name, err)
	}
	s.admin.forget()
	if err := r.prepare(ctx, o); err != nil {
		return nil, fmt.Errorf("prepare the realm %s: %w", r.Name, err)
	}
	return r, nil
}

func (r *Realm) prepare(ctx context.Context, o RealmOptions) error {
	var realm struct{ ID string }
	if err := r.Admin(ctx, http.MethodGet, "", nil, &realm); err != nil {
		return err
	}
	r.ID = realm.ID
	if err := r.setUnmanaged(ctx, o.UnmanagedAttributes); err != nil {
		return err
	}
	for _, name := range o.Roles {
		if err := r.Admin(ctx, http.MethodPost, "/roles", map[string]any{"name": name}, nil); err != nil {
			return err
		}
	}
	return r.grantMigrator(ctx)
}

func (r *Realm) setUnmanaged(ctx context.Context, policy string) error {
	switch policy {
	case "":
		policy = "ADMIN_EDIT"
	case "DISABLED":
		return nil
	}
	var profile map[string]any
	if err := r.Admin(ctx, http.MethodGet, "/users/profile", nil, &profile); err != nil {
		return err
	}
	profile["unmanagedAttributePolicy"] = policy
	return r.Admin(ctx, http.MethodPut, "/users/profile", profile, nil)
}

func (r *Realm) grantMigrator(ctx context.Context) error {
	managementID, err := r.clientUUID(ctx, "realm-management")
	if err != nil {
		return err
	}
	migratorID, err := r.clientUUID(ctx, r.Migrator.ID)
	if err != nil {
		return err
	}
	var account struct{ ID string }
	if err := r.Admin(ctx, http.MethodGet, "/clients/"+migratorID+"/service-account-user", nil, &account); err != nil {
		return err
	}
	var known []map[string]any
	if err := r.Admin(ctx, http.MethodGet, "/clients/"+managementID+"/roles", nil, &known); err != nil {
		return err
	}
	var grants []map[string]any
	for _, role := range known {
		for _, name := range migratorRoles {
			if role["name"] == name {
				grants = append(grants, role)
			}
		}
	}
	return r.Admin(ctx, http.MethodPost, "/users/"+account.ID+"/role-mappings/clients/"+managementID, grants, nil)
}

func (r *Realm) clientUUID(ctx context.Context, clientID string) (string, error) {
	var found []struct{ ID string }
	if err := r.Admin(ctx, http.MethodGet, "/clients?clientId="+url.QueryEscape(clientID), nil, &found); err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d clients named %s", len(found), clientID)
	}
	return found[0].ID, nil
}

// Admin sends a request below /admin/realms/{realm} as the server's administrator; see [Server.Admin].
func (r *Realm) Admin(ctx context.Context, method, path string, in, out any) error {
	return r.Server.Admin(ctx, method, "/admin/realms/"+url.PathEscape(r.Name)+path, in, out)
}

// Token returns an access token of the migrator.
func (r *Realm) Token(ctx context.Context) (string, error) {
	t, err := r.Server.admin.grant(ctx, r.Name, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {r.Migrator.ID}, "client_secret": {r.Migrator.Secret},
	})
	return t.AccessToken, err
}

// Delete removes the realm with all that is in it.
func (r *Realm) Delete(ctx context.Context) error {
	return r.Admin(ctx, http.MethodDelete, "", nil, nil)
}
