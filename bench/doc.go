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
// A cold bucket is a real S3 server over a folder, which make bench starts; a
// proxy in between counts. Data is made once and kept in the folder of -dir.
//
//	make bench               # 5 million users: some 40 GB of disk, a quarter of an hour
//	make bench ROWS=200000
//	make bench-linear        # 20 million users beside 5 million
package main
