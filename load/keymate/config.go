package keymate

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

// Opener opens sealed secrets of the rows that are written.
type Opener interface {
	Open(table string, row schemas.RowID, column string, s schemas.Sealed) ([]byte, error)
}

// Config says which realm is loaded, and how.
type Config struct {
	URL          string // base of the server, without /admin or /realms
	Realm        string
	ClientID     string // a client with a service account and the rights of a migration
	ClientSecret string
	TokenURL     string // "": the realm's own token endpoint

	// ProofClientID is a client with direct access grants, for Login; "": Login
	// answers LoginImpossible.
	ProofClientID     string
	ProofClientSecret string

	// Namespace is the id name space of the source whose rows are loaded.
	Namespace string
	// Secrets opens the credentials' secrets; nil: passwords can't be written.
	Secrets Opener

	// DefaultRole gives every user the realm's default role, as the console
	// does; the import path does not by itself.
	DefaultRole bool
	// Roles are realm roles that the load uses: Prepare makes those missing.
	Roles []string

	// AttributeLimit is the most characters of a value of one of
	// LongAttributes; 0: 1 Mi. Other attributes hold what the server's profile
	// allows them, 2,048 characters unless it says otherwise.
	AttributeLimit int
	// LongAttributes are users' attributes (photos, certificates) with values
	// over 2,048 characters. Prepare declares them.
	LongAttributes []string

	BatchUsers       int           // users per import; 0: 20
	BatchBytes       int           // body of an import; 0: 8 MiB (the server refuses 10)
	MaxConnections   int           // connections at once; 0: 8
	Concurrency      int           // requests that a reader keeps in flight; 0: 4
	Timeout          time.Duration // of one request; 0: 60 s
	TransactionLimit time.Duration // the server's own; 0: 5 min
	ReadRetries      int           // of a read after a passing failure; 0: 4, negative: none

	// RootCAs are the certificate authorities to trust; nil: the system's.
	RootCAs *x509.CertPool
	// Transport replaces the network, for tests; nil: HTTP/1.1 with keep-alive.
	Transport http.RoundTripper
}

// withDefaults fills what is zero and refuses what can't work.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	c.URL = strings.TrimRight(c.URL, "/")
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		errs = append(errs, errors.New("url: want http(s)://host, such as https://iam.example.org"))
	}
	for name, v := range map[string]string{
		"realm": c.Realm, "client id": c.ClientID, "client secret": c.ClientSecret, "id name space": c.Namespace,
	} {
		if v == "" {
			errs = append(errs, fmt.Errorf("%s is missing", name))
		}
	}
	if len(errs) > 0 {
		return c, fmt.Errorf("keymate target: %w", errors.Join(errs...))
	}
	if c.TokenURL == "" {
		c.TokenURL = c.URL + "/realms/" + url.PathEscape(c.Realm) + "/protocol/openid-connect/token"
	}
	setDefault(&c.AttributeLimit, 1<<20)
	setDefault(&c.BatchUsers, 20)
	setDefault(&c.BatchBytes, 8<<20)
	setDefault(&c.MaxConnections, 8)
	setDefault(&c.Concurrency, 4)
	setDefault(&c.Timeout, time.Minute)
	setDefault(&c.TransactionLimit, 5*time.Minute)
	setDefault(&c.ReadRetries, 4)
	// A reader holds one connection for a listing while it asks for details.
	c.MaxConnections = max(c.MaxConnections, c.Concurrency+2)
	return c, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
