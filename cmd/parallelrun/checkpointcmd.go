package main

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/snapshots"
)

func newCheckpoint(a *app) *cobra.Command {
	return newGroup("checkpoint", "Points to go back to: take, list, show, compare, drop",
		newCheckpointCreate(a), newCheckpointList(a), newCheckpointShow(a), newCheckpointDiff(a), newCheckpointDrop(a))
}

// createdView is the data of `checkpoint create`.
type createdView struct {
	checkpointLine
	Entry uint64 `json:"entry"`
}

func (v createdView) Text(p *ui.Page) {
	p.Line("checkpoint %s pins %s of target %s (log entry %d)", v.Name, v.base(), v.Target, v.Entry)
	p.Line("look at it with: parallelrun checkpoint show %s", v.Name)
}

func newCheckpointCreate(a *app) *cobra.Command {
	var migration, reason string
	cmd := &cobra.Command{
		Use:   "create name",
		Short: "Pin what was last confirmed in the target, to go back to it later",
		Long: "Pin what was last confirmed in the target under a name that never moves: the target's base with\n" +
			"its id map, the legacy, desired, observed and effective states that it came from, configuration,\n" +
			"mapping and templates as they were, who is in which wave. The target is not asked: what others\n" +
			"changed there since belongs to no checkpoint. Only the store is written, and only added to.",
		Args: exactly("name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.createCheckpoint(cmd.Context(), args[0], migration, reason)
		},
	}
	cmd.Flags().StringVar(&migration, "migration", "", "migration of the configuration (default: the only one)")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who read the list later")
	return cmd
}

func (a *app) createCheckpoint(ctx context.Context, name, migration, reason string) error {
	if err := snapshots.CheckCheckpointName(name); err != nil {
		return ui.Refusef("use letters, digits, dots, dashes and slashes, such as before-pilot", "%w", err)
	}
	if strings.ContainsFunc(reason, unicode.IsControl) {
		return ui.Refusef("one line of text, without control characters", "--reason %q", reason)
	}
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	r, err := pipelines.ForCheckpoints(c, migration, s)
	if err != nil {
		return mappingErr(err)
	}
	made, err := r.Checkpoint(ctx, name, reason, "")
	if err != nil {
		return err
	}
	st, err := s.State(ctx)
	if err != nil {
		return err
	}
	if l, ok := st.Leases[made.Target]; ok && !l.Released {
		a.notef("run %s holds target %s: what it confirms from now on is not in this checkpoint", l.Holder.Run, made.Target)
	}
	line, err := a.checkpointLine(ctx, s, made)
	if err != nil {
		return err
	}
	return a.out.Print(createdView{line, made.N})
}

// readCheckpoint finds a checkpoint in the store.
func (a *app) readCheckpoint(ctx context.Context, name string) (*snapshots.Store, *pipelines.Checkpoint, error) {
	s, err := a.readStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := pipelines.ReadCheckpoint(ctx, s, name)
	return s, c, err
}

// checkpointLine is one line of `checkpoint list`.
type checkpointLine struct {
	Name   string    `json:"name"`
	Time   time.Time `json:"time"`
	Target string    `json:"target"`
	// Empty: nothing was loaded then, so there is no base.
	Empty bool   `json:"empty,omitempty"`
	Base  string `json:"base,omitempty"`
	// Users of the base; -1 if its manifest can't be read.
	Users  int64  `json:"users"`
	Reason string `json:"reason"`
	Run    string `json:"run,omitempty"`
}

// base is the base in a few words.
func (l checkpointLine) base() string {
	if l.Empty {
		return "nothing, since nothing was loaded yet,"
	}
	return fmt.Sprintf("%s with %s users", shortDigest(l.Base), l.users())
}

func (l checkpointLine) users() string {
	if l.Users < 0 {
		return "?"
	}
	return ui.Count(l.Users)
}

func (a *app) checkpointLine(ctx context.Context, s *snapshots.Store, c *pipelines.Checkpoint) (checkpointLine, error) {
	l := checkpointLine{Name: c.Name, Time: c.Time.UTC(), Target: c.Target, Empty: c.Empty, Reason: c.Reason, Run: c.Run}
	if c.Empty {
		return l, nil
	}
	l.Base = c.Base().String()
	counts, err := pipelines.PinnedRows(ctx, s, c.Base())
	if snapshots.IsCorrupt(err) { // one damaged checkpoint hides no other
		a.notef("checkpoint %s: %v", c.Name, err)
		l.Users = -1
		return l, nil
	}
	l.Users = counts.Users
	return l, err
}

// checkpointsView is the data of `checkpoint list`.
type checkpointsView struct {
	Checkpoints []checkpointLine `json:"checkpoints"`
}

func (v checkpointsView) Text(p *ui.Page) {
	if len(v.Checkpoints) == 0 {
		p.Line("no checkpoints yet; take one with `parallelrun checkpoint create NAME`")
		return
	}
	t := ui.NewTable("NAME", "TIME", "TARGET", "BASE", "USERS", "REASON", "RUN")
	for _, c := range v.Checkpoints {
		base := shortDigest(c.Base)
		if c.Empty {
			base = "(nothing)"
		}
		t.Row(c.Name, c.Time.Format(time.DateTime), c.Target, base, c.users(), c.Reason, c.Run)
	}
	p.Table(t)
}

