package password

import (
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/parallelrun/parallelrun/schemas"
)

const right, wrong = "correct horse ü", "correct horse u"

func adapted(b []byte) string {
	return strings.ReplaceAll(base64.RawStdEncoding.EncodeToString(b), "+", ".")
}

func derive(h func() hash.Hash, salt []byte, n, size int) []byte {
	k, err := pbkdf2.Key(h, right, salt, n, size)
	if err != nil {
		panic(err)
	}
	return k
}

// vectors are spellings of the right password, made here without the code under
// test.
func vectors() map[string]struct {
	value, algorithm string
	params           string
} {
	salt := []byte{0xfb, 0xff, 0xbf, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 250} // has + and / in base64
	std := base64.StdEncoding.EncodeToString
	raw := base64.RawStdEncoding.EncodeToString
	s1 := sha1.Sum([]byte(right))
	ss1 := sha1.Sum(append([]byte(right), salt...))
	s256 := sha256.Sum256([]byte(right))
	ss256 := sha256.Sum256(append([]byte(right), salt...))
	ss512 := sha512.Sum512(append([]byte(right), salt...))
	m := md5.Sum([]byte(right))
	sm := md5.Sum(append([]byte(right), salt...))
	bc, err := bcrypt.GenerateFromPassword([]byte(right), 4)
	if err != nil {
		panic(err)
	}
	id := argon2.IDKey([]byte(right), salt, 2, 64, 1, 32)
	i := argon2.Key([]byte(right), salt, 3, 64, 2, 24)
	type v = struct{ value, algorithm, params string }
	return map[string]v{
		"SHA":                      {"{SHA}" + std(s1[:]), schemas.SHA, ""},
		"SSHA":                     {"{SSHA}" + std(append(ss1[:], salt...)), schemas.SSHA, ""},
		"SSHA lower case":          {"{ssha}" + std(append(ss1[:], salt...)), schemas.SSHA, ""},
		"SSHA without padding":     {"{SSHA}" + raw(append(ss1[:], salt[:3]...)), schemas.SSHA, "skip"},
		"SHA256":                   {"{SHA256}" + std(s256[:]), schemas.SSHA256, ""},
		"SSHA256":                  {"{SSHA256}" + std(append(ss256[:], salt...)), schemas.SSHA256, ""},
		"SSHA-256":                 {"{SSHA-256}" + std(append(ss256[:], salt...)), schemas.SSHA256, ""},
		"SSHA512":                  {"{SSHA512}" + std(append(ss512[:], salt...)), schemas.SSHA512, ""},
		"MD5":                      {"{MD5}" + std(m[:]), schemas.MD5, ""},
		"SMD5":                     {"{SMD5}" + std(append(sm[:], salt...)), schemas.SMD5, ""},
		"PBKDF2 of OpenLDAP":       {"{PBKDF2}1000$" + adapted(salt) + "$" + adapted(derive(sha1.New, salt, 1000, 20)), schemas.PBKDF2SHA1, "iterations=1000 hash_length=20"},
		"PBKDF2-SHA1":              {"{PBKDF2-SHA1}77$" + adapted(salt) + "$" + adapted(derive(sha1.New, salt, 77, 20)), schemas.PBKDF2SHA1, "iterations=77 hash_length=20"},
		"PBKDF2-SHA256":            {"{PBKDF2-SHA256}1000$" + adapted(salt) + "$" + adapted(derive(sha256.New, salt, 1000, 32)), schemas.PBKDF2SHA256, "iterations=1000 hash_length=32"},
		"PBKDF2-SHA512":            {"{pbkdf2-sha512}10$" + adapted(salt) + "$" + adapted(derive(sha512.New, salt, 10, 64)), schemas.PBKDF2SHA512, "iterations=10 hash_length=64"},
		"passlib":                  {"$pbkdf2-sha256$29000$" + adapted(salt) + "$" + adapted(derive(sha256.New, salt, 29000, 32)), schemas.PBKDF2SHA256, "iterations=29000 hash_length=32"},
		"passlib in crypt":         {"{CRYPT}$pbkdf2-sha512$25$" + adapted(salt) + "$" + adapted(derive(sha512.New, salt, 25, 64)), schemas.PBKDF2SHA512, "iterations=25 hash_length=64"},
		"passlib SHA-1":            {"$pbkdf2$25$" + adapted(salt) + "$" + adapted(derive(sha1.New, salt, 25, 20)), schemas.PBKDF2SHA1, "iterations=25 hash_length=20"},
		"Django":                   {"pbkdf2_sha256$260$seasalt$" + std(derive(sha256.New, []byte("seasalt"), 260, 32)), schemas.PBKDF2SHA256, "iterations=260 hash_length=32"},
		"Django SHA-1":             {"pbkdf2_sha1$260$seasalt$" + std(derive(sha1.New, []byte("seasalt"), 260, 20)), schemas.PBKDF2SHA1, "iterations=260 hash_length=20"},
		"Django Argon2":            {fmt.Sprintf("argon2$argon2id$v=19$m=64,t=2,p=1$%s$%s", raw(salt), raw(id)), schemas.Argon2ID, "iterations=2 memory=64 parallelism=1 version=19 hash_length=32"},
		"Argon2id":                 {fmt.Sprintf("{ARGON2}$argon2id$v=19$m=64,t=2,p=1$%s$%s", raw(salt), raw(id)), schemas.Argon2ID, "iterations=2 memory=64 parallelism=1 version=19 hash_length=32"},
		"Argon2id bare, padded":    {fmt.Sprintf("$argon2id$v=19$t=2,m=64,p=1$%s$%s", std(salt), std(id)), schemas.Argon2ID, "iterations=2 memory=64 parallelism=1 version=19 hash_length=32"},
		"Argon2i":                  {fmt.Sprintf("{argon2}$argon2i$v=19$m=64,t=3,p=2$%s$%s", raw(salt), raw(i)), schemas.Argon2I, "iterations=3 memory=64 parallelism=2 version=19 hash_length=24"},
		"Argon2d of version 16":    {fmt.Sprintf("$argon2d$v=16$m=64,t=3,p=2$%s$%s", raw(salt), raw(i)), schemas.Argon2D, "skip"},
		"Argon2i without version":  {fmt.Sprintf("$argon2i$m=64,t=3,p=2$%s$%s", raw(salt), raw(i)), schemas.Argon2I, "skip"},
		"bcrypt":                   {"{CRYPT}" + string(bc), schemas.Bcrypt, "iterations=4"},
		"bcrypt 2y":                {"{CRYPT}" + strings.Replace(string(bc), "$2a$", "$2y$", 1), schemas.Bcrypt, "iterations=4"},
		"bcrypt bare":              {string(bc), schemas.Bcrypt, "iterations=4"},
		"bcrypt of Spring":         {"{bcrypt}" + string(bc), schemas.Bcrypt, "iterations=4"},
		"bcrypt of Django":         {"bcrypt$" + string(bc), schemas.Bcrypt, "iterations=4"},
		"crypt SHA-512":            {"{CRYPT}$6$rounds=5000$salt$hash", schemas.Crypt, "skip"},
		"crypt MD5":                {"{crypt}$1$salt$hash", schemas.Crypt, "skip"},
		"crypt yescrypt":           {"$y$j9T$salt$hash", schemas.Crypt, "skip"},
		"crypt DES":                {"{CRYPT}rqXexS6ZhobKA", schemas.Crypt, "skip"},
		"scrypt":                   {"$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaA", schemas.Scrypt, "skip"},
		"clear text":               {right, schemas.ClearText, ""},
		"clear text with a scheme": {"{CLEARTEXT}" + right, schemas.ClearText, ""},
		"clear text with a brace":  {"{" + right, schemas.ClearText, "skip"},
		"clear text with a dollar": {"$" + right, schemas.ClearText, "skip"},
		"clear text, two dollars":  {"a$b$c", schemas.ClearText, "skip"},
	}
}

