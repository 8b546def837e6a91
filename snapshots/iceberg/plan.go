package iceberg

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Options are what to export, and where to.
type Options struct {
	// Dir is a local folder; a table lies in DIR/<dataset>/<stage>/<table>.
	Dir string
	// Location is Dir as readers see it, a URI; empty: file:// and its path.
	Location string
	// Names choose histories, by one snapshot of each that readers shall see who
	// ask for none; empty: all histories, with their newest snapshot.
	Names []string
	// Last is how many snapshots of a history are exported; zero: all.
	Last int
	// WholeOnly leaves out snapshots that are stored in layers. Without it they
	// are written whole in the store first.
	WholeOnly bool
	// Pin names the exported snapshots that have no name, as Pin/<digits>, so that
	// they and their files are kept; empty: they are left as they are.
	Pin string
}

// Plan is what an export would do.
type Plan struct {
	Histories []History
	o         Options
}

// History is all snapshots of one dataset and stage that are exported, oldest
// first.
type History struct {
	Dataset, Stage string
	Main           snapshots.SnapshotInfo
	Snapshots      []Item
	// LeftOut are layered ones, of an export WholeOnly.
	LeftOut []Item
}

// Item is one snapshot of a history.
type Item struct {
	snapshots.SnapshotInfo
	Names  []string // refs and what checkpoints pin it as
	Tables []parts.Table
	// Layered are those of the tables that must be written whole first.
	Layered []parts.Table
}

