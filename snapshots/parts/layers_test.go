package parts

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

// boxIn is a sealed value in a box of the shape that package seal makes.
func boxIn(epoch uint32, s string) schemas.Sealed {
	x := schemas.Sealed{Box: binary.BigEndian.AppendUint32([]byte{1}, epoch)}
	x.Box = append(x.Box, bytes.Repeat([]byte{7}, 60)...)
	copy(x.MAC[:], s)
	return x
}

// rowState is a row of the model: which version of it there is.
type rowState struct {
	version int
	epoch   uint32
}

func (s rowState) row(i int) schemas.Row {
	row := typedRow(i)
	row.Values = slices.Clone(row.Values)
	row.Values[1] = int64(s.version)
	name := fmt.Sprint(i, " ", s.version/3)
	row.Values[9], row.Values[10] = boxIn(s.epoch, name), []schemas.Sealed{boxIn(s.epoch, "a"+name), boxIn(s.epoch, "b"+name)}
	row.Values[11] = map[string][]schemas.Sealed{"p": {boxIn(s.epoch, name)}}
	if i%89 == 0 {
		row.Values[4] = bytes.Repeat([]byte{byte(i), byte(s.version)}, 40000)
	}
	return row
}

type model map[int]rowState

func (m model) rows(rng *rand.Rand) []schemas.Row {
	var rows []schemas.Row
	for i, s := range m {
		rows = append(rows, s.row(i))
	}
	slices.SortFunc(rows, func(a, b schemas.Row) int { return a.ID.Compare(b.ID) })
	rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows
}

// step changes the model by a random amount.
func (m model) step(rng *rand.Rand, epoch uint32) {
	share := []float64{0, 0.005, 0.01, 0.02, 0.02, 0.05, 0.4}[rng.IntN(7)]
	for _, i := range slices.Sorted(maps.Keys(m)) {
		if rng.Float64() >= share {
			continue
		}
		switch s := m[i]; rng.IntN(3) {
		case 0:
			delete(m, i)
		case 1:
			m[i] = rowState{version: s.version + 1, epoch: s.epoch}
		default:
			m[rng.IntN(4000)] = rowState{version: rng.IntN(5), epoch: epoch}
		}
	}
}

func collect[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for x, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	return out
}

// A table that is written upon others, over any history, reads as one that is
// written whole: digest, index, scans, look-ups, verification; and its layers
// tell what changed since.
func TestLayersReadAsWhole(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { layeredHistory(t, rand.New(rand.NewPCG(seed, 5))) })
	}
}

func layeredHistory(t *testing.T, rng *rand.Rand) {
	store, plain := newMemStore(), newMemStore()
	o := Options{Put: store.put, TempDir: t.TempDir(), Workers: 3, Memory: []int64{1 << 20, 64 << 20}[rng.IntN(2)]}
	m := model{}
	for range 600 {
		m[rng.IntN(4000)] = rowState{version: rng.IntN(5), epoch: 1}
	}
	var tables []Table
	var indexes []map[schemas.RowID]schemas.Digest
	most := 0
	for step := range 9 {
		o.Bounds = Bounds{Rows: []int64{40, 150, 5000}[rng.IntN(3)]}
		if step > 0 {
			m.step(rng, 1)
			o.Parent = OpenTable(tables[step-1], store.open, ReadOptions{})
		}
		rows := m.rows(rng)
		table := write(t, everyType, rows, o)
		whole := write(t, everyType, rows, Options{Put: plain.put, TempDir: t.TempDir(), Bounds: Bounds{Rows: 100}})
		r, w := OpenTable(table, store.open, ReadOptions{}), OpenTable(whole, plain.open, ReadOptions{})
		if table.Digest != whole.Digest || table.Rows != whole.Rows {
			t.Fatalf("step %d: digest %s of %d rows, written whole %s of %d", step, table.Digest, table.Rows, whole.Digest, whole.Rows)
		}
		sameReads(t, rng, r, w)
		verifyAll(t, r)
		tables = append(tables, table)
		index := map[schemas.RowID]schemas.Digest{}
		for _, e := range collect(t, w.Index(t.Context())) {
			index[e.ID] = e.Digest
		}
		indexes = append(indexes, index)
		for before := range step {
			if n := len(tables[before].Layers); n < len(table.Layers) && slices.EqualFunc(tables[before].Layers, table.Layers[:n], sameLayer) {
				sameChanges(t, indexes[before], index, collect(t, r.Changes(t.Context(), n)))
			}
		}
		most = max(most, len(table.Layers))
	}
	if most < 3 {
		t.Errorf("at most %d layers came to be: the test tests nothing", most)
	}
}

