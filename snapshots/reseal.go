package snapshots

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// ResealOptions bound a re-seal.
type ResealOptions struct {
	// Only are the snapshots to be sealed anew; nil: all that are known.
	Only []Digest
	// Workers is how many parts are made at once; zero means one. TempDir is as
	// in WriterOptions.
	Workers int
	TempDir string
}

// Resealing is what a re-seal would do: bring secrets of older key epochs, and
// those of parts that do not say their epoch, into the newest.
type Resealing struct {
	Entry uint64 // the last of the log that it was made from
	Epoch uint32 // that secrets are sealed in
	// Snapshots are those that hold such secrets.
	Snapshots []SnapshotInfo
	// Sealed counts the parts, each once however many snapshots share it.
	parts.Sealed

	o ResealOptions
}

// Resealed is what a re-seal did.
type Resealed struct {
	Entries   []uint64 // of the log
	Snapshots int64    // that are held by other manifests now
	Put       PutStats
}

// ErrNotNewest: the store's keyring was unlocked before the newest key epoch was
// made. Unlock it again.
var ErrNotNewest = errors.New("a newer key epoch was made meanwhile")

// PlanReseal finds what would be sealed anew, into the epoch that the store's
// keyring seals in.
func (s *Store) PlanReseal(ctx context.Context, o ResealOptions) (*Resealing, error) {
	if s.o.Keyring == nil {
		return nil, seal.ErrNoKey
	}
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	r := &Resealing{Entry: st.N, Epoch: s.o.Keyring.Epoch(), o: o}
	counted := map[parts.Object]bool{}
	for _, info := range st.known() {
		if o.Only != nil && !slices.Contains(o.Only, info.Digest) {
			continue
		}
		sn, err := s.OpenManifest(ctx, info.Manifest)
		if err != nil {
			return nil, err
		}
		needs := false
		for p := range sn.toReseal(r.Epoch) {
			needs = true
			if !counted[p.Object] {
				counted[p.Object] = true
				r.Add(parts.Sealed{Parts: 1, Rows: p.Rows, Bytes: p.Object.Bytes})
			}
		}
		if needs {
			r.Snapshots = append(r.Snapshots, info)
		}
	}
	return r, nil
}

// toReseal yields the parts that hold boxes of epochs before one.
func (sn *Snapshot) toReseal(epoch uint32) iter.Seq[parts.Part] {
	return sn.eachPart(func(t *parts.Table) iter.Seq[parts.Part] { return t.ToReseal(epoch) })
}

// Reseal carries a plan out. Each part that holds secrets of an older epoch is
// written anew, once however many snapshots and layers share it; the log then
// maps the snapshots, whose digests stay, to manifests of the new parts. Parts,
// layers, indexes and large values stay as they were else. Nobody is hindered: a
// snapshot that was dropped, compacted or committed anew meanwhile is looked at
// again, what others write upon the old parts stays right. It may be stopped at
// any point and be run again: what was committed is done, and parts that were
// written before have the same bytes. The parts of before stay until gc finds
// that nothing needs them. progress is told of each part; nil for nobody.
func (s *Store) Reseal(ctx context.Context, plan *Resealing, progress func()) (Resealed, error) {
	there, err := s.KeyEpochs(ctx)
	if err != nil {
		return Resealed{}, err
	}
	if len(there) > 0 && plan.Epoch != there[len(there)-1] {
		return Resealed{}, fmt.Errorf("seal anew in key epoch %d: %w", plan.Epoch, ErrNotNewest)
	}
	r := &resealer{s: s, plan: plan, progress: progress, done: map[parts.Object]parts.Part{}}
	again := plan.Snapshots
	for len(again) > 0 && err == nil {
		again, err = r.all(ctx, again)
	}
	r.out.Put = r.count.stats()
	return r.out, err
}

type resealer struct {
	s        *Store
	plan     *Resealing
	progress func()
	count    putCounts
	out      Resealed

	mu   sync.Mutex
	done map[parts.Object]parts.Part // by the part's file of before
}

// snapshotsPerEntry bounds what a re-seal that is stopped has to look at again.
const snapshotsPerEntry = 50

