// Package secrets recognises secrets in what a source holds, by the name of
// their attribute and by the look of their values. Sources seal what it finds.
//
// It errs on the safe side: a value taken for a secret without being one is
// still kept, only sealed; a secret not recognised would lie on disk in the
// clear.
//
// Start with Named and Looks.
package secrets

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// attributes whose values are secrets in every directory, in lower case.
var attributes = set(
	"userpassword", "authpassword", "unicodepwd", "dbcspwd", "ntpwdhistory", "lmpwdhistory", "supplementalcredentials",
	"pwdhistory", "passwordhistory", "ibm-pwdhistory", "sambantpassword", "sambalmpassword", "sambapasswordhistory",
	"ipanthash", "krbprincipalkey", "krbpwdhistory", "krbmkey", "krb5key", "olcrootpw", "orclpassword",
	"orclpasswordverifier", "nspassword", "nsuserpassword", "sunpassword", "sasldigest", "radiuspassword",
	"userpkcs12", "ipatokenotpkey", "oathsecret", "totpsecret", "otpsecret", "ms-mcs-admpwd", "msds-managedpassword",
	"trustauthincoming", "trustauthoutgoing",
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// Named reports whether an attribute holds secrets by its name; options
// (";lang-de", ";binary") and case do not matter.
func Named(attribute string) bool {
	base, _, _ := strings.Cut(attribute, ";")
	return attributes[strings.ToLower(base)]
}

// Any says whether one of the values is like a secret.
func Any(values [][]byte) bool { return slices.ContainsFunc(values, Looks) }

// Looks reports whether a value holds something in the form of a password
// hash, a one-time-password seed, a private key or a token, at its start or
// anywhere within. In values that are no text (photos) only long forms count,
// which do not come about by chance.
func Looks(value []byte) bool {
	var has byte
	for _, c := range value {
		has |= telling[c]
	}
	if has == 0 {
		return false
	}
	if has&brace != 0 {
		tail := 1
		if !utf8.Valid(value) {
			tail = minCrypt
		}
		if bracedScheme(value, tail) {
			return true
		}
	}
	return has&dollar != 0 && dollarScheme(value) || has&token != 0 && jwt(value) || has&trigger != 0 && containsMarker(value)
}

// telling says of each byte what a value without it can't hold, so that most
// values are done with after one look at each of their bytes.
var telling = func() (t [256]byte) {
	t['{'], t['$'], t['J'] = brace, dollar|trigger, token
	t[':'], t['-'], t['_'] = trigger, trigger, trigger
	return t
}()

const (
	brace   byte = 1 << iota
	dollar       // of modular crypt strings
	trigger      // every marker has one
	token        // of "eyJ", with which a token begins
)

// schemes in braces before a stored password, in lower case, without the
// digits and suffixes that vary.
var bracedFamilies = []string{
	"ssha", "sha", "smd5", "md5", "crypt", "pbkdf2", "argon2", "bcrypt", "scrypt", "clear", "cleartext", "plain", "noop", "ssm3",
	"blf-crypt", "des-crypt", "md5-crypt", "cram-md5", "digest-md5", "hmac-md5", "plain-md5", "ldap-md5", "lanman", "ntlm", "nt", "lm",
	"ns-mta-md5", "x-issha", "x-pbkdf2", "x-nthash", "x-orclntv", "x-orcllmv", "totp", "hotp", "sasl", "kerberos", "rc4", "aes", "3des", "ldap",
}

const maxSchemeName = 32

// bracedScheme finds {SSHA}..., {PBKDF2-SHA256}... and their kin, with at
// least tail bytes behind the brace.
func bracedScheme(v []byte, tail int) bool {
	for {
		i := bytes.IndexByte(v, '{')
		if i < 0 {
			return false
		}
		v = v[i+1:]
		end := bytes.IndexByte(v[:min(len(v), maxSchemeName+1)], '}')
		if end > 0 && printableLength(v[end+1:], tail) >= tail && knownScheme(string(bytes.ToLower(v[:end]))) {
			return true
		}
	}
}

// knownScheme accepts a family by itself or followed by a variant ("ssha512",
// "pbkdf2-sha256", "sha512-crypt", "ssha.hex").
func knownScheme(name string) bool {
	for _, f := range bracedFamilies {
		rest, ok := strings.CutPrefix(name, f)
		if ok && (rest == "" || strings.ContainsRune("-_.0123456789:", rune(rest[0])) || rest == "id" || rest == "i" || rest == "d") {
			return true
		}
	}
	return false
}

// identifiers between the first two dollar signs of a modular crypt string.
var dollarIDs = set(
	"1", "2", "2a", "2b", "2x", "2y", "3", "5", "6", "7", "y", "gy", "sm3", "md5", "sha1", "apr1", "p", "h", "s", "u", "b",
	"scrypt", "bcrypt", "shiro1", "shiro2", "pbkdf2", "bcrypt-sha256", "md5crypt", "ml", "nt",
)

// minCrypt is how long the rest of a modular crypt string is at least: salt
// and hash. It keeps prices ("$5$ off") out.
const minCrypt = 12

// dollarScheme finds $2b$10$..., $argon2id$..., $6$... and their kin.
func dollarScheme(v []byte) bool {
	for {
		i := bytes.IndexByte(v, '$')
		if i < 0 {
			return false
		}
		v = v[i+1:]
		end := bytes.IndexByte(v[:min(len(v), maxSchemeName+1)], '$')
		if end <= 0 {
			continue
		}
		id := string(bytes.ToLower(v[:end]))
		known := dollarIDs[id] || strings.HasPrefix(id, "argon2") || strings.HasPrefix(id, "pbkdf2")
		if known && cryptLength(v[end+1:]) >= minCrypt {
			return true
		}
	}
}

// cryptLength is how many bytes of v, from its start, can stand in a modular
// crypt string.
func cryptLength(v []byte) int {
	for i, c := range v {
		if !(c >= '.' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || bytes.IndexByte([]byte("$=,+_-"), c) >= 0) {
			return i
		}
	}
	return len(v)
}

// printableLength is how many bytes of v, from its start and at most limit,
// are no space, control or ASCII delete.
func printableLength(v []byte, limit int) int {
	n := 0
	for n < len(v) && n < limit && v[n] > ' ' && v[n] != 0x7f {
		n++
	}
	return n
}

// markers give a secret away wherever they stand, in lower case.
var markers = [][]byte{
	[]byte("otpauth://"), []byte("otpauth-migration://"), []byte("private key-----"), []byte("age-secret-key-1"),
	[]byte("putty-user-key-file"), []byte("pbkdf2_sha"), []byte("bcrypt_sha256$"), []byte("argon2$argon2"),
	[]byte("pbkdf2:sha"), []byte("scrypt:32768:"), []byte("scrypt:16384:"), []byte("bcrypt$$2"),
}

// markersBy are the markers by their first trigger, with its position.
var markersBy = func() (by [256][]placedMarker) {
	for _, m := range markers {
		at := bytes.IndexFunc(m, func(r rune) bool { return telling[byte(r)]&trigger != 0 })
		by[m[at]] = append(by[m[at]], placedMarker{m, at})
	}
	return by
}()

type placedMarker struct {
	text []byte
	at   int
}

// mostSearched: large values are searched at their start only: no directory
// hides a seed behind a photo.
const mostSearched = 64 << 10

// containsMarker looks for markers.
func containsMarker(v []byte) bool {
	v = v[:min(len(v), mostSearched)]
	for i, c := range v {
		if telling[c]&trigger == 0 {
			continue
		}
		for _, m := range markersBy[c] {
			if start := i - m.at; start >= 0 && len(v)-start >= len(m.text) && lowerByte(v[i-1]) == m.text[m.at-1] && equalLower(v[start:start+len(m.text)], m.text) {
				return true
			}
		}
	}
	return false
}

// equalLower compares a value in any case with a text in lower case; bytes that
// are not ASCII letters are left alone.
func equalLower(v, low []byte) bool {
	for i, c := range v {
		if lowerByte(c) != low[i] {
			return false
		}
	}
	return true
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// jwt finds the compact form: two base64url JSON objects and a signature.
func jwt(v []byte) bool {
	v = v[:min(len(v), mostSearched)]
	i := bytes.Index(v, []byte("eyJ"))
	if i < 0 {
		return false
	}
	parts := bytes.SplitN(v[i:], []byte("."), 3)
	return len(parts) == 3 && bytes.HasPrefix(parts[1], []byte("eyJ")) && cryptLength(parts[2]) >= minCrypt
}
