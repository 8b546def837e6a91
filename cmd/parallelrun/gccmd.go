package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/snapshots"
)

func newGC(a *app) *cobra.Command {
	var apply bool
	var grace config.Duration
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Delete what nothing in the store needs any more",
		Long: "Delete what nothing in the store needs any more: what only dropped snapshots needed, what compaction\n" +
			"left, drafts of runs that died, files of dropped runs, old signs of life. It takes two calls: the first\n" +
			"gives up the names of garbage in the log, a later one deletes it once the grace period is over. It is\n" +
			"safe beside running work, and may be stopped at any point (docs/gc.md). What snapshots need is never\n" +
			"garbage: `snapshots retain` and `snapshots drop` say which are not wanted. Without --apply it only\n" +
			"counts; `gc plan` lists each object.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.gc(cmd.Context(), time.Duration(grace), apply) },
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "give names up and delete; without it nothing is changed")
	cmd.PersistentFlags().Var(&durationFlag{&grace}, "grace", "how old garbage must be, and how long it waits (default: retention.grace, else 24h)")
	cmd.AddCommand(newGCPlan(a, &grace))
	return cmd
}

// durationFlag is a duration on the command line.
type durationFlag struct{ d *config.Duration }

func (f *durationFlag) String() string {
	if f.d == nil || *f.d == 0 {
		return ""
	}
	return time.Duration(*f.d).String()
}

func (f *durationFlag) Set(text string) error {
	v, err := time.ParseDuration(text)
	if err == nil && v <= 0 {
		err = errors.New("want a duration over 0, such as 24h")
	}
	*f.d = config.Duration(v)
	return err
}

func (*durationFlag) Type() string { return "duration" }

func newGCPlan(a *app, grace *config.Duration) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "List every object that gc would give up or delete, and why",
		Long: "List every object that gc would give up or delete, and why. With --why, say what one object is kept\n" +
			"for: which snapshots, names, checkpoints and unfinished runs. It changes nothing.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.gcPlan(cmd.Context(), time.Duration(*grace), why) },
	}
	cmd.Flags().StringVar(&why, "why", "", "a key, or digits of a SHA-256: say what this object is kept for")
	return cmd
}

// gcPlanView is the data of `gc plan`, and of `gc` beside what it did.
type gcPlanView struct {
	Store  string          `json:"store"`
	Entry  uint64          `json:"entry"`
	Grace  string          `json:"grace"`
	GiveUp gcGarbage       `json:"give_up"`
	Wait   gcGarbage       `json:"wait"`
	Delete gcGarbage       `json:"delete"`
	Young  snapshots.Tally `json:"young"`
	Kept   snapshots.Tally `json:"kept"`
	// Unknown are keys that nothing of ours writes.
	Unknown []string `json:"unknown"`

	each bool
}

// gcGarbage is garbage of one kind, each object of it in `gc plan` only.
type gcGarbage struct {
	snapshots.Tally
	Each []snapshots.Garbage `json:"each,omitempty"`
}

func garbageOf(all []snapshots.Garbage, each bool) gcGarbage {
	g := gcGarbage{Tally: snapshots.TallyOf(all)}
	if each {
		g.Each = all
	}
	return g
}

func viewOfPlan(s *snapshots.Store, p *snapshots.GCPlan, grace time.Duration, each bool) gcPlanView {
	v := gcPlanView{Store: s.Location(), Entry: p.Entry, Grace: grace.String(), Young: p.Young, Kept: p.Kept, Unknown: append([]string{}, p.Unknown...), each: each}
	v.GiveUp, v.Wait, v.Delete = garbageOf(p.Give, each), garbageOf(p.Wait, each), garbageOf(p.Delete, each)
	return v
}

func (v gcPlanView) Text(p *ui.Page) {
	if v.each {
		v.list(p)
	}
	t := ui.NewTable("", "OBJECTS", "SIZE")
	row := func(what string, n snapshots.Tally) { t.Row(what, ui.Count(n.Objects), ui.Bytes(n.Bytes)) }
	row("needed, kept", v.Kept)
	row("needed by nothing, younger than "+v.Grace, v.Young)
	row("garbage, to be given up", v.GiveUp.Tally)
	row("garbage, given up, waiting", v.Wait.Tally)
	row("garbage, to be deleted", v.Delete.Tally)
	p.Table(t)
	if len(v.Unknown) > 0 {
		p.Line("left alone, for nothing of ours writes such: %s", strings.Join(v.Unknown, ", "))
	}
}

func (v gcPlanView) list(p *ui.Page) {
	t := ui.NewTable("GARBAGE", "SIZE", "TO BE", "WHY")
	for _, of := range []struct {
		what string
		all  []snapshots.Garbage
	}{{"given up", v.GiveUp.Each}, {"deleted", v.Wait.Each}, {"deleted", v.Delete.Each}} {
		for _, g := range of.all {
			when := of.what
			if !g.Until.IsZero() {
				when += " after " + g.Until.UTC().Format(time.DateTime)
			}
			t.Row(g.Key, ui.Bytes(g.Size), when, g.Why)
		}
	}
	if v.GiveUp.Objects+v.Wait.Objects+v.Delete.Objects > 0 {
		p.Table(t)
		p.Blank()
	}
}

