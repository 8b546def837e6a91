package backendtest

import (
	"errors"
	"slices"
	"testing"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/seal/sealtest"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// RunKeys plays the life of a store's keys on an empty back end: an epoch is
// rotated, sealed anew and ended, keys are wrapped for somebody else, and a writer
// that is late is refused.
func RunKeys(t *testing.T, b snapshots.Sweeper) {
	ctx := t.Context()
	id, other := sealtest.Identity(t), sealtest.Identity(t)
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{Recipients: id.Recipients()}); err != nil {
		t.Fatal(err)
	}
	early := unlocked(t, b, id)
	d, late := sealedDraft(t, early, "a", "b", "c"), sealedDraft(t, early, "a", "b")
	commitAs := func(s *snapshots.Store, d snapshots.Draft) error {
		_, err := s.Commit(ctx, snapshots.Change{Reason: "night", Actions: []snapshots.Action{d.Action("hr", "legacy")}})
		return err
	}
	if err := commitAs(early, d); err != nil {
		t.Fatal(err)
	}
	if e, err := early.NewEpoch(ctx, id, id.Recipients()...); err != nil || e != 2 {
		t.Fatal(e, err)
	}
	s := unlocked(t, b, id)
	_, _, err := s.EndEpoch(ctx, 1, "test", nil)
	if _, needed := errors.AsType[*snapshots.EpochNeededError](err); !needed {
		t.Fatalf("what is needed was ended: %v", err)
	}
	plan, err := s.PlanReseal(ctx, snapshots.ResealOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if done, err := s.Reseal(ctx, plan, nil); err != nil || done.Snapshots != 1 {
		t.Fatal(done, err)
	}
	if _, n, err := s.EndEpoch(ctx, 1, "test", nil); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if keys, err := Keys(ctx, b, "keys/", ""); err != nil || !slices.Equal(keys, []string{"keys/2/1.json", "keys/mac/1.json"}) {
		t.Errorf("keys left: %v, %v", keys, err)
	}
	err = commitAs(early, late)
	if _, ended := errors.AsType[*snapshots.EpochEndedError](err); !ended {
		t.Errorf("a late writer: %v", err)
	}
	rewrapped(t, b, s, id, other)
	s = unlocked(t, b, other)
	allOpen(t, s, d)
	if r, err := s.Verify(ctx, snapshots.VerifyOptions{Level: snapshots.VerifyRows}); err != nil || len(r.Findings) > 0 {
		t.Errorf("%+v, %v", r.Findings, err)
	}
}

// rewrapped wraps all keys for two, then for the other alone.
func rewrapped(t *testing.T, b snapshots.Sweeper, s *snapshots.Store, id, other *seal.Identity) {
	t.Helper()
	for _, step := range []struct {
		by *seal.Identity
		to []seal.Recipient
	}{{id, append(id.Recipients(), other.Recipients()...)}, {other, other.Recipients()}} {
		keys, err := s.Rewrapping(t.Context(), step.to...)
		if err != nil || len(keys) != 2 {
			t.Fatal(keys, err)
		}
		for _, w := range keys {
			if err := s.Rewrap(t.Context(), w, step.by, step.to...); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := snapshots.Unlock(t.Context(), b, id); !errors.Is(err, seal.ErrWrongIdentity) {
		t.Errorf("who was taken out: %v", err)
	}
}

func unlocked(t *testing.T, b snapshots.Backend, id *seal.Identity) *snapshots.Store {
	t.Helper()
	ring, err := snapshots.Unlock(t.Context(), b, id)
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{Keyring: ring})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// locks is a table with a secret, which is the row's key.
func locks() schemas.Table {
	return schemas.Table{Name: "locks", Columns: []schemas.Column{{ID: 7, Name: "code", Type: schemas.Secret}}}
}

func sealedDraft(t *testing.T, s *snapshots.Store, names ...string) snapshots.Draft {
	t.Helper()
	w := s.NewWriter([]schemas.Table{locks()}, snapshots.WriterOptions{})
	defer w.Close()
	for _, name := range names {
		id := schemas.NewRowID("n", "locks", name)
		code, err := s.Keyring().Seal("locks", id, "code", []byte(name))
		if err == nil {
			err = w.WriteRow(t.Context(), "locks", schemas.Row{ID: id, Key: name, Values: []any{code}}, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// allOpen opens every secret of what sealedDraft made.
func allOpen(t *testing.T, s *snapshots.Store, d snapshots.Draft) {
	t.Helper()
	sn, err := s.Snapshot(t.Context(), d.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range sn.Scan(t.Context(), "locks", parts.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		code, err := s.Keyring().Open("locks", row.ID, "code", row.Values[0].(schemas.Sealed))
		if err != nil || string(code) != row.Key {
			t.Errorf("%s: %v", row.Key, err)
		}
	}
}
