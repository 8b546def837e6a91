// Package ldif reads LDAP directories from LDIF files (RFC 2849).
//
// Nouns: a logical line is what folding spread over physical lines; an Entry
// is a DN with its values in the order of the file; a table takes the entries
// that its condition matches; a misfit is a value that does not fit the type
// its column declares. What slapcat and ldapsearch -LLL write is read; change
// records and values by URL are refused, because a snapshot is made of what
// stands in the file.
//
// Start with Open, which makes an extract.Source of a Config. Reader knows the
// format alone.
package ldif
