package extract

import (
	"fmt"

	"github.com/parallelrun/parallelrun/schemas"
)

var columnTypes = map[string]schemas.Type{
	"": schemas.String, "string": schemas.String, "strings": schemas.Strings, "binary": schemas.Binary, "binaries": schemas.Binaries,
	"bool": schemas.Bool, "int": schemas.Int, "timestamp": schemas.Timestamp, "secret": schemas.Secrets, "secrets": schemas.Secrets,
}

// ColumnType is the type that a source's configuration means by a word; none is
// a string.
func ColumnType(word string) (schemas.Type, error) {
	typ, ok := columnTypes[word]
	if !ok {
		return typ, fmt.Errorf("type %q: use string, strings, binary, binaries, bool, int, timestamp or secrets", word)
	}
	return typ, nil
}

// MeansSecret: what a source's configuration calls so is sealed.
func MeansSecret(word string) bool { return columnTypes[word].IsSecret() }
