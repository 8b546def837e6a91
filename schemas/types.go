package schemas

// Type is the type of a column. Its number is the type tag of the canonical
// encoding and of manifests: never renumber.
type Type uint8

// The column types, with the Go type that a Row's cell holds. A nil cell is
// null for every type; null, empty and absent (not in the table) differ.
const (
	Bool        Type = 1  // bool
	Int         Type = 2  // int64
	Timestamp   Type = 3  // int64, microseconds since 1970 in UTC
	String      Type = 4  // string, valid UTF-8
	Binary      Type = 5  // []byte
	Strings     Type = 6  // []string
	Binaries    Type = 7  // [][]byte
	StringsMap  Type = 8  // map[string][]string
	BinariesMap Type = 9  // map[string][][]byte
	Secret      Type = 10 // Sealed
	Secrets     Type = 11 // []Sealed
	SecretsMap  Type = 12 // map[string][]Sealed
)

var typeNames = map[Type]string{
	Bool: "bool", Int: "int", Timestamp: "timestamp", String: "string", Binary: "binary",
	Strings: "list<string>", Binaries: "list<binary>",
	StringsMap: "map<string,list<string>>", BinariesMap: "map<string,list<binary>>",
	Secret: "secret", Secrets: "list<secret>", SecretsMap: "map<string,list<secret>>",
}

// String is the name used in manifests, docs and messages.
func (t Type) String() string { return typeNames[t] }

// ParseType reads the form that String writes; ok is false for any other.
func ParseType(s string) (t Type, ok bool) {
	for t, name := range typeNames {
		if name == s {
			return t, true
		}
	}
	return 0, false
}

// IsSecret reports whether values of the type exist on disk only sealed.
func (t Type) IsSecret() bool { return t == Secret || t == Secrets || t == SecretsMap }

// Sealed is a secret as it may lie on disk. Box is the sealed value; MAC, made
// with the store's long-lived key over (table, row id, column, plaintext),
// stands for the value in row digests and comparisons. Both are secrets in the
// sense of the promises: neither is ever printed.
type Sealed struct {
	MAC [16]byte
	Box []byte
}

// String keeps a sealed value out of logs by accident.
func (Sealed) String() string { return "(sealed)" }

// GoString keeps a sealed value out of %#v.
func (Sealed) GoString() string { return "(sealed)" }

// LargeBytes is the size above which a single string or binary value lives as
// an object of its own. It is part of the format, because the canonical
// encoding of such a value is its SHA-256 and size: never change it.
const LargeBytes = 64 << 10

// LargeRef stands for a value that lives as an object of its own. Path names
// the place in its row: `jpegPhoto`, `jpegPhoto[2]` or `attributes["photo"][0]`.
type LargeRef struct {
	Path   string
	SHA256 [32]byte
	Size   int64
}
