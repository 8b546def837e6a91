package legacygen

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/parallelrun/parallelrun/schemas"
)

// schemes by their share of a hundred people, under their neutral names.
// Bcrypt comes as $2b$ and $2a$ in turn.
var schemes = []struct {
	name    string
	percent int
}{
	{schemas.PBKDF2SHA256, 35}, {schemas.PBKDF2SHA512, 15}, {schemas.Argon2ID, 15}, {schemas.SSHA, 25}, {schemas.Bcrypt, 3}, {schemas.ClearText, 7},
}

// Parameters that cost little, so that a demo can verify what it migrated.
const (
	argonMemory = 256 // KiB
	bcryptCost  = 4   // the least there is
	saltBytes   = 16
)

func scheme(d *draw) string {
	n := d.n(100)
	for _, s := range schemes {
		if n -= s.percent; n < 0 {
			return s.name
		}
	}
	return schemas.ClearText
}

// clearPassword is unlike anything else in the directory, so that a search for
// leaked ones has no false hits.
func clearPassword(seed uint64, i int) string {
	b := digest(seed, "password", i)
	text := base32.StdEncoding.EncodeToString(b[:15])
	return "Pw-" + text[:8] + "." + strings.ToLower(text[8:16])
}

// storedPassword is the value of userPassword for a clear password.
func storedPassword(c Config, i int, scheme, clear string) (string, error) {
	sum := digest(c.Seed, "salt", i)
	salt := sum[:saltBytes]
	switch scheme {
	case schemas.PBKDF2SHA256:
		return pbkdf2Stored("{PBKDF2-SHA256}", sha256.New, clear, salt, c.Rounds, sha256.Size)
	case schemas.PBKDF2SHA512:
		return pbkdf2Stored("{PBKDF2-SHA512}", sha512.New, clear, salt, c.Rounds, sha512.Size)
	case schemas.Argon2ID:
		b64 := base64.RawStdEncoding
		key := argon2.IDKey([]byte(clear), salt, 1, argonMemory, 1, 32)
		return fmt.Sprintf("{ARGON2}$argon2id$v=%d$m=%d,t=1,p=1$%s$%s", argon2.Version, argonMemory, b64.EncodeToString(salt), b64.EncodeToString(key)), nil
	case schemas.SSHA:
		h := sha1.Sum(append([]byte(clear), salt[:8]...))
		return "{SSHA}" + base64.StdEncoding.EncodeToString(append(h[:], salt[:8]...)), nil
	case schemas.Bcrypt:
		h, err := bcryptHash([]string{"2b", "2a"}[i%2], clear, bcryptCost, salt)
		return "{CRYPT}" + h, err
	}
	return clear, nil
}

// adapted is the base64 of OpenLDAP's pw-pbkdf2: a dot for the plus, no
// padding.
var adapted = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").WithPadding(base64.NoPadding)

func pbkdf2Stored(prefix string, h func() hash.Hash, clear string, salt []byte, rounds, size int) (string, error) {
	key, err := pbkdf2.Key(h, clear, salt, rounds, size)
	if err != nil {
		return "", fmt.Errorf("pbkdf2: %w", err)
	}
	return fmt.Sprintf("%s%d$%s$%s", prefix, rounds, adapted.EncodeToString(salt), adapted.EncodeToString(key)), nil
}
