// Package waves decides which users move together, once for each user.
//
// Nouns: a wave is a set of users that move together; its rule is a list of
// criteria, of which all must be met; a Selection is the rules of all waves,
// compiled, in order: the first wave whose rule takes a user has it; an
// assignment is the record of who is in which wave. An assignment is sticky: a
// user that has a row there keeps it as it is, whatever rules and users become
// later. Only a list by hand moves somebody, and only if told to.
//
// Users are streamed in the order of their row ids, beside the assignment
// before and the lists of keys, which are sorted the same way; organizations,
// departments and groups are held in memory. The same rules, users and
// assignment before give the same assignment.
//
// Start with Compile, then Selection.Assign.
package waves
