package snapshots

import (
	"context"
	"fmt"
	"strings"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Storage says where the bytes of a store go.
type Storage struct {
	Entry     uint64            `json:"entry"` // of the log
	Snapshots []SnapshotStorage `json:"snapshots"`
	// Logical is what the snapshots would take if each had its own objects, Stored
	// what they take, checkpoints' inputs with them.
	Logical int64 `json:"logical_bytes"`
	Stored  Tally `json:"stored"`
	// Places is what lies under each of the store's prefixes; nil where the place
	// does not say.
	Places map[string]Tally `json:"places,omitempty"`
	// Rest is what lies among objects and manifests and no snapshot or checkpoint
	// needs: drafts, and garbage that `gc` collects.
	Rest Tally `json:"rest"`
}

// SnapshotStorage is one snapshot's share. Unique bytes are those of objects
// that no other snapshot or checkpoint needs: dropping it frees them.
type SnapshotStorage struct {
	SnapshotInfo `json:"-"`
	Bytes
	Tables []TableStorage `json:"tables"`
	// By are the names that hold it; with any it can't be dropped.
	By []string `json:"by,omitempty"`
}

// TableStorage is one table's share of a snapshot.
type TableStorage struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	Bytes
}

// Bytes of objects, each counted once: Logical is the sum of the others.
type Bytes struct {
	Logical int64 `json:"logical_bytes"`
	Unique  int64 `json:"unique_bytes"`
	Shared  int64 `json:"shared_bytes"`
}

func (b *Bytes) add(size int64, unique bool) {
	b.Logical += size
	if unique {
		b.Unique += size
	} else {
		b.Shared += size
	}
}

// accounts counts who needs which content.
type accounts struct {
	s     *Store
	index map[content]int
	sizes []int64
	users []int32 // how many snapshots and checkpoints need it
	last  []int32 // who needed it last, so that nobody counts twice
	who   int32
}

func (a *accounts) need(c content, size int64) int {
	i, ok := a.index[c]
	if !ok {
		i = len(a.sizes)
		a.index[c] = i
		a.sizes, a.users, a.last = append(a.sizes, size), append(a.users, 0), append(a.last, 0)
	}
	if a.last[i] != a.who {
		a.last[i] = a.who
		a.users[i]++
	}
	return i
}

// Storage counts the bytes of all snapshots. Content counts once in a snapshot,
// for the first of its tables.
func (s *Store) Storage(ctx context.Context) (*Storage, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	out := &Storage{Entry: st.N, Snapshots: []SnapshotStorage{}}
	a := &accounts{s: s, index: map[content]int{}}
	needs := [][][]int{} // by snapshot: manifest, then tables
	done, needed := map[Digest]bool{}, st.Needed()
	for _, info := range st.History {
		if info = st.Snapshots[info.Digest]; done[info.Digest] {
			continue
		}
		done[info.Digest] = true
		one, lists, err := a.snapshot(ctx, info)
		if err != nil {
			return nil, err
		}
		one.By = needed[info.Digest]
		out.Snapshots, needs = append(out.Snapshots, one), append(needs, lists)
	}
	for _, c := range st.Checkpoints {
		a.who++
		for _, in := range c.Inputs {
			a.need(contentOf(in.object()), in.Size)
		}
	}
	for i := range out.Snapshots {
		out.Snapshots[i].sum(a, needs[i])
		out.Logical += out.Snapshots[i].Logical
	}
	for _, size := range a.sizes {
		out.Stored.add(size)
	}
	return out, s.places(ctx, out)
}

func (a *accounts) snapshot(ctx context.Context, info SnapshotInfo) (out SnapshotStorage, needs [][]int, err error) {
	a.who++
	out.SnapshotInfo = info
	sn, err := a.s.OpenManifest(ctx, info.Manifest)
	if err != nil {
		return out, nil, err
	}
	size, err := find(ctx, a.s, manifestContent(info.Manifest), a.s.b.Stat)
	if err != nil {
		return out, nil, fmt.Errorf("look at manifest %s: %w", info.Manifest.Short(), err)
	}
	needs = append(needs, []int{a.need(manifestContent(info.Manifest), size)})
	counted := map[content]bool{}
	for i := range sn.tables {
		var list []int
		err := a.s.eachObject(ctx, &sn.tables[i], sn.readers[i], map[Digest]bool{}, func(o parts.Object) {
			if c := contentOf(o); !counted[c] {
				counted[c] = true
				list = append(list, a.need(c, o.Bytes))
			}
		})
		if err != nil {
			return out, nil, err
		}
		needs = append(needs, list)
		out.Tables = append(out.Tables, TableStorage{Table: sn.tables[i].Name, Rows: sn.tables[i].Rows})
	}
	return out, needs, nil
}

func (o *SnapshotStorage) sum(a *accounts, needs [][]int) {
	for i, list := range needs {
		for _, k := range list {
			o.add(a.sizes[k], a.users[k] == 1)
			if i > 0 {
				o.Tables[i-1].add(a.sizes[k], a.users[k] == 1)
			}
		}
	}
}

// places counts what lies where, if the place says.
func (s *Store) places(ctx context.Context, out *Storage) error {
	sweeper, ok := s.b.(Sweeper)
	if !ok {
		return nil
	}
	out.Places = map[string]Tally{}
	for d, err := range sweeper.Details(ctx, "", "") {
		if err != nil {
			return fmt.Errorf("count what the store holds: %w", err)
		}
		place, _, _ := strings.Cut(d.Key, "/")
		t := out.Places[place]
		t.add(d.Size)
		out.Places[place] = t
	}
	content, manifests := out.Places["objects"], out.Places["manifests"]
	out.Rest.Objects = max(content.Objects+manifests.Objects-out.Stored.Objects, 0)
	out.Rest.Bytes = max(content.Bytes+manifests.Bytes-out.Stored.Bytes, 0)
	return nil
}
