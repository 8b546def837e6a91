package schemas

// Neutral names of password schemes, as in the credentials table's algorithm.
// Recognising them is transform's work, encoding them for a target the
// dialect's.
const (
	PBKDF2SHA1   = "pbkdf2-sha1"
	PBKDF2SHA256 = "pbkdf2-sha256"
	PBKDF2SHA512 = "pbkdf2-sha512"
	Argon2ID     = "argon2id"
	Argon2I      = "argon2i"
	Argon2D      = "argon2d"
	Bcrypt       = "bcrypt"
	SSHA         = "ssha"
	SSHA256      = "ssha-256"
	SSHA512      = "ssha-512"
	SHA          = "sha"
	SMD5         = "smd5"
	MD5          = "md5"
	Crypt        = "crypt"
	Scrypt       = "scrypt"
	ClearText    = "clear"
)

// Parameter names of the credentials table's parameters map, each with one
// decimal value.
const (
	ParamIterations  = "iterations"  // PBKDF2 rounds, Argon2 time
	ParamMemory      = "memory"      // Argon2, KiB
	ParamParallelism = "parallelism" // Argon2
	ParamVersion     = "version"     // Argon2: 16 or 19
	ParamHashLength  = "hash_length" // bytes
)

// SecretMaterial is the plaintext of the credentials table's secret column, as
// JSON: what the target needs to verify a password, in neutral form. Hash and
// Salt are raw bytes (JSON encodes them in standard padded base64); Encoded
// keeps the original string of schemes that have no neutral parts here.
type SecretMaterial struct {
	Hash    []byte `json:"hash,omitempty"`
	Salt    []byte `json:"salt,omitempty"`
	Encoded string `json:"encoded,omitempty"`
}
