// Package load brings a target to what is desired: it plans three ways, writes
// in dependency order, keeps the outcome of every operation, and folds what is
// confirmed into the next base.
//
// Nouns: base is what was last confirmed in the target, desired what shall
// stand there, observed what was seen there, effective what will stand after
// ownership and withholding; an operation is one create, update, adopt,
// delete, link or unlink; a conflict is a row that can't be settled by rule;
// the ledger holds every operation's outcome; a Target is one open target of
// some dialect.
//
// Start with Plan, then Loader. The dialects live in folders below.
package load
