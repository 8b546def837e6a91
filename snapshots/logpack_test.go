package snapshots_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// openings counts which objects are opened.
type openings struct {
	snapshots.Backend
	mu   sync.Mutex
	keys []string
}

func (o *openings) Open(ctx context.Context, key string) (snapshots.Object, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys = append(o.keys, key)
	return o.Backend.Open(ctx, key)
}

func (o *openings) below(prefix string) (n int) {
	for _, key := range o.keys {
		if strings.HasPrefix(key, prefix) {
			n++
		}
	}
	return n
}

func packing(t *testing.T, b snapshots.Backend, every uint64) *snapshots.Store {
	t.Helper()
	return must(snapshots.Open(t.Context(), b, snapshots.Options{PackEvery: every}))
}

// longLog has so many entries, and a pack of every four.
func longLog(t *testing.T, entries byte) *backendtest.Memory {
	t.Helper()
	m := initOn(t, &backendtest.Memory{}).(*backendtest.Memory)
	s := packing(t, m, 4)
	for n := range entries {
		must(commitSnapshot(s, n%7+1))
	}
	return m
}

func packKeys(t *testing.T, b snapshots.Backend) []string {
	t.Helper()
	return must(backendtest.Keys(t.Context(), b, "logpacks/", ""))
}

func TestLongLogIsReadFromItsPacks(t *testing.T) {
	m := longLog(t, 23)
	if got := packKeys(t, m); len(got) != 5 || got[4] != "logpacks/00000000000000000020.json.gz" {
		t.Fatalf("packs %v", got)
	}
	plain := state(t, packing(t, m, 1000))
	o := &openings{Backend: m}
	if got := state(t, packing(t, o, 4)); got.N != 23 || !reflect.DeepEqual(got, plain) {
		t.Errorf("from packs %+v\none by one %+v", got, plain)
	}
	// The last entry of the packs, and the three behind it.
	if packs, entries := o.below("logpacks/"), o.below("log/"); packs != 5 || entries != 4 {
		t.Errorf("%d packs and %d entries were opened", packs, entries)
	}
}

func TestPacksOfALogThatHadNone(t *testing.T) {
	m := initOn(t, &backendtest.Memory{}).(*backendtest.Memory)
	s := packing(t, m, 1000)
	for n := range byte(11) {
		must(commitSnapshot(s, n+1))
	}
	if got := packKeys(t, m); len(got) != 0 {
		t.Fatalf("packs %v", got)
	}
	must(commitSnapshot(packing(t, m, 4), 12))
	if got := packKeys(t, m); len(got) != 3 {
		t.Fatalf("packs %v", got)
	}
}

// Packs are for speed: without them, and whatever they hold, the same is read.
func TestDamagedPacksAreNoMatter(t *testing.T) {
	const second = "logpacks/00000000000000000008.json.gz"
	for name, damage := range map[string]func(m *backendtest.Memory){
		"lost":    func(m *backendtest.Memory) { m.Remove(second) },
		"empty":   func(m *backendtest.Memory) { m.Replace(second, nil) },
		"cut":     func(m *backendtest.Memory) { m.Replace(second, m.Bytes(second)[:100]) },
		"flipped": func(m *backendtest.Memory) { b := bytes.Clone(m.Bytes(second)); b[len(b)/2] ^= 1; m.Replace(second, b) },
		"another": func(m *backendtest.Memory) { m.Replace(second, m.Bytes("logpacks/00000000000000000012.json.gz")) },
		"forged at its end": func(m *backendtest.Memory) {
			const last = "logpacks/00000000000000000012.json.gz"
			entries := must(snapshots.DecodePack(m.Bytes(last)))
			entries[3] = bytes.Replace(entries[3], []byte(`"test"`), []byte(`"fake"`), 1)
			m.Replace(last, must(snapshots.EncodePack(entries)))
		},
		"short": func(m *backendtest.Memory) {
			entries := must(snapshots.DecodePack(m.Bytes(second)))
			m.Replace(second, must(snapshots.EncodePack(entries[:3])))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := longLog(t, 14)
			want := state(t, packing(t, m, 1000))
			damage(m)
			s := packing(t, m, 4)
			if got := state(t, s); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v", got)
			}
			if n, err := commitSnapshot(s, 3); n != 15 || err != nil {
				t.Errorf("commit: entry %d, %v", n, err)
			}
			r := must(s.Verify(t.Context(), snapshots.VerifyOptions{Snapshots: []string{}}))
			wrong := 0
			for _, f := range r.Findings {
				if f.Kind == snapshots.PackWrong {
					wrong++
				}
			}
			if wrong == 0 {
				t.Errorf("verify does not find it: %v", r.Findings)
			}
		})
	}
}

// Packs that overlap, as two programs with other bounds may leave them, are read
// all the same.
func TestOverlappingPacks(t *testing.T) {
	m := longLog(t, 14)
	m.Replace("logpacks/00000000000000000006.json.gz", must(snapshots.EncodePack([][]byte{
		m.Bytes("log/00000000000000000005.json"), m.Bytes("log/00000000000000000006.json")})))
	o := &openings{Backend: m}
	s := packing(t, o, 4)
	if st := state(t, s); st.N != 14 || o.below("log/") != 3 {
		t.Errorf("entry %d, %d entries were opened", st.N, o.below("log/"))
	}
	if r := must(s.Verify(t.Context(), snapshots.VerifyOptions{Snapshots: []string{}})); len(r.Findings) > 0 {
		t.Errorf("findings %v", r.Findings)
	}
}

