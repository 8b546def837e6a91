// Package pipelines composes the stages into runs: extract, transform,
// observe, plan, load, fold and verify, as steps of an engine that journals
// what each produced, so that a run that stopped goes on where it was.
//
// Nouns: a run is one pass over a migration with an id and a folder in the
// store; a step is a named piece of it whose result is journaled; an Engine
// executes steps; a part is a share of a step's work.
//
// Start with Engine, then Run.
package pipelines
