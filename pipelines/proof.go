package pipelines

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// LoginSamples are users whose legacy password is known: test accounts, or
// what a generator made. They stay in memory.
type LoginSamples []loginSample

type loginSample struct {
	key, password, scheme string
}

// String keeps passwords out of logs.
func (s LoginSamples) String() string { return fmt.Sprintf("%d login samples", len(s)) }

// GoString keeps passwords out of %#v.
func (s LoginSamples) GoString() string { return s.String() }

// ReadLogins reads samples from a CSV file with the header key,password and,
// if the report shall tell them apart by it, scheme. Errors never hold a value.
func ReadLogins(path string) (LoginSamples, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("logins: %w", err)
	}
	defer f.Close()
	in := csv.NewReader(f)
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil || len(header) < 2 || len(header) > 3 || header[0] != "key" || header[1] != "password" || len(header) == 3 && header[2] != "scheme" {
		return nil, fmt.Errorf("%s:1: want the header key,password or key,password,scheme", path)
	}
	var out LoginSamples
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		s := loginSample{key: row[0], password: row[1]}
		if len(row) == 3 {
			s.scheme = row[2]
		}
		out = append(out, s)
	}
}

// proveLogins logs migrated users in with their legacy passwords.
func (r *Runner) proveLogins(ctx context.Context, samples LoginSamples) (*load.LoginReport, error) {
	base, err := r.base(ctx)
	if err != nil {
		return nil, err
	}
	if base == nil {
		return nil, fmt.Errorf("login proof: target %s: %w", r.TargetName, ErrNoBase)
	}
	known, schemes, err := r.provable(ctx, base, samples)
	if err != nil {
		return nil, err
	}
	progress := &stepProgress{ui: r.Progress}
	defer progress.end()
	return load.LoginProof(ctx, r.Target, known, r.Config.LoginProof.Count(), schemes, progress)
}

// provable finds the samples' users in base: those with a password there.
func (r *Runner) provable(ctx context.Context, base *snapshots.Snapshot, samples LoginSamples) (iter.Seq2[load.LoginSample, error], []string, error) {
	users, err := column(ctx, base, schemas.Users, "username", func(row schemas.Row, _ *schemas.Table) (string, bool) { return row.ID.String(), true })
	if err != nil {
		return nil, nil, err
	}
	algorithms, err := column(ctx, base, schemas.Credentials, "algorithm", func(row schemas.Row, t *schemas.Table) (string, bool) {
		user, ok := row.Values[t.Column("user")].(string)
		return user, ok && row.Values[t.Column("type")] == "password"
	})
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	var schemes []string
	var known []load.LoginSample
	for _, s := range samples {
		id := r.userID(s.key)
		username, there := users[id.String()]
		algorithm, has := algorithms[id.String()]
		if !there || !has {
			continue
		}
		if s.scheme == "" {
			s.scheme = algorithm
		}
		if !seen[s.scheme] {
			seen[s.scheme] = true
			schemes = append(schemes, s.scheme)
		}
		known = append(known, load.LoginSample{ID: id, Key: s.key, Username: username, Password: []byte(s.password), Scheme: s.scheme})
	}
	return func(yield func(load.LoginSample, error) bool) {
		for _, s := range known {
			if !yield(s, nil) {
				return
			}
		}
	}, schemes, nil
}

// column reads one text column of a table into memory, by a key of each row.
func column(ctx context.Context, sn *snapshots.Snapshot, table, name string, key func(schemas.Row, *schemas.Table) (string, bool)) (map[string]string, error) {
	t, ok := sn.Table(table)
	if !ok {
		return nil, fmt.Errorf("snapshot %s has no table %s", sn.Digest().Short(), table)
	}
	out := map[string]string{}
	for row, err := range sn.Scan(ctx, table, parts.ScanOptions{KeepLarge: true}) {
		if err != nil {
			return nil, err
		}
		if k, ok := key(row, t); ok {
			out[k], _ = row.Values[t.Column(name)].(string)
		}
	}
	return out, nil
}
