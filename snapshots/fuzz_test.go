package snapshots_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// goldenMemory is a copy of the layered golden store in memory.
func goldenMemory(tb testing.TB) *backendtest.Memory {
	b, err := local.Open(filepath.Join("testdata", "golden-v1-layers"))
	if err != nil {
		tb.Fatal(err)
	}
	defer b.Close()
	m := &backendtest.Memory{}
	for _, key := range must(backendtest.Keys(tb.Context(), b, "", "")) {
		data := must(os.ReadFile(filepath.Join("testdata", "golden-v1-layers", key)))
		if err := m.Create(tb.Context(), key, bytes.NewReader(data)); err != nil {
			tb.Fatal(err)
		}
	}
	return m
}

// Whatever bytes stand in for a manifest, opening, reading and verifying what
// it names ends in rows or in an error, and what parses has one digest.
func FuzzManifest(f *testing.F) {
	m := goldenMemory(f)
	for _, key := range must(backendtest.Keys(f.Context(), m, "manifests/", "")) {
		f.Add(m.Bytes(key))
	}
	f.Add([]byte(`{"version":1,"snapshot":"","tables":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		name := sha(data)
		key := "manifests/" + name.String() + ".json"
		m.Replace(key, data)
		defer m.Remove(key)
		s := must(snapshots.Open(t.Context(), m, snapshots.Options{}))
		readManifest(t, s, name)
		// The same tables under the digest that they make, so that reading goes on.
		var x struct{ Tables []parts.Table }
		if json.Unmarshal(data, &x) != nil {
			return
		}
		if _, name, err := snapshots.PutManifest(t.Context(), s, x.Tables); err == nil {
			defer m.Remove("manifests/" + name.String() + ".json")
			readManifest(t, s, name)
		}
	})
}

// readManifest reads all that a manifest names, which must come to an end.
func readManifest(t *testing.T, s *snapshots.Store, name snapshots.Digest) {
	sn, err := s.OpenManifest(t.Context(), name)
	if err != nil {
		if !snapshots.IsCorrupt(err) && !errors.Is(err, snapshots.ErrNewerStore) {
			t.Fatalf("got %v, want corruption", err)
		}
		return
	}
	for _, table := range sn.Tables() {
		r := must(sn.Reader(table))
		drain(r.VerifyRows(t.Context()))
		for _, err := range r.Scan(t.Context(), parts.ScanOptions{}) {
			if err != nil {
				break
			}
		}
		for _, err := range r.Lookup(t.Context(), slices.Values([]schemas.RowID{{0x40}, {0x80}}), parts.ScanOptions{}) {
			if err != nil {
				break
			}
		}
	}
}

func drain(seq iter.Seq[error]) {
	seq(func(error) bool { return true })
}

// Whatever bytes stand in for an entry of the log, reading the log ends in a
// state or in corruption, and verifying finds what reading finds.
func FuzzLog(f *testing.F) {
	m := goldenMemory(f)
	const key = "log/00000000000000000003.json"
	good := m.Bytes(key)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(bytes.Replace(good, []byte(`"n": 3`), []byte(`"n": 4`), 1))
	f.Add(bytes.Replace(good, []byte(`"manifest": "`), []byte(`"manifest": "0`), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		m.Replace(key, data)
		s := must(snapshots.Open(t.Context(), m, snapshots.Options{}))
		_, err := s.State(t.Context())
		if err != nil && !snapshots.IsCorrupt(err) {
			t.Fatalf("got %v, want corruption", err)
		}
		r, verifyErr := s.Verify(t.Context(), snapshots.VerifyOptions{})
		if verifyErr != nil && !errors.Is(verifyErr, snapshots.ErrNewerStore) {
			t.Fatalf("verify: %v", verifyErr)
		}
		if verifyErr == nil && err != nil && r.Damaged() == 0 {
			t.Fatalf("reading found %v, verifying nothing", err)
		}
		if err == nil && !bytes.Equal(data, good) && r.Damaged() == 0 {
			t.Fatal("another entry stands in the chain, and nobody noticed")
		}
	})
}

// Whatever bytes stand in for format.json, a store is opened or refused in its
// own words.
func FuzzFormat(f *testing.F) {
	m := goldenMemory(f)
	good := m.Bytes("format.json")
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(bytes.Replace(good, []byte(`"version": 1`), []byte(`"version": 2`), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		m.Replace("format.json", data)
		s, err := snapshots.Open(t.Context(), m, snapshots.Options{})
		if err != nil {
			if !snapshots.IsCorrupt(err) && !errors.Is(err, snapshots.ErrNewerStore) {
				t.Fatalf("got %v, want corruption or a newer store", err)
			}
			return
		}
		// The log's first entry names the digest of the file.
		if _, err := s.State(t.Context()); (err == nil) != bytes.Equal(data, good) {
			t.Fatalf("read upon another format.json: %v", err)
		}
	})
}

// Whatever bytes stand in for a sign of life, it is the one of its name or
// corruption.
func FuzzSession(f *testing.F) {
	m, s := goldenStore(f)
	const session, n = "5d6c3a52-0f4e-4a0b-9a54-4d1f0b7d7c11", 3
	key := "sessions/" + session + "/00000000000000000003.json"
	f.Add([]byte(`{"version":1,"session":"` + session + `","n":3,"time":"2026-11-26T20:00:00Z","target":"live","epoch":1,"run":"r","host":"h","pid":1}`))
	f.Add([]byte(`{"n":4}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m.Replace(key, data)
		got, err := snapshots.LastRenewal(t.Context(), s, session)
		if err == nil && got != n || err != nil && !snapshots.IsCorrupt(err) {
			t.Fatalf("sign %d, %v", got, err)
		}
	})
}

// The same of a credential sync.
func FuzzSign(f *testing.F) {
	m, s := goldenStore(f)
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	if err := s.SignSync(f.Context(), "live", now); err != nil {
		f.Fatal(err)
	}
	keys := must(backendtest.Keys(f.Context(), m, "sync/", ""))
	f.Add(m.Bytes(keys[0]))
	f.Add([]byte(`{"target":"live"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m.Replace(keys[0], data)
		sign, ok, err := s.LastSync(t.Context(), "live", now)
		switch {
		case err != nil && !snapshots.IsCorrupt(err) && !errors.Is(err, snapshots.ErrNewerStore):
			t.Fatalf("got %v", err)
		case err == nil && (!ok || sign.Target != "live"):
			t.Fatalf("got %+v, %v", sign, ok)
		}
	})
}

func goldenStore(f *testing.F) (*backendtest.Memory, *snapshots.Store) {
	m := goldenMemory(f)
	return m, must(snapshots.Open(f.Context(), m, snapshots.Options{}))
}
