package pipelines

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Summary is one line about a run.
type Summary struct {
	Record
	State    State  `json:"state"`
	LastStep string `json:"last_step"`
}

// Summaries lists the runs of a store, oldest first.
func Summaries(ctx context.Context, s *snapshots.Store) ([]Summary, error) {
	ids, err := RunIDs(ctx, s)
	if err != nil {
		return nil, err
	}
	out := make([]Summary, 0, len(ids))
	for _, id := range ids {
		rec, err := ReadRecord(ctx, s, id)
		if err != nil {
			return nil, err
		}
		state, last, err := progressOf(ctx, s, rec)
		if err != nil {
			return nil, err
		}
		out = append(out, Summary{Record: rec, State: state, LastStep: last})
	}
	return out, nil
}

// progressOf reads from the journal how far a run came.
func progressOf(ctx context.Context, s *snapshots.Store, rec Record) (state State, last string, err error) {
	e := &Local{Files: s, RunID: rec.ID}
	state = Stopped
	for _, step := range append(stepOrder, stepDone) {
		done, err := e.Done(ctx, step, nil)
		if err != nil {
			return state, last, err
		}
		if !done {
			continue
		}
		switch last = step; {
		case step == stepDone:
			state = Finished
		case step == stepPlan && !rec.Apply:
			state = Planned
		}
	}
	return state, last, nil
}

// ReadOutcome puts together what a run came to from its journal, however far
// it came.
func ReadOutcome(ctx context.Context, s *snapshots.Store, id string) (*Outcome, error) {
	rec, err := ReadRecord(ctx, s, id)
	if err != nil {
		return nil, err
	}
	for _, state := range []State{Finished, Planned} {
		data, err := s.ReadFile(ctx, runKey(rec.ID, "reports", string(state)+".json"))
		if err != nil {
			continue
		}
		out := &Outcome{}
		if err := json.Unmarshal(data, out); err != nil {
			return nil, fmt.Errorf("run %s: report is damaged: %w", rec.ID, err)
		}
		out.Overrides, err = readOverrides(ctx, s, rec.ID) // some may have come after the report
		return out, err
	}
	return journaled(ctx, s, rec)
}

// journaled is the outcome of a run that has no report yet.
func journaled(ctx context.Context, s *snapshots.Store, rec Record) (*Outcome, error) {
	e := &Local{Files: s, RunID: rec.ID}
	over, err := readOverrides(ctx, s, rec.ID)
	if err != nil {
		return nil, err
	}
	out := &Outcome{Record: rec, State: Stopped, Overrides: over}
	extracted, transformed, plan, loaded, verified, proof := &Extracted{}, &Transformed{}, &Plan{}, &Loaded{}, &Verified{}, &load.LoginReport{}
	steps := []struct {
		name string
		out  any
		keep func()
	}{
		{stepExtract, extracted, func() { out.Extracted, out.Legacy = extracted, extracted.Snapshot }},
		{stepTransform, transformed, func() { out.Transformed, out.Desired = transformed, transformed.Snapshot }},
		{stepPlan, plan, func() { out.Planned = plan }},
		{stepLoad, loaded, func() { out.Loaded = loaded }},
		{stepVerify, verified, func() { out.Verified = verified }},
		{stepProof, proof, func() { out.Proof = proof }},
	}
	for _, step := range steps {
		done, err := e.Done(ctx, step.name, step.out)
		if err != nil {
			return nil, err
		}
		if done {
			step.keep()
		}
	}
	return out, nil
}
