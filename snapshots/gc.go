package snapshots

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// DefaultGrace is how old an object must be before it can be garbage, and how
// long what was given up still lies there: longer than any work on a snapshot.
// Nothing that is needed depends on it (docs/gc.md).
const DefaultGrace = 24 * time.Hour

// GCOptions bound a garbage collection.
type GCOptions struct {
	// Grace, zero: DefaultGrace; negative: none.
	Grace time.Duration
	// Roots finds what is needed beside the log; may be nil.
	Roots Roots
	// Progress is told of each entry that gives names up and each object that is
	// deleted; may be nil.
	Progress func(entries, deleted int)
}

func (o GCOptions) grace() time.Duration {
	switch {
	case o.Grace == 0:
		return DefaultGrace
	case o.Grace < 0:
		return 0
	}
	return o.Grace
}

// ErrCantSweep: nothing can be deleted from the place where the store lies.
var ErrCantSweep = errors.New("this kind of place can't delete objects")

// Garbage is one object of the store that nothing needs.
type Garbage struct {
	Key  string `json:"key"`
	Size int64  `json:"bytes"`
	Why  string `json:"why"`
	// Until is when it may be deleted, zero for now or, if it still has its name,
	// for not known.
	Until time.Time `json:"until,omitzero"`

	is    content // zero: no content, but a file
	given int     // names of the content that were given up before this one
}

// Tally counts objects.
type Tally struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

func (t *Tally) add(size int64) { t.Objects++; t.Bytes += size }

// TallyOf counts garbage.
func TallyOf(all []Garbage) (t Tally) {
	for _, g := range all {
		t.add(g.Size)
	}
	return t
}

// GCPlan says what a collection would do, and what becomes of every object.
type GCPlan struct {
	Entry uint64 // the last of the log that it was made from
	// Give has names that would be given up.
	Give []Garbage
	// Wait is garbage that can't be deleted yet, Delete what can.
	Wait, Delete []Garbage
	// Young is what nothing needs and may be part of work that goes on, Kept what
	// is needed.
	Young, Kept Tally
	// Unknown are keys that nothing of ours writes; they are left alone.
	Unknown []string

	live *live
}

// PlanGC looks at every object of the store. It changes nothing. If what a
// snapshot needs can't be read the error is a *CorruptError or
// *parts.Corruption: verify and repair the store first.
func (s *Store) PlanGC(ctx context.Context, o GCOptions) (*GCPlan, error) {
	sweeper, ok := s.b.(Sweeper)
	if !ok {
		return nil, fmt.Errorf("%s: %w", s.b.Location(), ErrCantSweep)
	}
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	if len(st.Unknown) > 0 { // it may need what we don't know of
		return nil, fmt.Errorf("%w: %s", ErrNewerStore, st.Unknown[0])
	}
	p := &GCPlan{Entry: st.N, live: s.newLive(o.Roots)}
	if err := p.live.cover(ctx, st); err != nil {
		return nil, err
	}
	c := &classifier{p: p, st: st, now: s.o.Now(), grace: o.grace(), newest: map[string]Detail{}}
	for d, err := range sweeper.Details(ctx, "", "") {
		if err != nil {
			return nil, fmt.Errorf("look for garbage: %w", err)
		}
		c.object(d)
	}
	c.end()
	return p, s.explain(ctx, st, p)
}

// Collected is what a collection did.
type Collected struct {
	Entries []uint64 `json:"entries"` // of the log, that gave names up
	Given   Tally    `json:"given_up"`
	// Spared had become needed, or another's to collect, since the plan.
	Spared  Tally `json:"spared"`
	Deleted Tally `json:"deleted"`
}

