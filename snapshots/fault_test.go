package snapshots_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/seal/sealtest"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// makeStore is the whole way from nothing to a tagged snapshot.
func makeStore(t *testing.T, b snapshots.Backend, id *seal.Identity) error {
	ctx := t.Context()
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{Recipients: id.Recipients()}); err != nil {
		return err
	}
	k, err := snapshots.Unlock(ctx, b, id)
	if err != nil {
		return err
	}
	s, err := snapshots.Open(ctx, b, snapshots.Options{Keyring: k, Patience: 100 * time.Millisecond, PackEvery: 2})
	if err != nil {
		return err
	}
	d, err := smallDraft(t, s)
	if err != nil {
		return err
	}
	if _, err := s.Commit(ctx, snapshots.Change{Reason: "extract", Actions: []snapshots.Action{d.Action("hr", "legacy")}}); err != nil {
		return err
	}
	_, err = s.Commit(ctx, snapshots.Change{Reason: "tag", Actions: []snapshots.Action{snapshots.RefAction{Name: "first", Digest: d.Digest}}})
	if err != nil {
		return err
	}
	return s.PutFile(ctx, "runs/r1/report.json", []byte("{}"))
}

// smallDraft has two parts, a large value and secrets.
func smallDraft(t *testing.T, s *snapshots.Store) (snapshots.Draft, error) {
	table := schemas.Table{Name: "cards", Columns: []schemas.Column{{ID: 10, Name: "photo", Type: schemas.Binary}, {ID: 11, Name: "pin", Type: schemas.Secret}}}
	w := s.NewWriter([]schemas.Table{table}, snapshots.WriterOptions{Bounds: parts.Bounds{Rows: 6}})
	defer w.Close()
	for i := range 10 {
		key := fmt.Sprint(i)
		r := schemas.Row{ID: schemas.NewRowID("n", "cards", key), Key: key, Values: []any{make([]byte, 8000*i), nil}}
		pin, err := s.Keyring().Seal("cards", r.ID, "pin", []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		r.Values[1] = pin
		if i < 8 {
			r.Values[0] = nil
		}
		if err := w.WriteRow(t.Context(), "cards", r, 0); err != nil {
			return snapshots.Draft{}, err
		}
	}
	return w.Finish(t.Context())
}

// checkAfter opens what a fault left: nothing, or a store without damage whose
// every snapshot is whole. It returns how many log entries there are.
func checkAfter(t *testing.T, b snapshots.Backend, what string) (entries int) {
	t.Helper()
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{})
	if errors.Is(err, snapshots.ErrNoStore) {
		return 0
	}
	if err != nil {
		t.Fatalf("%s: reopen: %v", what, err)
	}
	r, err := s.Verify(t.Context(), snapshots.VerifyOptions{Level: snapshots.VerifyRows})
	if err != nil || len(r.Findings) > 0 {
		t.Fatalf("%s: reopen: %v, findings %v", what, err, r.Findings)
	}
	return r.Entries
}

// Fail operation 0, then 1, then 2, until a run passes: each run ends in an
// error or in a store that is right, and the next run completes it.
func TestEveryFault(t *testing.T) {
	id := sealtest.Identity(t)
	kinds := []backendtest.Kind{backendtest.Fail, backendtest.Refuse, backendtest.LoseReply, backendtest.LoseReply2, backendtest.CutBody, backendtest.Late, backendtest.CancelAfter, backendtest.CutRead}
	if testing.Short() {
		kinds = kinds[:3]
	}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			passed := false
			for k := 0; !passed; k++ {
				passed = oneFault(t, id, k, kind)
			}
		})
	}
}

// oneFault reports that no operation was left to fail.
func oneFault(t *testing.T, id *seal.Identity, k int, kind backendtest.Kind) bool {
	m := &backendtest.Memory{}
	f := backendtest.FailAt(m, k, kind)
	err := makeStore(t, f, id)
	f.Wait()
	what := fmt.Sprintf("operation %d: %s", k, kind)
	entries := checkAfter(t, m, what)
	var unknown *snapshots.OutcomeUnknownError
	switch {
	case err == nil && entries != 2:
		t.Errorf("%s: success with %d entries", what, entries)
	case err != nil && !errors.Is(err, backendtest.ErrInjected):
		t.Errorf("%s: the error has another cause: %v", what, err)
	case errors.As(err, &unknown) && entries > int(unknown.N):
		t.Errorf("%s: unknown entry %d, and %d entries", what, unknown.N, entries)
	}
	// What a fault left never bars the way.
	if err := makeStore(t, m, id); err != nil {
		var moved *snapshots.RefMovedError
		if !errors.As(err, &moved) {
			t.Errorf("%s: the next run: %v", what, err)
		}
	}
	checkAfter(t, m, what+", then again")
	return f.Hits() == 0
}

// A disk that is full ends in a clear error, and nothing half-written.
func TestEveryFaultOnDisk(t *testing.T) {
	id := sealtest.Identity(t)
	for k := 0; ; k++ {
		dir := t.TempDir()
		b, err := local.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		f := backendtest.FailAt(b, k, backendtest.CutBody)
		err = makeStore(t, f, id)
		if (err != nil) != (f.Hits() > 0) && err != nil {
			t.Errorf("operation %d: %v", k, err)
		}
		entries := checkAfter(t, b, fmt.Sprintf("operation %d", k))
		if left, _ := os.ReadDir(filepath.Join(dir, ".tmp")); len(left) != 0 {
			t.Errorf("operation %d: %d temporary files left", k, len(left))
		}
		b.Close()
		if f.Hits() == 0 {
			if entries != 2 {
				t.Errorf("%d entries", entries)
			}
			return
		}
	}
}

// Objects of a snapshot that was never committed are unreferenced, no more.
func TestCrashBeforeCommit(t *testing.T) {
	m := &backendtest.Memory{}
	s, id := sealedStore(t, m)
	d := writeDraft(t, s, snapshots.WriterOptions{}, 50, nil)
	s = unlocked(t, m, id)
	if st := state(t, s); len(st.Snapshots) != 0 {
		t.Error("a snapshot is known that nobody committed")
	}
	again := writeDraft(t, s, snapshots.WriterOptions{}, 50, nil)
	if again.Digest != d.Digest || again.Put.Objects != 0 {
		t.Errorf("after the crash: %+v", again.Put)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := s.NewWriter(nil, snapshots.WriterOptions{})
	if _, err := w.Finish(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
