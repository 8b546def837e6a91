// Package transform turns a legacy snapshot into a desired one: mapping and
// templates applied, identities and hierarchies checked, everything that can't
// stand in the target rejected with its reasons. It is a pure function of
// legacy rows, mapping, templates, target profile and keys: the number of
// workers and the memory limit change neither rows nor counts.
//
// Nouns: a Mapping is the compiled rules legacy → desired; a rule turns rows of
// one legacy table into candidates of one entity; a lookup finds the row that a
// legacy reference (a DN, a foreign key) means; a candidate is a row that a
// rule made, before it is known to stand; a property template is a JSON Schema
// that properties must satisfy; a department template is a department that
// organizations are given, with its group; a reject is a row that failed, with
// reasons; an excluded row is one that a rule left out; the Report counts every
// row and field on the way, where it happens.
//
// Start with LoadMapping, then Run, then Report.
package transform
