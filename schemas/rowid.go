package schemas

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// RowID identifies a row for good: 128 bits derived from its legacy key. It is
// the same for every target and survives renames.
type RowID [16]byte

// NewRowID derives the id of an independent row (users, organizations,
// departments, groups, and every row of a legacy table): the first 128 bits of
// SHA-256 over the length-prefixed namespace, entity and key. Length prefixes
// keep ("a","bc") apart from ("ab","c").
func NewRowID(namespace, entity, key string) RowID {
	var id RowID
	sum := hashParts(namespace, entity, key)
	copy(id[:], sum[:16])
	return id
}

// LegacyRowID derives the id of a row of a legacy table.
func LegacyRowID(namespace, table, key string) RowID {
	return NewRowID(namespace, "legacy:"+table, key)
}

// DependentRowID derives the id of a row that belongs to a user (credentials,
// memberships): 64 bits of the user's id, then 64 bits of the row's own hash.
// Such rows sort and split beside their user, so that joins are merges.
func DependentRowID(user RowID, entity string, key ...string) RowID {
	var id RowID
	copy(id[:8], user[:8])
	sum := hashParts(append([]string{hex.EncodeToString(user[:]), entity}, key...)...)
	copy(id[8:], sum[:8])
	return id
}

func hashParts(parts ...string) [sha256.Size]byte {
	var room [256]byte
	b := room[:0]
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return sha256.Sum256(b)
}

// String is the id as 32 lower-case hex digits, the form used in reference
// columns, file names and output.
func (id RowID) String() string { return hex.EncodeToString(id[:]) }

// Compare orders ids as the snapshot store sorts them: by raw bytes.
func (id RowID) Compare(other RowID) int { return bytes.Compare(id[:], other[:]) }

// IsZero reports whether the id was never set.
func (id RowID) IsZero() bool { return id == RowID{} }

// ParseRowID reads the form that String writes.
func ParseRowID(s string) (RowID, error) {
	var id RowID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("row id %q: want 32 hex digits", s)
	}
	copy(id[:], b)
	return id, nil
}
