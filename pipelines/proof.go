package pipelines

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

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

// proveLogins logs migrated users in with their legacy passwords: of a run in
// waves, those whom it reaches.
func (r *Runner) proveLogins(ctx context.Context, rec Record, assigned *Assigned, samples LoginSamples) (*load.LoginReport, error) {
	base, err := r.base(ctx)
	if err != nil {
		return nil, err
	}
	if base == nil {
		return nil, fmt.Errorf("login proof: target %s: %w", r.TargetName, ErrNoBase)
	}
	reached, err := r.reachedSamples(ctx, rec, assigned, samples)
	if err != nil {
		return nil, err
	}
	known, schemes, err := r.provable(ctx, base, reached)
	if err != nil {
		return nil, err
	}
	progress := &stepProgress{ui: r.Progress}
	defer progress.end()
	return load.LoginProof(ctx, r.Target, known, r.Config.LoginProof.Count(), schemes, progress)
}

// reachedSamples are the samples of users in the run's waves, with the sweep
// those in no wave too; all for a run that names neither.
func (r *Runner) reachedSamples(ctx context.Context, rec Record, assigned *Assigned, samples LoginSamples) (LoginSamples, error) {
	if len(rec.Waves) == 0 && !rec.Sweep {
		return samples, nil
	}
	assignment, err := r.openAssigned(ctx, assigned)
	if err != nil {
		return nil, err
	}
	waveOf, err := columnOf(ctx, assignment, schemas.WaveAssignment, "wave", r.sampled(samples), rowID)
	if err != nil {
		return nil, err
	}
	var out LoginSamples
	for _, s := range samples {
		wave, taken := waveOf[r.userID(s.key).String()]
		if taken && slices.Contains(rec.Waves, wave) || !taken && rec.Sweep {
			out = append(out, s)
		}
	}
	return out, nil
}

// sampled are the row ids of the samples' users.
func (r *Runner) sampled(samples LoginSamples) map[string]bool {
	out := make(map[string]bool, len(samples))
	for _, s := range samples {
		out[r.userID(s.key).String()] = true
	}
	return out
}

// provable finds the samples' users in base: those with a password there.
func (r *Runner) provable(ctx context.Context, base *snapshots.Snapshot, samples LoginSamples) (iter.Seq2[load.LoginSample, error], []string, error) {
	wanted := r.sampled(samples)
	usernames, err := columnOf(ctx, base, schemas.Users, "username", wanted, rowID)
	if err != nil {
		return nil, nil, err
	}
	algorithms, err := columnOf(ctx, base, schemas.Credentials, "algorithm", wanted, func(row schemas.Row, t *schemas.Table) string {
		user, _ := row.Values[t.Column("user")].(string)
		if row.Values[t.Column("type")] != "password" {
			return ""
		}
		return user
	})
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	var schemes []string
	var known []load.LoginSample
	for _, s := range samples {
		id := r.userID(s.key)
		username, there := usernames[id.String()]
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
		known = append(known, load.LoginSample{
			ID: id, Key: s.key, Username: username, Password: []byte(s.password), Scheme: s.scheme,
		})
	}
	return func(yield func(load.LoginSample, error) bool) {
		for _, s := range known {
			if !yield(s, nil) {
				return
			}
		}
	}, schemes, nil
}

func rowID(row schemas.Row, _ *schemas.Table) string { return row.ID.String() }

// columnOf reads one text column of a table into memory, for the wanted keys:
// each row's key is told by key. A snapshot without the table has none.
func columnOf(ctx context.Context, sn load.Snapshot, table, name string, wanted map[string]bool, key func(schemas.Row, *schemas.Table) string) (map[string]string, error) {
	out := map[string]string{}
	t, ok := sn.Table(table)
	if !ok {
		return out, nil
	}
	for row, err := range sn.Scan(ctx, table, parts.ScanOptions{KeepLarge: true}) {
		if err != nil {
			return nil, err
		}
		if k := key(row, t); wanted[k] {
			out[k], _ = row.Values[t.Column(name)].(string)
		}
	}
	return out, nil
}
