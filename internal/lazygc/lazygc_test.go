package lazygc

import (
	"os"
	"runtime/debug"
	"testing"
)

// The setting stands before main begins.
func TestPercent(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	if got := debug.SetGCPercent(percent); got != percent {
		t.Fatalf("GC percent is %d, want %d", got, percent)
	}
}
