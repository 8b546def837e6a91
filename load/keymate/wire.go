package keymate

// userRep is a user as Keycloak writes and reads it. Pointers tell absent from
// empty where the server does.
type userRep struct {
	ID               string              `json:"id,omitempty"`
	Username         string              `json:"username,omitempty"`
	Email            string              `json:"email,omitempty"`
	EmailVerified    *bool               `json:"emailVerified,omitempty"`
	FirstName        string              `json:"firstName,omitempty"`
	LastName         string              `json:"lastName,omitempty"`
	Enabled          *bool               `json:"enabled,omitempty"`
	CreatedTimestamp *int64              `json:"createdTimestamp,omitempty"`
	Attributes       map[string][]string `json:"attributes,omitempty"`
	RequiredActions  *[]string           `json:"requiredActions,omitempty"`
	Credentials      []credentialRep     `json:"credentials,omitempty"`
	RealmRoles       []string            `json:"realmRoles,omitempty"`
	Groups           []string            `json:"groups,omitempty"`
	Federated        []federatedRep      `json:"federatedIdentities,omitempty"`
}

type credentialRep struct {
	ID             string `json:"id,omitempty"`
	Type           string `json:"type"`
	UserLabel      string `json:"userLabel,omitempty"`
	CreatedDate    *int64 `json:"createdDate,omitempty"`
	CredentialData string `json:"credentialData,omitempty"` // JSON in a string
	SecretData     string `json:"secretData,omitempty"`     // JSON in a string
}

type federatedRep struct {
	Provider string `json:"identityProvider"`
	UserID   string `json:"userId"`
	UserName string `json:"userName"`
}

type importRep struct {
	IfResourceExists string    `json:"ifResourceExists"`
	Users            []userRep `json:"users"`
}

type organizationRep struct {
	ID          string              `json:"id,omitempty"`
	Name        string              `json:"name"`
	Alias       string              `json:"alias"`
	Enabled     bool                `json:"enabled"`
	Description string              `json:"description"`
	RedirectURL string              `json:"redirectUrl,omitempty"`
	Attributes  map[string][]string `json:"attributes"`
	Domains     []domainRep         `json:"domains"`
}

type domainRep struct {
	Name     string `json:"name"`
	Verified bool   `json:"verified"`
}

// groupRep is a group of the realm or of an organization.
type groupRep struct {
	ID          string              `json:"id,omitempty"`
	Name        string              `json:"name"`
	Description string              `json:"description,omitempty"`
	Path        string              `json:"path,omitempty"`
	ParentID    string              `json:"parentId,omitempty"`
	Attributes  map[string][]string `json:"attributes,omitempty"`
	RealmRoles  []string            `json:"realmRoles,omitempty"`
	ClientRoles map[string][]string `json:"clientRoles,omitempty"`
}

type roleRep struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type realmRep struct {
	ID                   string         `json:"id"`
	Realm                string         `json:"realm"`
	Enabled              bool           `json:"enabled"`
	OrganizationsEnabled bool           `json:"organizationsEnabled"`
	VerifyEmail          bool           `json:"verifyEmail"`
	DuplicateEmails      bool           `json:"duplicateEmailsAllowed"`
	EmailAsUsername      bool           `json:"registrationEmailAsUsername"`
	EditUsername         bool           `json:"editUsernameAllowed"`
	Registration         bool           `json:"registrationAllowed"`
	Internationalization bool           `json:"internationalizationEnabled"`
	EventsEnabled        bool           `json:"eventsEnabled"`
	AdminEventsEnabled   bool           `json:"adminEventsEnabled"`
	AdminEventsDetails   bool           `json:"adminEventsDetailsEnabled"`
	DefaultRole          roleRep        `json:"defaultRole"`
	SMTP                 map[string]any `json:"smtpServer"`
}