// What is gone or changed in the log itself is told as if there were no packs.
func TestPacksHideNoLoss(t *testing.T) {
	const end = "log/00000000000000000012.json"
	for name, damage := range map[string]func(m *backendtest.Memory){
		"lost": func(m *backendtest.Memory) { m.Remove(end) },
		"rewritten": func(m *backendtest.Memory) {
			m.Replace(end, bytes.Replace(m.Bytes(end), []byte("test"), []byte("fake"), 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := longLog(t, 14)
			damage(m)
			if _, err := packing(t, m, 4).State(t.Context()); !snapshots.IsCorrupt(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An entry that is lost is found by verify, and brought back from its pack.
func TestRepairFromPacks(t *testing.T) {
	const lost = "log/00000000000000000007.json"
	m := longLog(t, 14)
	want := m.Bytes(lost)
	m.Remove(lost)
	s := packing(t, m, 4)
	steps := must(s.Repair(t.Context(), snapshots.RepairOptions{Snapshots: []string{}, Apply: true}))
	if len(steps) != 1 || steps[0].Kind != snapshots.EntryMissing || steps[0].Source != snapshots.RepairPack || !steps[0].Done {
		t.Fatalf("steps %+v", steps)
	}
	if !bytes.Equal(m.Bytes(lost), want) {
		t.Error("other bytes came back")
	}
	// What a wrong pack has is not taken, a copy is.
	replica := longLog(t, 0)
	for _, key := range must(backendtest.Keys(t.Context(), m, "", "")) {
		replica.Replace(key, m.Bytes(key))
	}
	const pack = "logpacks/00000000000000000008.json.gz"
	entries := must(snapshots.DecodePack(m.Bytes(pack)))
	digit := &entries[2][bytes.Index(entries[2], []byte(`"prev": "`))+len(`"prev": "`)]
	*digit = map[bool]byte{true: '1', false: '0'}[*digit == '0']
	m.Replace(pack, must(snapshots.EncodePack(entries)))
	m.Remove(lost)
	steps = must(s.Repair(t.Context(), snapshots.RepairOptions{Snapshots: []string{}, From: packing(t, replica, 4), Apply: true}))
	if len(steps) != 1 || steps[0].Source != snapshots.RepairCopy || !bytes.Equal(m.Bytes(lost), want) {
		t.Errorf("steps %+v", steps)
	}
	// One that no pack has is asked for by name.
	m.Remove("log/00000000000000000013.json")
	steps = must(s.Repair(t.Context(), snapshots.RepairOptions{Snapshots: []string{}, Apply: true}))
	if len(steps) != 1 || steps[0].Done || !strings.Contains(steps[0].Why, "--from") {
		t.Errorf("steps %+v", steps)
	}
}

// refusing takes no packs.
type refusing struct{ snapshots.Backend }

var errNoPacks = errors.New("no packs here")

func (r refusing) Create(ctx context.Context, key string, body io.ReadSeeker) error {
	if strings.HasPrefix(key, "logpacks/") {
		return errNoPacks
	}
	return r.Backend.Create(ctx, key, body)
}

func TestCommitsWherePacksCantBeWritten(t *testing.T) {
	m := initOn(t, &backendtest.Memory{}).(*backendtest.Memory)
	s := packing(t, refusing{m}, 4)
	for n := range byte(9) {
		if got, err := commitSnapshot(s, n+1); got != uint64(n)+1 || err != nil {
			t.Fatalf("entry %d, %v", got, err)
		}
	}
	s = packing(t, m, 4)
	for n := range byte(3) {
		must(commitSnapshot(s, n+1))
	}
	if got := packKeys(t, m); len(got) != 3 {
		t.Errorf("packs %v", got)
	}
}

// Whatever stands in for a pack is refused, or is entries that pack and unpack
// to the same; that the state then is the entries' see TestDamagedPacksAreNoMatter.
func FuzzPack(f *testing.F) {
	entries := [][]byte{[]byte("{\n  \"n\": 1\n}\n"), []byte("{}\n")}
	good := must(snapshots.EncodePack(entries))
	f.Add(good)
	f.Add(good[:len(good)-9])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := snapshots.DecodePack(data)
		if err != nil {
			return
		}
		again := must(snapshots.EncodePack(got))
		if back := must(snapshots.DecodePack(again)); !reflect.DeepEqual(back, got) {
			t.Fatalf("%q comes back as %q", got, back)
		}
	})
}

// distant answers every request after 20 ms, as a bucket does.
type distant struct{ snapshots.Backend }

func (d distant) Open(ctx context.Context, key string) (snapshots.Object, error) {
	time.Sleep(20 * time.Millisecond)
	return d.Backend.Open(ctx, key)
}

func (d distant) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	time.Sleep(20 * time.Millisecond)
	return d.Backend.List(ctx, prefix, after)
}

// The first look at a log of 4,000 entries, some two years of nights.
func BenchmarkLongLog(b *testing.B) {
	m := initOn(b, &backendtest.Memory{}).(*backendtest.Memory)
	s := must(snapshots.Open(b.Context(), m, snapshots.Options{}))
	for n := range 4000 {
		must(commitSnapshot(s, byte(n%7+1)))
	}
	for name, every := range map[string]uint64{"packs": 0, "entries": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s := must(snapshots.Open(b.Context(), distant{m}, snapshots.Options{PackEvery: every}))
				if st := state(b, s); st.N != 4000 {
					b.Fatal(st.N)
				}
			}
		})
	}
}
