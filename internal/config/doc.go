// Package config reads migration.yaml, the one file that says what is migrated
// from where to where.
//
// Nouns: a source is one legacy system, a target one realm, a migration a pair
// of them with the rules in between; a Secret is a reference to a value that is
// not in the file (${ENV} or file:path), resolved when it is needed; a Problem
// is one thing wrong with the file, at file:line:column, with a hint.
//
// Start with Load, which yields a Config or Problems. Check looks further, at
// the files and variables that the configuration names. Starter is the set of
// files that `parallelrun init` writes.
package config