func TestParse(t *testing.T) {
	for name, v := range vectors() {
		t.Run(name, func(t *testing.T) {
			p, err := Parse([]byte(v.value))
			if err != nil {
				t.Fatal(err)
			}
			if p.Algorithm != v.algorithm {
				t.Fatalf("algorithm %s, want %s", p.Algorithm, v.algorithm)
			}
			if v.params == "skip" {
				return
			}
			if got := paramText(p.Parameters); got != v.params {
				t.Errorf("parameters %q, want %q", got, v.params)
			}
			if !verify(t, p, right) {
				t.Error("the right password is refused")
			}
			if verify(t, p, wrong) {
				t.Error("a wrong password is taken")
			}
		})
	}
}

func paramText(m map[string][]string) string {
	var out []string
	for _, k := range []string{schemas.ParamIterations, schemas.ParamMemory, schemas.ParamParallelism, schemas.ParamVersion, schemas.ParamHashLength} {
		if len(m[k]) == 1 {
			out = append(out, k+"="+m[k][0])
		}
	}
	return strings.Join(out, " ")
}

// verify checks a password against the neutral form, as a target does.
func verify(t *testing.T, p Password, candidate string) bool {
	t.Helper()
	n := func(name string) int {
		i, err := strconv.Atoi(p.Parameters[name][0])
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	salted := append([]byte(candidate), p.Material.Salt...)
	var got []byte
	switch p.Algorithm {
	case schemas.ClearText:
		return string(p.Clear) == candidate
	case schemas.Bcrypt:
		return bcrypt.CompareHashAndPassword([]byte(p.Material.Encoded), []byte(candidate)) == nil
	case schemas.SHA, schemas.SSHA:
		s := sha1.Sum(salted)
		got = s[:]
	case schemas.SSHA256:
		s := sha256.Sum256(salted)
		got = s[:]
	case schemas.SSHA512:
		s := sha512.Sum512(salted)
		got = s[:]
	case schemas.MD5, schemas.SMD5:
		s := md5.Sum(salted)
		got = s[:]
	case schemas.PBKDF2SHA1, schemas.PBKDF2SHA256, schemas.PBKDF2SHA512:
		h := map[string]func() hash.Hash{schemas.PBKDF2SHA1: sha1.New, schemas.PBKDF2SHA256: sha256.New, schemas.PBKDF2SHA512: sha512.New}[p.Algorithm]
		k, err := pbkdf2.Key(h, candidate, p.Material.Salt, n(schemas.ParamIterations), n(schemas.ParamHashLength))
		if err != nil {
			t.Fatal(err)
		}
		got = k
	case schemas.Argon2ID:
		got = argon2.IDKey([]byte(candidate), p.Material.Salt, uint32(n("iterations")), uint32(n("memory")), uint8(n("parallelism")), uint32(n("hash_length")))
	case schemas.Argon2I:
		got = argon2.Key([]byte(candidate), p.Material.Salt, uint32(n("iterations")), uint32(n("memory")), uint8(n("parallelism")), uint32(n("hash_length")))
	default:
		t.Fatalf("no way to verify %s", p.Algorithm)
	}
	return subtle.ConstantTimeCompare(got, p.Material.Hash) == 1
}

func TestParseRefuses(t *testing.T) {
	good := base64.RawStdEncoding.EncodeToString(make([]byte, 32))
	for _, tt := range []struct {
		value string
		want  error
	}{
		{"", ErrEmpty}, {"{SSHA}", ErrEmpty}, {"{CLEARTEXT}", ErrEmpty},
		{"{FOO}hunter2", ErrUnknown}, {"$foo$hunter2", ErrUnknown}, {"{SASL}hunter2@REALM", ErrUnknown}, {"$P$Bhunter2", ErrUnknown},
		{"bcrypt_sha256$$2b$04$hunter2", ErrUnknown},
		{"{SSHA}hunter2!", ErrMalformed}, {"{SSHA}aHVudGVyMg==", ErrMalformed}, {"{SHA}" + good, ErrMalformed},
		{"{SSHA}" + base64.StdEncoding.EncodeToString(make([]byte, 20)), ErrMalformed},
		{"{PBKDF2-SHA256}1000$hunter2", ErrMalformed}, {"{PBKDF2-SHA256}0$" + good + "$" + good, ErrMalformed},
		{"{PBKDF2-SHA256}99999999999$" + good + "$" + good, ErrMalformed}, {"{PBKDF2-SHA256}-1$" + good + "$" + good, ErrMalformed},
		{"{PBKDF2-SHA256}1000$$" + good, ErrMalformed}, {"{PBKDF2-SHA256}1000$" + good + "$aGk", ErrMalformed},
		{"pbkdf2_sha256$1000$salt$hunter2!", ErrMalformed},
		{"$argon2id$v=19$m=64,t=2$" + good + "$" + good, ErrMalformed}, {"$argon2id$v=19$m=64,t=2,p=0$" + good + "$" + good, ErrMalformed},
		{"$argon2id$v=20$m=64,t=2,p=1$" + good + "$" + good, ErrMalformed}, {"$argon2id$v=19$m=64,t=2,p=1,data=x$" + good + "$" + good, ErrMalformed},
		{"$argon2id$v=19$m=9999999999,t=2,p=1$" + good + "$" + good, ErrMalformed}, {"$argon2id$v=19$m=64,t=2,p=1$" + good, ErrMalformed},
		{"{ARGON2}hunter2", ErrMalformed},
		{"{CRYPT}$2b$04$hunter2", ErrMalformed}, {"{CRYPT}$2b$99$" + strings.Repeat("a", 53), ErrMalformed},
		{"{CRYPT}!", ErrMalformed}, {"{CRYPT}*LK*", ErrMalformed}, {"{CRYPT}hunter2", ErrMalformed},
		{"\xff\xfehunter2", ErrMalformed}, {"hunter2\x00", ErrMalformed},
	} {
		_, err := Parse([]byte(tt.value))
		if !errors.Is(err, tt.want) {
			t.Errorf("Parse(%q): %v, want %v", tt.value, err, tt.want)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "FOO") {
			t.Errorf("Parse(%q): the error shows a part of the value: %v", tt.value, err)
		}
	}
}

func TestPasswordsDoNotPrint(t *testing.T) {
	p, err := Parse([]byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(p), fmt.Sprintf("%+v", p), fmt.Sprintf("%#v", p)} {
		if strings.Contains(s, "hunter2") || strings.Contains(s, "104, 117") {
			t.Errorf("shows the password: %s", s)
		}
	}
}

// What parses is within the bounds that a target can hold, and no error shows
// the value.
func FuzzParse(f *testing.F) {
	for _, v := range vectors() {
		f.Add([]byte(v.value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		p, err := Parse(value)
		if err != nil {
			if len(value) > 40 && strings.Contains(err.Error(), string(value[len(value)/2:])) {
				t.Fatalf("the error shows a part of the value: %v", err)
			}
			return
		}
		if p.Algorithm == "" {
			t.Fatal("no algorithm")
		}
		full := len(p.Material.Hash) > 0 || p.Material.Encoded != "" || len(p.Clear) > 0
		if !full {
			t.Fatal("nothing to verify a password with")
		}
		if slices.Contains([]string{schemas.PBKDF2SHA1, schemas.PBKDF2SHA256, schemas.PBKDF2SHA512}, p.Algorithm) {
			if n, err := strconv.Atoi(p.Parameters[schemas.ParamIterations][0]); err != nil || n < 1 || len(p.Material.Salt) == 0 {
				t.Fatalf("parameters %v", p.Parameters)
			}
		}
	})
}
