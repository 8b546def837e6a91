package snapshots_test

import (
	"testing"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// go test ./snapshots -run 'TestModel$' -store-sequences=2000
func TestModel(t *testing.T) {
	n := 15
	if testing.Short() {
		n = 5
	}
	backendtest.RunModel(t, n, func(*testing.T) snapshots.Sweeper { return &backendtest.Memory{} })
}
