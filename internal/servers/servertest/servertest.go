// Package servertest holds the one way in which a test may do without a server.
package servertest

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/parallelrun/parallelrun/internal/servers"
)

// Skip ends the test: skipped by name on a developer's machine, failed where CI=true, since there a skip would hide a missing server.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("would be skipped, which CI does not allow: %s", reason)
	}
	fmt.Printf("SKIP-BY-NAME: %s: %s\n", t.Name(), reason)
	t.Skip(reason)
}

// Require ends the test if err is not nil: by [Skip] if the machine lacks something, else as a failure.
func Require(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, servers.ErrUnavailable):
		Skip(t, err.Error())
	default:
		t.Fatal(err)
	}
}
