// Package parts holds one table of a snapshot as immutable Parquet files, and
// is the only package that knows a Parquet library.
//
// Nouns: a Table is one table as a manifest lists it: its shape, row count,
// digest and layers; a Layer is a list of parts, all rows (whole) or a change
// upon the layers below it; a Part is one Parquet file of
// rows, sorted by row id, under one id prefix; beside it stands its index, row
// ids and row digests of fixed width, and, where it has large values, the list
// of their objects; an Object is stored bytes known by their SHA-256. The table
// digest is the root of a Merkle trie over (row id, row digest), so that it
// depends on the rows alone: not on parts, layers, workers or the order of
// writing.
//
// Objects are put and opened by functions that the store gives; this package
// touches no disk but for temporary files.
//
// Start with TableWriter to make a table and Reader to read one.
// docs/format-parts.md describes every byte.
package parts
