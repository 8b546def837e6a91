package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Spoiler is a back end whose objects can be damaged, as failing disks and
// people do.
type Spoiler interface {
	snapshots.Backend
	// Replace puts other bytes in an object's place, or makes a new one.
	Replace(key string, data []byte)
	// Remove takes an object away.
	Remove(key string)
}

// RunIntegrity damages a store on an empty back end in every way that there is
// a kind of finding for, one after another: each must be found under its kind,
// with all that depends on it, be repaired by adding alone or be said not to be
// repairable, and leave a store that is whole. It returns the kinds that were
// seen.
func RunIntegrity(t *testing.T, b Spoiler) map[snapshots.FindingKind]bool {
	i := integrity{t: t, b: b, seen: map[snapshots.FindingKind]bool{}}
	i.make()
	i.whole("at the beginning")
	for _, d := range i.damages() {
		if testing.Short() && d.bytes != nil && !strings.HasSuffix(d.name, "flipped") {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			i := i
			i.t = t
			i.damage(d)
		})
	}
	i.orphan()
	i.lease()
	return i.seen
}

type integrity struct {
	t       *testing.T
	b       Spoiler
	s       *snapshots.Store
	replica *Memory
	nights  []snapshots.Draft
	input   snapshots.Blob
	seen    map[snapshots.FindingKind]bool
	both    []string // refs of both nights
	entries int
}

// damage is one way to spoil a store.
type damage struct {
	name  string
	key   string
	bytes func([]byte) []byte // nil: the object is lost
	kind  snapshots.FindingKind
	// Refs that depend on it, and whether the checkpoint does.
	refs       []string
	checkpoint bool
	// alone: repaired without a copy. never: not at all.
	alone, never bool
}

var cards = schemas.Table{Name: "cards", Columns: []schemas.Column{
	{ID: 10, Name: "name", Type: schemas.String}, {ID: 11, Name: "photo", Type: schemas.Binary}, {ID: 12, Name: "roles", Type: schemas.Strings, Set: true}}}

func (i *integrity) must(err error) {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
}

// make writes two nights, the second as a change upon the first with a row
// gone, and a checkpoint of the second.
func (i *integrity) make() {
	ctx := i.t.Context()
	i.must(snapshots.Init(ctx, i.b, snapshots.InitOptions{}))
	i.s = i.open(snapshots.Options{})
	o := snapshots.WriterOptions{Bounds: parts.Bounds{Rows: 8}}
	for n, name := range []string{"night-1", "night-2"} {
		d := i.night(n, o)
		_, err := i.s.Commit(ctx, snapshots.Change{Reason: name, Actions: []snapshots.Action{
			d.Action("hr", "legacy"), snapshots.RefAction{Name: name, Digest: d.Digest}}})
		i.must(err)
		o.Parent, err = i.s.Snapshot(ctx, name)
		i.must(err)
		i.nights = append(i.nights, d)
	}
	if t := i.nights[1].Tables[0]; len(t.Layers) != 2 || i.part(1, 1).Deleted != 1 {
		i.t.Fatalf("the second night has %d layers", len(t.Layers))
	}
	var err error
	i.input, err = i.s.PutBlob(ctx, []byte("rules: []\n"))
	i.must(err)
	_, err = i.s.Commit(ctx, snapshots.Change{Reason: "checkpoint", Actions: []snapshots.Action{snapshots.CheckpointAction{
		Name: "pilot", Target: "live", Snapshots: map[string]snapshots.Digest{snapshots.RoleBase: i.nights[1].Digest},
		Inputs: []snapshots.CheckpointInput{{Name: "mapping.yaml", Blob: i.input}}}}})
	i.must(err)
	i.both, i.entries = []string{"night-1", "night-2"}, 3
	i.replica = &Memory{}
	for key, err := range i.b.List(ctx, "", "") {
		i.must(err)
		i.must(i.replica.Create(ctx, key, bytes.NewReader(i.read(key))))
	}
}

func (i *integrity) open(o snapshots.Options) *snapshots.Store {
	s, err := snapshots.Open(i.t.Context(), i.b, o)
	i.must(err)
	return s
}

