package snapshots

import (
	"errors"
	"fmt"
	"time"
)

// GarbageAction gives up the names of objects and manifests that nothing in the
// log needs. It is for good: from this entry on nobody refers to those names,
// so that whoever deletes what lies under them, however late, deletes nothing
// that is needed. Content that is needed again gets the next name.
type GarbageAction struct {
	Objects   []Digest `json:"objects,omitempty"`   // by SHA-256
	Manifests []Digest `json:"manifests,omitempty"` // by SHA-256
	// Bytes is how much lay under those names, for people.
	Bytes int64 `json:"bytes"`
}

const kindGarbage = "garbage"

func (GarbageAction) kind() string { return kindGarbage }
func (GarbageAction) version() int { return 1 }

func (a GarbageAction) check(st *State) error {
	if len(a.Objects)+len(a.Manifests) == 0 {
		return errors.New("garbage action without objects and manifests")
	}
	given := map[Digest]bool{}
	for _, d := range a.Manifests {
		given[d] = true
	}
	for d, info := range st.Snapshots {
		if given[info.Manifest] {
			return fmt.Errorf("manifest %s holds snapshot %s: it is no garbage", info.Manifest.Short(), d.Short())
		}
	}
	return nil
}

func (a GarbageAction) apply(st *State, e *Entry) {
	m := st.marks.writable()
	for _, d := range a.Objects {
		m.objects[d] = m.objects[d].next(e)
	}
	for _, d := range a.Manifests {
		m.manifests[d] = m.manifests[d].next(e)
	}
	st.marks = m
}

// Mark is what the log says of content that was garbage: how many names of it
// were given up, and in which entry the last was. The zero Mark: none.
type Mark struct {
	Names int
	N     uint64
	Time  time.Time
}

func (m Mark) next(e *Entry) Mark { return Mark{Names: m.Names + 1, N: e.N, Time: e.Time} }

// marks are all Marks. They may be many, so states share them until one of them
// folds another.
type marks struct {
	objects, manifests map[Digest]Mark
	own                bool
}

func (m marks) shared() marks { m.own = false; return m }

func (m marks) writable() marks {
	if m.own {
		return m
	}
	return marks{objects: cloneMap(m.objects), manifests: cloneMap(m.manifests), own: true}
}

func (m marks) empty() bool { return len(m.objects)+len(m.manifests) == 0 }

// content is one thing that is named for its SHA-256: an object or a manifest.
type content struct {
	sum      Digest
	manifest bool
}

// mark is what the log says of the content.
func (m marks) mark(c content) Mark {
	if c.manifest {
		return m.manifests[c.sum]
	}
	return m.objects[c.sum]
}

// key is the content's current name.
func (m marks) key(c content) string { return c.key(m.mark(c).Names) }

// key is the content's name after so many were given up: its SHA-256, then the
// same with -2, -3 and so on behind it.
func (c content) key(given int) string {
	name := c.sum.String()
	if given > 0 {
		name = fmt.Sprintf("%s-%d", name, given+1)
	}
	if c.manifest {
		return manifestsPrefix + name + ".json"
	}
	return objectsPrefix + name[:2] + "/" + name[2:4] + "/" + name
}

// Mark says whether, and when, names of an object were given up.
func (st State) Mark(object Digest) Mark { return st.marks.objects[object] }

// Marked is how many objects and manifests ever lost a name.
func (st State) Marked() int { return len(st.marks.objects) + len(st.marks.manifests) }
