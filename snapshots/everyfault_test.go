package snapshots_test

import (
	"testing"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// As TestEveryFault, of commits upon a parent and of compactions; two kinds on a
// directory, which is slower.
func TestEveryFaultOfLayers(t *testing.T) {
	kinds := []backendtest.Kind{backendtest.Fail, backendtest.Refuse, backendtest.LoseReply, backendtest.LoseReply2, backendtest.CutBody, backendtest.Late, backendtest.CancelAfter, backendtest.CutRead}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			var b snapshots.Backend = &backendtest.Memory{}
			if kind == backendtest.CutBody || kind == backendtest.LoseReply {
				dir, err := local.Open(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				defer dir.Close()
				b = dir
			}
			backendtest.RunEveryFault(t, backendtest.FaultyOf(b, kind))
		})
	}
}
