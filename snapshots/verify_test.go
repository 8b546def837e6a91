package snapshots_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

func verify(t *testing.T, s *snapshots.Store, level snapshots.VerifyLevel) snapshots.VerifyReport {
	t.Helper()
	r, err := s.Verify(t.Context(), snapshots.VerifyOptions{Level: level})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// verifyStore has two snapshots in several parts with large values.
func verifyStore(t *testing.T) (*backendtest.Memory, *snapshots.Store, snapshots.Draft) {
	m := &backendtest.Memory{}
	s, id := sealedStore(t, m)
	d := writeDraft(t, s, snapshots.WriterOptions{Bounds: smallParts}, 120, nil)
	mustCommit(t, s, d, snapshots.RefAction{Name: "one", Digest: d.Digest})
	mustCommit(t, s, writeDraft(t, s, snapshots.WriterOptions{}, 60, nil))
	return m, unlocked(t, m, id), d
}

func TestVerifyWhole(t *testing.T) {
	_, s, _ := verifyStore(t)
	for level, wantRows := range map[snapshots.VerifyLevel]int64{snapshots.VerifyNames: 0, snapshots.VerifyBytes: 0, snapshots.VerifyRows: 182} {
		r := verify(t, s, level)
		if len(r.Findings) != 0 || r.Err() != nil || r.Entries != 2 || r.Snapshots != 2 || r.Rows != wantRows || r.Objects < 10 || r.Bytes == 0 {
			t.Errorf("level %d: %+v", level, r)
		}
	}
	r, err := s.Verify(t.Context(), snapshots.VerifyOptions{Level: snapshots.VerifyRows, Snapshots: []string{"one"}})
	if err != nil || r.Snapshots != 1 || r.Rows != 122 {
		t.Errorf("one snapshot: %+v, %v", r, err)
	}
	var unknown *snapshots.UnknownSnapshotError
	if _, err := s.Verify(t.Context(), snapshots.VerifyOptions{Snapshots: []string{"nope"}}); !errors.As(err, &unknown) {
		t.Errorf("unknown snapshot: %v", err)
	}
}

// Any object that is lost, cut, lengthened or changed in one byte is found and
// named, with what to do.
func TestVerifyFindsDamage(t *testing.T) {
	m, s, _ := verifyStore(t)
	keys, err := backendtest.Keys(t.Context(), m, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if strings.HasPrefix(key, "keys/") || key == "format.json" || key == "log/00000000000000000002.json" {
			continue // upon the last entry nothing follows that would tell
		}
		good := m.Bytes(key)
		flipped := bytes.Clone(good)
		flipped[len(flipped)/2] ^= 1
		for name, bad := range map[string][]byte{"lost": nil, "cut": good[:len(good)-1], "longer": append(bytes.Clone(good), 0), "flipped": flipped} {
			level := snapshots.VerifyNames
			if name == "flipped" || name == "longer" {
				level = snapshots.VerifyBytes
			}
			if bad == nil {
				m.Remove(key)
			} else {
				m.Replace(key, bad)
			}
			r := verify(t, s, level)
			m.Replace(key, good)
			if len(r.Findings) == 0 {
				t.Errorf("%s %s: not found", key, name)
				continue
			}
			f := r.Findings[0]
			if !strings.HasPrefix(f.Object, key[:4]) || f.What == "" || f.Advice == "" {
				t.Errorf("%s %s: finding %v", key, name, f)
			}
			if !strings.HasPrefix(key, "log/") && f.Object != key {
				t.Errorf("%s %s: finding names %s", key, name, f.Object)
			}
			if !snapshots.IsCorrupt(r.Err()) {
				t.Errorf("%s %s: %v is no corruption", key, name, r.Err())
			}
		}
	}
	if r := verify(t, s, snapshots.VerifyRows); len(r.Findings) != 0 {
		t.Fatalf("mended: %v", r.Findings)
	}
}

// Reading damaged objects fails as corruption, by whatever way.
func TestReadingDamageIsCorruption(t *testing.T) {
	m, s, d := verifyStore(t)
	a := mustSnapshot(t, s, "one")
	part := d.Tables[0].Layers[0].Parts[1].Object
	key := "objects/sha256/" + part.Name()[:2] + "/" + part.Name()[2:4] + "/" + part.Name()
	bad := m.Bytes(key)
	bad[len(bad)/3] ^= 0x40
	m.Replace(key, bad)
	other := writeDraft(t, s, snapshots.WriterOptions{}, 121, func(_ int, r *schemas.Row) bool { r.Values[2] = int64(5); return true })
	mustCommit(t, s, other)
	_, err := snapshots.DiffStat(t.Context(), a, mustSnapshot(t, s, other.Digest.String()), snapshots.DiffOptions{})
	if !snapshots.IsCorrupt(err) || !strings.Contains(err.Error(), part.Name()) {
		t.Errorf("diff: %v", err)
	}
}

// What can't be looked at is an error, not damage.
func TestVerifyUnreachable(t *testing.T) {
	m := &backendtest.Memory{}
	sealed, _ := sealedStore(t, m)
	d, err := smallDraft(t, sealed)
	if err != nil {
		t.Fatal(err)
	}
	mustCommit(t, sealed, d)
	for k := 1; ; k++ {
		f := backendtest.FailAt(m, k, backendtest.Fail) // 0 is Open's own read
		s := openOn(t, f)
		r, err := s.Verify(t.Context(), snapshots.VerifyOptions{Level: snapshots.VerifyRows})
		if f.Hits() == 0 {
			if err != nil || len(r.Findings) != 0 {
				t.Fatalf("no fault: %v, %v", r.Findings, err)
			}
			break
		}
		if !errors.Is(err, backendtest.ErrInjected) || len(r.Findings) != 0 {
			t.Errorf("operation %d failed: got %v, findings %v", k, err, r.Findings)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openOn(t, m).Verify(ctx, snapshots.VerifyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A log that gives a snapshot another's manifest is found out.
func TestVerifyLogAndManifestDisagree(t *testing.T) {
	s := openOn(t, initOn(t, &backendtest.Memory{}))
	d := writeDraft(t, s, snapshots.WriterOptions{}, 3, nil)
	if _, err := s.Commit(t.Context(), snapshots.Change{Actions: []snapshots.Action{
		snapshots.SnapshotAction{Digest: digest(5), Manifest: d.Manifest, Dataset: "hr", Stage: "legacy"}}}); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, snapshots.VerifyNames); len(r.Findings) != 1 || !strings.Contains(r.Findings[0].What, "the log says") {
		t.Errorf("findings %v", r.Findings)
	}
}