func sameLayer(a, b Layer) bool {
	return a.Kind == b.Kind && slices.EqualFunc(a.Parts, b.Parts, func(x, y Part) bool { return x.Index == y.Index && x.Object == y.Object })
}

func sameReads(t *testing.T, rng *rand.Rand, r, w *Reader) {
	t.Helper()
	ctx := t.Context()
	if !slices.Equal(collect(t, r.Index(ctx)), collect(t, w.Index(ctx))) {
		t.Fatal("indexes differ")
	}
	random := func() (id schemas.RowID) {
		binary.BigEndian.PutUint64(id[:], rng.Uint64())
		return id
	}
	whole := collect(t, w.Index(ctx))
	exact := whole[rng.IntN(len(whole))].ID
	for _, o := range []ScanOptions{{}, {KeepLarge: true}, {Columns: []string{"int", "binary"}}, {From: random()}, {To: random()}, {From: exact}, {To: exact}, {From: random(), To: exact}} {
		sameRows(t, scanAll(t, w, o), scanAll(t, r, o))
	}
	for row := range w.Scan(ctx, ScanOptions{}) { // a reader that leaves early
		for got, err := range r.Scan(ctx, ScanOptions{}) {
			if err != nil || got.ID != row.ID {
				t.Fatalf("first row %v, %v", got.ID, err)
			}
			break
		}
		break
	}
	for range 2 {
		var ids []schemas.RowID
		for _, e := range whole {
			if rng.IntN(20) == 0 {
				ids = append(ids, e.ID)
			}
		}
		for range 300 {
			ids = append(ids, idOf(rng.IntN(4000)))
		}
		slices.SortFunc(ids, schemas.RowID.Compare)
		ids = slices.Compact(ids)
		want, got := collect(t, w.Lookup(ctx, slices.Values(ids), ScanOptions{})), collect(t, r.Lookup(ctx, slices.Values(ids), ScanOptions{}))
		if !slices.EqualFunc(want, got, func(a, b StoredRow) bool { return a.Digest == b.Digest && a.ID == b.ID }) {
			t.Fatalf("look-up of %d ids found %d rows, want %d", len(ids), len(got), len(want))
		}
	}
	large := map[Object]bool{}
	for _, o := range collect(t, r.LargeObjects(ctx)) {
		large[o] = true
	}
	for _, o := range collect(t, w.LargeObjects(ctx)) {
		if !large[o] {
			t.Fatalf("large object %s is not listed", o.Name())
		}
	}
}

func sameChanges(t *testing.T, before, after map[schemas.RowID]schemas.Digest, got []Change) {
	t.Helper()
	want := map[schemas.RowID]Change{}
	for id, d := range after {
		if before[id] != d {
			want[id] = Change{ID: id, New: d, Old: before[id]}
		}
	}
	for id, d := range before {
		if _, ok := after[id]; !ok {
			want[id] = Change{ID: id, Old: d}
		}
	}
	if len(want) != len(got) || !slices.IsSortedFunc(got, func(a, b Change) int { return a.ID.Compare(b.ID) }) {
		t.Fatalf("%d changes, want %d, in order", len(got), len(want))
	}
	for _, c := range got {
		if want[c.ID] != c {
			t.Fatalf("change %v, want %v", c, want[c.ID])
		}
	}
}

// family is a table of n rows, and the store that it is in.
func family(t *testing.T, n int, o Options) (*memStore, model, Table) {
	store, m := newMemStore(), model{}
	for i := range n {
		m[i] = rowState{epoch: 1}
	}
	o.Put, o.TempDir = store.put, t.TempDir()
	return store, m, write(t, everyType, m.rows(rand.New(rand.NewPCG(1, 1))), o)
}