func newCheckpointList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the checkpoints, oldest first",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, st, err := a.readState(cmd.Context())
			if err != nil {
				return err
			}
			v := checkpointsView{Checkpoints: []checkpointLine{}}
			for _, c := range st.CheckpointsByTime() {
				line, err := a.checkpointLine(cmd.Context(), s, &c)
				if err != nil {
					return err
				}
				v.Checkpoints = append(v.Checkpoints, line)
			}
			return a.out.Print(v)
		},
	}
}

func newCheckpointDiff(a *app) *cobra.Command {
	cmd, f := newDiff(a.diffCheckpoints, &cobra.Command{
		Short: "Compare what stood in the target at two checkpoints",
		Long: "Compare what stood in the target at two checkpoints: what is so in b and was not so in a. One\n" +
			"of them may be `now`: what was last confirmed there. `parallelrun drift` compares with the\n" +
			"target itself.\n" + diffHelp + "\n\n" +
			"With --base it says who changed what since that checkpoint: between it and a, between it and b.",
	})
	cmd.Flags().StringVar(&f.base, "base", "", "compare three ways: what a and b each changed since this checkpoint")
	return cmd
}

func (a *app) diffCheckpoints(ctx context.Context, nameA, nameB string, f diffFlags) error {
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	if nameA == snapshots.CurrentName && nameB == snapshots.CurrentName {
		return ui.Refusef("name a checkpoint; `parallelrun checkpoint list` shows all", "%s and %s are the same", nameA, nameB)
	}
	names := []string{nameA, nameB}
	if f.base != "" {
		names = append(names, f.base)
	}
	sides, err := a.checkpointSides(ctx, s, names)
	if err != nil {
		return err
	}
	if f.base != "" {
		return a.compareThree(ctx, sides[2], sides[0], sides[1], f)
	}
	return a.compare(ctx, sides[0], sides[1], f)
}

// checkpointSides opens what stood in the target at checkpoints, of which one at
// least is none of `now`.
func (a *app) checkpointSides(ctx context.Context, s *snapshots.Store, names []string) (sides []namedSnapshot, err error) {
	all := make([]*pipelines.Checkpoint, len(names))
	known := &pipelines.Checkpoint{} // whose target `now` is about
	for i, name := range names {
		all[i] = &pipelines.Checkpoint{}
		if name == snapshots.CurrentName {
			continue
		}
		if all[i], err = pipelines.ReadCheckpoint(ctx, s, name); err != nil {
			return nil, err
		}
		if known.Name != "" && known.Target != all[i].Target {
			a.notef("%s is of target %s, %s of target %s", known.Name, known.Target, all[i].Name, all[i].Target)
		}
		if known.Name == "" {
			known = all[i]
		}
	}
	for i, c := range all {
		side, err := checkpointSide(ctx, s, c, known)
		if err != nil {
			return nil, err
		}
		sides = append(sides, namedSnapshot{names[i], side})
	}
	return sides, nil
}

// checkpointSide opens the base of a checkpoint; one without a name stands for
// what is in the other's target now.
func checkpointSide(ctx context.Context, s *snapshots.Store, c, other *pipelines.Checkpoint) (*snapshots.Snapshot, error) {
	if c.Name == "" {
		return pipelines.CurrentBase(ctx, s, other.Target)
	}
	return pipelines.CheckpointBase(ctx, s, c)
}

// dropView is the data of `checkpoint drop`.
type dropView struct {
	checkpointLine
	Dropped bool   `json:"dropped"`
	Entry   uint64 `json:"entry,omitempty"`
}

func (v dropView) Text(p *ui.Page) {
	if v.Dropped {
		p.Line("checkpoint %s is dropped (log entry %d); what it pinned is kept as retention and gc say", v.Name, v.Entry)
		return
	}
	p.Line("would drop checkpoint %s of %s: it pins %s of target %s", v.Name, v.Time.Format(time.DateTime), v.base(), v.Target)
	p.Line("  %s", v.Reason)
	p.Line("nothing was dropped; `parallelrun checkpoint drop %s --apply` does it", v.Name)
}

func newCheckpointDrop(a *app) *cobra.Command {
	var apply bool
	cmd := &cobra.Command{
		Use:   "drop name",
		Short: "Take a checkpoint's name away",
		Long: "Take a checkpoint's name away: nothing can be restored from it any more, and what it pinned is\n" +
			"no longer kept for it. The log keeps that it was there. Without --apply it is only shown.",
		Args: exactly("name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.dropCheckpoint(cmd.Context(), args[0], apply)
		},
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "drop it; without it nothing is changed")
	return cmd
}

func (a *app) dropCheckpoint(ctx context.Context, name string, apply bool) error {
	s, c, err := a.readCheckpoint(ctx, name)
	if err != nil {
		return err
	}
	v := dropView{Dropped: apply}
	if v.checkpointLine, err = a.checkpointLine(ctx, s, c); err != nil {
		return err
	}
	if apply {
		if v.Entry, err = pipelines.DropCheckpoint(ctx, s, c); err != nil {
			return err
		}
	}
	return a.out.Print(v)
}
