package snapshots

import (
	"context"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Place is where other programs find the bytes of an object that a known
// snapshot needs, as a path or an s3:// URL: under its current name, or as the
// second copy where there is one, for the first is damaged then. It holds as
// long as a snapshot that needs the object is known and its manifest stays.
func (s *Store) Place(ctx context.Context, o parts.Object) (string, error) {
	repaired, err := s.anyRepaired(ctx)
	if err != nil {
		return "", err
	}
	key := s.where(contentOf(o))
	if first := objectKey(o); repaired[first] {
		key = repairedKey(first)
	}
	return s.b.Location() + "/" + key, nil
}
