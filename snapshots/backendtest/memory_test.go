package backendtest

import (
	"testing"

	"github.com/parallelrun/parallelrun/snapshots"
)

func TestMemory(t *testing.T) {
	Run(t, func(*testing.T) func() snapshots.Backend {
		m := &Memory{}
		return func() snapshots.Backend { return m }
	})
}
