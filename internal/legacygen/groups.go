package legacygen

import "fmt"

// group is a groupOfNames of the first or second organization.
type group struct {
	index   int
	org     *org
	dn, cn  string
	text    string
	nested  []*group
	ghosts  []string // members that do not exist
	members []int
	// variants is how many members were written in another spelling.
	variants int
}

func (d *directory) newGroup(o *org, g int) *group {
	cn := fmt.Sprintf("%s-g%03d", o.alias, g)
	return &group{index: g, org: o, cn: cn, dn: "cn=" + cn + ",ou=groups," + o.dn, text: "project " + fmt.Sprint(g)}
}

// group computes one group with its members: every person is in one group,
// every third in a second one.
func (d *directory) group(o *org, g int) *group {
	x := d.newGroup(o, g)
	for i := g; i < o.users; i += o.groups {
		x.members = append(x.members, o.first+i)
	}
	for third := g; 3*third < o.users; third += o.groups {
		if 3*third%o.groups != g { // not there already
			x.members = append(x.members, o.first+3*third)
		}
	}
	if o != d.orgs[0] || d.config.Clean {
		return x
	}
	for _, n := range d.nesting(g) {
		x.nested = append(x.nested, d.newGroup(o, n))
	}
	if g < d.ghosts() {
		x.ghosts = append(x.ghosts, fmt.Sprintf("employeeNumber=%d,ou=people,%s", o.employeeBase-1-g, o.dn))
	}
	return x
}

// nesting are the groups that are members of group g: a small tree at the
// start, a cycle of three at the end.
func (d *directory) nesting(g int) []int {
	n := d.orgs[0].groups
	switch g {
	case 0:
		return []int{1, 2}
	case 1:
		return []int{3}
	case n - 3:
		return []int{n - 2}
	case n - 2:
		return []int{n - 1}
	case n - 1:
		return []int{n - 3}
	}
	return nil
}

// ghosts is how many groups have a member that does not exist.
func (d *directory) ghosts() int { return max(1, d.orgs[0].groups/2) }

// variant reports whether a group spells the DN of member i in another way.
func variant(i int) bool { return i%97 == 5 }