// Collect carries a plan out: it gives up the names of what nothing needs, in
// entries of the log, and deletes what lies under names that were given up a
// grace period ago. It may be stopped at any point and be run again, also by
// several at once; what it did until then is right.
func (s *Store) Collect(ctx context.Context, p *GCPlan, o GCOptions) (Collected, error) {
	out := Collected{Entries: []uint64{}}
	tell := func() {
		if o.Progress != nil {
			o.Progress(len(out.Entries), int(out.Deleted.Objects))
		}
	}
	for chunk := range slices.Chunk(p.Give, namesPerEntry) {
		n, given, err := s.giveUp(ctx, p.live, chunk)
		if err != nil {
			return out, err
		}
		out.Spared.Objects += int64(len(chunk) - len(given))
		out.Spared.Bytes += TallyOf(chunk).Bytes - TallyOf(given).Bytes
		if n > 0 {
			t := TallyOf(given)
			out.Entries = append(out.Entries, n)
			out.Given.Objects, out.Given.Bytes = out.Given.Objects+t.Objects, out.Given.Bytes+t.Bytes
			tell()
		}
	}
	// Parts first: as long as their manifest is there, it says what they were.
	for _, manifests := range []bool{false, true} {
		some := slices.DeleteFunc(slices.Clone(p.Delete), func(g Garbage) bool { return g.is.manifest != manifests })
		if err := s.deleteAll(ctx, some, &out.Deleted, tell); err != nil {
			return out, err
		}
	}
	return out, nil
}

// namesPerEntry keeps a log entry under half a megabyte.
const namesPerEntry = 5000

var errNeeded = errors.New("some of it is needed, or was given up, meanwhile")

// giveUp commits that the names are given up. What is needed in the very state
// that the entry follows upon is left out; n zero: that was all of it.
func (s *Store) giveUp(ctx context.Context, l *live, chunk []Garbage) (n uint64, given []Garbage, err error) {
	chunk = slices.Clone(chunk)
	for {
		var now State
		keep := func(g Garbage) bool { return l.has(g.is) || now.marks.mark(g.is).Names != g.given }
		if len(chunk) == 0 {
			return 0, nil, nil
		}
		n, err = s.Commit(ctx, Change{
			Reason: fmt.Sprintf("gc: %d objects that nothing needs", len(chunk)), Actions: []Action{garbageAction(chunk)},
			Check: func(st State) error {
				now = st
				if err := l.cover(ctx, st); err != nil {
					return err
				}
				if slices.ContainsFunc(chunk, keep) {
					return errNeeded
				}
				return nil
			},
		})
		if !errors.Is(err, errNeeded) {
			return n, chunk, err
		}
		chunk = slices.DeleteFunc(chunk, keep)
	}
}

func garbageAction(chunk []Garbage) (a GarbageAction) {
	for _, g := range chunk {
		if g.is.manifest {
			a.Manifests = append(a.Manifests, g.is.sum)
		} else {
			a.Objects = append(a.Objects, g.is.sum)
		}
		a.Bytes += g.Size
	}
	return a
}

// deletesAtOnce is how many objects are deleted at once.
const deletesAtOnce = 16

func (s *Store) deleteAll(ctx context.Context, all []Garbage, done *Tally, tell func()) error {
	sweeper, ok := s.b.(Sweeper)
	if !ok {
		return fmt.Errorf("%s: %w", s.b.Location(), ErrCantSweep)
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(deletesAtOnce)
	for _, x := range all {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := sweeper.Delete(ctx, x.Key); err != nil {
				return fmt.Errorf("%w (nothing that is needed was touched; run gc again)", err)
			}
			mu.Lock()
			defer mu.Unlock()
			done.add(x.Size)
			tell()
			return nil
		})
	}
	return g.Wait()
}

// parseContent reads the key of an object or manifest.
func parseContent(key string) (c content, given int, ok bool) {
	name, isManifest := strings.CutPrefix(key, manifestsPrefix)
	if isManifest {
		name, ok = strings.CutSuffix(name, ".json")
	} else if name, ok = strings.CutPrefix(key, objectsPrefix); ok {
		ok = len(name) > 6
		name = name[min(6, len(name)):]
	}
	hex, behind, more := strings.Cut(name, "-")
	sum, err := ParseDigest(hex)
	if !ok || err != nil {
		return c, 0, false
	}
	if more {
		if _, err := fmt.Sscan(behind, &given); err != nil {
			return c, 0, false
		}
		given--
	}
	c = content{sum: sum, manifest: isManifest}
	return c, given, c.key(given) == key
}
