// Package iceberg writes Apache Iceberg metadata (format version 2) over the
// Parquet parts of a store's snapshots, so that programs which read Iceberg
// tables read them, history included. No row is copied: data files are the
// parts where they lie.
//
// Nouns: a History is all snapshots of one dataset and stage; each table in it
// becomes one Iceberg table, and each commit of a snapshot one Iceberg snapshot
// (a Version here), whose id and sequence number are the number of the log
// entry that made it known. A Plan says what an export would do.
//
// Start with Look, which makes a Plan; Plan.Apply carries it out. WriteTable is
// the format alone: it knows nothing of stores.
package iceberg
