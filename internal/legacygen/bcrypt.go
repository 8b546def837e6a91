package legacygen

import (
	"encoding/base64"
	"fmt"

	"golang.org/x/crypto/blowfish"
)

var bcryptEncoding = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// bcryptHash is bcrypt with a salt of the caller's choice: x/crypto/bcrypt
// draws its own, and then no seed gives the same bytes twice.
func bcryptHash(version string, password string, cost int, salt []byte) (string, error) {
	key := append([]byte(password), 0)
	c, err := blowfish.NewSaltedCipher(key, salt)
	if err != nil {
		return "", fmt.Errorf("bcrypt: %w", err)
	}
	for range 1 << cost {
		blowfish.ExpandKey(key, c)
		blowfish.ExpandKey(salt, c)
	}
	data := []byte("OrpheanBeholderScryDoubt")
	for i := 0; i < len(data); i += blowfish.BlockSize {
		for range 64 {
			c.Encrypt(data[i:i+blowfish.BlockSize], data[i:i+blowfish.BlockSize])
		}
	}
	// The last byte is left out, as every bcrypt does.
	return fmt.Sprintf("$%s$%02d$%s%s", version, cost, bcryptEncoding.EncodeToString(salt), bcryptEncoding.EncodeToString(data[:23])), nil
}