func (m model) upon(t *testing.T, store *memStore, parent Table, o Options) Table {
	t.Helper()
	o.Put, o.TempDir, o.Parent = store.put, t.TempDir(), OpenTable(parent, store.open, ReadOptions{})
	return write(t, everyType, m.rows(rand.New(rand.NewPCG(2, 2))), o)
}

var small = Options{Bounds: Bounds{Rows: 100}}

// What has not changed is not written: no row, no index, no large value.
func TestUnchangedIsNotWritten(t *testing.T) {
	store, m, first := family(t, 400, small)
	puts := store.puts
	second := m.upon(t, store, first, Options{Bounds: Bounds{Rows: 7}})
	if store.puts != puts {
		t.Errorf("%d objects were put", store.puts-puts)
	}
	if second.Digest != first.Digest || !slices.EqualFunc(first.Layers, second.Layers, sameLayer) {
		t.Error("the table is not the parent's")
	}
	m[3] = rowState{version: 1, epoch: 1}
	delete(m, 4)
	third := m.upon(t, store, second, small)
	if n := store.puts - puts; n != 2 {
		t.Errorf("%d objects were put, want a part and its index", n)
	}
	if len(third.Layers) != 2 || third.Changes() != 2 {
		t.Fatalf("%d layers, %d changes", len(third.Layers), third.Changes())
	}
	p := third.Layers[1].Parts
	if len(p) != 1 || p[0].Rows != 1 || p[0].Deleted != 1 {
		t.Errorf("the change is %+v", p)
	}
}

// Many changes, many layers, or a small table: written whole.
func TestWholeByRule(t *testing.T) {
	store, m, table := family(t, 400, small)
	version, layers := 0, []int{}
	for range 10 {
		version++
		for i := range 5 {
			m[i] = rowState{version: version, epoch: 1}
		}
		table = m.upon(t, store, table, small)
		layers = append(layers, len(table.Layers))
	}
	if want := []int{2, 3, 4, 5, 6, 7, 8, 9, 1, 2}; !slices.Equal(layers, want) {
		t.Errorf("layers %v, want %v", layers, want)
	}
	for i := range 200 {
		m[i] = rowState{version: 50, epoch: 1}
	}
	if got := m.upon(t, store, table, small); len(got.Layers) != 1 {
		t.Errorf("half of the rows changed: %d layers", len(got.Layers))
	}
	store, m, table = family(t, 400, Options{})
	m[1] = rowState{version: 1, epoch: 1}
	if got := m.upon(t, store, table, Options{}); len(got.Layers) != 1 || len(got.Layers[0].Parts) != 1 {
		t.Errorf("a small table: %d layers", len(got.Layers))
	}
}

// Secrets sealed in another epoch are written anew, though no digest tells, and
// the old epoch is not needed any more.
func TestNewEpochIsWritten(t *testing.T) {
	store, m, first := family(t, 400, small)
	if epochs, known := first.KeyEpochs(); !known || !slices.Equal(epochs, []uint32{1}) {
		t.Fatalf("epochs %v, %v", epochs, known)
	}
	for i, s := range m {
		m[i] = rowState{version: s.version, epoch: 2}
	}
	second := m.upon(t, store, first, small)
	if epochs, known := second.KeyEpochs(); !known || !slices.Equal(epochs, []uint32{2}) || second.Digest != first.Digest {
		t.Errorf("epochs %v, %v", epochs, known)
	}
	// Of a parent that does not say, nothing is taken over.
	for i := range first.Layers[0].Parts {
		first.Layers[0].Parts[i].Epochs = nil
	}
	m[1] = rowState{version: 1, epoch: 1}
	if third := m.upon(t, store, first, small); len(third.Layers) != 1 {
		t.Error("written upon a parent of unknown epochs")
	}
	// A few rows only: they are changes that change nothing.
	m[1] = rowState{epoch: 2}
	m[7] = rowState{epoch: 3}
	fourth := m.upon(t, store, second, small)
	if len(fourth.Layers) != 2 || fourth.Digest != second.Digest || fourth.Changes() != 1 {
		t.Errorf("%d layers with %d changes", len(fourth.Layers), fourth.Changes())
	}
	r := OpenTable(fourth, store.open, ReadOptions{})
	verifyAll(t, r)
	if got := collect(t, r.Changes(t.Context(), 1)); len(got) != 0 {
		t.Errorf("changes %v", got)
	}
}

