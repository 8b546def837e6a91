package snapshots

import (
	"encoding/hex"
	"fmt"
)

// Digest is a SHA-256: of a snapshot's logical content, or of a file's bytes.
// Its text form, in JSON too, is 64 lower-case hex digits.
type Digest [32]byte

// String is the text form.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Short is the first 12 hex digits, for people.
func (d Digest) Short() string { return d.String()[:12] }

// IsZero reports whether the digest was never set.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText writes the text form.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the text form.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) != 2*len(d) {
		return fmt.Errorf("digest of %d characters: want %d hex digits", len(b), 2*len(d))
	}
	if _, err := hex.Decode(d[:], b); err != nil || d.String() != string(b) {
		return fmt.Errorf("digest: want %d lower-case hex digits", 2*len(d))
	}
	return nil
}

// ParseDigest reads the text form.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	err := d.UnmarshalText([]byte(s))
	return d, err
}
