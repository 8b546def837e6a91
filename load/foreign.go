package load

import (
	"github.com/google/uuid"

	"github.com/parallelrun/parallelrun/schemas"
)

// foreignSpace is the UUIDv5 name space of things in a target that are
// nobody's row. It is part of the format of observed snapshots.
var foreignSpace = uuid.NewSHA1(uuid.Nil, []byte("target"))

// ForeignRowID is the row id under which something of the target that is no
// row of ours is kept: UUIDv5("target", its id), the same in every observation.
func ForeignRowID(targetID string) schemas.RowID {
	return schemas.RowID(uuid.NewSHA1(foreignSpace, []byte(targetID)))
}