// Tables are the names of all tables of the history.
func (h *History) Tables() []string {
	seen := map[string]bool{}
	var out []string
	for _, item := range h.Snapshots {
		for _, t := range item.Tables {
			if !seen[t.Name] {
				seen[t.Name] = true
				out = append(out, t.Name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Layered are the snapshots that the plan writes whole, each once.
func (p *Plan) Layered() []Item {
	return p.items(func(i *Item) bool { return len(i.Layered) > 0 })
}

// Unnamed are the exported snapshots that no name keeps, each once.
func (p *Plan) Unnamed() []Item {
	return p.items(func(i *Item) bool { return len(i.Names) == 0 })
}

// items are the exported snapshots of a kind, each once.
func (p *Plan) items(is func(i *Item) bool) []Item {
	seen := map[snapshots.Digest]bool{}
	var out []Item
	for i := range p.Histories {
		for _, item := range p.Histories[i].Snapshots {
			if is(&item) && !seen[item.Digest] {
				seen[item.Digest] = true
				out = append(out, item)
			}
		}
	}
	return out
}

// ErrTwoOfOne: two names are of one dataset and stage, and readers can see one
// of them first only. Leave one out: history has the other anyway.
var ErrTwoOfOne = errors.New("two snapshots of the same dataset and stage are named")

// ErrAllLayered: what shall be seen first, and all before it, is stored in
// layers and shall not be written whole. Export without WholeOnly.
var ErrAllLayered = errors.New("all its snapshots up to the one to be seen first are stored in layers")

// ErrPath: a path can't be told to readers. Use another.
var ErrPath = errors.New("readers of Iceberg tables take #, ? and % in a path for something else")

// Look makes the plan of an export. It writes nothing.
func Look(ctx context.Context, s *snapshots.Store, o Options) (*Plan, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	p := &Plan{o: o}
	if p.Histories, err = histories(st, o); err != nil {
		return nil, err
	}
	names := st.Names()
	for i := range p.Histories {
		h := &p.Histories[i]
		if err := h.open(ctx, s, names); err != nil {
			return nil, err
		}
		if o.WholeOnly {
			if err := h.leaveOutLayered(); err != nil {
				return nil, err
			}
		}
		if err := p.check(ctx, s, h); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// complete fills in what follows from the rest.
func (o *Options) complete() (err error) {
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if o.Location == "" {
		o.Location, err = uri(o.Dir)
	}
	o.Location = strings.TrimRight(o.Location, "/")
	return err
}

// uri is a place as Iceberg names it. Readers take URIs apart without undoing
// any escapes, so that some characters can't be written at all.
func uri(place string) (string, error) {
	if strings.ContainsAny(place, "#?%") {
		return "", fmt.Errorf("%s: %w", place, ErrPath)
	}
	if strings.Contains(place, "://") {
		return place, nil
	}
	return "file://" + place, nil
}

// histories are those that are asked for, without their tables.
func histories(st snapshots.State, o Options) ([]History, error) {
	main, err := mains(st, o.Names)
	if err != nil {
		return nil, err
	}
	var out []History
	for _, info := range st.History {
		i := slices.IndexFunc(out, func(h History) bool { return h.Dataset == info.Dataset && h.Stage == info.Stage })
		if i < 0 {
			m, chosen := main[[2]string{info.Dataset, info.Stage}]
			if !chosen {
				continue
			}
			i, out = len(out), append(out, History{Dataset: info.Dataset, Stage: info.Stage, Main: m})
		}
		items := out[i].Snapshots
		if n := len(items); n > 0 && items[n-1].N == info.N { // one entry is one version
			items = items[:n-1]
		}
		out[i].Snapshots = append(items, Item{SnapshotInfo: info})
	}
	for i := range out {
		h := &out[i]
		if n := len(h.Snapshots); o.Last > 0 && n > o.Last {
			first := slices.IndexFunc(h.Snapshots, func(item Item) bool { return item.N == h.Main.N })
			h.Snapshots = h.Snapshots[min(n-o.Last, first):]
		}
	}
	return out, nil
}

// mains are the snapshots that readers see first, by dataset and stage.
func mains(st snapshots.State, names []string) (map[[2]string]snapshots.SnapshotInfo, error) {
	out := map[[2]string]snapshots.SnapshotInfo{}
	if len(names) == 0 {
		for _, info := range st.History {
			out[[2]string{info.Dataset, info.Stage}] = info
		}
	}
	for _, name := range names {
		info, err := st.Resolve(name)
		if err != nil {
			return nil, err
		}
		key := [2]string{info.Dataset, info.Stage}
		if there, twice := out[key]; twice {
			return nil, fmt.Errorf("%s and %s, %s of %s: %w", there.Digest.Short(), info.Digest.Short(), info.Stage, info.Dataset, ErrTwoOfOne)
		}
		out[key] = info
	}
	return out, nil
}

// manifestsAtOnce is how many manifests are read at once.
const manifestsAtOnce = 8

// open reads the manifests of a history.
func (h *History) open(ctx context.Context, s *snapshots.Store, names map[snapshots.Digest][]string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(manifestsAtOnce)
	for i := range h.Snapshots {
		item := &h.Snapshots[i]
		item.Names = names[item.Digest]
		g.Go(func() error {
			sn, err := s.OpenManifest(ctx, item.Manifest)
			if err != nil {
				return err
			}
			item.Layered = sn.Layered()
			for _, name := range sn.Tables() {
				t, _ := sn.Stored(name)
				item.Tables = append(item.Tables, t)
			}
			return nil
		})
	}
	return g.Wait()
}

// leaveOutLayered keeps the whole snapshots; the newest of them up to the one
// that was to be seen first stands for it.
func (h *History) leaveOutLayered() error {
	var whole []Item
	var main *snapshots.SnapshotInfo
	for i := range h.Snapshots {
		item := &h.Snapshots[i]
		if len(item.Layered) > 0 {
			h.LeftOut = append(h.LeftOut, *item)
			continue
		}
		whole = append(whole, *item)
		if item.N <= h.Main.N {
			main = &item.SnapshotInfo
		}
	}
	if main == nil {
		return fmt.Errorf("%s of %s: %w", h.Stage, h.Dataset, ErrAllLayered)
	}
	h.Snapshots, h.Main = whole, *main
	return nil
}
