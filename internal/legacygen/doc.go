// Package legacygen writes the reference scenario: the LDIF export of a legacy
// directory with two organizations, dirty on purpose as real directories are,
// and an exact count of what it made dirty. Demo and tests migrate it and
// compare their figures with that count.
//
// Nouns: a kind is one way in which a person's entry is special; every person
// has one kind (most are Plain), so that the expected figures are exact;
// traits (photos, several values, names in other scripts, password schemes)
// fall on all kinds alike. The same Config always yields the same bytes.
//
// Start with Generate; Logins tells the clear passwords.
//
// # Shape
//
// The suffix is dc=legacy,dc=example. Every entry has entryUUID (the legacy
// key), createTimestamp and modifyTimestamp. Attributes by object class:
//
//	legacyOrganization   o (alias), displayName, description, associatedDomain (several), accountStatus
//	legacyDepartment     ou (name), description, organizationDN, parentDepartment (a DN; absent for roots), costCenter,
//	                     departmentRole (several)
//	legacyAccount        uid (login name), cn, sn, givenName, mail (0 to 3, the first is the address), telephoneNumber (0 to 3),
//	                     employeeNumber, title, preferredLanguage, description, jpegPhoto, organizationDN, departmentDN (0 to 2,
//	                     the first is the default), departmentRole (lead or deputy, of the first department), userPassword,
//	                     pwdChangedTime, pwdReset (TRUE: must change), accountStatus (active, disabled, left),
//	                     pwdAccountLockedTime (000001010000Z: locked for good), accountExpires
//	groupOfNames         cn, description, member (DNs of people and groups)
//
// Whatever else there is (the domain, organizationalUnit containers) is no
// entity. Departments hang together by parentDepartment, not by their DNs: so
// they can form a cycle. References spell DNs as people do: case and spaces
// after commas differ from the entry's own dn here and there.
package legacygen
