package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Secret refers to a value that the file does not hold: ${NAME} is an
// environment variable, file:PATH a file. It is resolved when Value is called
// and holds nothing worth hiding itself; what it leads to is a SecretValue.
type Secret struct {
	env  string
	path string
}

var envReference = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

// ErrLiteralSecret means that a secret stood in the file itself. Move it into
// an environment variable or a file.
var ErrLiteralSecret = errors.New("a secret may not stand in the configuration itself")

// ParseSecret reads a reference. A relative path starts from dir.
func ParseSecret(ref, dir string) (Secret, error) {
	if m := envReference.FindStringSubmatch(ref); m != nil {
		return Secret{env: m[1]}, nil
	}
	path, ok := strings.CutPrefix(ref, "file:")
	if !ok || path == "" {
		return Secret{}, ErrLiteralSecret
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return Secret{path: path}, nil
}

// IsZero reports whether there is no reference at all.
func (s Secret) IsZero() bool { return s == Secret{} }

// File is the path of a file: reference, empty for others.
func (s Secret) File() string { return s.path }

// String is the reference, never the value.
func (s Secret) String() string {
	switch {
	case s.env != "":
		return "${" + s.env + "}"
	case s.path != "":
		return "file:" + s.path
	}
	return ""
}

// UnresolvedError means that a reference leads nowhere: set the variable or
// write the file.
type UnresolvedError struct {
	Ref   Secret
	Cause error
}

func (e *UnresolvedError) Error() string {
	if e.Ref.env != "" {
		return fmt.Sprintf("environment variable %s is %v", e.Ref.env, e.Cause)
	}
	return fmt.Sprintf("secret file %s: %v", ShortPath(e.Ref.path), e.Cause)
}

func (e *UnresolvedError) Unwrap() error { return e.Cause }

// Hint says how to make the reference lead somewhere.
func (e *UnresolvedError) Hint() string {
	if e.Ref.env != "" {
		return "export " + e.Ref.env + " before the command"
	}
	return "write the secret into that file, readable by you alone (chmod 600)"
}

var (
	errUnset = errors.New("not set")
	errEmpty = errors.New("empty")
)

// Value resolves the reference. One newline at the end of a file is dropped.
func (s Secret) Value() (SecretValue, error) {
	value, err := s.read()
	if err != nil {
		return SecretValue{}, &UnresolvedError{Ref: s, Cause: err}
	}
	return SecretValue{value}, nil
}

func (s Secret) read() (string, error) {
	value, ok := os.LookupEnv(s.env)
	if s.env != "" && !ok {
		return "", errUnset
	}
	if s.path != "" {
		data, err := os.ReadFile(s.path)
		if pe, is := errors.AsType[*fs.PathError](err); is {
			return "", pe.Err // the path is named already
		}
		if err != nil {
			return "", err
		}
		value = strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	}
	if value == "" {
		return "", errEmpty
	}
	return value, nil
}

// MarshalJSON writes the reference.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON reads a reference; the path stays relative until Load resolves
// it.
func (s *Secret) UnmarshalJSON(data []byte) error {
	var ref string
	if err := json.Unmarshal(data, &ref); err != nil {
		return ErrLiteralSecret
	}
	v, err := ParseSecret(ref, "")
	if err == nil {
		*s = v
	}
	return err
}

// SecretValue is a resolved secret. Every way of printing it shows a mask; only
// Reveal gives the value away.
type SecretValue struct{ value string }

const mask = "(secret)"

// Reveal returns the value itself, for the one place that needs it.
func (v SecretValue) Reveal() string { return v.value }

// String masks the value.
func (SecretValue) String() string { return mask }

// GoString masks the value under %#v.
func (SecretValue) GoString() string { return mask }

// Format masks the value under every verb.
func (SecretValue) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mask)) }

// MarshalText masks the value in JSON, YAML and text.
func (SecretValue) MarshalText() ([]byte, error) { return []byte(mask), nil }

// LogValue masks the value in logs.
func (SecretValue) LogValue() slog.Value { return slog.StringValue(mask) }
