package schemas

// MembershipID is the row id of a membership: one per user, organization and
// department (empty: member of the organization only). Organization and
// department are row ids as hex, as in the table's columns. What derives it
// from a source and what reads it back from a target must agree.
func MembershipID(user RowID, organization, department string) RowID {
	if department == "" {
		department = "?"
	}
	return DependentRowID(user, Memberships, organization, department)
}

// MembershipKey is the legacy key of a membership, made from those of its
// parts; department is empty for one of the organization only.
func MembershipKey(user, organization, department string) string {
	key := user + "/" + organization
	if department != "" {
		key += "/" + department
	}
	return key
}

// CredentialID is the row id of a user's credential of a type.
func CredentialID(user RowID, typ string) RowID {
	return DependentRowID(user, Credentials, typ)
}

// CredentialKey is the legacy key of a credential.
func CredentialKey(user, typ string) string { return user + "/" + typ }
