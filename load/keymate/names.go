package keymate

// Names of attributes in the target that are ours. They are part of what a
// migrated realm looks like: never rename.
const (
	// anchorAttribute holds the legacy key on every object that we make.
	anchorAttribute = "legacyId"
	// encodedPrefix starts the names of attributes that hold what Keycloak has
	// no place for.
	encodedPrefix = "keymate."

	membershipsAttribute      = encodedPrefix + "memberships"
	expiresAttribute          = encodedPrefix + "expiresAt"
	createdAttribute          = encodedPrefix + "createdAt"
	localeAttribute           = encodedPrefix + "locale"
	realmRolesAttribute       = encodedPrefix + "realmRoles"
	templateAttribute         = encodedPrefix + "template"
	propertyTemplateAttribute = encodedPrefix + "propertyTemplate"
	externalIDPrefix          = encodedPrefix + "externalId."
)

// nativeLocale is Keycloak's own attribute for a user's language.
const nativeLocale = "locale"

// Limits of the server, measured on 26.7.4 with PostgreSQL.
const (
	maxColumn          = 255  // characters: user names, e-mail, first and last name, group names, attribute names, values of groups and organizations
	maxDescription     = 4000 // of an organization
	maxUndeclaredValue = 2048 // UTF-16 units: user attributes without a length validator
	minUsername        = 3    // refused by edits, not by imports
)

// forbiddenUserAttributes can't be a user's attribute, whatever the case: the
// first four would overwrite the account's own fields, the others are hidden
// by the server and every later edit that names them is refused.
var forbiddenUserAttributes = []string{
	"username", "email", "firstname", "lastname",
	"locale", "terms_and_conditions", "kc.email.pending",
	"ldap_id", "ldap_entry_dn", "kerberos_principal", "created_timestamp", "createtimestamp", "modifytimestamp",
}
