// Package second is a second reader of parts: github.com/xitongsys/parquet-go,
// which shares no code with the first one, in a process of its own with a
// memory limit. What two programs read alike is more likely in the file.
//
// Nouns: the child is a process that reads one part on its standard input and
// writes a record for each row on its standard output: row id, row digest, and
// a hash of each cell; the parent reads the same part with the first reader and
// compares. No cell travels: what differs is named by row and column.
//
// Start with Reader.Compare, the parent, and Main, the child.
package second
