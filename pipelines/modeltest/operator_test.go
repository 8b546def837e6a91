package modeltest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
)

// operatorKinds are what an operator does.
var operatorKinds = []kind{
	{name: "run", weight: 30, draw: drawRun, play: playCall, compares: true},
	{name: "undo", weight: 10, draw: drawUndo, play: playCall, compares: true},
	{name: "restore", weight: 10, draw: drawRestore, play: playCall, compares: true},
	{name: "checkpoint", weight: 3, draw: func(s *sequence, rnd *rand.Rand) (action, bool) {
		return action{Seed: seed(rnd)}, s.model.loaded
	}, play: playCheckpoint},
	{name: "complete wave", weight: 2, draw: drawWave, play: playComplete},
	{name: "reopen wave", weight: 1, draw: drawWave, play: playReopen},
	{name: "plan", weight: 2, draw: drawRun, play: playPlan},
}

func drawAllow(rnd *rand.Rand) []string {
	if rnd.IntN(3) > 0 {
		return nil
	}
	return some(rnd, allowWords).list()
}

func drawRun(s *sequence, rnd *rand.Rand) (action, bool) {
	c := &call{Allow: drawAllow(rnd)}
	again, _ := pick(rnd, slices.Sorted(maps.Keys(s.model.first))) // a wave that was loaded before
	switch n := rnd.IntN(7); {
	case n == 6 && again != "":
		c.Waves = []string{again}
	case n == 0:
		c.Waves = []string{"first"}
	case n == 1:
		c.Waves = []string{"second"}
	case n == 2:
		c.Sweep = true
	case n == 3: // those who have moved
	default:
		c.Everyone = true
	}
	c.Again = rnd.IntN(5) == 0
	return action{Call: c, Kill: s.drawKill(rnd)}, len(s.model.legacy) > 0
}

func drawUndo(s *sequence, rnd *rand.Rand) (action, bool) {
	wave, ok := pick(rnd, slices.Sorted(maps.Keys(s.model.first)))
	c := &call{Undo: wave, Allow: drawAllow(rnd), Overwrite: rnd.IntN(3) == 0, DeleteOurs: rnd.IntN(3) == 0}
	c.Again = !c.DeleteOurs && rnd.IntN(5) == 0
	return action{Call: c, Kill: s.drawKill(rnd)}, ok
}

// drawRestore numbers the checkpoint: names hold the time.
func drawRestore(s *sequence, rnd *rand.Rand) (action, bool) {
	if len(s.model.checkpoints) == 0 {
		return action{}, false
	}
	c := &call{Restore: fmt.Sprint(rnd.IntN(len(s.model.checkpoints))), Allow: drawAllow(rnd), Overwrite: rnd.IntN(3) == 0, DeleteOurs: rnd.IntN(3) == 0}
	c.Again = !c.DeleteOurs && rnd.IntN(5) == 0
	return action{Call: c, Kill: s.drawKill(rnd)}, true
}

func (s *sequence) drawKill(rnd *rand.Rand) *kill {
	if rnd.IntN(3) > 0 {
		return nil
	}
	k := &kill{After: rnd.IntN(2) == 0, LoseDisk: rnd.IntN(2) == 0, Abandon: rnd.IntN(5) < 2}
	switch rnd.IntN(3) {
	case 0:
		k.Request = 1 + rnd.IntN(s.rig.requests)
	case 1:
		k.Change = 1 + rnd.IntN(s.rig.changes)
	default:
		k.Create = 1 + rnd.IntN(s.rig.commits)
	}
	return k
}

func playCheckpoint(ctx context.Context, s *sequence, _ action) (bool, error) {
	if !s.model.loaded {
		return false, nil
	}
	p, err := s.rig.open(ctx, nil)
	if err != nil {
		return false, err
	}
	name := fmt.Sprintf("by-hand-%d", s.model.fresh())
	if _, err := p.Checkpoint(ctx, name, "model", ""); err != nil {
		return false, err
	}
	s.model.checkpoints[name] = s.model.pin()
	return true, nil
}

func drawWave(_ *sequence, rnd *rand.Rand) (action, bool) {
	wave, ok := pick(rnd, waveNames)
	return action{Key: wave}, ok
}

// playComplete gives the profiles of a wave's users to Keymate.
func playComplete(ctx context.Context, s *sequence, a action) (bool, error) {
	m := s.model
	if m.complete[a.Key] || !slices.ContainsFunc(m.keys(), func(key string) bool { return m.base[key] != nil && m.wave[key] == a.Key }) {
		return false, nil
	}
	p, err := s.rig.open(ctx, nil)
	if err != nil {
		return false, err
	}
	m.complete.add(a.Key)
	_, err = p.Complete(ctx, a.Key, pipelines.CompleteOptions{Record: true, Despite: "the model knows no open ends"})
	return true, err
}

