// Package password reads stored passwords in the spellings of directories and
// frameworks and takes them apart into a neutral form, which a dialect of the
// target encodes anew.
//
// Nouns: a scheme is a way of storing a password; its neutral form is an
// algorithm, its parameters, hash and salt. Nothing here ever puts a value, or a
// part of one, into an error.
//
// Start with Parse.
package password

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/schemas"
)

// Errors that Error wraps.
var (
	// ErrUnknown: the value names a scheme that is not known here. The person
	// needs a new password.
	ErrUnknown = errors.New("unknown password scheme")
	// ErrMalformed: the value does not have the form that its scheme asks for.
	// Look at the source; the person needs a new password.
	ErrMalformed = errors.New("malformed password value")
	// ErrEmpty: there is no password.
	ErrEmpty = errors.New("empty password value")
)

// Error says why a value can't be read, without any part of it.
type Error struct {
	// Algorithm is the neutral name as far as it is known, else empty.
	Algorithm string
	Reason    string
	Err       error
}

func (e *Error) Error() string {
	s := e.Err.Error()
	if e.Algorithm != "" {
		s += " (" + e.Algorithm + ")"
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Password is a stored password in neutral form.
type Password struct {
	Algorithm  string
	Parameters map[string][]string
	Material   schemas.SecretMaterial
	// Clear is the password itself for schemas.ClearText.
	Clear []byte
}

// String keeps a password out of logs by accident.
func (p Password) String() string { return "(password " + p.Algorithm + ")" }

// GoString keeps a password out of %#v.
func (p Password) GoString() string { return p.String() }

// Parse reads a stored password.
func Parse(value []byte) (Password, error) {
	if len(value) == 0 {
		return Password{}, &Error{Err: ErrEmpty}
	}
	if name, rest, ok := cutScheme(value); ok {
		return parseScheme(name, rest)
	}
	if !utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0 {
		return Password{}, &Error{Err: ErrMalformed, Reason: "it is neither text nor a scheme"}
	}
	s := string(value)
	if strings.HasPrefix(s, "$") && strings.Count(s, "$") >= 2 {
		return parseModular(s)
	}
	if p, ok, err := parseDjango(s); ok {
		return p, err
	}
	return clearText(value)
}

func clearText(value []byte) (Password, error) {
	if len(value) == 0 {
		return Password{}, &Error{Err: ErrEmpty}
	}
	return Password{Algorithm: schemas.ClearText, Clear: value}, nil
}

// cutScheme splits {NAME}rest of RFC 2307.
func cutScheme(value []byte) (name string, rest []byte, ok bool) {
	if value[0] != '{' {
		return "", nil, false
	}
	end := bytes.IndexByte(value, '}')
	if end < 2 || end > 32 {
		return "", nil, false
	}
	for _, c := range value[1:end] {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_./", c) >= 0) {
			return "", nil, false
		}
	}
	return strings.ToUpper(string(value[1:end])), value[end+1:], true
}

// digests are the schemes that are base64 of a digest and, where salted, the
// salt after it.
var digests = map[string]struct {
	algorithm string
	size      int
	salted    bool
}{
	"SHA": {schemas.SHA, 20, false}, "SHA1": {schemas.SHA, 20, false}, "MD5": {schemas.MD5, 16, false},
	"SSHA": {schemas.SSHA, 20, true}, "SSHA1": {schemas.SSHA, 20, true}, "SMD5": {schemas.SMD5, 16, true},
	"SSHA256": {schemas.SSHA256, 32, true}, "SSHA-256": {schemas.SSHA256, 32, true},
	"SSHA512": {schemas.SSHA512, 64, true}, "SSHA-512": {schemas.SSHA512, 64, true},
	// Without salt these are the salted ones with an empty salt.
	"SHA256": {schemas.SSHA256, 32, false}, "SHA-256": {schemas.SSHA256, 32, false},
	"SHA512": {schemas.SSHA512, 64, false}, "SHA-512": {schemas.SSHA512, 64, false},
}

var pbkdf2Names = map[string]string{
	"PBKDF2": schemas.PBKDF2SHA1, "PBKDF2-SHA1": schemas.PBKDF2SHA1,
	"PBKDF2-SHA256": schemas.PBKDF2SHA256, "PBKDF2-SHA512": schemas.PBKDF2SHA512,
}

func parseScheme(name string, rest []byte) (Password, error) {
	if len(rest) == 0 {
		return Password{}, &Error{Err: ErrEmpty}
	}
	if d, ok := digests[name]; ok {
		return parseDigest(d.algorithm, d.size, d.salted, string(rest))
	}
	if algorithm, ok := pbkdf2Names[name]; ok {
		return parsePBKDF2(algorithm, string(rest), decodeAdapted, decodeAdapted)
	}
	switch name {
	case "CLEARTEXT", "CLEAR", "PLAIN", "NOOP":
		return clearText(rest)
	case "ARGON2":
		return parseArgon2(strings.TrimSpace(string(rest)))
	case "CRYPT", "BCRYPT":
		return parseCrypt(string(rest))
	case "SCRYPT":
		return Password{Algorithm: schemas.Scrypt, Material: schemas.SecretMaterial{Encoded: string(rest)}}, nil
	}
	return Password{}, &Error{Err: ErrUnknown, Reason: "the name between the braces is not known"}
}

func parseDigest(algorithm string, size int, salted bool, s string) (Password, error) {
	b, ok := decodeBase64(s)
	switch {
	case !ok:
		return Password{}, malformed(algorithm, "not base64")
	case len(b) < size || !salted && len(b) != size:
		return Password{}, malformed(algorithm, "of the wrong length")
	case salted && len(b) == size:
		return Password{}, malformed(algorithm, "without a salt")
	}
	p := Password{Algorithm: algorithm, Material: schemas.SecretMaterial{Hash: b[:size]}}
	if salted {
		p.Material.Salt = b[size:]
	}
	return p, nil
}

func malformed(algorithm, reason string) error {
	return &Error{Algorithm: algorithm, Err: ErrMalformed, Reason: reason}
}

// maxIterations is far above what anyone stores and keeps a login from taking
// for ever.
const maxIterations = 100_000_000

// parsePBKDF2 reads iterations$salt$hash.
func parsePBKDF2(algorithm, s string, salt, hash func(string) ([]byte, bool)) (Password, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 3 {
		return Password{}, malformed(algorithm, "want iterations, salt and hash")
	}
	n, err := strconv.ParseUint(parts[0], 10, 31)
	if err != nil || n == 0 || n > maxIterations {
		return Password{}, malformed(algorithm, "the number of iterations is out of range")
	}
	saltBytes, ok1 := salt(parts[1])
	hashBytes, ok2 := hash(parts[2])
	switch {
	case !ok1 || !ok2:
		return Password{}, malformed(algorithm, "salt or hash is not base64")
	case len(saltBytes) == 0:
		return Password{}, malformed(algorithm, "without a salt")
	case len(hashBytes) < 16 || len(hashBytes) > 1024:
		return Password{}, malformed(algorithm, "the hash has the wrong length")
	}
	return NewPBKDF2(algorithm, int(n), saltBytes, hashBytes), nil
}

// NewPBKDF2 is the neutral form of a PBKDF2 hash.
func NewPBKDF2(algorithm string, iterations int, salt, hash []byte) Password {
	return Password{Algorithm: algorithm, Material: schemas.SecretMaterial{Hash: hash, Salt: salt}, Parameters: map[string][]string{
		schemas.ParamIterations: {strconv.Itoa(iterations)}, schemas.ParamHashLength: {strconv.Itoa(len(hash))}}}
}

// parseModular reads $id$... strings, bare or after {CRYPT}.
func parseModular(s string) (Password, error) {
	id, rest, _ := strings.Cut(s[1:], "$")
	switch id {
	case "argon2id", "argon2i", "argon2d":
		return parseArgon2(s)
	case "pbkdf2":
		return parsePBKDF2(schemas.PBKDF2SHA1, rest, decodeAdapted, decodeAdapted)
	case "pbkdf2-sha1":
		return parsePBKDF2(schemas.PBKDF2SHA1, rest, decodeAdapted, decodeAdapted)
	case "pbkdf2-sha256":
		return parsePBKDF2(schemas.PBKDF2SHA256, rest, decodeAdapted, decodeAdapted)
	case "pbkdf2-sha512":
		return parsePBKDF2(schemas.PBKDF2SHA512, rest, decodeAdapted, decodeAdapted)
	case "2a", "2b", "2y":
		return parseBcrypt(s)
	case "scrypt", "7":
		return Password{Algorithm: schemas.Scrypt, Material: schemas.SecretMaterial{Encoded: s}}, nil
	case "1", "5", "6", "y", "gy", "2x", "md5", "sha1", "apr1", "3":
		return Password{Algorithm: schemas.Crypt, Material: schemas.SecretMaterial{Encoded: s}}, nil
	}
	return Password{}, &Error{Err: ErrUnknown, Reason: "the name between the dollar signs is not known"}
}

func parseCrypt(s string) (Password, error) {
	if !utf8.ValidString(s) {
		return Password{}, malformed(schemas.Crypt, "not text")
	}
	if strings.HasPrefix(s, "$") {
		return parseModular(s)
	}
	switch {
	case s[0] == '!' || s[0] == '*':
		return Password{}, malformed(schemas.Crypt, "locked: no password matches it")
	case len(s) == 13 || len(s) == 20 && s[0] == '_':
		return Password{Algorithm: schemas.Crypt, Material: schemas.SecretMaterial{Encoded: s}}, nil
	}
	return Password{}, malformed(schemas.Crypt, "of the wrong length")
}

// parseBcrypt checks $2b$NN$ and 53 characters.
func parseBcrypt(s string) (Password, error) {
	if len(s) != 60 || s[6] != '$' {
		return Password{}, malformed(schemas.Bcrypt, "of the wrong length")
	}
	cost, err := strconv.Atoi(s[4:6])
	if err != nil || cost < 4 || cost > 31 {
		return Password{}, malformed(schemas.Bcrypt, "the cost is out of range")
	}
	for i := 7; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '/') {
			return Password{}, malformed(schemas.Bcrypt, "a character that its base64 does not have")
		}
	}
	return Password{Algorithm: schemas.Bcrypt, Material: schemas.SecretMaterial{Encoded: s},
		Parameters: map[string][]string{schemas.ParamIterations: {strconv.Itoa(cost)}}}, nil
}

// parseDjango reads Django's algorithm$iterations$salt$hash, whose salt is
// text; ok is false for anything else.
func parseDjango(s string) (p Password, ok bool, err error) {
	name, rest, found := strings.Cut(s, "$")
	if !found {
		return p, false, nil
	}
	switch name {
	case "pbkdf2_sha256":
		p, err = parsePBKDF2(schemas.PBKDF2SHA256, rest, rawText, decodeBase64)
	case "pbkdf2_sha1":
		p, err = parsePBKDF2(schemas.PBKDF2SHA1, rest, rawText, decodeBase64)
	case "argon2":
		p, err = parseArgon2("$" + rest)
	case "bcrypt":
		p, err = parseBcrypt(rest)
	case "bcrypt_sha256", "scrypt", "unsalted_md5", "unsalted_sha1":
		err = &Error{Err: ErrUnknown, Reason: "a Django hasher that is not read here"}
	default:
		return p, false, nil
	}
	return p, true, err
}

func rawText(s string) ([]byte, bool) { return []byte(s), true }
