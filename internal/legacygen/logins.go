package legacygen

import (
	"fmt"
	"iter"

	"github.com/parallelrun/parallelrun/schemas"
)

// Login is a person's clear password, for proofs and leak scans. It exists in
// memory only, unless the caller writes it down.
type Login struct {
	Key      string // entryUUID
	Username string // uid, as in the directory
	Password string // clear; empty for people without one
	Scheme   string // neutral name of how the directory stores it
	Kind     Kind
	// NotFullySetUp: mail or surname is missing, so that a Keycloak wants the
	// profile completed before it lets the person in.
	NotFullySetUp bool
}

// Movable reports whether a stock Keycloak can verify the stored form.
func (l Login) Movable() bool {
	return l.Scheme == schemas.PBKDF2SHA256 || l.Scheme == schemas.PBKDF2SHA512 || l.Scheme == schemas.Argon2ID
}

// Expected reports whether the person must be able to log in at the target
// with the legacy password.
func (l Login) Expected() bool { return l.Movable() && l.Kind.Carried() && l.Kind.Active() }

// Logins yields everybody's, in the order of the people in the file.
func Logins(c Config) iter.Seq2[Login, error] {
	return func(yield func(Login, error) bool) {
		c, err := c.withDefaults()
		if err != nil {
			yield(Login{}, err)
			return
		}
		d := newDirectory(c)
		for i := range d.people() {
			if !yield(d.login(i), nil) {
				return
			}
		}
	}
}

func (d *directory) login(i int) Login {
	p := d.person(i)
	l := Login{Key: p.key, Username: p.uid, Scheme: p.scheme, Kind: p.kind, NotFullySetUp: len(p.mail) == 0 || p.surname == ""}
	if p.scheme != "" {
		l.Password = clearPassword(d.config.Seed, i)
	}
	return l
}

// Sample returns n people of every movable scheme, spread over the directory,
// who must be able to log in.
func Sample(c Config, n int) ([]Login, error) {
	found := map[string][]Login{}
	for l, err := range Logins(c) {
		if err != nil {
			return nil, err
		}
		if l.Expected() {
			found[l.Scheme] = append(found[l.Scheme], l)
		}
	}
	var out []Login
	for _, s := range schemes {
		all := found[s.name]
		for i := range min(n, len(all)) {
			out = append(out, all[i*len(all)/n])
		}
	}
	return out, nil
}

// Secrets yields every string that must never lie in the clear anywhere but in
// the generated file: clear passwords, stored hashes (whole, and their raw
// hash and salt are parts of it), and those hidden in descriptions.
func Secrets(c Config) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		c, err := c.withDefaults()
		if err != nil {
			yield("", err)
			return
		}
		d := newDirectory(c)
		for i := range d.people() {
			for _, s := range d.secrets(i) {
				if s.err != nil {
					s.err = fmt.Errorf("legacygen: %w", s.err)
				}
				if !yield(s.text, s.err) || s.err != nil {
					return
				}
			}
		}
	}
}

type secretText struct {
	text string
	err  error
}

func (d *directory) secrets(i int) []secretText {
	p := d.person(i)
	var out []secretText
	if p.scheme != "" {
		clear := clearPassword(d.config.Seed, i)
		stored, err := storedPassword(d.config, i, p.scheme, clear)
		out = append(out, secretText{clear, nil}, secretText{stored, err})
	}
	if p.kind == HiddenSecret {
		out = append(out, secretText{p.text, nil})
	}
	return out
}
