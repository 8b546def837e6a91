// Package keymate loads a Keymate target over Keycloak's stock Admin REST API
// (26.6 and later): it says what such a target can hold, writes rows and reads
// them back in the same form.
//
// Nouns: a realm is one target; an organization's groups are our departments;
// the anchor is the attribute (legacyId) that ties an object of the target to a
// legacy key; an encoded value is one that Keycloak has no place for, kept in
// an attribute under the prefix "keymate."; the projection of a row is what the
// target will hold of it, in exactly the form in which Observe gives it back.
//
// Start with Open and Target; then Project (project.go), CreateUsers
// (create.go), Apply (apply.go) and Observe (observe.go). Every request goes
// through client.go, which knows what its outcome means.
package keymate
