package transform

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform/password"
)

// credentials settles the credentials of one user: of several the first that
// can move.
func (f *finisher) credentials(ctx context.Context, user *candidate, stands, again bool) error {
	moved := -1
	for i, c := range user.credentials {
		c.id = schemas.DependentRowID(user.id, schemas.Credentials, passwordType)
		c.key = user.key + "/" + passwordType
		c.set("user", user.id.String())
		c.set("type", passwordType)
		if moved >= 0 || !stands || c.excluded != "" || len(c.failures) > 0 {
			continue
		}
		if err := f.convert(c); err != nil {
			return err
		}
		if len(c.failures) == 0 {
			moved = i
		}
	}
	for i, c := range user.credentials {
		if moved >= 0 && i != moved { // the person has the other password
			f.t.settled(c, fateMerged)
			continue
		}
		if err := f.dependent(ctx, c, user, stands, again); err != nil {
			return err
		}
		again = true // a second rejected one has the same row id
	}
	return nil
}

const passwordType = "password"

var states = []string{"active", "expired", "must_change", "disabled"}

// convert opens the values, takes the first that the target can verify, and
// seals it in neutral form. What it can't take becomes failures; an error is a
// key that does not fit or a damaged value, which ends the run.
func (f *finisher) convert(c *candidate) error {
	if s := c.text("state"); s == "" {
		c.set("state", states[0])
	} else if !slices.Contains(states, s) {
		c.fail(RuleState, "state", "a credential is active, expired, must_change or disabled: correct the mapping's expression")
		return nil
	}
	var firstFailure *failure
	for _, s := range c.secrets {
		p, fail, err := f.open(c, s)
		if err != nil {
			return err
		}
		if fail == nil {
			return f.seal(c, p)
		}
		if firstFailure == nil {
			firstFailure = fail
		}
	}
	if firstFailure == nil {
		firstFailure = &failure{RulePassword, passwordType, "there is no password value"}
	}
	c.failures = append(c.failures, *firstFailure)
	return nil
}

// open reads one stored password and brings it to a form that the target
// verifies.
func (f *finisher) open(c *candidate, s *secret) (password.Password, *failure, error) {
	plain, err := f.in.Keyring.Open(s.Table, s.Row, s.Column, s.Sealed)
	if err != nil {
		return password.Password{}, nil, fmt.Errorf("legacy table %s, key of %s: %w", s.Table, c.key, err)
	}
	p, err := password.Parse(plain)
	if err != nil {
		var pe *password.Error
		if !errors.As(err, &pe) {
			return p, nil, err
		}
		return p, &failure{RulePassword, passwordType, pe.Error() + ": the person needs a new password, by a reset or captured at the next login in the legacy system"}, nil
	}
	if p.Algorithm == schemas.ClearText {
		if !f.in.Mapping.passwords.hashClear {
			return p, &failure{RuleClearText, passwordType, "the source holds the password in clear text and the mapping rejects such: set passwords.clear to hash, or ask for a reset"}, nil
		}
		if p, err = f.hashClear(c, p.Clear); err != nil {
			return p, nil, err
		}
	}
	if !slices.Contains(f.in.Profile.PasswordSchemes, p.Algorithm) {
		return p, &failure{RuleHash, passwordType, fmt.Sprintf("the target does not verify %s: %s", p.Algorithm, wayOut(p.Algorithm))}, nil
	}
	return p, nil, nil
}

// hashClear turns a clear-text password into PBKDF2. The salt is derived from
// the row under the store's own key, so that the same input gives the same
// snapshot; it does not depend on the password, so that the key tells nothing
// about one.
func (f *finisher) hashClear(c *candidate, clear []byte) (password.Password, error) {
	salt := f.in.Keyring.Derive("password salt", c.id[:])[:16]
	n := f.in.Mapping.passwords.iterations
	c.marks[c.rule.entity.table.Column("secret")] = markChanged
	hash, err := pbkdf2.Key(sha256.New, string(clear), salt, n, sha256.Size)
	if err != nil {
		return password.Password{}, fmt.Errorf("hash a clear-text password: %w", err)
	}
	return password.NewPBKDF2(schemas.PBKDF2SHA256, n, salt, hash), nil
}

// wayOut is what can be done about a hash that the target does not verify.
func wayOut(algorithm string) string {
	switch algorithm {
	case schemas.Bcrypt, schemas.SSHA, schemas.SSHA256, schemas.SSHA512, schemas.Scrypt:
		return "install a password hash provider for it there, capture the password at the next login in the legacy system (just in time), or ask for a reset"
	case schemas.SHA, schemas.MD5, schemas.SMD5, schemas.Crypt:
		return "it is too weak to be carried on: capture the password at the next login in the legacy system (just in time), or ask for a reset"
	}
	return "switch the scheme on there, capture the password at the next login in the legacy system (just in time), or ask for a reset"
}

func (f *finisher) seal(c *candidate, p password.Password) error {
	material, err := json.Marshal(p.Material)
	if err != nil {
		return fmt.Errorf("credential of %s: %w", c.key, err)
	}
	sealed, err := f.in.Keyring.Seal(schemas.Credentials, c.id, "secret", material)
	if err != nil {
		return fmt.Errorf("credential of %s: %w", c.key, err)
	}
	c.set("algorithm", p.Algorithm)
	if p.Parameters != nil {
		c.set("parameters", p.Parameters)
	}
	c.set("secret", sealed)
	if i := c.rule.entity.table.Column("secret"); c.marks[i] == markNone {
		c.marks[i] = markCarried
	}
	return nil
}
