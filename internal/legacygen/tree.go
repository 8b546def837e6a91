package legacygen

import (
	"strings"

	"github.com/parallelrun/parallelrun/internal/dn"
)

// Suffix is where the directory hangs.
const Suffix = "dc=legacy,dc=example"

// org is one of the two organizations.
type org struct {
	alias, name, text string
	domains           []string
	dn                string
	first, users      int // indexes of its people
	employeeBase      int
	units             []*unit
	good              []*unit // those that people belong to
	groups            int
}

// unit is a department.
type unit struct {
	id         int // over all organizations
	org        *org
	name, text string
	dn         string
	parent     string // DN as written, empty for roots
	roles      []string
	rule       string // that rejects it, empty for none
	cascaded   bool   // rejected only because its parent is
}

var rootTexts = map[string]string{"A": "Sales", "B": "Production", "C": "Finance & Controlling", "D": "Research/Development", "E": "Vertrieb Süd"}

// directory is everything but the people.
type directory struct {
	config Config
	layout layout
	orgs   [2]*org
	// unknown parents' and rejected departments' DNs for people to point at.
	rejected *unit
}

func newDirectory(c Config) *directory {
	d := &directory{config: c, layout: newLayout(c)}
	first := &org{alias: "meridian", name: "Meridian Works", text: "Maker of scales and balances", domains: []string{"meridian.example", "mail.meridian.example"},
		users: c.Users, employeeBase: 1000000, groups: max(8, c.Users/250)}
	second := &org{alias: "lumen", name: "Lumen Cooperative", text: "Genossenschaft für Beleuchtung", domains: []string{"lumen.example"},
		first: c.Users, users: c.SecondUsers, employeeBase: 9000000, groups: 2}
	d.orgs = [2]*org{first, second}
	for _, o := range d.orgs {
		o.dn = "o=" + o.alias + "," + Suffix
	}
	d.cleanUnits()
	if !c.Clean {
		d.dirtyUnits()
	}
	for i, u := range append(append([]*unit{}, first.units...), second.units...) {
		u.id = i
	}
	return d
}

// cleanUnits: five departments of six in the first organization, three in the
// second. The last root's children spell its DN in another way.
func (d *directory) cleanUnits() {
	for _, root := range []string{"A", "B", "C", "D", "E"} {
		o := d.orgs[0]
		r := o.unit(root, nil, rootTexts[root])
		r.roles = []string{strings.ToLower(root) + "-reader", strings.ToLower(root) + "-writer"}
		for _, sub := range []string{"1", "2", "3"} {
			s := o.unit(root+sub, r, rootTexts[root]+" "+sub)
			if root == "E" && !d.config.Clean {
				s.parent = otherSpelling(s.parent)
			}
			if sub == "1" {
				o.unit(root+"1-1", s, "")
				o.unit(root+"1-2", s, "")
			}
		}
	}
	o := d.orgs[1]
	o.unit("Front", nil, "Customers")
	o.unit("Back-1", o.unit("Back", nil, "Administration"), "")
	for _, o := range d.orgs {
		o.good = o.units
	}
}

// dirtyUnits: two with an unknown parent, one below them, and a cycle of three.
func (d *directory) dirtyUnits() {
	o := d.orgs[0]
	for _, n := range []string{"X1", "X2"} {
		u := o.unit(n, nil, "moved from a branch that was closed")
		u.parent, u.rule = "ou=Ghost,ou=units,"+o.dn, "unknown-parent"
	}
	d.rejected = o.units[len(o.units)-2]
	below := o.unit("X1-1", d.rejected, "")
	below.cascaded = true
	loop := []*unit{o.unit("Loop1", nil, ""), o.unit("Loop2", nil, ""), o.unit("Loop3", nil, "")}
	for i, u := range loop {
		u.parent, u.rule = loop[(i+1)%len(loop)].dn, "department-cycle"
	}
}

func (o *org) unit(name string, parent *unit, text string) *unit {
	u := &unit{org: o, name: name, text: text, dn: "ou=" + name + ",ou=units," + o.dn}
	if parent != nil {
		u.dn, u.parent = "ou="+name+","+parent.dn, parent.dn
	}
	o.units = append(o.units, u)
	return u
}

// org is the organization of person i.
func (d *directory) org(i int) *org {
	if i < d.orgs[1].first {
		return d.orgs[0]
	}
	return d.orgs[1]
}

func (d *directory) people() int { return d.orgs[0].users + d.orgs[1].users }

// otherSpelling writes a DN as somebody else would type it.
func otherSpelling(s string) string {
	parsed, err := dn.Parse(s)
	if err != nil {
		return s // our own DNs parse
	}
	parts := make([]string, len(parsed))
	for i, r := range parsed {
		attrs := make([]string, len(r))
		for j, a := range r {
			attrs[j] = strings.ToUpper(a.Type) + "=" + dn.Escape(capital(a.Value))
		}
		parts[i] = strings.Join(attrs, "+")
	}
	return strings.Join(parts, ", ")
}

// capital makes the first letter a capital, where case is no question of
// language.
func capital(s string) string {
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}
