package snapshots

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// minPrefix is how many digits of a digest must be given at least.
const minPrefix = 6

// Resolve finds the snapshot that a name stands for: a ref, what a checkpoint
// pins (checkpoint/<name>/<role>), a digest, or the first digits of one. Else
// the error is an *UnknownSnapshotError.
func (st State) Resolve(name string) (SnapshotInfo, error) {
	if info, ok, err := st.pinned(name); ok {
		return info, err
	}
	if ref, ok := st.Refs[name]; ok {
		return st.Snapshots[ref.Digest], nil
	}
	var found []Digest
	if len(name) >= minPrefix {
		for d := range st.Snapshots {
			if strings.HasPrefix(d.String(), name) {
				found = append(found, d)
			}
		}
	}
	switch len(found) {
	case 1:
		return st.Snapshots[found[0]], nil
	case 0:
		e := st.unknown(name)
		if e.Why == "" {
			e.Near = st.near(name)
		}
		return SnapshotInfo{}, e
	}
	e := &UnknownSnapshotError{Name: name}
	for _, d := range found {
		e.Many = append(e.Many, d.String()[:min(len(name)+6, 64)])
	}
	slices.Sort(e.Many)
	return SnapshotInfo{}, e
}

// unknown is the error for a name that no snapshot has; it knows whether one
// had it.
func (st *State) unknown(name string) *UnknownSnapshotError {
	e := &UnknownSnapshotError{Name: name}
	if len(name) < minPrefix {
		return e
	}
	for d, drop := range st.Dropped {
		if strings.HasPrefix(d.String(), name) && drop.N > e.dropped {
			e.Why, e.dropped = drop.String(), drop.N
		}
	}
	return e
}

// Names lists the refs of each snapshot, then what checkpoints pin it as.
func (st State) Names() map[Digest][]string {
	out := map[Digest][]string{}
	for _, name := range slices.Sorted(maps.Keys(st.Refs)) {
		d := st.Refs[name].Digest
		out[d] = append(out[d], name)
	}
	for _, c := range st.CheckpointsByTime() {
		for _, role := range c.Pinned() {
			out[c.Pin(role)] = append(out[c.Pin(role)], PinName(c.Name, role))
		}
	}
	return out
}

// near lists a few names that could be meant.
func (st State) near(name string) []string {
	var known []string
	for ref := range st.Refs {
		known = append(known, ref)
	}
	for d := range st.Snapshots {
		known = append(known, d.String()[:min(max(len(name), 12), 64)])
	}
	if strings.HasPrefix(name, checkpointPrefix) {
		known = append(known, st.pinNames()...)
	}
	return nearest(name, known)
}

// nearest picks the few known names that are most like a name.
func nearest(name string, known []string) []string {
	type candidate struct {
		name string
		far  int
	}
	var all []candidate
	for _, k := range known {
		far := distance(strings.ToLower(name), strings.ToLower(k))
		if strings.Contains(k, name) || strings.Contains(name, k) {
			far = min(far, 1)
		}
		if far <= 2 || far <= len(name)/3 {
			all = append(all, candidate{k, far})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		if a.far != b.far {
			return a.far - b.far
		}
		return strings.Compare(a.name, b.name)
	})
	var names []string
	for _, c := range all[:min(len(all), 3)] {
		names = append(names, c.name)
	}
	return names
}

// distance is the number of letters to add, drop or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Snapshot opens the snapshot that a name stands for.
func (s *Store) Snapshot(ctx context.Context, name string) (*Snapshot, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	info, err := st.Resolve(name)
	if err != nil {
		return nil, err
	}
	sn, err := s.OpenManifest(ctx, info.Manifest)
	if err != nil {
		return nil, err
	}
	if sn.Digest() != info.Digest {
		return nil, &CorruptError{Object: logKey(info.N), What: fmt.Sprintf("it says that manifest %s holds snapshot %s, the manifest says %s",
			info.Manifest.Short(), info.Digest.Short(), sn.Digest().Short()), Advice: logAdvice}
	}
	sn.info = info
	return sn, nil
}
