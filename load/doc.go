// Package load brings a target to what is desired: it plans three ways, writes
// in dependency order, keeps the outcome of every operation, and folds what is
// confirmed into the next base.
//
// Nouns: base is what was last confirmed in the target, desired what shall
// stand there, observed what was seen there, effective what will stand after
// ownership and withholding; a row is withheld in part when bringing it to
// desired would give access back that the target took away, and its held form
// is what base keeps of it; an operation is one create, update, adopt, delete,
// link or unlink; a conflict is a row that can't be settled by rule; a range is
// a file of operations, recorded in the store before any of them is sent; the
// ledger holds every operation's outcome; a grant is one thing that a user's
// access consists of, whatever way it comes; a Target is one open target of some
// dialect.
//
// The order of a run: Observe, Plan, AccessDiff (then Manifest.Seal), Load, Fold, Observe
// the Touched users again, Verify, LoginProof. All of them stream users in
// row-id order; organizations, departments and groups are held in memory.
//
// Start with Plan, then Load. The dialects live in folders below.
package load
