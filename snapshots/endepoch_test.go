package snapshots_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/seal/sealtest"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

func endEpoch(ctx context.Context, s *snapshots.Store, epoch uint32, roots ...snapshots.Root) (uint64, int, error) {
	return s.EndEpoch(ctx, epoch, "ann@host", func(context.Context, snapshots.State) ([]snapshots.Root, error) { return roots, nil })
}

// An epoch ends only when nothing needs it, and what does is named.
func TestEndEpoch(t *testing.T) {
	m := &backendtest.Memory{}
	s, id := sealedStore(t, m)
	d := nights(t, s, 1, 30)[0]
	open := writeDraft(t, s, snapshots.WriterOptions{}, 5, nil)
	if _, _, err := endEpoch(t.Context(), s, 1); !errors.Is(err, snapshots.ErrCurrentEpoch) {
		t.Errorf("the newest: %v", err)
	}
	s = rotate(t, m, s, id)
	refused := func(what, want string, roots ...snapshots.Root) {
		t.Helper()
		_, n, err := endEpoch(t.Context(), s, 1, roots...)
		needed, ok := errors.AsType[*snapshots.EpochNeededError](err)
		if !ok || n != 0 || !strings.Contains(err.Error(), want) || needed.Hint() == "" {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := s.PlanEndEpoch(t.Context(), 1, func(context.Context, snapshots.State) ([]snapshots.Root, error) { return roots, nil }); err == nil {
			t.Errorf("%s: the plan did not refuse it", what)
		}
		if there, err := s.KeyEpochs(t.Context()); err != nil || len(there) != 2 {
			t.Errorf("%s: keys of %v, %v", what, there, err)
		}
	}
	refused("a snapshot without a name", fmt.Sprintf("snapshot %s (legacy of hr)", d.Digest.Short()))
	commit := func(a snapshots.Action) {
		t.Helper()
		if _, err := s.Commit(t.Context(), snapshots.Change{Reason: "test", Actions: []snapshots.Action{a}}); err != nil {
			t.Fatal(err)
		}
	}
	commit(snapshots.RefAction{Name: "night", Digest: d.Digest})
	refused("a ref", "ref night (snapshot ")
	commit(snapshots.CheckpointAction{Name: "c", Target: "live", Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: d.Digest}})
	refused("a checkpoint", "checkpoint c (base)")
	mustReseal(t, s)
	refused("a draft", "journal of run r7", snapshots.Root{Manifest: open.Manifest, Why: "journal of run r7"})
	l, err := s.AcquireLease(t.Context(), "live", snapshots.LeaseOptions{Run: "r9"})
	if err != nil {
		t.Fatal(err)
	}
	refused("a run", "run r9 on host ")
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, unknown := range []uint32{3, 17} {
		var e *snapshots.UnknownEpochError
		if _, _, err := endEpoch(t.Context(), s, unknown); !errors.As(err, &e) {
			t.Errorf("epoch %d: %v", unknown, err)
		}
	}
	plan, err := s.PlanEndEpoch(t.Context(), 1, nil)
	if err != nil || len(plan.Files) != 1 || plan.Left.Parts < 2 || len(plan.Left.Manifests) != 2 {
		t.Errorf("%+v, %v", plan, err)
	}
	n, destroyed, err := endEpoch(t.Context(), s, 1)
	if err != nil || n == 0 || destroyed != 1 {
		t.Fatal(n, destroyed, err)
	}
	if n, destroyed, err := endEpoch(t.Context(), s, 1); err != nil || n != 0 || destroyed != 0 {
		t.Errorf("again: %d, %d, %v", n, destroyed, err)
	}
	s = unlocked(t, m, id)
	secretsOpen(t, s, d.Digest)
	if r := verify(t, s, snapshots.VerifyRows); len(r.Findings) != 0 {
		t.Errorf("%+v", r.Findings)
	}
	c, err := state(t, s).Checkpoint("c")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Openable(t.Context(), s, s.Keyring()); err != nil {
		t.Errorf("a checkpoint that was sealed anew: %v", err)
	}
	report, err := s.KeyReport(t.Context(), s.Keyring(), nil)
	if err != nil || len(report.Epochs) != 2 || report.Epochs[1].Ended.N != n || report.Epochs[1].State != snapshots.EpochGone || !report.Epochs[0].Current {
		t.Errorf("%+v, %v", report, err)
	}
}

