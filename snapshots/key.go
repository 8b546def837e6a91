package snapshots

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBadKey: the key can't name an object. Nothing was done; use another name.
var ErrBadKey = errors.New("not a valid object key")

// maxKey and maxSegment fit every file system and bucket.
const (
	maxKey     = 512
	maxSegment = 200
)

// CheckKey says whether a key may name an object: segments of ASCII letters,
// digits and ._=-, joined by slashes, none empty or with a dot in front. So a
// key is never absolute, never climbs, and means the same in a directory and
// in a bucket. Every back end refuses what CheckKey refuses.
func CheckKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("%q: %w: length must be 1 to %d", key, ErrBadKey, maxKey)
	}
	for seg := range strings.SplitSeq(key, "/") {
		if err := checkSegment(seg); err != nil {
			return fmt.Errorf("%q: %w: %w", key, ErrBadKey, err)
		}
	}
	return nil
}

func checkSegment(seg string) error {
	switch {
	case seg == "":
		return errors.New("empty segment")
	case seg[0] == '.':
		return errors.New("segment starts with a dot")
	case len(seg) > maxSegment:
		return fmt.Errorf("segment longer than %d", maxSegment)
	}
	for i := range len(seg) {
		if !keyByte(seg[i]) {
			return fmt.Errorf("byte %#x is not a letter, digit or one of ._=-", seg[i])
		}
	}
	return nil
}

func keyByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' ||
		b == '.' || b == '_' || b == '=' || b == '-'
}
