package sandbox

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // legacy hashes are what this verifies
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
)

// credentialData and secretData are JSON in a string, read with the same strictness as a body.
type hashParameters struct {
	algorithm  *string
	iterations int64
	extra      map[string][]string
}

type hashSecret struct {
	value, salt *string
}

func readHashParameters(data string) (hashParameters, error) {
	var p hashParameters
	raw, err := parse([]byte(data))
	if err != nil {
		return p, err
	}
	var iterations *int64
	var ignored bool
	err = object(raw, "PasswordCredentialData", fields{
		"hashIterations":       whole(&iterations),
		"algorithm":            text(&p.algorithm),
		"additionalParameters": textLists(&p.extra, &ignored),
	})
	if iterations != nil {
		p.iterations = *iterations
	}
	return p, err
}

func readHashSecret(secret string) (hashSecret, error) {
	var h hashSecret
	raw, err := parse([]byte(secret))
	if err != nil {
		return h, err
	}
	err = object(raw, "PasswordSecretData", fields{"value": text(&h.value), "salt": text(&h.salt), "additionalParameters": nil})
	return h, err
}

// errNoAlgorithm is where the real server falls over instead of refusing the login.
var errNoAlgorithm = errors.New("credential without an algorithm")

// verify tells whether the password is right. What the server cannot verify is wrong.
func (c *credential) verify(password string) (bool, error) {
	if c.data == "" {
		return false, errNoAlgorithm
	}
	p, err := readHashParameters(c.data)
	if err != nil {
		return false, nil
	}
	if p.algorithm == nil {
		return false, errNoAlgorithm
	}
	secret, err := readHashSecret(c.secret)
	if err != nil || secret.value == nil || secret.salt == nil {
		return false, nil
	}
	want, err := base64.StdEncoding.DecodeString(*secret.value)
	if err != nil || len(want) == 0 {
		return false, nil
	}
	salt, err := base64.StdEncoding.DecodeString(*secret.salt)
	if err != nil {
		return false, nil
	}
	got, err := derive(p, password, salt, len(want))
	if err != nil {
		return false, nil
	}
	return hmac.Equal([]byte(base64.StdEncoding.EncodeToString(got)), []byte(*secret.value)), nil
}

func derive(p hashParameters, password string, salt []byte, size int) ([]byte, error) {
	if *p.algorithm == "argon2" {
		return deriveArgon2(p, password, salt, size)
	}
	var h func() hash.Hash
	switch *p.algorithm {
	case "pbkdf2":
		h = sha1.New
	case "pbkdf2-sha256":
		h = sha256.New
	case "pbkdf2-sha512":
		h = sha512.New
	default:
		return nil, fmt.Errorf("no provider for %q", *p.algorithm)
	}
	if len(salt) == 0 || p.iterations <= 0 {
		return nil, errors.New("refused by the JDK: empty salt or no iterations")
	}
	return pbkdf2.Key(h, password, salt, int(p.iterations), size)
}

