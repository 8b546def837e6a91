// Command bench holds parallelrun against DuckDB, a database made for such
// work, and against what the machine can do at all: the same data, in the same
// run, one after the other in turns, medians, two threads each.
//
// Nouns: a work is one line of the table; a side is one program that does it,
// in a process of its own, whose peak memory is the system's word for it; a
// goal is what the ratio of two sides should be.
//
// It is a module of its own so that DuckDB is no dependency of the tool, which
// it runs as a user does: as a program.
//
//	make bench               # 5 million users: some 10 GB of disk and half an hour
//	make bench ROWS=200000
package main
