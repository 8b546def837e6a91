package waves

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// whole is all users, in the unit of Rule.Percent.
const whole = 1_000_000

// bucket is the place of a user among all, from 0 to whole-1: a percentage p
// takes the buckets below p. It depends on salt and legacy key alone, so that a
// larger percentage takes everybody that a smaller one took, and the order and
// number of users mean nothing.
//
// It is the first 64 bits of SHA-256 over a tag, the length of the salt, salt
// and key, scaled down to the range by a multiplication. Golden vectors fix it:
// another hash would draw again whoever is not assigned yet.
func bucket(salt, key string) int64 {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(salt)))
	for _, part := range [][]byte{[]byte("parallelrun wave 1"), n[:], []byte(salt), []byte(key)} {
		h.Write(part)
	}
	high, _ := bits.Mul64(binary.BigEndian.Uint64(h.Sum(nil)), whole)
	return int64(high)
}
