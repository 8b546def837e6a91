package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
)

// repairFlags are those of `snapshots repair`.
type repairFlags struct {
	from, release string
	apply         bool
}

func newSnapshotsRepair(a *app) *cobra.Command {
	var f repairFlags
	cmd := &cobra.Command{
		Use:   "repair [snapshot...]",
		Short: "Make damaged files good from a copy, or anew from their rows",
		Long: "Look for damage as `snapshots verify --bytes` does and show what can be made good: indexes and lists of\n" +
			"large values anew from their rows, everything else from a copy of the store (--from), and with it log\n" +
			"entries that are missing between others. --apply does it. It only ever adds: a missing file is created;\n" +
			"of a damaged one, which stays where it is, a second copy is made that is read in its place. Every byte\n" +
			"is compared with its SHA-256 before it is written and after.\n" +
			"--release TARGET gives a target back that a dead run still holds, instead.\n" +
			"Exit code 5 as long as something is damaged. docs/integrity.md says what can be repaired and what not.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.release != "" {
				return a.releaseLease(cmd.Context(), args, f)
			}
			return a.repair(cmd.Context(), args, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "a copy of the store, or another with the same files (a folder, or s3://BUCKET/PREFIX)")
	flags.StringVar(&f.release, "release", "", "give this target back, which a run that is dead still holds")
	flags.BoolVar(&f.apply, "apply", false, "write; without it, only show what would be written")
	return cmd
}

// repairView is the data of `snapshots repair`.
type repairView struct {
	Applied bool         `json:"applied"`
	From    string       `json:"from,omitempty"` // where the copy lies
	Steps   []repairStep `json:"steps"`
	// Repairable of the steps can be done, or were; the others are left.
	Repairable int `json:"repairable"`
	Left       int `json:"left"`
}

type repairStep struct {
	findingView
	Source string `json:"source,omitempty"` // copy or rebuilt; empty: can't be repaired
	Key    string `json:"key,omitempty"`    // where it is written
	Why    string `json:"why_not,omitempty"`
	Done   bool   `json:"done"`
}

func (v repairView) Text(p *ui.Page) {
	if len(v.Steps) == 0 {
		p.Line("nothing is damaged: there is nothing to repair")
		return
	}
	for _, s := range v.Steps {
		s.Next = ""
		if s.Source == "" {
			s.text(p)
			p.Line("  can't be repaired: %s", s.Why)
			continue
		}
		s.text(p)
		how := "made anew from its rows"
		switch snapshots.RepairSource(s.Source) {
		case snapshots.RepairCopy:
			how = "copied from " + v.From
		case snapshots.RepairPack:
			how = "copied from the store's packs of log entries"
		}
		if s.Done {
			p.Line("  repaired: %s, at %s", how, s.Key)
		} else {
			p.Line("  can be %s, to %s", how, s.Key)
		}
	}
	switch {
	case v.Applied:
		p.Line("%s repaired, %d left; look again with: parallelrun snapshots verify --rows", counted(v.Repairable, "thing"), v.Left)
	case v.Repairable > 0:
		p.Line("%s can be repaired, %d can't; do it with --apply", counted(v.Repairable, "thing"), v.Left)
	default:
		p.Line("0 things can be repaired, %d can't", v.Left)
	}
}

func (a *app) repair(ctx context.Context, names []string, f repairFlags) error {
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = nil
	}
	o := snapshots.RepairOptions{Snapshots: names, Apply: f.apply, Workers: a.flags.workers, Memory: int64(a.flags.memory), Progress: a.steps}
	v := repairView{Applied: f.apply, Steps: []repairStep{}}
	if f.from != "" {
		if o.From, err = a.copyOf(ctx, s, f.from); err != nil {
			return err
		}
		v.From = o.From.Location()
	}
	steps, err := s.Repair(ctx, o)
	for _, x := range steps {
		v.Steps = append(v.Steps, repairStep{findingView: viewOfFinding(x.Finding), Source: string(x.Source), Key: x.Key, Why: x.Why, Done: x.Done})
		if x.Source == "" {
			v.Left++
		} else {
			v.Repairable++
		}
	}
	if err != nil {
		return err
	}
	if err := a.out.Print(v); err != nil || v.Left == 0 && (f.apply || v.Repairable == 0) {
		return err
	}
	return &ui.Failure{Code: ui.Corrupt, Err: ui.ErrFound}
}

// copyOf opens another store, for reading.
func (a *app) copyOf(ctx context.Context, s *snapshots.Store, name string) (*snapshots.Store, error) {
	place, err := absoluteStore("--from", name)
	if err != nil {
		return nil, err
	}
	b, err := a.openAt(ctx, place)
	if err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	from, err := snapshots.Open(ctx, b, snapshots.Options{})
	if err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	if from.Location() == s.Location() {
		return nil, ui.Refusef("name a copy of the store", "--from names the store itself")
	}
	return from, nil
}

// releaseView is the data of `snapshots repair --release`.
type releaseView struct {
	Target  string `json:"target"`
	Run     string `json:"run"`
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Applied bool   `json:"applied"`
	Entry   uint64 `json:"entry,omitempty"`
}

func (v releaseView) Text(p *ui.Page) {
	if v.Applied {
		p.Line("target %s is free again (log entry %d); what run %s left open stays open: see parallelrun runs show %s", v.Target, v.Entry, v.Run, v.Run)
		return
	}
	p.Line("target %s is held by run %s on host %s (process %d)", v.Target, v.Run, v.Host, v.PID)
	p.Line("it would be given back, after a look whether the run is alive; do it with --apply")
	p.Line("`parallelrun resume` takes it over by itself and finishes the run: that is the better way")
}

func (a *app) releaseLease(ctx context.Context, names []string, f repairFlags) error {
	if f.from != "" || len(names) > 0 {
		return ui.Refusef("give --release alone", "--release repairs nothing else")
	}
	s, st, err := a.readState(ctx)
	if err != nil {
		return err
	}
	l, ok := st.Leases[f.release]
	if !ok || l.Released {
		return ui.Refusef("`parallelrun snapshots verify` names targets that were left behind", "nobody holds target %q", f.release)
	}
	v := releaseView{Target: f.release, Run: l.Holder.Run, Host: l.Holder.Host, PID: l.Holder.PID}
	if f.apply {
		a.notef("looking for a sign of life of run %s", l.Holder.Run)
		if v.Entry, err = s.ReleaseStale(ctx, f.release, leaseTTL); err != nil {
			return err
		}
		v.Applied = true
	}
	return a.out.Print(v)
}
