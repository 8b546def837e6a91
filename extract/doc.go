// Package extract reads legacy systems into snapshots of stage legacy: all that
// they hold, nothing dropped.
//
// Nouns: a Source is one legacy system; a table is the rows of one kind as the
// source names it; a key is the source's immutable identifier of a row; an
// origin is where a row stood in its source, for messages only.
//
// Start with Source; each kind of source has a package of its own below.
package extract
