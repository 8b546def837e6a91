package snapshots_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/seal/sealtest"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// pin is a checkpoint of digest 1 as base.
func pin(name string) snapshots.CheckpointAction {
	return snapshots.CheckpointAction{Name: name, Target: "live", Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: digest(1)}}
}

func drop(name string) snapshots.CheckpointAction {
	return snapshots.CheckpointAction{Name: name, Drop: true}
}

func commitCheckpoint(t testing.TB, s *snapshots.Store, a snapshots.CheckpointAction) error {
	_, err := s.Commit(t.Context(), snapshots.Change{Reason: "before the pilot", Run: "r9", Actions: []snapshots.Action{a}})
	return err
}

// pinnedStore knows snapshots 1 and 2.
func pinnedStore(t testing.TB) (*backendtest.Memory, *snapshots.Store) {
	m := &backendtest.Memory{}
	s := openOn(t, initOn(t, m))
	for n := range byte(2) {
		if _, err := commitSnapshot(s, n+1); err != nil {
			t.Fatal(err)
		}
	}
	return m, s
}

// One entry pins everything; the names of what it pins resolve; dropped, the
// name is free and the history stays.
func TestCheckpointFolds(t *testing.T) {
	m, s := pinnedStore(t)
	a := pin("before-pilot")
	a.Snapshots[snapshots.RoleLegacy], a.Flags = digest(2), digest(2)
	a.Inputs = []snapshots.CheckpointInput{{Name: "mapping/mapping.yaml", Blob: snapshots.Blob{SHA256: digest(7), Size: 3}}}
	a.Epochs = []uint32{1, 3}
	before := state(t, s)
	if err := commitCheckpoint(t, s, a); err != nil {
		t.Fatal(err)
	}
	if len(before.Checkpoints) != 0 {
		t.Error("a state that was read before has changed")
	}
	st := state(t, openOn(t, m)) // as another reader has it
	c, err := st.Checkpoint("before-pilot")
	if err != nil || st.N != 3 || c.N != 3 || c.Run != "r9" || c.Reason != "before the pilot" || c.Time.IsZero() || c.Base() != digest(1) ||
		!slices.Equal(c.Epochs, a.Epochs) || !slices.Equal(c.Inputs, a.Inputs) || !slices.Equal(c.Pinned(), []string{"base", "legacy", "flags"}) {
		t.Errorf("checkpoint %+v, %v", c, err)
	}
	for name, want := range map[string]snapshots.Digest{"checkpoint/before-pilot/base": digest(1), "checkpoint/before-pilot/legacy": digest(2), "checkpoint/before-pilot/flags": digest(2)} {
		if info, err := st.Resolve(name); err != nil || info.Digest != want {
			t.Errorf("%s: %s, %v", name, info.Digest.Short(), err)
		}
	}
	for name, want := range map[string]string{
		"checkpoint/before-pilot/desired": "pins base, legacy, flags", "checkpoint/before-pilo/base": "did you mean checkpoint/before-pilot/base",
	} {
		if _, err := st.Resolve(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	for _, next := range []snapshots.CheckpointAction{drop("before-pilot"), pin("before-pilot")} {
		if err := commitCheckpoint(t, s, next); err != nil {
			t.Fatal(err)
		}
	}
	if st := state(t, s); st.N != 5 || st.Checkpoints["before-pilot"].N != 5 || len(st.Checkpoints["before-pilot"].Epochs) != 0 {
		t.Errorf("dropped and taken anew: %+v", st.Checkpoints)
	}
}

func TestCheckpointBeforeTheFirstLoad(t *testing.T) {
	_, s := pinnedStore(t)
	if err := commitCheckpoint(t, s, snapshots.CheckpointAction{Name: "zero", Target: "live", Empty: true}); err != nil {
		t.Fatal(err)
	}
	st := state(t, s)
	if c := st.Checkpoints["zero"]; !c.Empty || !c.Base().IsZero() || len(c.Pinned()) != 0 {
		t.Errorf("checkpoint %+v", c)
	}
	var unknown *snapshots.UnknownSnapshotError
	if _, err := st.Resolve("checkpoint/zero/base"); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "nothing stood in the target") {
		t.Errorf("its base: %v", err)
	}
	if d, err := snapshots.DiffStat(t.Context(), snapshots.EmptySnapshot(), snapshots.EmptySnapshot(), snapshots.DiffOptions{}); err != nil || d.Changed() != 0 {
		t.Errorf("nothing and nothing: %+v, %v", d, err)
	}
}

func TestCheckpointRefuses(t *testing.T) {
	_, s := pinnedStore(t)
	if err := commitCheckpoint(t, s, pin("taken")); err != nil {
		t.Fatal(err)
	}
	with := func(edit func(a *snapshots.CheckpointAction)) snapshots.CheckpointAction {
		a := pin("new")
		edit(&a)
		return a
	}
	input := func(names ...string) snapshots.CheckpointAction {
		return with(func(a *snapshots.CheckpointAction) {
			for _, n := range names {
				a.Inputs = append(a.Inputs, snapshots.CheckpointInput{Name: n, Blob: snapshots.Blob{SHA256: digest(5)}})
			}
		})
	}
	for name, test := range map[string]struct {
		action snapshots.CheckpointAction
		want   string
	}{
		"taken":            {pin("taken"), "never moves (choose another name"},
		"bad name":         {pin("no way"), "checkpoint name"},
		"like a digest":    {pin("abcdef0"), "looks like a digest"},
		"now":              {pin("now"), "what is in the target now"},
		"no target":        {with(func(a *snapshots.CheckpointAction) { a.Target = "" }), "target must be named"},
		"no base":          {with(func(a *snapshots.CheckpointAction) { a.Snapshots = nil }), "does not say so"},
		"base and none":    {with(func(a *snapshots.CheckpointAction) { a.Empty = true }), "says that there is none"},
		"unknown base":     {with(func(a *snapshots.CheckpointAction) { a.Snapshots["base"] = digest(8) }), "base: no snapshot"},
		"unknown other":    {with(func(a *snapshots.CheckpointAction) { a.Snapshots["legacy"] = digest(8) }), "legacy: no snapshot"},
		"unknown flags":    {with(func(a *snapshots.CheckpointAction) { a.Flags = digest(8) }), "flags: no snapshot"},
		"zero snapshot":    {with(func(a *snapshots.CheckpointAction) { a.Snapshots["legacy"] = snapshots.Digest{} }), "names no snapshot"},
		"unknown role":     {with(func(a *snapshots.CheckpointAction) { a.Snapshots["mood"] = digest(1) }), `role "mood"`},
		"epochs":           {with(func(a *snapshots.CheckpointAction) { a.Epochs = []uint32{2, 1} }), "do not ascend"},
		"input outside":    {input("../migration.yaml"), "no relative path"},
		"input absolute":   {input("/etc/passwd"), "no relative path"},
		"input twice":      {input("a", "a"), "stands twice"},
		"drop unknown":     {drop("take"), `no checkpoint "take": did you mean taken?`},
		"drop and more":    {with(func(a *snapshots.CheckpointAction) { a.Name, a.Drop = "taken", true }), "holds nothing else"},
		"drop what is not": {drop("zzzzz"), "`parallelrun checkpoint list` shows all"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := commitCheckpoint(t, s, test.action); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if st := state(t, s); st.N != 3 || len(st.Checkpoints) != 1 {
		t.Errorf("a refused commit made entry %d", st.N)
	}
	// A ref can't pass itself off as what a checkpoint pins.
	_, err := s.Commit(t.Context(), snapshots.Change{Actions: []snapshots.Action{snapshots.RefAction{Name: "checkpoint/taken/base", Digest: digest(2)}}})
	if err == nil || !strings.Contains(err.Error(), "those of checkpoints") {
		t.Errorf("ref: %v", err)
	}
}

// Of many writers of one name one wins, and the others learn it.
func TestRacingCheckpoints(t *testing.T) {
	m, _ := pinnedStore(t)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for w := range errs {
		s := openOn(t, m)
		wg.Go(func() { errs[w] = commitCheckpoint(t, s, pin("one")) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		var taken *snapshots.CheckpointExistsError
		switch {
		case err == nil:
			won++
		case !errors.As(err, &taken) || taken.Have.N != 3:
			t.Errorf("a loser got %v", err)
		}
	}
	if st := state(t, openOn(t, m)); won != 1 || st.N != 3 {
		t.Errorf("%d won, entry %d", won, st.N)
	}
}

// takeCheckpoint stores an input and pins the first snapshot with it.
func takeCheckpoint(t *testing.T, b snapshots.Backend, base snapshots.Digest) error {
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{Patience: 100 * time.Millisecond})
	if err != nil {
		return err
	}
	blob, err := s.PutBlob(t.Context(), []byte("version: 1\n"))
	if err != nil {
		return err
	}
	_, err = s.Commit(t.Context(), snapshots.Change{Reason: "take", Actions: []snapshots.Action{snapshots.CheckpointAction{
		Name: "cp", Target: "live", Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: base},
		Inputs: []snapshots.CheckpointInput{{Name: "migration.yaml", Blob: blob}}}}})
	return err
}

// Whatever fails at whatever point, the checkpoint is there as a whole or not
// at all, and the next try completes it.
func TestEveryFaultOfACheckpoint(t *testing.T) {
	for _, kind := range []backendtest.Kind{backendtest.Fail, backendtest.Refuse, backendtest.LoseReply, backendtest.LoseReply2, backendtest.CutBody, backendtest.Late, backendtest.CancelAfter, backendtest.CutRead} {
		t.Run(kind.String(), func(t *testing.T) {
			for k := 0; faultyCheckpoint(t, k, kind); k++ {
			}
		})
	}
}

// faultyCheckpoint reports that there was an operation to fail.
func faultyCheckpoint(t *testing.T, k int, kind backendtest.Kind) bool {
	m := &backendtest.Memory{}
	s := openOn(t, initOn(t, m))
	d := writeDraft(t, s, snapshots.WriterOptions{}, 3, nil)
	mustCommit(t, s, d)
	f := backendtest.FailAt(m, k, kind)
	err := takeCheckpoint(t, f, d.Digest)
	f.Wait()
	what := fmt.Sprintf("operation %d", k)
	checkAfter(t, m, what)
	_, there := state(t, openOn(t, m)).Checkpoints["cp"]
	var unknown *snapshots.OutcomeUnknownError
	if err == nil && !there || err != nil && there && !errors.As(err, &unknown) {
		t.Errorf("%s: error %v, checkpoint there: %v", what, err, there)
	}
	err = takeCheckpoint(t, m, d.Digest)
	var taken *snapshots.CheckpointExistsError
	if there && !errors.As(err, &taken) || !there && err != nil {
		t.Errorf("%s, then again: %v", what, err)
	}
	checkAfter(t, m, what+", then again")
	return f.Hits() > 0
}

// A pinned file that is lost or damaged is found, for every checkpoint that
// names it, and is never read as if it were right.
func TestVerifyCheckpointInputs(t *testing.T) {
	m := &backendtest.Memory{}
	s := openOn(t, initOn(t, m))
	d := writeDraft(t, s, snapshots.WriterOptions{}, 3, nil)
	mustCommit(t, s, d)
	blob, err := s.PutBlob(t.Context(), []byte("rules: []\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two", "gone"} {
		a := snapshots.CheckpointAction{Name: name, Target: "live", Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: d.Digest},
			Inputs: []snapshots.CheckpointInput{{Name: "mapping.yaml", Blob: blob}}}
		if err := commitCheckpoint(t, s, a); err != nil {
			t.Fatal(err)
		}
	}
	if err := commitCheckpoint(t, s, drop("gone")); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, snapshots.VerifyBytes); len(r.Findings) != 0 || r.Checkpoints != 2 {
		t.Fatalf("whole: %+v", r)
	}
	hex := blob.SHA256.String()
	key := "objects/sha256/" + hex[:2] + "/" + hex[2:4] + "/" + hex
	good := m.Bytes(key)
	flipped := bytes.Clone(good)
	flipped[2] ^= 1
	for name, bad := range map[string][]byte{"lost": nil, "cut": good[:3], "flipped": flipped} {
		level := snapshots.VerifyNames
		if name == "flipped" {
			level = snapshots.VerifyBytes
		}
		if bad == nil {
			m.Remove(key)
		} else {
			m.Replace(key, bad)
		}
		r := verify(t, s, level)
		if _, err := s.ReadBlob(t.Context(), blob); !snapshots.IsCorrupt(err) {
			t.Errorf("%s: read: %v", name, err)
		}
		if _, err := s.PutBlob(t.Context(), good); bad != nil && !snapshots.IsCorrupt(err) {
			t.Errorf("%s: put upon it: %v", name, err)
		}
		m.Replace(key, good)
		if len(r.Findings) != 1 || !slices.Equal(r.Findings[0].Checkpoints, []string{"one", "two"}) || r.Findings[0].Object != key ||
			!strings.Contains(r.Findings[0].String(), "mapping.yaml") || r.Findings[0].Advice == "" {
			t.Errorf("%s: findings %v", name, r.Findings)
		}
	}
	if got, err := s.ReadBlob(t.Context(), blob); string(got) != "rules: []\n" || err != nil {
		t.Errorf("mended: %q, %v", got, err)
	}
}

// A checkpoint whose keys are gone, or another's, says so.
func TestCheckpointOpenable(t *testing.T) {
	m := &backendtest.Memory{}
	s, id := sealedStore(t, m)
	stranger := sealtest.Identity(t)
	// Epoch 2 is wrapped for the stranger, epoch 3 for us again.
	for _, to := range []*seal.Identity{stranger, id} {
		if _, err := seal.NewEpoch(t.Context(), snapshots.KeyFiles(m), s.ID(), nil, to.Recipients()...); err != nil {
			t.Fatal(err)
		}
	}
	epochs, err := s.KeyEpochs(t.Context())
	if err != nil || !slices.Equal(epochs, []uint32{1, 2, 3}) {
		t.Fatalf("epochs %v, %v", epochs, err)
	}
	ring, err := s.Unlock(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	// What a checkpoint needs is what the parts of its snapshots say.
	people := 4
	of := func(epochs ...uint32) snapshots.CheckpointInfo {
		people++
		d := writeDraft(t, s, snapshots.WriterOptions{}, people, nil)
		d.Tables[0].Layers[0].Parts[0].Epochs = epochs
		if d.Digest, d.Manifest, err = snapshots.PutManifest(t.Context(), s, d.Tables); err != nil {
			t.Fatal(err)
		}
		mustCommit(t, s, d)
		return snapshots.CheckpointInfo{CheckpointAction: snapshots.CheckpointAction{Name: "cp", Epochs: []uint32{1, 2, 3}, Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: d.Digest}}}
	}
	if err := of(1, 3).Openable(t.Context(), s, ring); err != nil {
		t.Errorf("all there: %v", err)
	}
	if err := of(1).Openable(t.Context(), s, nil); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
	m.Remove("keys/1/1.json")
	for _, test := range []struct {
		epochs []uint32
		want   string
	}{
		{[]uint32{2, 3}, "the key epoch 2 that it needs is wrapped for another identity"},
		{[]uint32{1, 2, 3}, "the key epoch 1 that it needs is gone"}, // whatever the keyring once held
	} {
		err := of(test.epochs...).Openable(t.Context(), s, ring)
		var gone *snapshots.EpochGoneError
		if !errors.As(err, &gone) || !errors.Is(err, seal.ErrEpochMissing) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v", test.epochs, err)
		}
	}
	if err := of(3).Openable(t.Context(), s, ring); err != nil {
		t.Errorf("what it does not need is gone: %v", err)
	}
	if err := of().Openable(t.Context(), s, ring); err == nil || !strings.Contains(err.Error(), "key epoch 1") {
		t.Errorf("its parts do not say, the store held epoch 1: %v", err)
	}
}

// The reader in another language takes a store with checkpoints.
func TestRecomputeWithCheckpoints(t *testing.T) {
	dir := t.TempDir()
	b, err := local.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := openOn(t, initOn(t, b))
	d := writeDraft(t, s, snapshots.WriterOptions{}, 3, nil)
	mustCommit(t, s, d)
	mustCommit(t, s, writeDraft(t, s, snapshots.WriterOptions{}, 4, nil))
	if err := takeCheckpoint(t, b, d.Digest); err != nil {
		t.Fatal(err)
	}
	recompute(t, dir, 2)
}