// Two rows of one id are refused, however they compare with the parent's.
func TestDuplicatesUponParent(t *testing.T) {
	same, other := rowState{epoch: 1}.row(5), rowState{version: 1, epoch: 1}.row(5)
	for name, twice := range map[string][]schemas.Row{
		"both as before": {same, same}, "one changed": {same, other}, "the first changed": {other, same},
		"both changed": {other, other}, "new": {rowState{epoch: 1}.row(1000), rowState{epoch: 1}.row(1000)},
	} {
		for _, bounds := range []Bounds{small.Bounds, {}} { // as a change, and whole
			t.Run(fmt.Sprintf("%s/%v", name, bounds), func(t *testing.T) {
				store, m, first := family(t, 400, small)
				delete(m, 5)
				w := NewTableWriter(everyType, Options{Put: store.put, Bounds: bounds, Parent: OpenTable(first, store.open, ReadOptions{})})
				defer w.Close()
				writeAll(t, w, &everyType, m.rows(rand.New(rand.NewPCG(3, 3))), 100)
				var err error
				for i, row := range twice {
					if e := w.WriteRow(t.Context(), row, int64(1000+i)); e != nil {
						err = e
					}
				}
				if err == nil {
					_, err = w.Finish(t.Context())
				}
				d, ok := errors.AsType[*DuplicateError](err)
				if !ok || d.Key != twice[0].Key || d.Table != "all" {
					t.Fatalf("%v", err)
				}
				if !d.OneKnown && d.Origins != [2]int64{1000, 1001} || d.OneKnown && d.Origins[1] < 1000 {
					t.Errorf("origins %v", d.Origins)
				}
			})
		}
	}
}

// A parent that can't be read is done without.
func TestDamagedParent(t *testing.T) {
	store, m, first := family(t, 400, small)
	index := first.Layers[0].Parts[0].Index
	damaged := slices.Clone(store.objects[index])
	damaged[40]++
	sound := store.objects[index]
	store.objects[index] = damaged
	m[1] = rowState{version: 1, epoch: 1}
	second := m.upon(t, store, first, small)
	store.objects[index] = sound
	if len(second.Layers) != 1 {
		t.Errorf("%d layers", len(second.Layers))
	}
	verifyAll(t, OpenTable(second, store.open, ReadOptions{}))
}

// Damage of a change layer is found, and said to be of its object.
func TestDamagedChange(t *testing.T) {
	store, m, first := family(t, 400, small)
	for i := range 20 {
		m[i] = rowState{version: 1, epoch: 1}
	}
	delete(m, 30)
	second := m.upon(t, store, first, small)
	m[2] = rowState{version: 2, epoch: 1}
	third := m.upon(t, store, second, small)
	for name, damage := range map[string]func(*Table){
		"layers swapped":      func(t *Table) { t.Layers[1], t.Layers[2] = t.Layers[2], t.Layers[1] },
		"a layer left out":    func(t *Table) { t.Layers = append(t.Layers[:1], t.Layers[2]) },
		"another base":        func(t *Table) { t.Layers = slices.Clone(t.Layers); t.Layers[0] = Layer{Kind: KindWhole} },
		"deletions forgotten": func(t *Table) { t.Layers[1].Parts[0].Deleted = 0 },
		"rows forgotten":      func(t *Table) { t.Layers[2].Parts[0].Rows = 0 },
		"whole upon whole":    func(t *Table) { t.Layers[1].Kind = KindWhole },
		"no whole layer":      func(t *Table) { t.Layers = t.Layers[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			bad := third
			bad.Layers = nil
			for _, l := range third.Layers {
				bad.Layers = append(bad.Layers, Layer{Kind: l.Kind, Parts: slices.Clone(l.Parts)})
			}
			damage(&bad)
			var found error
			for err := range OpenTable(bad, store.open, ReadOptions{}).VerifyRows(t.Context()) {
				found = errors.Join(found, err)
			}
			if found == nil {
				t.Error("nothing was found")
			}
			t.Log(found)
		})
	}
}
