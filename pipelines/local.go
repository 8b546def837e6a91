package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/snapshots"
)

// Files is the part of a store that a run keeps its own files in: create-only,
// under runs/.
type Files interface {
	PutFile(ctx context.Context, key string, data []byte) error
	ReadFile(ctx context.Context, key string) ([]byte, error)
}

// Local is the Engine that runs in this process, with its journal in the store.
type Local struct {
	Files   Files
	RunID   string
	Workers int
	// Boundary, if set, is told before and after each step; tests stop the
	// process there.
	Boundary func(step string, done bool)
	// Now stamps journal entries; nil is time.Now.
	Now func() time.Time
}

var _ Engine = (*Local)(nil)

// journalEntry is one durable file: runs/<run>/journal/<step>.json.
type journalEntry struct {
	Version  int             `json:"version"`
	Step     string          `json:"step"`
	Started  time.Time       `json:"started"`
	Finished time.Time       `json:"finished"`
	Result   json.RawMessage `json:"result"`
}

// Do implements Engine.
func (l *Local) Do(ctx context.Context, step Step, out any) error {
	done, err := l.recall(ctx, step.Name, out)
	if done || err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	l.boundary(step.Name, false)
	started := l.now()
	result, err := step.Run(ctx)
	if err != nil {
		return fmt.Errorf("step %s: %w", step.Name, err)
	}
	if err := l.record(ctx, step.Name, started, result); err != nil {
		return err
	}
	l.boundary(step.Name, true)
	_, err = l.recall(ctx, step.Name, out)
	return err
}

// Map implements Engine.
func (l *Local) Map(ctx context.Context, step string, parts []Step) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, l.Workers))
	for _, p := range parts {
		g.Go(func() error { return l.Do(ctx, Step{Name: step + "/" + p.Name, Run: p.Run}, nil) })
	}
	return g.Wait()
}

// Done reports whether a step's result is journaled, and decodes it into out.
func (l *Local) Done(ctx context.Context, step string, out any) (bool, error) {
	return l.recall(ctx, step, out)
}

// Took is how long a journaled step took in the attempt that ended it; zero if
// it is not journaled.
func (l *Local) Took(ctx context.Context, step string) (time.Duration, error) {
	e, err := l.entry(ctx, step)
	if e == nil || err != nil {
		return 0, err
	}
	return e.Finished.Sub(e.Started), nil
}

// entry reads a step's journal entry, nil if there is none.
func (l *Local) entry(ctx context.Context, step string) (*journalEntry, error) {
	data, err := l.Files.ReadFile(ctx, l.key(step))
	if errors.Is(err, snapshots.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := &journalEntry{}
	if err := json.Unmarshal(data, e); err != nil {
		return nil, fmt.Errorf("%s: journal entry is damaged: %w (run `parallelrun snapshots verify`)", l.key(step), err)
	}
	return e, nil
}

func (l *Local) recall(ctx context.Context, step string, out any) (bool, error) {
	e, err := l.entry(ctx, step)
	if e == nil || err != nil {
		return false, err
	}
	if out == nil {
		return true, nil
	}
	if err := json.Unmarshal(e.Result, out); err != nil {
		return false, fmt.Errorf("%s: journaled result: %w", l.key(step), err)
	}
	return true, nil
}

// record journals a result. If another attempt at this run journaled the step
// meanwhile, that one stands: a step comes to the same result every time.
func (l *Local) record(ctx context.Context, step string, started time.Time, result any) error {
	raw, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("step %s: %w", step, err)
	}
	data, err := json.Marshal(journalEntry{Version: 1, Step: step, Started: started, Finished: l.now(), Result: raw})
	if err != nil {
		return fmt.Errorf("step %s: %w", step, err)
	}
	err = l.Files.PutFile(ctx, l.key(step), data)
	if errors.Is(err, snapshots.ErrExists) {
		return nil
	}
	return err
}

func (l *Local) key(step string) string { return "runs/" + l.RunID + "/journal/" + step + ".json" }

func (l *Local) boundary(step string, done bool) {
	if l.Boundary != nil {
		l.Boundary(step, done)
	}
}

func (l *Local) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now().UTC()
}
