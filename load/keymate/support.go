package keymate

import "github.com/parallelrun/parallelrun/schemas"

// support says, per column, what the realm does with it.
func support(f *realmFacts) map[string]map[string]schemas.ColumnSupport {
	native := schemas.ColumnSupport{Support: schemas.Native, Readable: true}
	encoded := func(note string) schemas.ColumnSupport {
		return schemas.ColumnSupport{Support: schemas.Encoded, Readable: true, Note: note}
	}
	unsupported := func(note string) schemas.ColumnSupport {
		return schemas.ColumnSupport{Support: schemas.Unsupported, Note: note}
	}
	special := map[string]map[string]schemas.ColumnSupport{
		schemas.Organizations: {
			"alias":             {Support: schemas.Native, Readable: true, Fixed: true, Note: "Keycloak does not change an alias"},
			"realm_roles":       encoded("in attribute " + realmRolesAttribute + "; an organization of Keycloak gives its members no roles"),
			"property_template": encoded("in attribute " + propertyTemplateAttribute),
		},
		schemas.Departments: {
			"external_ids": encoded("in attributes " + externalIDPrefix + "*"),
			"template":     encoded("in attribute " + templateAttribute),
		},
		schemas.Users: {
			"expires_at": encoded("in attribute " + expiresAttribute + "; Keycloak does not end accounts by itself"),
			"created_at": {Support: schemas.Native, Readable: true, Note: "fixed once the account is there; a later date is kept in attribute " + createdAttribute},
		},
		schemas.Memberships: {
			"roles":      encoded("in the user's attribute " + membershipsAttribute),
			"attributes": encoded("in the user's attribute " + membershipsAttribute),
			"is_default": encoded("in the user's attribute " + membershipsAttribute),
		},
		schemas.Credentials: {
			"algorithm":  {Support: schemas.Native, Note: "not read back: the first login hashes anew"},
			"parameters": {Support: schemas.Native, Note: "not read back: the first login hashes anew"},
			"secret":     {Support: schemas.Native, Note: "never read back"},
			"version":    unsupported("Keycloak keeps none"),
			"state":      {Support: schemas.Encoded, Note: "expired and must_change as required action " + updatePassword + "; disabled ones are left out"},
		},
	}
	if !f.EditUsername {
		special[schemas.Users]["username"] = schemas.ColumnSupport{Support: schemas.Native, Readable: true, Fixed: true, Note: "'edit username' is off in the realm's login settings"}
	}
	if !f.localeNative() {
		special[schemas.Users]["locale"] = encoded("in attribute " + localeAttribute + ", since the realm speaks one language only")
	}
	if !f.AliasesKnown || len(f.Aliases) == 0 {
		special[schemas.Users]["federated_links"] = unsupported("the realm has no identity providers that the client may see")
	}
	out := map[string]map[string]schemas.ColumnSupport{}
	for name, t := range schemas.Entities() {
		out[name] = map[string]schemas.ColumnSupport{}
		for _, c := range t.Columns {
			switch s, is := special[name][c.Name]; {
			case is:
				out[name][c.Name] = s
			case name == schemas.DepartmentTemplates || name == schemas.PropertyTemplates:
				out[name][c.Name] = unsupported("Keycloak has no place for templates")
			default:
				out[name][c.Name] = native
			}
		}
	}
	return out
}
