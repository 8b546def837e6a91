package snapshots

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// EpochLeft is what still lies in the store, sealed in a key epoch, and that
// nothing needs: manifests that held snapshots once, drafts that no log entry
// commits, second copies. Once the epoch's keys are gone its secrets can't be
// read by anyone; garbage collection takes it away as ever.
type EpochLeft struct {
	Manifests []LeftManifest `json:"manifests"`
	// Sealed counts the parts that no known snapshot holds, each once.
	parts.Sealed
	// Copies are second copies of parts (see repair).
	Copies int64 `json:"second_copies"`
	// Unread are manifests that can't be read.
	Unread int64 `json:"unread_manifests"`
}

// LeftManifest is a manifest that holds no known snapshot.
type LeftManifest struct {
	Manifest Digest `json:"manifest"`
	Was      string `json:"was"`
}

// EpochLeft looks at every manifest of the store.
func (s *Store) EpochLeft(ctx context.Context, epoch uint32) (*EpochLeft, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	copies, err := s.anyRepaired(ctx)
	if err != nil {
		return nil, err
	}
	out := &EpochLeft{Manifests: []LeftManifest{}}
	needed, sealed := map[parts.Object]bool{}, map[parts.Object]bool{}
	look := func(name Digest, tell func(p parts.Part)) (found bool, err error) {
		sn, err := s.OpenManifest(ctx, name)
		if err != nil {
			return false, err
		}
		for p := range sn.sealedIn(epoch) {
			found = true
			if copies[objectKey(p.Object)] && !sealed[p.Object] {
				out.Copies++
			}
			tell(p)
			sealed[p.Object] = true
		}
		return found, nil
	}
	for _, info := range st.known() {
		if _, err := look(info.Manifest, func(p parts.Part) { needed[p.Object] = true }); err != nil {
			return nil, err
		}
	}
	for key, err := range s.b.List(ctx, manifestsPrefix, "") {
		if err != nil {
			return nil, fmt.Errorf("look for what is left: %w", err)
		}
		c, given, ok := parseContent(key)
		if !ok || st.holds(c.sum) || given != st.marks.mark(c).Names {
			continue
		}
		found, err := look(c.sum, func(p parts.Part) {
			if !needed[p.Object] && !sealed[p.Object] {
				out.Add(parts.Sealed{Parts: 1, Rows: p.Rows, Bytes: p.Object.Bytes})
			}
		})
		switch {
		case ctx.Err() != nil:
			return nil, err
		case err != nil:
			out.Unread++
		case found:
			out.Manifests = append(out.Manifests, LeftManifest{Manifest: c.sum, Was: strings.TrimPrefix(st.formerly(c.sum), "of ")})
		}
	}
	return out, nil
}

// sealedIn yields the parts that hold boxes of an epoch, or do not say of which.
func (sn *Snapshot) sealedIn(epoch uint32) iter.Seq[parts.Part] {
	return sn.eachPart(func(t *parts.Table) iter.Seq[parts.Part] { return t.SealedIn(epoch) })
}

// eachPart yields those parts of all tables that are chosen.
func (sn *Snapshot) eachPart(choose func(t *parts.Table) iter.Seq[parts.Part]) iter.Seq[parts.Part] {
	return func(yield func(parts.Part) bool) {
		for i := range sn.tables {
			for p := range choose(&sn.tables[i]) {
				if !yield(p) {
					return
				}
			}
		}
	}
}
