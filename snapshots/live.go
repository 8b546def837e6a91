package snapshots

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Root is a manifest that is needed though no entry of the log knows it, such as
// a draft in the journal of a run that may go on.
type Root struct {
	Manifest Digest
	Why      string // "run x, step y"
}

// Roots finds the roots beside a state.
type Roots func(ctx context.Context, st State) ([]Root, error)

// live is the content that is needed. It only grows: what was needed a moment
// ago may be taken for needed still.
type live struct {
	s     *Store
	roots Roots
	all   map[content]struct{}
	lists map[Digest]bool // lists of large values that were read
}

func (s *Store) newLive(roots Roots) *live {
	return &live{s: s, roots: roots, all: map[content]struct{}{}, lists: map[Digest]bool{}}
}

func (l *live) has(c content) bool { _, ok := l.all[c]; return ok }

// cover adds all that a state needs. If something of it can't be read, it is
// not known what is needed, and nothing may be given up.
func (l *live) cover(ctx context.Context, st State) error {
	for _, info := range st.History {
		if err := l.manifest(ctx, info.Manifest); err != nil {
			return fmt.Errorf("what snapshot %s needs: %w", info.Digest.Short(), err)
		}
	}
	for _, c := range st.Checkpoints {
		for _, in := range c.Inputs {
			l.all[contentOf(in.object())] = struct{}{}
		}
	}
	if l.roots == nil {
		return nil
	}
	roots, err := l.roots(ctx, st)
	if err != nil {
		return err
	}
	for _, r := range roots {
		// A draft that is not whole any more is of no use to its run.
		if err := l.manifest(ctx, r.Manifest); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("what %s needs: %w", r.Why, err)
		}
	}
	return nil
}

func (l *live) manifest(ctx context.Context, name Digest) error {
	if l.has(manifestContent(name)) {
		return nil
	}
	sn, err := l.s.OpenManifest(ctx, name)
	if err != nil {
		return err
	}
	for i := range sn.tables {
		err := l.s.eachObject(ctx, &sn.tables[i], sn.readers[i], l.lists, func(o parts.Object) { l.all[contentOf(o)] = struct{}{} })
		if err != nil {
			return err
		}
	}
	l.all[manifestContent(name)] = struct{}{} // last, so that all of it is in
	return nil
}

// eachObject tells of all objects of a table; large values only of lists that
// are not in seen.
func (s *Store) eachObject(ctx context.Context, t *parts.Table, r *parts.Reader, seen map[Digest]bool, tell func(parts.Object)) error {
	for _, o := range t.Objects() {
		tell(o)
	}
	for _, layer := range t.Layers {
		for _, p := range layer.Parts {
			if p.Large == nil || seen[p.Large.SHA256] {
				continue
			}
			large, err := r.LargeIn(ctx, *p.Large)
			if err != nil {
				return err
			}
			for _, o := range large {
				tell(o)
			}
			seen[p.Large.SHA256] = true
		}
	}
	return nil
}

// Frees is what dropping snapshots would make garbage: what they need and
// nothing else in the log does.
func (s *Store) Frees(ctx context.Context, drop []Digest) (t Tally, err error) {
	st, err := s.State(ctx)
	if err != nil || len(drop) == 0 {
		return t, err
	}
	dropped := map[Digest]bool{}
	for _, d := range drop {
		dropped[d] = true
	}
	rest := st
	rest.History = slices.DeleteFunc(slices.Clone(st.History), func(i SnapshotInfo) bool { return dropped[i.Digest] })
	l := s.newLive(nil)
	if err := l.cover(ctx, rest); err != nil {
		return t, err
	}
	counted, lists := map[content]bool{}, map[Digest]bool{}
	count := func(c content, size int64) {
		if !counted[c] && !l.has(c) {
			counted[c] = true
			t.add(size)
		}
	}
	for _, d := range drop {
		manifest := st.Snapshots[d].Manifest
		sn, err := s.OpenManifest(ctx, manifest)
		if err != nil {
			return t, err
		}
		size, err := find(ctx, s, manifestContent(manifest), s.b.Stat)
		if err != nil {
			return t, err
		}
		count(manifestContent(manifest), size)
		for i := range sn.tables {
			if err := s.eachObject(ctx, &sn.tables[i], sn.readers[i], lists, func(o parts.Object) { count(contentOf(o), o.Bytes) }); err != nil {
				return t, err
			}
		}
	}
	return t, nil
}