// gcView is the data of `gc`.
type gcView struct {
	gcPlanView
	Applied bool `json:"applied"`
	snapshots.Collected
}

func (v gcView) Text(p *ui.Page) {
	if !v.Applied {
		v.gcPlanView.Text(p)
		p.Blank()
		p.Line("nothing was changed; `parallelrun gc plan` lists each object, `parallelrun gc --apply` does it")
		return
	}
	p.Line("given up: %s objects, %s; deleted: %s objects, %s", ui.Count(v.Given.Objects), ui.Bytes(v.Given.Bytes), ui.Count(v.Deleted.Objects), ui.Bytes(v.Deleted.Bytes))
	if v.Spared.Objects > 0 {
		p.Line("spared: %s objects that became needed, or that another gc took on", ui.Count(v.Spared.Objects))
	}
	if n := v.Given.Objects + v.Wait.Objects; n > 0 {
		p.Line("%s objects wait until %s after they were given up; run gc again then", ui.Count(n), v.Grace)
	}
}

// gcOptions are those of a garbage collection; grace zero: the configured one.
func (a *app) gcOptions(s *snapshots.Store, grace time.Duration) (snapshots.GCOptions, error) {
	o := snapshots.GCOptions{Grace: grace, Roots: pipelines.DraftRoots(s)}
	if o.Grace == 0 {
		policy, err := a.retention()
		if err != nil {
			return o, err
		}
		if policy != nil {
			o.Grace = time.Duration(policy.Grace)
		}
	}
	if o.Grace == 0 {
		o.Grace = snapshots.DefaultGrace
	}
	return o, nil
}

// retention is the configured policy, nil without one or without a
// configuration where --store names the store.
func (a *app) retention() (*config.Retention, error) {
	c, err := config.Load(a.flags.config)
	if errors.Is(err, config.ErrNoConfig) && a.flags.store != "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c.Retention, nil
}

func (a *app) planGC(ctx context.Context, grace time.Duration) (*snapshots.Store, *snapshots.GCPlan, snapshots.GCOptions, error) {
	s, err := a.readStore(ctx)
	if err != nil {
		return nil, nil, snapshots.GCOptions{}, err
	}
	o, err := a.gcOptions(s, grace)
	if err != nil {
		return nil, nil, o, err
	}
	p, err := s.PlanGC(ctx, o)
	if snapshots.IsCorrupt(err) {
		err = &ui.Failure{Code: ui.Corrupt, Err: err, Next: "nothing is collected while it is not known what is needed: see `parallelrun snapshots verify`"}
	}
	return s, p, o, err
}

func (a *app) gcPlan(ctx context.Context, grace time.Duration, why string) error {
	s, p, o, err := a.planGC(ctx, grace)
	if err != nil {
		return err
	}
	if why == "" {
		return a.out.Print(viewOfPlan(s, p, o.Grace, true))
	}
	kept, err := s.WhyKept(ctx, why, p, o)
	if err != nil {
		return err
	}
	return a.out.Print(keptView{kept})
}

// keptView is the data of `gc plan --why`.
type keptView struct{ *snapshots.Kept }

func (v keptView) Text(p *ui.Page) {
	switch {
	case v.Garbage != nil:
		p.Line("%s is garbage: %s", v.Key, v.Garbage.Why)
		return
	case v.Young:
		p.Line("%s is needed by nothing, and too young to be garbage: work that goes on may be about to need it", v.Key)
		return
	}
	p.Line("%s is kept for", v.Key)
	t := ui.NewTable("SNAPSHOT", "STAGE", "DATASET", "TABLE", "HELD BY")
	for _, k := range v.Keepers {
		by, digest := strings.Join(k.By, ", "), "-"
		if !k.Snapshot.IsZero() {
			digest = k.Snapshot.Short()
		}
		if by == "" {
			by = "(no name; not dropped)"
		}
		t.Row(digest, k.Stage, k.Dataset, k.Table, by)
	}
	p.Table(t)
}

func (a *app) gc(ctx context.Context, grace time.Duration, apply bool) error {
	s, p, o, err := a.planGC(ctx, grace)
	if err != nil {
		return err
	}
	v := gcView{gcPlanView: viewOfPlan(s, p, o.Grace, false), Applied: apply}
	if apply {
		step := a.progress().Step("gc", v.Delete.Objects, "objects")
		o.Progress = func(_, deleted int) { step.Set(int64(deleted), v.Delete.Objects) }
		v.Collected, err = s.Collect(ctx, p, o)
		step.End()
		if err != nil {
			return err
		}
	}
	return a.out.Print(v)
}