func (i *integrity) night(n int, o snapshots.WriterOptions) snapshots.Draft {
	w := i.s.NewWriter([]schemas.Table{cards}, o)
	defer w.Close()
	for k := range 80 {
		if n == 1 && k == 7 {
			continue
		}
		key := fmt.Sprint("card-", k)
		row := schemas.Row{ID: schemas.NewRowID("hr", "cards", key), Key: key, Values: []any{"name " + key, nil, []string{"a", "b"}}}
		if k%40 == 2 {
			row.Values[1] = bytes.Repeat([]byte{byte(k), 0xff}, 40<<10)
		}
		if n == 1 && k == 3 {
			row.Values[0] = "renamed"
		}
		i.must(w.WriteRow(i.t.Context(), "cards", row, int64(k)))
	}
	d, err := w.Finish(i.t.Context())
	i.must(err)
	return d
}

// part is one of a layer that has a row with a photo, if any has, or deletions.
func (i *integrity) part(night, layer int) parts.Part {
	list := i.nights[night].Tables[0].Layers[layer].Parts
	at := slices.IndexFunc(list, func(p parts.Part) bool { return p.Large != nil || p.Deleted > 0 })
	return list[max(at, 0)]
}

func objectKey(o parts.Object) string {
	return "objects/sha256/" + o.Name()[:2] + "/" + o.Name()[2:4] + "/" + o.Name()
}

