// Package dn reads and compares LDAP distinguished names (RFC 4514).
//
// Nouns: a DN is a list of RDNs, the entry's own first; an RDN is one or more
// attributes joined by plus signs; the normal form of a DN is equal for two
// spellings of one name: case, spaces around separators, the way of escaping
// and the order inside an RDN differ in what directories export.
//
// Start with Normalize; Parse gives the parts.
package dn

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// ErrSyntax is wrapped by every error of this package: the text is no
// distinguished name, and nothing but correcting it helps.
var ErrSyntax = errors.New("not a distinguished name")

// DN is a distinguished name, the entry's own RDN first. The empty DN names
// the root.
type DN []RDN

// RDN is one level of a DN; most have one attribute.
type RDN []Attribute

// Attribute is one type and value, unescaped. A value given as #hex keeps that
// form.
type Attribute struct{ Type, Value string }

// Normalize returns the normal form of a DN, by which DNs are compared.
func Normalize(s string) (string, error) {
	d, err := Parse(s)
	if err != nil {
		return "", err
	}
	return d.Normal(), nil
}

// Normal is the normal form: types and values in lower case (NFKC), runs of
// spaces as one, multi-valued RDNs sorted, only needed escapes.
func (d DN) Normal() string {
	rdns := make([]string, len(d))
	for i, r := range d {
		rdns[i] = r.normal()
	}
	return strings.Join(rdns, ",")
}

func (r RDN) normal() string {
	parts := make([]string, len(r))
	for i, a := range r {
		parts[i] = strings.ToLower(a.Type) + "=" + Escape(foldValue(a.Value))
	}
	slices.Sort(parts)
	return strings.Join(parts, "+")
}

// foldValue leaves bytes that are no text alone: case mapping would make
// different ones equal.
func foldValue(v string) string {
	if !utf8.ValidString(v) {
		return v
	}
	v = norm.NFKC.String(strings.ToLower(norm.NFKC.String(v)))
	return strings.Join(strings.Fields(v), " ")
}

// String writes the DN with its own spelling and only needed escapes.
func (d DN) String() string {
	var b strings.Builder
	for i, r := range d {
		for j, a := range r {
			switch {
			case j > 0:
				b.WriteByte('+')
			case i > 0:
				b.WriteByte(',')
			}
			b.WriteString(a.Type)
			b.WriteByte('=')
			b.WriteString(Escape(a.Value))
		}
	}
	return b.String()
}

// Below reports whether d is the suffix itself or an entry somewhere under it.
func (d DN) Below(suffix DN) bool {
	return len(d) >= len(suffix) && d[len(d)-len(suffix):].Normal() == suffix.Normal()
}

// Escape writes a value as it stands in a DN.
func Escape(v string) string {
	if !needsEscape(v) {
		return v
	}
	var b strings.Builder
	for i := 0; i < len(v); {
		r, n := utf8.DecodeRuneInString(v[i:])
		switch {
		case r == utf8.RuneError && n == 1, r == 0:
			fmt.Fprintf(&b, `\%02x`, v[i])
		case strings.ContainsRune(`,+"\<>;=`, r), r == '#' && i == 0, r == ' ' && (i == 0 || i == len(v)-1):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteString(v[i : i+n])
		}
		i += n
	}
	return b.String()
}

func needsEscape(v string) bool {
	if v == "" {
		return false
	}
	return v[0] == ' ' || v[0] == '#' || v[len(v)-1] == ' ' || strings.ContainsAny(v, ",+\"\\<>;=\x00") || !utf8.ValidString(v)
}

// Parse reads a DN. Older spellings (quoted values, spaces around separators)
// are read too.
func Parse(s string) (DN, error) {
	p := parser{rest: s}
	p.space()
	if p.rest == "" {
		return DN{}, nil
	}
	var d DN
	rdn := RDN{}
	for {
		a, err := p.attribute()
		if err != nil {
			return nil, fmt.Errorf("%w: %s at byte %d", ErrSyntax, err.Error(), len(s)-len(p.rest))
		}
		rdn = append(rdn, a)
		switch {
		case p.rest == "":
			return append(d, rdn), nil
		case p.rest[0] == ',':
			d, rdn = append(d, rdn), RDN{}
		}
		p.rest = p.rest[1:] // a comma or a plus sign: attribute stops at nothing else
	}
}

type parser struct{ rest string }

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " ") }

func (p *parser) attribute() (Attribute, error) {
	p.space()
	eq := strings.IndexByte(p.rest, '=')
	if eq < 0 {
		return Attribute{}, errors.New("an equals sign is missing")
	}
	typ := strings.TrimRight(p.rest[:eq], " ")
	if !validType(typ) {
		return Attribute{}, errors.New("no attribute type")
	}
	p.rest = p.rest[eq+1:]
	p.space()
	v, err := p.value()
	return Attribute{Type: typ, Value: v}, err
}

func validType(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == ';' || c == '_') {
			return false
		}
	}
	return true
}

func (p *parser) value() (string, error) {
	if strings.HasPrefix(p.rest, `"`) {
		return p.quoted()
	}
	var b strings.Builder
	keep := 0 // bytes up to here survive the trimming of trailing spaces
	for p.rest != "" {
		switch c := p.rest[0]; c {
		case ',', '+':
			return b.String()[:keep], nil
		case '"', ';', '<', '>', 0:
			return "", fmt.Errorf("%q needs a backslash before it", c)
		case '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
			keep = b.Len()
		default:
			b.WriteByte(c)
			p.rest = p.rest[1:]
			if c != ' ' {
				keep = b.Len()
			}
		}
	}
	return b.String()[:keep], nil
}

func (p *parser) quoted() (string, error) {
	p.rest = p.rest[1:]
	var b strings.Builder
	for p.rest != "" {
		switch c := p.rest[0]; c {
		case '"':
			p.rest = p.rest[1:]
			p.space()
			if p.rest != "" && p.rest[0] != ',' && p.rest[0] != '+' {
				return "", errors.New("text after a closing quote")
			}
			return b.String(), nil
		case '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
			p.rest = p.rest[1:]
		}
	}
	return "", errors.New("a closing quote is missing")
}

func (p *parser) escape(b *strings.Builder) error {
	s := p.rest
	if len(s) >= 3 {
		if x, err := hex.DecodeString(s[1:3]); err == nil {
			b.Write(x)
			p.rest = s[3:]
			return nil
		}
	}
	if len(s) < 2 || !strings.ContainsRune(` "#+,;<=>\`, rune(s[1])) {
		return errors.New("a backslash before a character that takes none")
	}
	b.WriteByte(s[1])
	p.rest = s[2:]
	return nil
}
