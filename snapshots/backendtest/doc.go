// Package backendtest holds what every store back end is tested with.
//
// Nouns: a suite is a Run function that a back end's own test calls with a way to make
// empty stores: Run, the conformance of reads, writes and lists; RunIntegrity,
// every kind of damage with its finding and repair; RunModel, random lives of a
// store against a model; RunKeys, the life of its keys; RunKill and
// RunKillCollector, writers and collectors that are killed; RunEveryFault, each
// operation that goes wrong once. Memory is a back end
// without a disk, Fault one that fails on command.
//
// Start with Run; the directory's and the bucket's tests show how they are called.
package backendtest
