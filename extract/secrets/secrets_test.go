package secrets

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestLooks(t *testing.T) {
	for _, v := range []string{
		"{SSHA}wJv9s2Z9m0bS0R1W7B7BEfDUVOC86cpV", "{ssha}x", "{SSHA512}abc", "{SHA}abc", "{SMD5}abc", "{MD5}abc",
		"{CRYPT}$2a$04$abcdefghijklmnopqrstuv", "{crypt}ab01FAX.bQRSU", "{PBKDF2}1$a$b", "{PBKDF2-SHA256}1000$c2FsdA$aGFzaA", "{PBKDF2-SHA512}1$a$b",
		"{ARGON2}$argon2id$v=19$m=256,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", "{bcrypt}$2b$10$x", "{BLF-CRYPT}$2y$05$x", "{SHA512-CRYPT}$6$x", "{CLEARTEXT}geheim", "{clear}x",
		"$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", "$argon2id$v=19$m=256,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", "$pbkdf2-sha256$1000$c2FsdA$aGFzaGhhc2g",
		"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO", "$1$28772684$iEwNOgGugqO9.bIz5sk8k/", "$P$B12345678SnmSKcEjbVvgcxGXhyPA4.", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1",
		"pbkdf2_sha256$260000$c2FsdA$aGFzaA=", "scrypt:32768:8:1$salt$6871", "argon2$argon2id$v=19$m=1$x$y",
		"otpauth://totp/legacy:fry?secret=JBSWY3DPEHPK3PXP", "seed: otpauth://totp/a?secret=JBSW", "OTPAUTH-MIGRATION://offline?data=x",
		"moved; old hash was {SSHA}wJv9s2Z9m0bS0R1W7B7BEfDUVOC86cpV on monday", "see $2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"-----BEGIN RSA PRIVATE KEY-----\nMII", "-----BEGIN PRIVATE KEY-----", "AGE-SECRET-KEY-1QQ", "20240101120000Z#1.3.6.1.4.1.1466.115.121.1.40#38#{SSHA}wJv9s2Z9m0",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		"\xff\xfe{SSHA}wJv9s2Z9m0bS0R1W7B7BEfDUVOC86cpV",
	} {
		if !Looks([]byte(v)) {
			t.Errorf("%q was not taken for a secret", v)
		}
	}
}

func TestLooksLeavesOrdinaryValues(t *testing.T) {
	for _, v := range []string{
		"", "Anna Weber", "anna@example.org", "{", "{}", "{SSHA}", "{SSHA} is a scheme", "{department}name", "{0}: {1}", "costs $5$ or $6$", "$1$ off", "$HOME$/bin",
		"uid=fry,ou=people,dc=example", "+49 30 1234567", "20240101120000Z", "000001010000Z", "http://example.org/?a={b}c", "password", "sha256", "eyJ.not.a token", "shallow {shape}x",
		"-----BEGIN CERTIFICATE-----", "$2a$", "bcrypt",
	} {
		if Looks([]byte(v)) {
			t.Errorf("%q was taken for a secret", v)
		}
	}
}

// Photos are not sealed by chance: 64 MB of random bytes hold no secret.
func TestLooksLeavesRandomBytes(t *testing.T) {
	src := rand.NewChaCha8([32]byte{7})
	for i := range 64 {
		b := make([]byte, 1<<20)
		src.Read(b)
		copy(b, []byte{0xff, 0xd8, 0xff})
		if Looks(b) {
			t.Fatalf("random megabyte %d was taken for a secret", i)
		}
	}
}

func TestNamed(t *testing.T) {
	for name, want := range map[string]bool{
		"userPassword": true, "USERPASSWORD": true, "userpassword;lang-de": true, "sambaNTPassword": true, "unicodePwd": true,
		"pwdReset": false, "pwdChangedTime": false, "uid": false, "": false, "passwordExpirationTime": false,
	} {
		if got := Named(name); got != want {
			t.Errorf("Named(%q) = %v, want %v", name, got, want)
		}
	}
}

func BenchmarkLooksPhoto(b *testing.B) {
	v := bytes.Repeat([]byte("\xff{a$b}"), 32<<10)
	b.SetBytes(int64(len(v)))
	for b.Loop() {
		Looks(v)
	}
}

func BenchmarkLooksName(b *testing.B) {
	v := []byte("Anna-Katharina Weber")
	for b.Loop() {
		Looks(v)
	}
}
