package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots/parts"
	"github.com/parallelrun/parallelrun/snapshots/parts/second"
)

const secondReaderCommand = "second-reader"

// newSecondReader is the process that `snapshots verify --deep` starts for each
// part; nobody else calls it.
func newSecondReader(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    secondReaderCommand,
		Short:  "Read one part for snapshots verify --deep",
		Hidden: true,
		Args:   exactly(),
		RunE: func(*cobra.Command, []string) error {
			if err := second.Main(os.Stdin, a.stdout); err != nil {
				fmt.Fprintln(a.stderr, "second reader:", err)
				return &ui.Failure{Code: ui.Failed, Err: ui.ErrFound}
			}
			return nil
		},
	}
}

// secondReader starts this very program for each part. It may take as much
// memory as we may.
func (a *app) secondReader() (second.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return second.Reader{}, fmt.Errorf("second reader: %w", err)
	}
	return second.Reader{Command: []string{self, secondReaderCommand}, Memory: max(int64(a.flags.memory), parts.SecondMemory)}, nil
}
