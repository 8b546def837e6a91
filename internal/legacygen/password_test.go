package legacygen

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/parallelrun/parallelrun/internal/dn"
	"github.com/parallelrun/parallelrun/schemas"
)

// verify checks a stored password as its scheme's own documentation says,
// apart from the code that made it.
func verify(t *testing.T, stored, clear string) bool {
	t.Helper()
	raw := func(s string) []byte {
		b, err := base64.RawStdEncoding.DecodeString(strings.ReplaceAll(s, ".", "+"))
		if err != nil {
			t.Fatalf("%v in %q", err, stored)
		}
		return b
	}
	switch schemeOf(stored) {
	case schemas.SSHA:
		b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(stored, "{SSHA}"))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha1.Sum(append([]byte(clear), b[20:]...))
		return bytes.Equal(sum[:], b[:20])
	case schemas.PBKDF2SHA256, schemas.PBKDF2SHA512:
		_, rest, _ := strings.Cut(stored, "}")
		parts := strings.Split(rest, "$")
		rounds, err := strconv.Atoi(parts[0])
		if err != nil || len(parts) != 3 {
			t.Fatalf("%v in %q", err, stored)
		}
		h, size := sha256.New, 32
		if schemeOf(stored) == schemas.PBKDF2SHA512 {
			h, size = sha512.New, 64
		}
		key, err := pbkdf2.Key(h, clear, raw(parts[1]), rounds, size)
		return err == nil && bytes.Equal(key, raw(parts[2]))
	case schemas.Argon2ID:
		parts := strings.Split(stored, "$")
		if parts[2] != "v=19" || parts[3] != "m=256,t=1,p=1" {
			t.Fatalf("parameters of %q", stored)
		}
		return bytes.Equal(argon2.IDKey([]byte(clear), raw(parts[4]), 1, 256, 1, 32), raw(parts[5]))
	case schemas.Bcrypt:
		return bcrypt.CompareHashAndPassword([]byte(strings.TrimPrefix(stored, "{CRYPT}")), []byte(clear)) == nil
	}
	return stored == clear
}

// Every stored password verifies with the clear one that Logins tells, and
// with no other.
func TestPasswordsVerify(t *testing.T) {
	b, _ := generate(t, small)
	stored := map[string]string{}
	uid := map[string]string{}
	for _, e := range parse(t, b) {
		stored[e.one("entryuuid")] = e.one("userpassword")
		uid[e.one("entryuuid")] = e.one("uid")
	}
	seen := map[string]int{}
	for l, err := range Logins(small) {
		if err != nil {
			t.Fatal(err)
		}
		if uid[l.Key] != l.Username {
			t.Fatalf("%s has uid %q, Logins says %q", l.Key, uid[l.Key], l.Username)
		}
		if l.Scheme == "" {
			if stored[l.Key] != "" || l.Password != "" || l.Kind != NoPassword {
				t.Errorf("%s has a password that Logins does not tell", l.Key)
			}
			continue
		}
		if schemeOf(stored[l.Key]) != l.Scheme {
			t.Fatalf("%s is stored as %s, Logins says %s", l.Key, schemeOf(stored[l.Key]), l.Scheme)
		}
		if !verify(t, stored[l.Key], l.Password) || verify(t, stored[l.Key], l.Password+"x") {
			t.Fatalf("%s: the %s hash does not tell the right password from a wrong one", l.Key, l.Scheme)
		}
		seen[l.Scheme]++
	}
	for _, s := range schemes {
		if seen[s.name] == 0 {
			t.Errorf("nobody has a %s password", s.name)
		}
	}
}

func TestSample(t *testing.T) {
	got, err := Sample(small, 10)
	if err != nil {
		t.Fatal(err)
	}
	perScheme, keys := map[string]int{}, map[string]bool{}
	for _, l := range got {
		if !l.Movable() || !l.Kind.Carried() || !l.Kind.Active() || l.Password == "" {
			t.Errorf("%+v can't log in", l.Kind)
		}
		perScheme[l.Scheme]++
		keys[l.Key] = true
	}
	if len(perScheme) != 3 || len(keys) != 30 || perScheme[schemas.Argon2ID] != 10 {
		t.Errorf("sample of %d people: %v", len(keys), perScheme)
	}
}

// Secrets names everything secret that stands in the file.
func TestSecretsAreAll(t *testing.T) {
	b, _ := generate(t, small)
	known := map[string]bool{}
	for s, err := range Secrets(small) {
		if err != nil {
			t.Fatal(err)
		}
		known[s] = true
	}
	hidden := 0
	for _, e := range parse(t, b) {
		if pw := e.one("userpassword"); pw != "" && !known[pw] {
			t.Fatalf("a stored password of scheme %s is not among the secrets", schemeOf(pw))
		}
		if d := e.one("description"); strings.Contains(d, "otpauth:") || strings.Contains(d, "{SSHA}") {
			hidden++
			if !known[d] {
				t.Fatal("a hidden secret is not among the secrets")
			}
		}
	}
	if hidden == 0 {
		t.Error("no description hides a secret")
	}
}

// Every person has exactly one kind, and pairs are pairs.
func TestLayout(t *testing.T) {
	for _, c := range []Config{{Users: MinUsers}, {Users: 101, Seed: 5}, {Users: 10000}, {Users: 9973, Seed: 3}} {
		c, err := c.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		l := newLayout(c)
		counts := map[Kind]int{}
		for i := range c.Users {
			k, pos := l.kind(i)
			counts[k]++
			if k == CaseDuplicate && pos%2 == 1 || k == Reused {
				first, firstPos := l.kind(l.partner(i))
				if firstPos != pos-1 || k == Reused && first != ReusedLeft || k == CaseDuplicate && first != k {
					t.Fatalf("users %d: partner of person %d (%s, %d) is %s, %d", c.Users, i, k, pos, first, firstPos)
				}
			}
		}
		for _, s := range shares {
			if counts[s.kind] == 0 {
				t.Errorf("users %d: nobody is %s", c.Users, s.kind)
			}
		}
		if counts[Reused] != counts[ReusedLeft] || counts[CaseDuplicate]%2 != 0 || counts[EmailDuplicate]%2 != 0 {
			t.Errorf("users %d: odd pairs in %v", c.Users, counts)
		}
	}
}

// The other spelling of a DN is another text for the same name.
func TestOtherSpelling(t *testing.T) {
	c, err := small.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	d := newDirectory(c)
	for i := range d.people() {
		own := d.person(i).dn
		other := otherSpelling(own)
		a, err1 := dn.Normalize(own)
		b, err2 := dn.Normalize(other)
		if own == other || err1 != nil || err2 != nil || a != b {
			t.Fatalf("%s and %s: normal forms %s, %s (%v, %v)", own, other, a, b, err1, err2)
		}
	}
}
