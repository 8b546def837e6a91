package diffprint

import (
	"github.com/parallelrun/parallelrun/snapshots"
)

// Printer takes what a diff finds: its rows in order, then its counts. A three-
// way diff gives other rows and counts; a printer takes either kind, never both.
type Printer interface {
	Row(snapshots.RowChange) error
	Stat(snapshots.Stat) error
	ThreeWay(snapshots.ThreeWayChange) error
	ThreeWayStat(snapshots.ThreeWayStat) error
	// Close writes what is left. Nothing is complete without it.
	Close() error
}
