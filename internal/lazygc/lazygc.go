// Package lazygc keeps the garbage collector lazy from the very start of a
// program that imports it: it may run when the heap has grown fivefold, not
// twofold, unless GOGC says otherwise. What packages make when a program starts
// is small, yet more than the first cycle's limit of 4 MiB; that cycle looks
// through all their data and costs a short command a quarter of its time.
package lazygc

import (
	"os"
	_ "unsafe" // for go:linkname
)

// percent: memory that was granted is there to be used. The limit of memory is
// another setting, which wins.
const percent = 400

// setGCPercent is debug.SetGCPercent without its package, which Go initializes
// after nearly all others, since it goes by their names.
//
//go:linkname setGCPercent runtime/debug.setGCPercent
func setGCPercent(percent int32) (old int32)

func init() {
	if os.Getenv("GOGC") == "" {
		setGCPercent(percent)
	}
}
