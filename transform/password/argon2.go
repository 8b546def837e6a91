package password

import (
	"strconv"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// parseArgon2 reads the PHC string $argon2id$v=19$m=..,t=..,p=..$salt$hash;
// strings without a version are of version 16.
func parseArgon2(s string) (Password, error) {
	parts := strings.Split(s, "$")
	if len(parts) < 5 || parts[0] != "" {
		return Password{}, malformed(schemas.Argon2ID, "want type, parameters, salt and hash")
	}
	algorithm := parts[1]
	if algorithm != schemas.Argon2ID && algorithm != schemas.Argon2I && algorithm != schemas.Argon2D {
		return Password{}, malformed("", "not a type of Argon2")
	}
	parts = parts[2:]
	version := "16"
	if v, ok := strings.CutPrefix(parts[0], "v="); ok {
		version, parts = v, parts[1:]
	}
	if len(parts) != 3 {
		return Password{}, malformed(algorithm, "want type, parameters, salt and hash")
	}
	if version != "16" && version != "19" {
		return Password{}, malformed(algorithm, "a version that is not known")
	}
	params, err := argon2Parameters(algorithm, parts[0])
	if err != nil {
		return Password{}, err
	}
	salt, ok1 := decodeBase64(parts[1])
	hash, ok2 := decodeBase64(parts[2])
	switch {
	case !ok1 || !ok2:
		return Password{}, malformed(algorithm, "salt or hash is not base64")
	case len(salt) < 8 || len(salt) > 1024:
		return Password{}, malformed(algorithm, "the salt has the wrong length")
	case len(hash) < 4 || len(hash) > 1024:
		return Password{}, malformed(algorithm, "the hash has the wrong length")
	}
	params[schemas.ParamVersion] = []string{version}
	params[schemas.ParamHashLength] = []string{strconv.Itoa(len(hash))}
	return Password{Algorithm: algorithm, Parameters: params, Material: schemas.SecretMaterial{Hash: hash, Salt: salt}}, nil
}

// Bounds within which a server can verify at all.
const (
	maxArgon2Memory      = 4 << 20 // KiB: 4 GiB
	maxArgon2Time        = 10_000
	maxArgon2Parallelism = 255
)

func argon2Parameters(algorithm, s string) (map[string][]string, error) {
	names := map[string]struct {
		param string
		max   uint64
	}{"m": {schemas.ParamMemory, maxArgon2Memory}, "t": {schemas.ParamIterations, maxArgon2Time}, "p": {schemas.ParamParallelism, maxArgon2Parallelism}}
	out := map[string][]string{}
	for _, part := range strings.Split(s, ",") {
		k, v, _ := strings.Cut(part, "=")
		name, ok := names[k]
		n, err := strconv.ParseUint(v, 10, 32)
		if !ok || err != nil || n == 0 || n > name.max || out[name.param] != nil {
			return nil, malformed(algorithm, "a parameter is not known, stands twice or is out of range")
		}
		out[name.param] = []string{strconv.FormatUint(n, 10)}
	}
	if len(out) != len(names) {
		return nil, malformed(algorithm, "a parameter is missing")
	}
	return out, nil
}
