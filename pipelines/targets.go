package pipelines

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/keymate"
)

// OpenTarget opens a configured target. One that is embedded is started in
// this process and ends when the target is closed. keys opens the secrets of
// what is written; nil for a target that is only read.
func OpenTarget(ctx context.Context, t config.Target, namespace string, keys *seal.Keyring) (load.Target, error) {
	cfg, err := keymateConfig(t, namespace, keys)
	if err != nil {
		return nil, err
	}
	if t.Sandbox == nil {
		return keymate.Open(cfg)
	}
	stop, err := startSandbox(ctx, t, &cfg)
	if err != nil {
		return nil, err
	}
	target, err := keymate.Open(cfg)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return &embedded{Target: target, stop: stop}, nil
}

func keymateConfig(t config.Target, namespace string, keys *seal.Keyring) (keymate.Config, error) {
	cfg := keymate.Config{
		URL: t.URL, Realm: t.Realm, ClientID: t.Auth.ClientID, ProofClientID: t.Proof.ClientID, Namespace: namespace,
		DefaultRole: t.DefaultRole, Roles: t.Roles, LongAttributes: t.LongAttributes, AttributeLimit: t.AttributeLimit,
		BatchUsers: t.Limits.BatchUsers, BatchBytes: int(t.Limits.BatchBytes), MaxConnections: t.Limits.Connections,
		Concurrency: t.Limits.Concurrency, Timeout: time.Duration(t.Limits.RequestTimeout), TransactionLimit: time.Duration(t.TransactionLimit),
	}
	if keys != nil {
		cfg.Secrets = keys
	}
	for _, c := range []struct {
		from config.Client
		to   *string
	}{{t.Auth, &cfg.ClientSecret}, {t.Proof, &cfg.ProofClientSecret}} {
		if c.from.IsZero() {
			continue
		}
		v, err := c.from.ClientSecret.Value()
		if err != nil {
			return cfg, err
		}
		*c.to = v.Reveal()
	}
	roots, err := trusted(t.CAFile)
	cfg.RootCAs = roots
	return cfg, err
}

// trusted returns the system's certificates with those in a file beside them,
// nil for no file.
func trusted(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in PEM form in it", file)
	}
	return pool, nil
}

// embedded is a target whose server runs in this process.
type embedded struct {
	*keymate.Target
	stop func() error
}

func (e *embedded) Close() error { return errors.Join(e.Target.Close(), e.stop()) }

// Endpoint is where a target is spoken to and as whom, for those who want to
// look at it or edit it by hand.
type Endpoint struct {
	URL, Realm             string
	ClientID, ClientSecret string
}

// AtEndpoint calls fn with the endpoint of a configured target. One that is
// embedded runs meanwhile; targets that are opened before fn returns share its
// server.
func AtEndpoint(ctx context.Context, t config.Target, fn func(Endpoint) error) (err error) {
	cfg, err := keymateConfig(t, "", nil)
	if err != nil {
		return err
	}
	if t.Sandbox != nil {
		stop, err := startSandbox(ctx, t, &cfg)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	return fn(Endpoint{URL: cfg.URL, Realm: cfg.Realm, ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret})
}
