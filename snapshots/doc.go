// Package snapshots keeps every state of a migration: versioned, verifiable
// tables of rows in a store that only adds, but for the garbage that it is told to collect.
//
// Nouns: a Backend is where objects lie (a directory, a bucket); the Store is
// one migration's objects, manifests, keys and log upon it; the log is the
// only commit point, numbered create-only entries whose fold is the State; a
// snapshot is a set of tables known by the digest of its rows; a manifest says
// which layers and parts hold a snapshot's tables; a part is one Parquet file
// of rows under one id prefix, with an index of row ids and digests beside it;
// garbage is content that no snapshot needs, whose name is given up before it
// is deleted; a checkpoint is a name that pins several snapshots and files for good.
//
// Start with Store; Writer makes snapshots, Snapshot reads them, Diff compares
// two. docs/format.md describes every durable file.
package snapshots
