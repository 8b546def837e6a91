// Package modeltest holds a migration against a small model of it: random
// sequences of what happens to both sides and of what an operator does are
// played on the real code and on the model, and must come to the same.
//
// Nouns: the model is what shall stand, worked out from the documents and not by
// the planner's code; an action is one thing that happens (an edit of legacy, an
// edit of the target, a run, a kill, an undo, a restore); a sequence is some
// actions in a row, drawn from a seed; a mutant is our code with one fault put
// in, which the model must find.
//
// Start with TestModel; CONTRIBUTING.md says how to play a seed again.
package modeltest
