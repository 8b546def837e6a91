package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Version is the only version of the file's shape so far.
const Version = 1

// DefaultName is the file that commands look for.
const DefaultName = "migration.yaml"

// Config is a migration.yaml that holds together: the file fits its schema and
// every name in it leads somewhere. All paths in it are absolute.
type Config struct {
	Path string `json:"-"` // the file it was read from
	Dir  string `json:"-"` // the folder that relative paths start from
	Raw  []byte `json:"-"` // the file's bytes, to be kept with a run

	Version int `json:"version"`
	// Store is where the snapshot store lies: an absolute path, or s3://BUCKET/PREFIX.
	Store string `json:"store"`
	S3    S3     `json:"s3"`
	Keys  Keys   `json:"keys"`
	// Retention says what of the store is kept; nil: all.
	Retention  *Retention           `json:"retention,omitempty"`
	Sources    map[string]Source    `json:"sources"`
	Targets    map[string]Target    `json:"targets"`
	Migrations map[string]Migration `json:"migrations"`

	doc *document
}

// Keys say who can open the store's secrets.
type Keys struct {
	// Identity is an age identity, or several on a line each. The zero Secret:
	// the store can't take secrets.
	Identity Secret `json:"identity"`
	// Recipients are who keys are wrapped for, public keys of age and keys of AWS
	// KMS (aws-kms:...); none: the identity's own.
	Recipients []string `json:"recipients,omitempty"`
	// KMS says how AWS KMS is spoken to.
	KMS KMS `json:"kms,omitzero"`
}