// A writer that began in an epoch can't commit after its end, whatever it kept
// of the key.
func TestWriterAfterTheEnd(t *testing.T) {
	m := &backendtest.Memory{}
	early, id := sealedStore(t, m)
	all := nights(t, early, 2, 30)
	late := writeDraft(t, early, snapshots.WriterOptions{}, 30, nil)
	upon := mustSnapshot(t, early, all[1].Digest.String())
	s := rotate(t, m, early, id)
	mustReseal(t, s)
	if _, _, err := endEpoch(t.Context(), s, 1); err != nil {
		t.Fatal(err)
	}
	drafts := map[string]snapshots.Draft{
		"a draft of before":              late,
		"one made after":                 writeDraft(t, early, snapshots.WriterOptions{}, 31, nil),
		"one upon parts of before":       writeDraft(t, early, snapshots.WriterOptions{Bounds: smallParts, Parent: upon}, 30, nil),
		"the same rows in parts of then": all[1],
	}
	for name, d := range drafts {
		_, err := early.Commit(t.Context(), snapshots.Change{Reason: "late", Actions: []snapshots.Action{d.Action("hr", "legacy")}})
		ended, ok := errors.AsType[*snapshots.EpochEndedError](err)
		if !ok || ended.Epoch != 1 || ended.Table != "people" || !strings.Contains(err.Error(), "ended by ann@host") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := commitDraft(t.Context(), s, writeDraft(t, s, snapshots.WriterOptions{}, 31, nil)); err != nil {
		t.Errorf("in the new epoch: %v", err)
	}
	if err := commitDraft(t.Context(), early, plainDraft(t, early)); err != nil {
		t.Errorf("without secrets: %v", err)
	}
}

// plainDraft is a draft without secrets.
func plainDraft(t *testing.T, s *snapshots.Store) snapshots.Draft {
	t.Helper()
	d, err := draft(t.Context(), s, nil, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A commit just before any operation of the end of its epoch: one of the two is
// refused, never is a snapshot known whose keys are destroyed.
func TestEndEpochBesideWriter(t *testing.T) {
	refusals := map[string]int{}
	for k := 0; ; k++ {
		m := &backendtest.Memory{}
		early, id := sealedStore(t, m)
		late := writeDraft(t, early, snapshots.WriterOptions{}, 8, nil)
		s := rotate(t, m, early, id)
		met, committed := false, false
		between := func(n int, _, _ string) (backendtest.Kind, bool) {
			if n == k {
				met = true
				err := commitDraft(t.Context(), early, late)
				_, ended := errors.AsType[*snapshots.EpochEndedError](err)
				if committed = err == nil; !committed && !ended {
					t.Errorf("before operation %d: %v", k, err)
				}
				if ended {
					refusals["writer"]++
				}
			}
			return 0, false
		}
		_, _, err := endEpoch(t.Context(), snapshots.OnBackend(s, &backendtest.Fault{Backend: m, Plan: between}), 1)
		_, needed := errors.AsType[*snapshots.EpochNeededError](err)
		if err != nil && !needed || committed != needed {
			t.Fatalf("before operation %d: committed %v, end: %v", k, committed, err)
		}
		if needed {
			refusals["end"]++
		}
		if r := verify(t, unlocked(t, m, id), snapshots.VerifyRows); len(r.Findings) != 0 {
			t.Fatalf("before operation %d: %+v", k, r.Findings)
		}
		if !met {
			break
		}
	}
	if refusals["writer"] == 0 || refusals["end"] == 0 {
		t.Errorf("refused: %v", refusals)
	}
}

// Stopped at any operation, the end of an epoch leaves it as it was or ended, and
// is ended by calling it again.
func TestEndEpochFaults(t *testing.T) {
	for _, kind := range []backendtest.Kind{backendtest.Fail, backendtest.Refuse, backendtest.LoseReply, backendtest.LoseReply2, backendtest.Late, backendtest.CancelAfter} {
		t.Run(kind.String(), func(t *testing.T) {
			for k := 0; ; k++ {
				m := &backendtest.Memory{}
				s, id := sealedStore(t, m)
				nights(t, s, 1, 30)
				s = rotate(t, m, s, id)
				mustReseal(t, s)
				f := backendtest.FailAt(m, k, kind)
				_, _, err := endEpoch(t.Context(), snapshots.OnBackend(s, f), 1)
				f.Wait()
				s = unlocked(t, m, id)
				there, listErr := s.KeyEpochs(t.Context())
				if listErr != nil {
					t.Fatal(listErr)
				}
				if _, ended := state(t, s).Ended[1]; !ended && len(there) != 2 {
					t.Fatalf("operation %d: keys %v are left and the log does not say so", k, there)
				}
				if _, _, err := endEpoch(t.Context(), s, 1); err != nil {
					t.Fatalf("operation %d, again: %v", k, err)
				}
				if there, err := s.KeyEpochs(t.Context()); err != nil || len(there) != 1 {
					t.Fatalf("operation %d: keys of %v, %v", k, there, err)
				}
				if f.Hits() == 0 {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
			}
		})
	}
}

// A key that is wrapped anew beside the end of its epoch does not come back.
func TestRewrapBesideTheEnd(t *testing.T) {
	for k := 0; ; k++ {
		m := &backendtest.Memory{}
		s, id := sealedStore(t, m)
		s = rotate(t, m, s, id)
		to := append(id.Recipients(), sealtest.Identity(t).Recipients()...)
		keys, err := s.Rewrapping(t.Context(), to...)
		if err != nil || len(keys) != 3 {
			t.Fatalf("%+v, %v", keys, err)
		}
		met := false
		between := func(n int, _, _ string) (backendtest.Kind, bool) {
			if n == k {
				met = true
				if _, _, err := endEpoch(t.Context(), unlocked(t, m, id), 1); err != nil {
					t.Errorf("before operation %d: %v", k, err)
				}
			}
			return 0, false
		}
		on := snapshots.OnBackend(s, &backendtest.Fault{Backend: m, Plan: between})
		for _, w := range keys {
			err := on.Rewrap(t.Context(), w, id, to...)
			if err != nil && w.Epoch != 1 {
				t.Fatalf("before operation %d: %v", k, err)
			}
		}
		if !met {
			return
		}
		if there, err := s.KeyEpochs(t.Context()); err != nil || len(there) != 1 {
			t.Fatalf("before operation %d: keys of %v, %v", k, there, err)
		}
		again, err := s.Unlock(t.Context(), id)
		if err != nil || again.Epoch() != 2 {
			t.Fatalf("before operation %d: %v", k, err)
		}
	}
}

// What an ended epoch leaves behind is told: manifests of before, dead drafts.
func TestEpochLeft(t *testing.T) {
	m := &backendtest.Memory{}
	s, id := sealedStore(t, m)
	all := nights(t, s, 2, 30)
	dead := writeDraft(t, s, snapshots.WriterOptions{}, 6, nil)
	s = rotate(t, m, s, id)
	if left, err := s.EpochLeft(t.Context(), 1); err != nil || len(left.Manifests) != 1 || left.Manifests[0].Manifest != dead.Manifest || left.Parts != 1 {
		t.Errorf("%+v, %v", left, err)
	}
	mustReseal(t, s)
	left, err := s.EpochLeft(t.Context(), 1)
	if err != nil || len(left.Manifests) != 3 || left.Parts < 3 {
		t.Fatalf("%+v, %v", left, err)
	}
	was := fmt.Sprint(left.Manifests)
	for _, want := range []string{"snapshot " + all[0].Digest.Short() + " before it was rewritten", "a draft that no log entry commits"} {
		if !strings.Contains(was, want) {
			t.Errorf("%q is not told: %s", want, was)
		}
	}
	for range 2 {
		if _, err := gc(t.Context(), s, snapshots.GCOptions{Grace: -1}); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := s.EpochLeft(t.Context(), 1); err != nil || len(left.Manifests) != 0 || left.Sealed != (parts.Sealed{}) {
		t.Errorf("after gc: %+v, %v", left, err)
	}
}

// A key is never wrapped so that who does it can't open it any more.
func TestRewrapLocksNobodyOut(t *testing.T) {
	m := &backendtest.Memory{}
	s, id := sealedStore(t, m)
	other := sealtest.Identity(t)
	keys, err := s.Rewrapping(t.Context(), other.Recipients()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range keys {
		if err := s.Rewrap(t.Context(), w, id, other.Recipients()...); !errors.Is(err, seal.ErrWrongIdentity) {
			t.Errorf("%+v: %v", w, err)
		}
	}
	if _, err := s.NewEpoch(t.Context(), id, other.Recipients()...); !errors.Is(err, seal.ErrWrongIdentity) {
		t.Errorf("rotated: %v", err)
	}
	if _, err := s.Unlock(t.Context(), id); err != nil {
		t.Error(err)
	}
}
