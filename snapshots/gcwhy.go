package snapshots

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// explain says of each garbage object of a plan what it was of. It is found in
// the manifests that are garbage themselves, as long as they are there.
func (s *Store) explain(ctx context.Context, st State, p *GCPlan) error {
	owner := map[content]string{}
	lists := map[Digest]bool{}
	for _, all := range [][]Garbage{p.Give, p.Wait, p.Delete} {
		for _, g := range all {
			if !g.is.manifest || owner[g.is] != "" {
				continue
			}
			owner[g.is] = st.formerly(g.is.sum)
			if err := s.explainParts(ctx, g, owner, lists); err != nil {
				return err
			}
		}
	}
	for _, all := range [][]Garbage{p.Give, p.Wait, p.Delete} {
		for i, g := range all {
			if g.is == (content{}) {
				continue
			}
			was := owner[g.is]
			if was == "" {
				was = "no manifest names it: left by work that did not come to its end"
			}
			all[i].Why = strings.TrimPrefix(g.Why+", "+was, ", ")
		}
	}
	return nil
}

// explainParts names the owner of what a manifest lists. One that can't be read
// explains nothing.
func (s *Store) explainParts(ctx context.Context, g Garbage, owner map[content]string, lists map[Digest]bool) error {
	sn, err := s.OpenManifest(ctx, g.is.sum)
	if err != nil {
		return ctx.Err()
	}
	for i := range sn.tables {
		err := s.eachObject(ctx, &sn.tables[i], sn.readers[i], lists, func(o parts.Object) {
			if c := contentOf(o); owner[c] == "" {
				owner[c] = fmt.Sprintf("table %s %s", sn.tables[i].Name, owner[g.is])
			}
		})
		if err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// formerly is what a manifest was.
func (st *State) formerly(manifest Digest) string {
	was, ok := st.Former[manifest]
	if !ok {
		return "of a draft that no log entry commits"
	}
	if drop, ok := st.Dropped[was.Snapshot]; ok && was.Why == "dropped" {
		return fmt.Sprintf("of snapshot %s (%s of %s), dropped by %s (log entry %d)", was.Snapshot.Short(), drop.Was.Stage, drop.Was.Dataset, drop.By, drop.N)
	}
	return fmt.Sprintf("of snapshot %s before it was %s (log entry %d)", was.Snapshot.Short(), was.Why, was.N)
}

// Keeper is one reason why an object is kept.
type Keeper struct {
	Snapshot Digest `json:"snapshot,omitzero"` // zero: not of a snapshot
	Dataset  string `json:"dataset,omitempty"`
	Stage    string `json:"stage,omitempty"`
	Table    string `json:"table,omitempty"`
	// By are the names that hold the snapshot, or what holds the object itself;
	// none: the snapshot is known, and retention has not dropped it.
	By []string `json:"by"`
}

// Kept is what WhyKept found out about one object.
type Kept struct {
	Key     string   `json:"key"`
	Keepers []Keeper `json:"keepers"`
	// Garbage is set for an object that nothing keeps.
	Garbage *Garbage `json:"garbage,omitempty"`
	// Young: nothing keeps it, and it is too young to be garbage.
	Young bool `json:"young,omitempty"`
}

// ErrNoObject: the store has no object of that name. `gc plan --json` lists all
// garbage; `snapshots storage` what is kept.
var ErrNoObject = errors.New("no such object in the store")

// WhyKept says what keeps an object or manifest, which is named by its key, its
// SHA-256 or at least six digits of that.
func (s *Store) WhyKept(ctx context.Context, name string, p *GCPlan, o GCOptions) (*Kept, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	key, c, err := s.findContent(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &Kept{Key: key, Keepers: []Keeper{}}
	for _, all := range [][]Garbage{p.Give, p.Wait, p.Delete} {
		if i := slices.IndexFunc(all, func(g Garbage) bool { return g.Key == key }); i >= 0 {
			out.Garbage = &all[i]
			return out, nil
		}
	}
	err = s.keepers(ctx, st, c, o, func(k Keeper) { out.Keepers = append(out.Keepers, k) })
	out.Young = len(out.Keepers) == 0
	return out, err
}

// findContent finds the one object that a name means.
func (s *Store) findContent(ctx context.Context, name string) (key string, c content, err error) {
	hex := name[strings.LastIndexByte(name, '/')+1:]
	hex, _ = strings.CutSuffix(hex, ".json")
	if len(hex) < minPrefix {
		return "", c, fmt.Errorf("%q: %w: give its key, or six digits of its SHA-256", name, ErrNoObject)
	}
	var found []string
	for _, prefix := range []string{objectsPrefix + hex[:2] + "/" + hex[2:4] + "/" + hex, manifestsPrefix + hex} {
		if CheckKey(prefix) != nil {
			continue
		}
		for k, err := range s.b.List(ctx, prefix, "") {
			if err != nil {
				return "", c, err
			}
			if _, _, ok := parseContent(k); ok {
				found = append(found, k)
			}
		}
	}
	found = slices.DeleteFunc(found, func(k string) bool { return strings.Contains(name, "/") && k != name })
	switch len(found) {
	case 0:
		return "", c, fmt.Errorf("%q: %w", name, ErrNoObject)
	case 1:
		c, _, _ = parseContent(found[0])
		return found[0], c, nil
	}
	return "", c, fmt.Errorf("%q: %d objects start like this: give a whole key, such as %s", name, len(found), found[0])
}

func (s *Store) keepers(ctx context.Context, st State, c content, o GCOptions, tell func(Keeper)) error {
	needed := st.Needed()
	done := map[Digest]bool{}
	for _, info := range st.History {
		if done[info.Digest] {
			continue
		}
		done[info.Digest] = true
		tables, err := s.tablesWith(ctx, info.Manifest, c)
		if err != nil {
			return err
		}
		for _, table := range tables {
			tell(Keeper{Snapshot: info.Digest, Dataset: info.Dataset, Stage: info.Stage, Table: table, By: append([]string{}, needed[info.Digest]...)})
		}
	}
	for _, cp := range st.CheckpointsByTime() {
		for _, in := range cp.Inputs {
			if contentOf(in.object()) == c {
				tell(Keeper{By: []string{fmt.Sprintf("checkpoint %s (input %s)", cp.Name, in.Name)}})
			}
		}
	}
	if o.Roots == nil {
		return nil
	}
	roots, err := o.Roots(ctx, st)
	if err != nil {
		return err
	}
	for _, r := range roots {
		tables, err := s.tablesWith(ctx, r.Manifest, c)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		for _, table := range tables {
			tell(Keeper{Table: table, By: []string{r.Why}})
		}
	}
	return nil
}

// tablesWith lists the tables of a manifest that need content; one of no name if
// it is the manifest itself.
func (s *Store) tablesWith(ctx context.Context, manifest Digest, c content) (tables []string, err error) {
	if c == manifestContent(manifest) {
		return []string{""}, nil
	}
	sn, err := s.OpenManifest(ctx, manifest)
	if err != nil {
		return nil, err
	}
	for i := range sn.tables {
		has := false
		err := s.eachObject(ctx, &sn.tables[i], sn.readers[i], map[Digest]bool{}, func(o parts.Object) { has = has || contentOf(o) == c })
		if err != nil {
			return nil, err
		}
		if has {
			tables = append(tables, sn.tables[i].Name)
		}
	}
	return tables, nil
}