// KMS says how AWS KMS is spoken to. What is not set comes from where the AWS
// command line takes it; credentials always do. The region of a key that is named
// by its ARN is the ARN's.
type KMS struct {
	Region   string `json:"region,omitempty"`
	Profile  string `json:"profile,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
}

// kmsPrefix begins a recipient that is a key of AWS KMS.
const kmsPrefix = "aws-kms:"

// UsesKMS says whether keys are wrapped by AWS KMS: then it opens them too, with
// an identity or without one.
func (k Keys) UsesKMS() bool {
	return slices.ContainsFunc(k.Recipients, func(r string) bool { return strings.HasPrefix(r, kmsPrefix) })
}

// Source is one legacy system.
type Source struct {
	Kind string `json:"kind"`
	// Namespace is part of every row id: it is fixed by the first commit.
	Namespace string `json:"namespace"`
	// LDIF is set for kind ldif.
	LDIF *LDIF `json:"-"`
	// CSV is set for kind csv.
	CSV *CSV `json:"-"`
	// JSONL is set for kind jsonl.
	JSONL *JSONL `json:"-"`
}

// Target is one realm.
type Target struct {
	Dialect string `json:"dialect"`
	Realm   string `json:"realm"`
	// URL of the server, without a slash at the end; empty where Sandbox is set.
	URL string `json:"url,omitempty"`
	// Sandbox: the realm is served by this program, for trying things out.
	Sandbox *Sandbox `json:"sandbox,omitempty"`
	// CAFile holds the certificates to trust beside the system's.
	CAFile string `json:"caFile,omitempty"`
	// Auth is the client that reads and writes; the zero Client with a Sandbox:
	// the sandbox brings its own.
	Auth Client `json:"auth"`
	// Proof is the client that proves logins; the zero Client: none.
	Proof Client `json:"proof"`
	// DefaultRole gives every migrated user the realm's default role.
	DefaultRole bool `json:"defaultRole,omitempty"`
	// Roles are realm roles that may be made where they are missing.
	Roles []string `json:"roles,omitempty"`
	// LongAttributes are user attributes with values over 2048 characters, up
	// to AttributeLimit (zero: the dialect's own).
	LongAttributes []string `json:"longAttributes,omitempty"`
	AttributeLimit int      `json:"attributeLimit,omitempty"`
	// TransactionLimit is the longest that a request already begun can still
	// commit; zero: 5 minutes.
	TransactionLimit Duration `json:"transactionLimit,omitempty"`
	Limits           Limits   `json:"limits"`
}

// Sandbox says where the embedded server keeps its state.
type Sandbox struct {
	State string `json:"state"`
}

// Client is an OpenID Connect client with a secret of its own.
type Client struct {
	ClientID     string `json:"clientId,omitempty"`
	ClientSecret Secret `json:"clientSecret"`
}

// IsZero reports whether no client was configured.
func (c Client) IsZero() bool { return c.ClientID == "" }

// Limits spare the target. Zero values mean the dialect's own.
type Limits struct {
	BatchUsers     int      `json:"batchUsers,omitempty"`
	BatchBytes     Size     `json:"batchBytes,omitempty"`
	Connections    int      `json:"connections,omitempty"`
	Concurrency    int      `json:"concurrency,omitempty"`
	RequestTimeout Duration `json:"requestTimeout,omitempty"`
}

// Migration takes one source to one target.
type Migration struct {
	Source string `json:"source"`
	Target string `json:"target"`
	// Mapping is the file of the rules, which names its templates and says what
	// becomes of passwords.
	Mapping string `json:"mapping"`
	// Ownership says whose word counts for a field of a row in the target.
	Ownership Ownership `json:"ownership,omitzero"`
	Brake     Brake     `json:"brake"`
	// Adopt are the rules by which accounts that the target already has are made
	// users' own; none: by decision only.
	Adopt []Adopt `json:"adopt,omitempty"`
	// Decisions is a file of what people decided on conflicts; empty: none.
	Decisions string `json:"decisions,omitempty"`
	// Aliases is a file of keys that changed in the source; empty: none.
	Aliases    string  `json:"aliases,omitempty"`
	Gates      Gates   `json:"gates"`
	Rejects    Rejects `json:"rejects"`
	LoginProof Proof   `json:"loginProof"`
	// Waves are the steps in which users move, in order; none: all at once.
	Waves []Wave `json:"waves,omitempty"`
	// WaveSalt is hashed with a user's key for percentages; empty: the
	// migration's name.
	WaveSalt string `json:"waveSalt,omitempty"`
	// CredentialSync says whether somebody carries password changes over while
	// both systems are in service.
	CredentialSync CredentialSync `json:"credentialSync"`
	Memory         Size           `json:"memory,omitempty"`  // zero: as the command says
	Workers        int            `json:"workers,omitempty"` // zero: as the command says
}

// Adopt is one rule of adoption: every field it names must agree.
type Adopt struct {
	// Match names fields: username, email, attributes["name"].
	Match []string `json:"match"`
}

// Rejects is the contract per entity: above the ratio a run stops before
// anything is written to the target.
type Rejects struct {
	MaxRatio map[string]float64 `json:"maxRatio,omitempty"`
}

// DefaultRejectRatio holds for entities that the configuration does not name.
const DefaultRejectRatio = 0.05

// Limit returns the ratio for an entity.
func (r Rejects) Limit(entity string) float64 {
	if v, ok := r.MaxRatio[entity]; ok {
		return v
	}
	if v, ok := r.MaxRatio["default"]; ok {
		return v
	}
	return DefaultRejectRatio
}

// Proof says how many logins prove a run. Nil: 50.
type Proof struct {
	Users *int `json:"users,omitempty"`
}

// Count returns the number of logins with the default filled in.
func (p Proof) Count() int {
	if p.Users == nil {
		return 50
	}
	return *p.Users
}

// Migration returns the named migration with its name; an empty name means the
// only one there is.
func (c *Config) Migration(name string) (string, Migration, error) {
	names := slices.Sorted(maps.Keys(c.Migrations))
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	if m, ok := c.Migrations[name]; ok {
		return name, m, nil
	}
	err := &UnknownNameError{Kind: "migration", Name: name, Known: names, Path: c.Path}
	return "", Migration{}, err
}

// Source returns the named source, with its name; an empty name means the only
// one there is.
func (c *Config) Source(name string) (string, Source, error) {
	names := slices.Sorted(maps.Keys(c.Sources))
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	if s, ok := c.Sources[name]; ok {
		return name, s, nil
	}
	return "", Source{}, &UnknownNameError{Kind: "source", Name: name, Known: names, Path: c.Path}
}

// Target returns the named target, with its name; an empty name means the only
// one there is.
func (c *Config) Target(name string) (string, Target, error) {
	names := slices.Sorted(maps.Keys(c.Targets))
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	if t, ok := c.Targets[name]; ok {
		return name, t, nil
	}
	return "", Target{}, &UnknownNameError{Kind: "target", Name: name, Known: names, Path: c.Path}
}

// UnknownNameError means that a command named something that the configuration
// does not have.
type UnknownNameError struct {
	Kind, Name string
	Known      []string
	Path       string
}

func (e *UnknownNameError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("%s: %d %ss: say which one", e.Path, len(e.Known), e.Kind)
	}
	return fmt.Sprintf("%s: no %s named %q", e.Path, e.Kind, e.Name)
}

// Hint says which names there are.
func (e *UnknownNameError) Hint() string { return knownHint(e.Name, e.Known) }

// resolve makes a path of the file absolute.
func (c *Config) resolve(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Dir, p)
}
