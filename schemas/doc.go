// Package schemas holds what every stage agrees on: the tables and their
// columns, row ids, rows and their canonical encoding, and what a target can
// hold. It does no input or output.
//
// Nouns: a Table is the shape of one entity's rows in a snapshot; a Column has
// a stable field id that the canonical encoding uses; a RowID is 128 bits
// derived from the legacy key, the same for every target; a Row is one record
// outside of Arrow; a Digest is the 128-bit digest over a row's canonical
// encoding; a TargetProfile says what a target can hold and verify.
//
// Start with Tables (the entity tables), then Row and Digest.
package schemas