// all seals snapshots anew and returns those that moved meanwhile.
func (r *resealer) all(ctx context.Context, of []SnapshotInfo) (again []SnapshotInfo, err error) {
	for chunk := range slices.Chunk(of, snapshotsPerEntry) {
		var actions []Action
		for _, info := range chunk {
			manifest, err := r.snapshot(ctx, info.Manifest)
			if err != nil {
				return nil, fmt.Errorf("snapshot %s: %w", info.Digest.Short(), err)
			}
			if manifest != info.Manifest {
				actions = append(actions, ManifestAction{Digest: info.Digest, Manifest: manifest, Old: info.Manifest})
			}
		}
		moved, err := r.commit(ctx, actions)
		if err != nil {
			return nil, err
		}
		again = append(again, moved...)
	}
	return again, nil
}

// commit maps the snapshots to their new manifests. Those that are held by others
// meanwhile are left out and returned, those that are gone left out.
func (r *resealer) commit(ctx context.Context, actions []Action) (again []SnapshotInfo, err error) {
	errMoved := errors.New("moved meanwhile")
	for len(actions) > 0 {
		var now State
		stale := func(a Action) bool {
			m := a.(ManifestAction)
			return now.Snapshots[m.Digest].Manifest != m.Old
		}
		n, err := r.s.Commit(ctx, Change{
			Reason: fmt.Sprintf("seal %d snapshots anew in key epoch %d", len(actions), r.plan.Epoch), Actions: actions,
			Check: func(st State) error {
				if now = st; slices.ContainsFunc(actions, stale) {
					return errMoved
				}
				return nil
			},
		})
		switch {
		case err == nil:
			r.out.Entries = append(r.out.Entries, n)
			r.out.Snapshots += int64(len(actions))
			return again, nil
		case !errors.Is(err, errMoved):
			return nil, err
		}
		for _, a := range actions {
			if info, known := now.Snapshots[a.(ManifestAction).Digest]; known && stale(a) {
				again = append(again, info)
			}
		}
		actions = slices.DeleteFunc(slices.Clone(actions), stale)
	}
	return again, nil
}

// snapshot writes the manifest of a snapshot that is sealed anew; the same one if
// there is nothing to do.
func (r *resealer) snapshot(ctx context.Context, manifest Digest) (Digest, error) {
	sn, err := r.s.OpenManifest(ctx, manifest)
	if err != nil {
		return manifest, err
	}
	tables, changed := slices.Clone(sn.tables), false
	for i := range tables {
		t, err := r.table(ctx, sn.readers[i])
		if err != nil {
			return manifest, fmt.Errorf("table %s: %w", tables[i].Name, err)
		}
		if t != nil {
			tables[i].Layers, changed = t, true
		}
	}
	if !changed {
		return manifest, nil
	}
	digest, name, err := r.s.putManifest(ctx, tables)
	if err == nil && digest != sn.digest {
		err = fmt.Errorf("it would become snapshot %s: this is a fault of the program, nothing was committed", digest.Short())
	}
	return name, err
}

// table seals the parts of a table anew and returns its layers, nil if there is
// nothing to do.
func (r *resealer) table(ctx context.Context, reader *parts.Reader) ([]parts.Layer, error) {
	t := reader.Table()
	layers := make([]parts.Layer, len(t.Layers))
	changed := false
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(r.plan.o.Workers, 1))
	for i, l := range t.Layers {
		layers[i] = parts.Layer{Kind: l.Kind, Parts: slices.Clone(l.Parts)}
		for j, p := range l.Parts {
			if !t.NeedsReseal(p, r.plan.Epoch) {
				continue
			}
			changed = true
			g.Go(func() (err error) {
				layers[i].Parts[j], err = r.part(ctx, reader, i, j)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil || !changed {
		return nil, err
	}
	return layers, nil
}

// part seals a part anew, once: layers that snapshots share, they share again.
func (r *resealer) part(ctx context.Context, reader *parts.Reader, layer, part int) (parts.Part, error) {
	old := reader.Table().Layers[layer].Parts[part]
	r.mu.Lock()
	anew, ok := r.done[old.Object]
	r.mu.Unlock()
	if ok {
		old.Object, old.Epochs = anew.Object, anew.Epochs
		return old, nil
	}
	anew, err := reader.ResealPart(ctx, layer, part, parts.ResealOptions{
		Seal: r.s.o.Keyring.Reseal, Epoch: r.plan.Epoch, TempDir: r.plan.o.TempDir,
		Put: func(ctx context.Context, body io.ReadSeeker) (parts.Object, error) {
			return r.s.putObject(ctx, body, &r.count)
		},
	})
	if err != nil {
		return old, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[old.Object] = anew
	if r.progress != nil {
		r.progress()
	}
	return anew, nil
}
