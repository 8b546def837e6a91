// Package loadtest holds what tests of planning and loading run against: an
// in-memory target that is as strict as a real one and fails as scripted, and
// snapshots and files in memory.
//
// Nouns: a Target is one realm with its accounts; a Fault is what happens to
// one request (refused, answered late, committed without an answer); a State is
// a snapshot in memory, writable and readable.
//
// Start with NewTarget and NewState.
package loadtest