func playReopen(ctx context.Context, s *sequence, a action) (bool, error) {
	if !s.model.complete[a.Key] {
		return false, nil
	}
	p, err := s.rig.open(ctx, nil)
	if err != nil {
		return false, err
	}
	delete(s.model.complete, a.Key)
	_, err = p.Reopen(ctx, a.Key, pipelines.CompleteOptions{Record: true})
	return true, err
}

// playPlan plans and writes nothing.
func playPlan(ctx context.Context, s *sequence, a action) (bool, error) {
	if len(s.model.legacy) == 0 {
		return false, nil
	}
	p, err := s.rig.open(ctx, nil)
	if err != nil {
		return false, err
	}
	s.rig.source.people, s.rig.source.names = s.model.legacy, s.model.names
	_, err = s.begin(ctx, p, a.Call, false)
	return true, err
}

// resolve turns the number of a checkpoint into its name.
func (s *sequence) resolve(c *call) (*call, bool) {
	switch {
	case c.Undo != "":
		return c, s.model.first[c.Undo] != "" && !s.model.complete[c.Undo]
	case c.Restore != "":
		names := s.model.checkpointNames()
		var n int
		if _, err := fmt.Sscan(c.Restore, &n); err != nil || n >= len(names) {
			return c, false
		}
		out := *c
		out.Restore = names[n]
		return &out, true
	}
	return c, len(s.model.legacy) > 0
}

func (m *model) checkpointNames() []string { return slices.Sorted(maps.Keys(m.checkpoints)) }

// begin starts a run.
func (s *sequence) begin(ctx context.Context, p *session, c *call, apply bool) (*pipelines.Outcome, error) {
	o := pipelines.RunOptions{Apply: apply, Allow: c.Allow, Waves: c.Waves, Sweep: c.Sweep, Everyone: c.Everyone, OverrideBrake: "the model has no brake"}
	back := pipelines.RestoreOptions{RunOptions: o, RestoreOptions: load.RestoreOptions{Overwrite: c.Overwrite, DeleteCreated: c.DeleteOurs}}
	switch {
	case c.Undo != "":
		return p.Undo(ctx, c.Undo, "", back)
	case c.Restore != "":
		return p.Restore(ctx, c.Restore, back)
	}
	return p.Run(ctx, o)
}

// playCall plays a run, an undo or a restore to its end, kills included.
func playCall(ctx context.Context, s *sequence, a action) (bool, error) {
	c, ok := s.resolve(a.Call)
	if !ok {
		return false, nil
	}
	s.rig.source.people, s.rig.source.names = s.model.legacy, s.model.names
	next, want := s.model.outcome(c)
	before := &seen{ours: s.model.target, foreign: s.model.foreign} // as was compared after the last action
	p, err := s.rig.open(ctx, a.Kill.killer())
	if err != nil {
		return true, err
	}
	out, err := s.killable(ctx, p, c)
	s.rig.note(p.kill)
	s.givenUp = p.kill.died() && a.Kill.Abandon
	switch {
	case !p.kill.died() && err != nil:
		return true, err
	case p.kill.died() && a.Kill.Abandon:
		return true, s.abandoned(ctx, a, c, before, next)
	case p.kill.died():
		if p, out, err = s.resume(ctx, a, c); err != nil {
			return true, fmt.Errorf("%s, then resumed: %w", p.kill, err)
		}
	}
	if err := s.confirm(ctx, p, out, next, want); err != nil {
		return true, err
	}
	after, err := s.rig.realm.look(ctx, s.model.keys())
	if err != nil {
		return true, err
	}
	if err := neverHappens(s.model, c, before, after); err != nil {
		return true, err
	}
	s.took(next, c, out)
	if err := s.holds(after); err != nil {
		return true, err
	}
	if err := s.baseHolds(ctx, p); err != nil || !c.Again {
		return true, err
	}
	return true, s.again(ctx, c)
}

// again asks for the same once more: there is nothing left to do.
func (s *sequence) again(ctx context.Context, c *call) error {
	p, err := s.rig.open(ctx, nil)
	if err != nil {
		return err
	}
	next, want := s.model.outcome(c)
	out, err := s.begin(ctx, p, c, true)
	if err != nil {
		return fmt.Errorf("once more: %w", err)
	}
	if out.Planned.Operations > 0 {
		return fmt.Errorf("once more: there are %d operations, and shall be none", out.Planned.Operations)
	}
	if err := s.confirm(ctx, p, out, next, want); err != nil {
		return fmt.Errorf("once more: %w", err)
	}
	s.took(next, c, out)
	return s.baseHolds(ctx, p)
}

func (k *kill) killer() *killer {
	if k == nil {
		return &killer{}
	}
	return &killer{request: k.Request, change: k.Change, create: k.Create, after: k.After}
}

