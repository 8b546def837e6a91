// Package sandbox is one strict in-process server that imitates the stock Keycloak Admin REST API, as far as a migration
// calls it: tokens, partialImport, users, credentials, the user profile, roles, groups, organizations with their members and groups, and the events of all these.
//
// Strict means two things. It refuses what a real Keycloak 26.7.4 on PostgreSQL refuses, with the same status and the same
// message, and it accepts what that one accepts, traps included: an empty username in an import, an OVERWRITE that deletes another
// account, a role created by a spelling mistake. The contract suite (package contract) plays the same cases to both servers; the differences
// that are left stand in docs/keycloak-notes.md. It is not a Keycloak: there are no pages, no browser logins, no clients to manage.
//
// Nouns: a [Server] holds realms; a [Realm] has two clients, the migrator (service account) and the proof client (password grant).
// A [Fault] is a misbehaviour asked for by a test. The state directory holds a journal of every committed change, so
// that a sandbox survives kill -9.
//
// Start with [New], then [Server.Start]; compare two targets with [Server.Dump].
package sandbox
