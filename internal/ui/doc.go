// Package ui is how the program talks to people and to other programs: exit
// codes, errors with hints, data as text or JSON, aligned tables, progress.
//
// Nouns: a Code is the program's exit code; a View is a result that can be
// printed, as text by itself and as JSON by its fields; a Printer prints views,
// one for people and one for programs; a Page is what a view writes its text
// on; a Progress shows steps that take time.
//
// Data goes to stdout through a Printer; all else goes to stderr.
//
// Start with Printer and View.
package ui
