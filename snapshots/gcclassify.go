package snapshots

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// classifier decides what becomes of each object, one after the other in the
// order of their keys.
type classifier struct {
	p     *GCPlan
	st    State
	now   time.Time
	grace time.Duration
	// newest file so far of each session that holds a target, and of each
	// target's credential sync: it stays.
	newest map[string]Detail
}

func (c *classifier) object(d Detail) {
	top, rest, _ := strings.Cut(d.Key, "/")
	switch top + "/" {
	case "objects/", manifestsPrefix:
		c.content(d)
	case runsPrefix:
		id, _, _ := strings.Cut(rest, "/")
		if drop, ok := c.st.DroppedRuns[id]; ok {
			c.file(d, "file of run "+id+": "+drop.String(), drop.Time)
			return
		}
		c.p.Kept.add(d.Size)
	case sessionsPrefix:
		c.session(d, path.Dir(rest))
	case syncPrefix:
		c.replaces(d, path.Dir(path.Dir(rest)), "an older sign of life of a credential sync")
	case DoctorPrefix:
		c.aged(d, "written by `store doctor` to probe the place")
	case "keys/", logPrefix, packsPrefix, formatKey + "/", repairedPrefix:
		c.p.Kept.add(d.Size)
	default:
		c.p.Unknown = append(c.p.Unknown, d.Key)
	}
}

// content looks at an object or manifest: names that were given up, the one
// that counts, and any that we can't know of.
func (c *classifier) content(d Detail) {
	is, given, ok := parseContent(d.Key)
	if !ok {
		c.p.Unknown = append(c.p.Unknown, d.Key)
		return
	}
	g := Garbage{Key: d.Key, Size: d.Size, is: is, given: given}
	mark := c.st.marks.mark(is)
	switch {
	case given < mark.Names:
		g.Why = fmt.Sprintf("given up (log entry %d)", mark.N)
		if g.Until = mark.Time.Add(c.grace); c.now.Before(g.Until) {
			c.p.Wait = append(c.p.Wait, g)
			return
		}
		g.Until = time.Time{}
		c.p.Delete = append(c.p.Delete, g)
	case c.p.live.has(is):
		c.p.Kept.add(d.Size)
	case given > mark.Names || c.young(d):
		c.p.Young.add(d.Size)
	default:
		c.p.Give = append(c.p.Give, g)
	}
}

func (c *classifier) young(d Detail) bool { return c.now.Sub(d.Modified) < c.grace }

// file is a file that nothing needs since a time.
func (c *classifier) file(d Detail, why string, since time.Time) {
	g := Garbage{Key: d.Key, Size: d.Size, Why: why, Until: since.Add(c.grace)}
	if c.now.Before(g.Until) {
		c.p.Wait = append(c.p.Wait, g)
		return
	}
	g.Until = time.Time{}
	c.p.Delete = append(c.p.Delete, g)
}

// aged is a file that nothing needs once it is old.
func (c *classifier) aged(d Detail, why string) {
	if c.young(d) {
		c.p.Young.add(d.Size)
		return
	}
	c.file(d, why, d.Modified)
}

// session keeps the last sign of life of who holds a target. A session that
// holds none may be about to take one, while it is young.
func (c *classifier) session(d Detail, session string) {
	for _, l := range c.st.Leases {
		if l.Holder.Session == session && !l.Released {
			c.replaces(d, sessionsPrefix+session, "an older sign of life of run "+l.Holder.Run)
			return
		}
	}
	c.aged(d, "a sign of life of a run that holds no target")
}

// replaces takes a file for the newest of its kind, which stays: keys come in
// the order of their numbers. The one before is of no use once it is old.
func (c *classifier) replaces(d Detail, kind, why string) {
	if old, ok := c.newest[kind]; ok {
		c.aged(old, why)
	}
	c.newest[kind] = d
}

func (c *classifier) end() {
	for _, kind := range slices.Sorted(maps.Keys(c.newest)) {
		c.p.Kept.add(c.newest[kind].Size)
	}
}