func (i *integrity) read(key string) []byte {
	i.t.Helper()
	o, err := i.b.Open(i.t.Context(), key)
	i.must(err)
	defer o.Close()
	data, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	i.must(err)
	return data
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

func cut(b []byte) []byte { return b[:len(b)-3] }

func (i *integrity) damages() []damage {
	whole, change := i.part(0, 0), i.part(1, 1)
	list, err := parts.LargeOf(i.t.Context(), parts.Verified(func(ctx context.Context, o parts.Object) (parts.Source, error) { return i.b.Open(ctx, objectKey(o)) }), *whole.Large)
	i.must(err)
	manifest := func(n int) string { return "manifests/" + i.nights[n].Manifest.String() + ".json" }
	second := []string{"night-2"}
	all := []damage{
		{name: "part of a change", key: objectKey(change.Object), bytes: flipped, kind: snapshots.PartDamaged, refs: second, checkpoint: true},
		{name: "index of a change with deletions", key: objectKey(change.Index), kind: snapshots.IndexMissing, refs: second, checkpoint: true},
		{name: "manifest lost", key: manifest(1), kind: snapshots.ManifestMissing, refs: second, checkpoint: true},
		{name: "manifest truncated", key: manifest(0), bytes: cut, kind: snapshots.ManifestDamaged, refs: []string{"night-1"}},
		{name: "log entry lost", key: logKey(2), kind: snapshots.EntryMissing},
		{name: "log entry rewritten", key: logKey(1), kind: snapshots.EntryChanged, never: true,
			bytes: func(b []byte) []byte { return bytes.Replace(b, []byte("night-1"), []byte("night-9"), 1) }},
		{name: "log entry truncated", key: logKey(2), bytes: cut, kind: snapshots.EntryUnreadable, never: true},
		{name: "foreign file in the log", key: "log/notes.txt", bytes: func([]byte) []byte { return []byte("hello") }, kind: snapshots.ForeignInLog, never: true},
	}
	for _, x := range []struct {
		name  string
		o     parts.Object
		kinds [3]snapshots.FindingKind
		alone bool
	}{
		{"part", whole.Object, [3]snapshots.FindingKind{snapshots.PartMissing, snapshots.PartSize, snapshots.PartDamaged}, false},
		{"index", whole.Index, [3]snapshots.FindingKind{snapshots.IndexMissing, snapshots.IndexSize, snapshots.IndexDamaged}, true},
		{"large list", *whole.Large, [3]snapshots.FindingKind{snapshots.LargeListMissing, snapshots.LargeListSize, snapshots.LargeListDamaged}, true},
		{"large value", list[0], [3]snapshots.FindingKind{snapshots.LargeValueMissing, snapshots.LargeValueSize, snapshots.LargeValueDamaged}, false},
		{"input", parts.Object{SHA256: i.input.SHA256, Bytes: i.input.Size}, [3]snapshots.FindingKind{snapshots.InputMissing, snapshots.InputSize, snapshots.InputDamaged}, false},
	} {
		for n, how := range []struct {
			name  string
			bytes func([]byte) []byte
		}{{"lost", nil}, {"cut", cut}, {"flipped", flipped}} {
			d := damage{name: x.name + " " + how.name, key: objectKey(x.o), bytes: how.bytes, kind: x.kinds[n], alone: x.alone, refs: i.both, checkpoint: true}
			if x.name == "input" {
				d.refs = nil
			}
			all = append(all, d)
		}
	}
	return all
}

func logKey(n int) string { return fmt.Sprintf("log/%020d.json", n) }

// whole makes sure that nothing is found.
func (i *integrity) whole(when string) snapshots.VerifyReport {
	i.t.Helper()
	return i.wholeAt(when, snapshots.VerifyRows)
}

func (i *integrity) wholeAt(when string, level snapshots.VerifyLevel) snapshots.VerifyReport {
	i.t.Helper()
	r, err := i.open(snapshots.Options{}).Verify(i.t.Context(), snapshots.VerifyOptions{Level: level, Workers: 4})
	if err != nil || len(r.Findings) > 0 || r.Entries < i.entries {
		i.t.Fatalf("%s: %v, %+v", when, err, r)
	}
	return r
}

func (i *integrity) damage(d damage) {
	t := i.t
	var good []byte
	if d.name != "foreign file in the log" {
		good = i.read(d.key)
	}
	spoil := func() {
		if d.bytes == nil {
			i.b.Remove(d.key)
		} else {
			i.b.Replace(d.key, d.bytes(good))
		}
	}
	spoil()
	defer func() {
		i.b.Remove("repaired/" + d.key)
		i.b.Remove(d.key)
		if good != nil {
			i.b.Replace(d.key, good)
		}
		i.wholeAt("made good", snapshots.VerifyNames)
	}()
	level := snapshots.VerifyNames
	if strings.HasSuffix(string(d.kind), "-damaged") {
		level = snapshots.VerifyBytes
	}
	i.found(d, level)
	i.found(d, snapshots.VerifyRows)
	i.seen[d.kind] = true
	before := i.keys()
	i.repair(d, nil, d.alone)
	if !d.alone && !d.never && d.bytes == nil {
		i.repair(d, &Memory{}, false) // a copy that holds nothing
	}
	if d.kind == snapshots.EntryMissing { // the entry of another history, though it follows upon the one before
		good := i.replica.Bytes(d.key)
		i.replica.Replace(d.key, bytes.Replace(good, []byte("night-2"), []byte("night-9"), 1))
		i.repair(d, i.replica, false)
		i.replica.Replace(d.key, good)
	}
	if !d.alone {
		i.repair(d, i.replica, !d.never)
	}
	after := i.keys()
	switch {
	case d.never && !slices.Equal(before, after):
		t.Errorf("repaired what can't be: %v", after)
	case d.never:
		return
	case len(after) != len(before)+1:
		t.Errorf("%d objects before, %d after the repair", len(before), len(after))
	}
	if d.bytes != nil && !bytes.Equal(i.read(d.key), d.bytes(good)) {
		t.Error("what was damaged was touched")
	}
	if r := i.whole("repaired"); d.bytes != nil && r.Repaired != 1 {
		t.Errorf("second copies: %+v", r)
	}
}

func (i *integrity) keys() []string {
	keys, err := Keys(i.t.Context(), i.b, "", "")
	i.must(err)
	return keys
}

// found verifies and looks for the damage, and for nothing else.
func (i *integrity) found(d damage, level snapshots.VerifyLevel) {
	i.t.Helper()
	r, err := i.open(snapshots.Options{}).Verify(i.t.Context(), snapshots.VerifyOptions{Level: level, Workers: 3})
	if err != nil {
		i.t.Fatalf("level %d: %v", level, err)
	}
	// An entry that is lost takes with it what it says of a snapshot.
	at := slices.IndexFunc(r.Findings, func(f snapshots.Finding) bool { return f.Kind == d.kind })
	if at < 0 || len(r.Findings) > 1 && !strings.HasPrefix(d.key, "log/") {
		i.t.Fatalf("level %d: findings %v", level, r.Findings)
	}
	f := r.Findings[at]
	if f.Object != d.key || !f.Damage() || f.What == "" || f.Advice == "" || r.Damaged() == 0 || !snapshots.IsCorrupt(r.Err()) {
		i.t.Errorf("level %d: finding %+v", level, f)
	}
	if strings.HasPrefix(d.key, "log/") {
		return
	}
	if !slices.Equal(f.Refs, d.refs) || slices.Equal(f.Checkpoints, []string{"pilot"}) != d.checkpoint || len(f.Snapshots) != len(d.refs) {
		i.t.Errorf("level %d: refs %v, checkpoints %v, %d snapshots depend on it", level, f.Refs, f.Checkpoints, len(f.Snapshots))
	}
}

// repair shows what would be done, which writes nothing, then does it.
func (i *integrity) repair(d damage, from *Memory, can bool) {
	i.t.Helper()
	ctx := i.t.Context()
	var o snapshots.RepairOptions
	if from != nil {
		if from != i.replica {
			i.must(snapshots.Init(ctx, from, snapshots.InitOptions{}))
		}
		var err error
		o.From, err = snapshots.Open(ctx, from, snapshots.Options{})
		i.must(err)
	}
	before := i.keys()
	for _, o.Apply = range []bool{false, true} {
		steps, err := i.open(snapshots.Options{}).Repair(ctx, o)
		i.must(err)
		at := slices.IndexFunc(steps, func(s snapshots.RepairStep) bool { return s.Kind == d.kind })
		if at < 0 {
			i.t.Fatalf("no step for it: %v", steps)
		}
		s := steps[at]
		if (s.Source != "") != can || s.Done != (can && o.Apply) || !can && s.Why == "" {
			i.t.Errorf("apply %t, can %t: step %+v", o.Apply, can, s)
		}
		want := d.key
		if d.bytes != nil {
			want = "repaired/" + d.key
		}
		if can && s.Key != want {
			i.t.Errorf("would be written to %s, want %s", s.Key, want)
		}
		if !o.Apply && !slices.Equal(before, i.keys()) {
			i.t.Error("the plan wrote something")
		}
	}
}

// orphan: what nothing refers to is no damage.
func (i *integrity) orphan() {
	before := i.whole("before the orphan").Orphans
	blob, err := i.s.PutBlob(i.t.Context(), []byte("left by a run that died"))
	i.must(err)
	if r := i.whole("with an orphan"); r.Orphans != before+1 {
		i.t.Errorf("%d orphans before, %d after", before, r.Orphans)
	}
	i.b.Remove(objectKey(parts.Object{SHA256: blob.SHA256, Bytes: blob.Size}))
}

// lease: one that was left behind is to be looked at, and can be released; one
// that shows life can not.
func (i *integrity) lease() {
	t, ctx := i.t, i.t.Context()
	past := time.Now().Add(-time.Hour)
	l, err := i.open(snapshots.Options{Now: func() time.Time { return past }}).AcquireLease(ctx, "live", snapshots.LeaseOptions{Run: "r1"})
	i.must(err)
	l.Close()
	s := i.open(snapshots.Options{})
	r, err := s.Verify(ctx, snapshots.VerifyOptions{})
	if err != nil || len(r.Findings) != 1 || r.Findings[0].Kind != snapshots.LeaseStale || r.Findings[0].Target != "live" || r.Damaged() != 0 || r.Err() != nil {
		t.Fatalf("a lease left behind: %v, %+v", err, r.Findings)
	}
	i.seen[snapshots.LeaseStale] = true
	young := i.open(snapshots.Options{Now: func() time.Time { return past.Add(snapshots.StaleAfter / 2) }})
	if _, err := young.ReleaseStale(ctx, "live", 20*time.Millisecond); err == nil || !strings.Contains(err.Error(), "is held by run r1") {
		t.Errorf("released too early: %v", err)
	}
	if _, err := s.ReleaseStale(ctx, "live", 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	i.entries += 2
	i.whole("released")
	again, err := s.AcquireLease(ctx, "live", snapshots.LeaseOptions{Run: "r2"})
	i.must(err)
	if again.Wait() != 0 || again.Epoch() != 2 {
		t.Errorf("taken again: epoch %d, wait %s", again.Epoch(), again.Wait())
	}
	i.must(again.Release(ctx))
	if _, err := s.ReleaseStale(ctx, "live", 0); err == nil {
		t.Error("released twice")
	}
}
