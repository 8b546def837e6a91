package legacygen

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/parallelrun/parallelrun/internal/ldifwriter"
)

// Generate writes the directory and tells what it wrote. It streams: memory
// does not grow with the number of users.
func Generate(w io.Writer, c Config) (*Counts, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &generator{directory: newDirectory(c), counts: newCounts(), out: w}
	for _, step := range []func() error{g.head, g.units, g.people, g.groups} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("legacygen: %w", err)
		}
	}
	return g.counts, nil
}

type generator struct {
	*directory
	counts *Counts
	out    io.Writer
}

// write runs fn over a writer and flushes it.
func (g *generator) write(fn func(entries)) error {
	w := ldifwriter.New(g.out)
	fn(entries{w, g.config})
	return w.Flush()
}

// head writes the version, the domain, the organizations and containers.
func (g *generator) head() error {
	return g.write(func(w entries) {
		w.Version()
		w.Comment("A legacy directory that never was: made by Parallel Run's generator.\n" +
			fmt.Sprintf("seed %d, %d and %d users", g.config.Seed, g.config.Users, g.config.SecondUsers))
		w.container(Suffix, "domain", "dc", "legacy", 0)
		g.counts.entry("entries", "")
		for i, o := range g.orgs {
			w.organization(o, i)
			g.counts.entry("organizations", "")
			for j, ou := range []string{"people", "units", "groups"} {
				w.container("ou="+ou+","+o.dn, "organizationalUnit", "ou", ou, 1+3*i+j)
				g.counts.entry("entries", "")
			}
		}
	})
}

// units writes the departments, children before parents as often as not.
func (g *generator) units() error {
	return g.write(func(w entries) {
		for _, o := range g.orgs {
			for i := range o.units {
				u := o.units[(i*7+3)%len(o.units)]
				if len(o.units)%7 == 0 {
					u = o.units[len(o.units)-1-i]
				}
				w.unit(u)
				g.counts.unit(u)
				if strings.Contains(u.parent, ", ") {
					g.counts.OtherSpellings++
				}
			}
		}
	})
}

// block is how many people one worker writes at a time.
const block = 128

// people writes all people in order. Blocks are made by several workers,
// because hashing passwords takes most of the time.
func (g *generator) people() error {
	type result struct {
		text   []byte
		people []*person
		err    error
	}
	workers := runtime.GOMAXPROCS(0)
	queue := make(chan chan result, workers)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() {
		defer close(queue)
		for from := 0; from < g.directory.people(); from += block {
			done := make(chan result, 1)
			select {
			case queue <- done:
			case <-stop:
				return
			}
			wg.Go(func() {
				text, people, err := g.block(from)
				done <- result{text, people, err}
			})
		}
	})
	for done := range queue {
		r := <-done
		if r.err != nil {
			return r.err
		}
		if _, err := g.out.Write(r.text); err != nil {
			return err
		}
		for _, p := range r.people {
			g.counts.person(p)
		}
	}
	return nil
}

// block writes some people to memory.
func (g *generator) block(from int) ([]byte, []*person, error) {
	var buf bytes.Buffer
	w := ldifwriter.New(&buf)
	var people []*person
	for i := from; i < min(from+block, g.directory.people()); i++ {
		p := g.person(i)
		if err := (entries{w, g.config}).person(p); err != nil {
			return nil, nil, err
		}
		people = append(people, p)
	}
	err := w.Flush() // before the bytes are taken
	return buf.Bytes(), people, err
}

func (g *generator) groups() error {
	for _, o := range g.orgs {
		for i := range o.groups {
			x := g.group(o, i)
			err := g.write(func(w entries) {
				kinds := w.group(g.directory, x)
				g.counts.group(x, kinds, o == g.orgs[0] && !g.config.Clean && i >= o.groups-3)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// entries writes entries of each sort.
type entries struct {
	*ldifwriter.Writer
	config Config
}

const timeFormat = "20060102150405Z"

func (w entries) text(name, v string) {
	if v != "" {
		w.Value(name, []byte(v))
	}
}

func (w entries) classes(names ...string) {
	for _, n := range append([]string{"top"}, names...) {
		w.text("objectClass", n)
	}
}

// operational writes what the server keeps by itself.
func (w entries) operational(table string, i int, created, modified time.Time) {
	w.text("entryUUID", uuid(w.config.Seed, table, i))
	w.text("createTimestamp", created.Format(timeFormat))
	w.text("modifyTimestamp", modified.Format(timeFormat))
}

var founded = time.Date(2004, 3, 1, 9, 30, 0, 0, time.UTC)

func (w entries) container(dn, class, attr, v string, i int) {
	w.Begin(dn)
	w.classes(class)
	w.text(attr, v)
	w.operational("entries", i, founded, founded)
	w.End()
}

func (w entries) organization(o *org, i int) {
	w.Begin(o.dn)
	w.classes("organization", "legacyOrganization")
	w.text("o", o.alias)
	w.text("displayName", o.name)
	w.text("description", o.text)
	for _, d := range o.domains {
		w.text("associatedDomain", d)
	}
	w.text("accountStatus", "active")
	w.operational("organizations", i, founded, founded)
	w.End()
}

func (w entries) unit(u *unit) {
	w.Begin(u.dn)
	w.classes("organizationalUnit", "legacyDepartment")
	w.text("ou", u.name)
	w.text("description", u.text)
	w.text("organizationDN", u.org.dn)
	w.text("parentDepartment", u.parent)
	w.text("costCenter", fmt.Sprintf("CC-%04d", 1000+u.id))
	for _, r := range u.roles {
		w.text("departmentRole", r)
	}
	w.operational("units", u.id, founded.AddDate(0, u.id, 0), founded.AddDate(1, u.id, 0))
	w.End()
}

func (w entries) group(d *directory, g *group) []Kind {
	w.Begin(g.dn)
	w.classes("groupOfNames")
	w.text("cn", g.cn)
	w.text("description", g.text)
	kinds := make([]Kind, len(g.members))
	for i, m := range g.members {
		p := d.person(m)
		kinds[i] = p.kind
		if !w.config.Clean && variant(m) {
			g.variants++
			w.text("member", otherSpelling(p.dn))
			continue
		}
		w.text("member", p.dn)
	}
	for _, n := range g.nested {
		w.text("member", n.dn)
	}
	for _, ghost := range g.ghosts {
		w.text("member", ghost)
	}
	w.operational("groups "+g.org.alias, g.index, founded.AddDate(0, 0, g.index), founded.AddDate(2, 0, g.index))
	w.End()
	return kinds
}
