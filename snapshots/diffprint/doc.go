// Package diffprint writes diffs of snapshots for people (Text) and for
// programs (JSON). Secrets appear only as "changed" or "(secret)", large
// values by their size. docs/format.md describes the JSON lines.
package diffprint
