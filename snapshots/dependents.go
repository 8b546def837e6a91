package snapshots

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// dependents finds what depends on each damaged object, in the whole store,
// whatever was asked for: snapshots, refs and checkpoints. A store without
// findings is not read for it.
func (v *verifier) dependents(ctx context.Context) error {
	slices.SortFunc(v.report.Findings, func(a, b Finding) int {
		rank := func(f Finding) int { return slices.IndexFunc(Kinds, func(i KindInfo) bool { return i.Kind == f.Kind }) }
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.Object, b.Object), strings.Compare(a.What, b.What))
	})
	d := dependents{v: v, of: map[string][]*Finding{}}
	for i := range v.report.Findings {
		f := &v.report.Findings[i]
		d.of[f.Object] = append(d.of[f.Object], f)
		d.values = d.values || strings.HasPrefix(string(f.Kind), "large-value-")
	}
	if len(d.of) == 0 {
		return ctx.Err()
	}
	seen := map[Digest]map[string]bool{}
	for _, info := range v.st.History {
		keys, known := seen[info.Manifest]
		if !known {
			var err error
			if keys, err = d.keys(ctx, info.Manifest); err != nil {
				return err
			}
			seen[info.Manifest] = keys
		}
		for key := range keys {
			for _, f := range d.of[key] {
				f.dependent(info)
			}
		}
	}
	d.names()
	return nil
}

type dependents struct {
	v      *verifier
	of     map[string][]*Finding // by object
	values bool                  // some are large values
}

// keys are those of the objects with findings that a manifest needs, itself
// included.
func (d *dependents) keys(ctx context.Context, name Digest) (map[string]bool, error) {
	out := map[string]bool{}
	note := func(key string) {
		if d.of[key] != nil {
			out[key] = true
		}
	}
	note(manifestKey(name))
	sn, err := d.v.s.OpenManifest(ctx, name)
	if err != nil {
		if IsCorrupt(err) || errors.Is(err, ErrNewerStore) {
			err = nil
		}
		return out, err
	}
	for i, t := range sn.tables {
		for _, o := range t.Objects() {
			note(objectKey(o))
		}
		for _, l := range t.Layers {
			for _, p := range l.Parts {
				for _, e := range p.Epochs {
					note(epochKey(e))
				}
			}
		}
		if !d.values {
			continue
		}
		for o, err := range sn.readers[i].LargeObjects(ctx) {
			if err != nil && !IsCorrupt(err) {
				return nil, err
			}
			if err == nil {
				note(objectKey(o))
			}
		}
	}
	return out, nil
}

func epochKey(epoch uint32) string { return "keys/" + strconv.FormatUint(uint64(epoch), 10) + "/" }

func (f *Finding) dependent(info SnapshotInfo) {
	if !slices.ContainsFunc(f.Snapshots, func(x SnapshotInfo) bool {
		return x.Digest == info.Digest && x.Dataset == info.Dataset && x.Stage == info.Stage
	}) {
		f.Snapshots = append(f.Snapshots, info)
	}
}

// names adds the refs and checkpoints of the snapshots, and the checkpoints
// that pin an object as an input.
func (d *dependents) names() {
	st := d.v.st
	for _, list := range d.of {
		for _, f := range list {
			hit := map[Digest]bool{}
			for _, info := range f.Snapshots {
				hit[info.Digest] = true
			}
			for _, name := range slices.Sorted(maps.Keys(st.Refs)) {
				if hit[st.Refs[name].Digest] {
					f.Refs = append(f.Refs, name)
				}
			}
			for _, c := range st.CheckpointsByTime() {
				pins := slices.ContainsFunc(c.Pinned(), func(role string) bool { return hit[c.Pin(role)] }) ||
					slices.ContainsFunc(c.Inputs, func(in CheckpointInput) bool { return objectKey(in.object()) == f.Object })
				if pins && !slices.Contains(f.Checkpoints, c.Name) {
					f.Checkpoints = append(f.Checkpoints, c.Name)
				}
			}
		}
	}
}
