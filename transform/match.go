package transform

import (
	"crypto/sha256"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/parallelrun/parallelrun/internal/dn"
)

// matching is how values of a lookup are compared.
type matching uint8

const (
	matchExact matching = iota
	matchCaseless
	matchDN
)

var matchings = map[string]matching{"": matchExact, "exact": matchExact, "caseless": matchCaseless, "dn": matchDN}

// normalize returns the form by which two values are the same; a text that is
// no DN is only ever equal to itself.
func (m matching) normalize(s string) string {
	switch m {
	case matchCaseless:
		return caseless(s)
	case matchDN:
		if n, err := dn.Normalize(s); err == nil {
			return n
		}
		return "\x00" + s
	}
	return s
}

func caseless(s string) string { return norm.NFKC.String(strings.ToLower(norm.NFKC.String(s))) }

// valueHash stands for a normalised value in compact memory and in sorts.
type valueHash [16]byte

func hashValue(value string) valueHash {
	sum := sha256.Sum256([]byte(value))
	return valueHash(sum[:16])
}
