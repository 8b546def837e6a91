// Package sealtest makes identities for tests. Start with Identity.
package sealtest

import (
	"path/filepath"
	"testing"

	"github.com/parallelrun/parallelrun/internal/seal"
)

// Identity makes an identity of its own, in a file that goes with the test.
func Identity(tb testing.TB) *seal.Identity {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "key.txt")
	if _, err := seal.NewIdentity(path); err != nil {
		tb.Fatal(err)
	}
	id, err := seal.LoadIdentity(path)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}