// killable runs in a process that may die.
func (s *sequence) killable(ctx context.Context, p *session, c *call) (*pipelines.Outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.kill.mu.Lock()
	p.kill.stop = cancel
	p.kill.mu.Unlock()
	var err error
	if s.rig.runs, err = pipelines.RunIDs(ctx, p.Store); err != nil { // plans among them
		return nil, err
	}
	return s.begin(ctx, p, c, true)
}

// resume goes on with the killed run, or begins it if it was killed before there
// was one.
func (s *sequence) resume(ctx context.Context, a action, c *call) (*session, *pipelines.Outcome, error) {
	p, err := s.rig.open(ctx, nil)
	if err != nil {
		return p, nil, err
	}
	if err := s.rig.takenOver(ctx, p.Store); err != nil {
		return p, nil, err
	}
	if a.Kill.LoseDisk {
		if err := s.rig.loseDisk(); err != nil {
			return p, nil, err
		}
	}
	runs, err := pipelines.RunIDs(ctx, p.Store)
	if err != nil {
		return p, nil, err
	}
	runs = slices.DeleteFunc(runs, func(id string) bool { return slices.Contains(s.rig.runs, id) })
	if len(runs) == 0 {
		out, err := s.begin(ctx, p, c, true)
		return p, out, err
	}
	out, err := p.Resume(ctx, runs[0], pipelines.RunOptions{Apply: true, OverrideBrake: "the model has no brake"})
	return p, out, err
}

// took makes the outcome of a run the model's state.
func (s *sequence) took(next *model, c *call, out *pipelines.Outcome) {
	if out.Checkpoint != "" {
		next.checkpoints[out.Checkpoint] = s.model.pin()
		if !c.goesBack() {
			for _, w := range c.Waves {
				if next.first[w] == "" {
					next.first[w] = out.Checkpoint
				}
			}
		}
	}
	next.loaded = true
	s.model = next
}

// abandoned takes in what a killed run left behind that nobody resumes: the
// target may hold any part of it, base all or nothing.
func (s *sequence) abandoned(ctx context.Context, a action, c *call, before *seen, next *model) error {
	p, err := s.rig.open(ctx, nil)
	if err != nil {
		return err
	}
	if err := s.rig.takenOver(ctx, p.Store); err != nil {
		return err
	}
	after, err := s.rig.realm.look(ctx, s.model.keys())
	if err != nil {
		return err
	}
	if err := neverHappens(s.model, c, before, after); err != nil {
		return fmt.Errorf("%s, and abandoned: %w", a.Kill.killer(), err)
	}
	if err := between(s.model.target, next.target, after.ours); err != nil {
		return fmt.Errorf("%s, and abandoned: %w", a.Kill.killer(), err)
	}
	st, err := p.Store.State(ctx)
	if err != nil {
		return err
	}
	m := s.model
	for _, cp := range st.Checkpoints {
		if m.checkpoints[cp.Name] == nil {
			m.checkpoints[cp.Name] = m.pin()
			for _, w := range c.Waves {
				if m.first[w] == "" && !c.goesBack() {
					m.first[w] = cp.Name
				}
			}
		}
	}
	for key, have := range after.ours { // what is not planned is as it was
		have.pw = m.known(have.pw)
		m.target[key] = have
	}
	for key := range m.target {
		if after.ours[key] == nil {
			delete(m.target, key)
		}
	}
	if folded, err := s.folded(ctx, p, next); err != nil {
		return err
	} else if folded {
		m.base, m.baseUnits, m.loaded = next.base, next.baseUnits, true
	}
	m.units, m.unitIDs = after.units, after.unitIDs
	m.wave, err = s.assigned(ctx, p)
	return err
}

// known gives a password that was read its text.
func (m *model) known(p *password) *password {
	if p == nil {
		return nil
	}
	return &password{m.texts[p.date], p.date}
}

// between says that every field of every account is as it was or as it was to
// be.
func between(before, after, now map[string]*account) error {
	var bad []string
	for key, have := range now {
		var was, shall *person
		if a := before[key]; a != nil {
			was = &a.person
		}
		if a := after[key]; a != nil {
			shall = &a.person
		}
		switch {
		case was == nil && shall == nil:
			bad = append(bad, key+" has an account that nobody planned")
		case was == nil || shall == nil: // created or deleted in one request; what follows, bit by bit
		default:
			for _, field := range have.differs(was) {
				if slices.Contains(have.differs(shall), field) && field != "places" && field != "roles" && field != "groups" {
					bad = append(bad, fmt.Sprintf("%s: %s is neither as it was nor as it shall be: %s", key, field, &have.person))
				}
			}
		}
	}
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, "\n"))
	}
	return nil
}
