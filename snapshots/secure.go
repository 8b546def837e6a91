package snapshots

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// where is the current name of content, as far as the log was read.
func (s *Store) where(c content) string { return s.marks.Load().key(c) }

// find asks for content under its current name. If nothing is there, the log
// may have moved on; and a draft that was written before its names were given
// up lies under an older one until it is committed. What was given up and is
// nowhere is a *CollectedError, which is an ErrNotFound.
func find[T any](ctx context.Context, s *Store, c content, ask func(ctx context.Context, key string) (T, error)) (T, error) {
	key := s.where(c)
	out, err := ask(ctx, key)
	if !errors.Is(err, ErrNotFound) {
		return out, err
	}
	if _, logErr := s.State(ctx); logErr != nil {
		return out, errors.Join(err, logErr)
	}
	mark := s.marks.Load().mark(c)
	if mark.Names == 0 {
		return out, err
	}
	for given := mark.Names; given >= 0; given-- {
		if out, err = ask(ctx, c.key(given)); !errors.Is(err, ErrNotFound) {
			return out, err
		}
	}
	return out, &CollectedError{Object: key, Mark: mark}
}

// secureAtOnce is how many objects are looked for at once.
const secureAtOnce = 16

// secure makes sure that all that the actions make known lies under its current
// name in the state that they are to be committed upon: that is what makes it
// safe to delete what lies under names that were given up. Content that never
// lost a name is where its writer put it. Of what did, a writer that began
// before may have met the old name: it is copied, as long as it is there.
func (s *Store) secure(ctx context.Context, st State, actions []Action) error {
	if st.marks.empty() {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(secureAtOnce)
	need := func(c content) {
		if st.marks.mark(c).Names > 0 {
			g.Go(func() error { return s.secureOne(ctx, st, c) })
		}
	}
	err := s.needs(ctx, st, actions, need)
	err = errors.Join(g.Wait(), err)
	if c, ok := errors.AsType[*CollectedError](err); ok {
		return c // what is not known to the log is no damage when it is gone
	}
	return err
}

// needs tells need of all content that the actions make known.
func (s *Store) needs(ctx context.Context, st State, actions []Action, need func(content)) error {
	for _, a := range actions {
		var err error
		switch a := a.(type) {
		case SnapshotAction:
			err = s.needsOfManifest(ctx, st, a.Digest, a.Manifest, need)
		case ManifestAction:
			err = s.needsOfManifest(ctx, st, a.Digest, a.Manifest, need)
		case CheckpointAction:
			for _, in := range a.Inputs {
				need(contentOf(in.object()))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) needsOfManifest(ctx context.Context, st State, snapshot, manifest Digest, need func(content)) error {
	if st.Snapshots[snapshot].Manifest == manifest {
		return nil // known, so it is all there already
	}
	need(manifestContent(manifest))
	sn, err := s.OpenManifest(ctx, manifest)
	if err != nil {
		return err
	}
	for i := range sn.tables {
		for o, err := range tableObjects(ctx, sn.tables[i], sn.readers[i]) {
			if err != nil {
				return err
			}
			need(contentOf(o))
		}
	}
	return nil
}

// tableObjects yields all objects of a table, large values too.
func tableObjects(ctx context.Context, t parts.Table, r *parts.Reader) iter.Seq2[parts.Object, error] {
	return func(yield func(parts.Object, error) bool) {
		for _, o := range t.Objects() {
			if !yield(o, nil) {
				return
			}
		}
		for o, err := range r.LargeObjects(ctx) {
			if !yield(o, err) {
				return
			}
		}
	}
}

// secureOne makes sure that content lies under its current name.
func (s *Store) secureOne(ctx context.Context, st State, c content) error {
	mark := st.marks.mark(c)
	now := c.key(mark.Names)
	_, err := s.b.Stat(ctx, now)
	for given := mark.Names - 1; errors.Is(err, ErrNotFound) && given >= 0; given-- {
		err = s.copyName(ctx, c, c.key(given), now)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return &CollectedError{Object: c.key(mark.Names - 1), Mark: mark}
	case err != nil:
		return fmt.Errorf("secure %s: %w", now, err)
	}
	return nil
}

// copyName copies content to another name, if its bytes are what they should
// be.
func (s *Store) copyName(ctx context.Context, c content, from, to string) error {
	f, err := s.b.Open(ctx, from)
	if err != nil {
		return err
	}
	defer f.Close()
	body := io.NewSectionReader(f, 0, f.Size())
	o, err := identify(body)
	if err != nil {
		return err
	}
	if o.SHA256 != [32]byte(c.sum) {
		return &CorruptError{Object: from, What: "its bytes do not match its name", Advice: objectAdvice}
	}
	_, err = createInsisting(ctx, s.b, to, body)
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}
