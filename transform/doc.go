// Package transform turns a legacy snapshot into a desired one: mapping and
// templates applied, identities and hierarchies checked, everything that can't
// stand in the target rejected with its reasons. It is a pure function of
// legacy rows, mapping, templates, target profile and keys.
//
// Nouns: a Mapping is the compiled rules legacy → desired; a template is a
// JSON Schema that properties must satisfy; a reject is a row that failed, with
// reasons; an excluded row is one that a rule left out; the Report counts
// every row and field on the way.
//
// Start with Load for the mapping, then Run.
package transform