// deriveArgon2 knows the variants of golang.org/x/crypto: id and i, version 1.3. Argon2d and version 1.0 are refused as wrong.
func deriveArgon2(p hashParameters, password string, salt []byte, size int) ([]byte, error) {
	one := func(name string) string {
		if v := p.extra[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	memory, err := strconv.ParseUint(one("memory"), 10, 32)
	if err != nil {
		return nil, err
	}
	parallelism, err := strconv.ParseUint(one("parallelism"), 10, 8)
	if err != nil {
		return nil, err
	}
	length, err := strconv.Atoi(one("hashLength"))
	if err != nil || length != size {
		return nil, errors.New("hash of another length")
	}
	if one("version") != "1.3" || p.iterations < 1 || parallelism < 1 {
		return nil, errors.New("argon2 variant not supported")
	}
	switch one("type") {
	case "id":
		return argon2.IDKey([]byte(password), salt, uint32(p.iterations), uint32(memory), uint8(parallelism), uint32(size)), nil
	case "i":
		return argon2.Key([]byte(password), salt, uint32(p.iterations), uint32(memory), uint8(parallelism), uint32(size)), nil
	}
	return nil, errors.New("argon2 variant not supported")
}

// hashPolicy is what the realm hashes new passwords with.
type hashPolicy struct {
	algorithm  string
	iterations int64
}

var policyPart = regexp.MustCompile(`(hashAlgorithm|hashIterations)\(([^)]*)\)`)

func (re *realm) hashPolicy() hashPolicy {
	p := hashPolicy{algorithm: "argon2"}
	stated, _ := re.rep["passwordPolicy"].(string)
	for _, m := range policyPart.FindAllStringSubmatch(stated, -1) {
		if m[1] == "hashAlgorithm" {
			p.algorithm = m[2]
		} else if n, err := strconv.ParseInt(m[2], 10, 64); err == nil {
			p.iterations = n
		}
	}
	if p.iterations == 0 {
		p.iterations = map[string]int64{"argon2": 5, "pbkdf2": 1_300_000, "pbkdf2-sha256": 600_000, "pbkdf2-sha512": 210_000}[p.algorithm]
	}
	return p
}

const defaultArgon2 = `{"hashLength":["32"],"memory":["7168"],"type":["id"],"version":["1.3"],"parallelism":["1"]}`

// met tells whether a stored credential needs no rehash.
func (p hashPolicy) met(c *credential) bool {
	held, err := readHashParameters(c.data)
	if err != nil || held.algorithm == nil || *held.algorithm != p.algorithm || held.iterations != p.iterations {
		return false
	}
	secret, err := readHashSecret(c.secret)
	if err != nil || secret.value == nil {
		return false
	}
	if p.algorithm != "argon2" {
		value, _ := base64.StdEncoding.DecodeString(*secret.value)
		return len(value) == p.size()
	}
	for name, want := range map[string]string{"hashLength": "32", "memory": "7168", "type": "id", "version": "1.3", "parallelism": "1"} {
		if v := held.extra[name]; len(v) == 0 || v[0] != want {
			return false
		}
	}
	return true
}

func (p hashPolicy) size() int {
	if p.algorithm == "pbkdf2-sha256" || p.algorithm == "argon2" {
		return 32
	}
	return 64
}

// hash makes the two halves of a stored credential.
func (p hashPolicy) hash(password string, salt []byte) (data, secret string) {
	extra := "{}"
	var value []byte
	if p.algorithm == "argon2" {
		extra = defaultArgon2
		value = argon2.IDKey([]byte(password), salt, uint32(p.iterations), 7168, 1, 32)
	} else {
		name := p.algorithm
		value, _ = derive(hashParameters{algorithm: &name, iterations: p.iterations}, password, salt, p.size()) // fails for no built-in algorithm
	}
	data = fmt.Sprintf(`{"hashIterations":%d,"algorithm":%q,"additionalParameters":%s}`, p.iterations, p.algorithm, extra)
	secret = fmt.Sprintf(`{"value":%q,"salt":%q,"additionalParameters":{}}`, base64.StdEncoding.EncodeToString(value), base64.StdEncoding.EncodeToString(salt))
	return data, secret
}

// verifyCode checks a one-time password by time, one step of the clock to either side.
func (c *credential) verifyCode(code string, now time.Time) bool {
	var data struct {
		SubType, Algorithm, SecretEncoding string
		Digits, Period                     int
	}
	var secret struct{ Value string }
	if json.Unmarshal([]byte(c.data), &data) != nil || json.Unmarshal([]byte(c.secret), &secret) != nil || data.SubType != "totp" || data.Period <= 0 || code == "" {
		return false
	}
	key := []byte(secret.Value) // without an encoding the text itself is the key
	if data.SecretEncoding == "BASE32" {
		var err error
		if key, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(strings.ToUpper(secret.Value), "=")); err != nil {
			return false
		}
	}
	h := map[string]func() hash.Hash{"HmacSHA1": sha1.New, "HmacSHA256": sha256.New, "HmacSHA512": sha512.New}[data.Algorithm]
	if h == nil {
		return false
	}
	for step := int64(-1); step <= 1; step++ {
		if totp(h, key, now.Unix()/int64(data.Period)+step, data.Digits) == code {
			return true
		}
	}
	return false
}

func totp(h func() hash.Hash, key []byte, counter int64, digits int) string {
	m := hmac.New(h, key)
	binary.Write(m, binary.BigEndian, counter)
	sum := m.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f
	n := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	mod := uint32(1)
	for range digits {
		mod *= 10
	}
	return fmt.Sprintf("%0*d", digits, n%mod)
}
