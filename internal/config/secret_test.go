package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretValue(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret", "hunter2\n")
	write("empty", "\n")
	t.Setenv("PR_TEST_SECRET", "from env")
	t.Setenv("PR_TEST_EMPTY", "")
	for _, c := range []struct{ ref, want, wrong string }{
		{ref: "file:secret", want: "hunter2"},
		{ref: "${PR_TEST_SECRET}", want: "from env"},
		{ref: "file:empty", wrong: "empty"},
		{ref: "file:missing", wrong: "no such file"},
		{ref: "${PR_TEST_EMPTY}", wrong: "PR_TEST_EMPTY is empty"},
		{ref: "${PR_TEST_UNSET}", wrong: "PR_TEST_UNSET is not set"},
	} {
		s, err := ParseSecret(c.ref, dir)
		if err != nil {
			t.Fatalf("%s: %v", c.ref, err)
		}
		v, err := s.Value()
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: err = %v, want %q", c.ref, err, c.wrong)
			}
			continue
		}
		if err != nil || v.Reveal() != c.want {
			t.Errorf("%s: %v, %v", c.ref, v, err)
		}
	}
}

func TestLiteralSecretsAreRefused(t *testing.T) {
	for _, ref := range []string{"hunter2", "", "file:", "$X", "${X", "${1X}", "${X}y", "env:X", "${A}${B}"} {
		s, err := ParseSecret(ref, "")
		if err == nil {
			t.Errorf("%q was taken as %v", ref, s)
			continue
		}
		if ref != "" && strings.Contains(err.Error(), ref) {
			t.Errorf("%q: the error shows it: %v", ref, err)
		}
	}
}

// TestSecretsNeverPrint tries every way in which values get printed by accident.
func TestSecretsNeverPrint(t *testing.T) {
	v := SecretValue{"hunter2"}
	holder := struct {
		Name string
		V    SecretValue
		P    *SecretValue
	}{"x", v, &v}
	js, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "v", v, "h", holder, "p", &v)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "v", v, "h", holder, "p", &v)
	out := []string{string(js), logged.String(), v.String(), v.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		out = append(out, fmt.Sprintf(verb, v), fmt.Sprintf(verb, &v), fmt.Sprintf(verb, holder))
	}
	for _, o := range out {
		if strings.Contains(o, "hunter2") || strings.Contains(o, "68756e74657232") {
			t.Errorf("shown: %s", o)
		}
	}
}
