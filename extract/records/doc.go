// Package records makes rows of files of records: what formats such as CSV and
// JSON Lines have in common.
//
// Nouns: a record is one row of a file; a Format cuts files into records and
// records into fields; a table takes the records of its own files; a misfit is
// a value that does not fit the type its column declares; an unread row stands
// for a record that the format could not read, so that it is counted and
// rejected further on and nobody takes it for an absence.
//
// Start with Open, which makes an extract.Source of a Config and a Format.
package records
