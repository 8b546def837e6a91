package main

import (
	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/pipelines"
)

// overrideFlags are the guards that one run passes. Each takes a reason, which
// is recorded with the run.
type overrideFlags struct {
	brake, sync reason
}

func (f *overrideFlags) register(cmd *cobra.Command, writes bool) {
	f.brake.flag, f.sync.flag = "--override-brake", "--without-sync"
	cmd.Flags().Var(&f.brake, "override-brake", "pass the brake and the guard against a shrunken source for this run, for a reason that is recorded")
	if writes {
		cmd.Flags().Var(&f.sync, "without-sync", "write without a fresh sign of life of the credential sync, for a reason that is recorded")
	}
}

func (f *overrideFlags) options(o pipelines.RunOptions) pipelines.RunOptions {
	o.OverrideBrake, o.WithoutSync = f.brake.text, f.sync.text
	return o
}

// reason is a flag that must say something.
type reason struct{ flag, text string }

func (r *reason) Set(text string) (err error) {
	r.text, err = pipelines.ParseReason(r.flag, text)
	return err
}

func (r *reason) String() string { return r.text }

// Type names the flag's kind in help.
func (*reason) Type() string { return "reason" }
