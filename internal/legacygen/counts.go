package legacygen

// Counts is what Generate wrote: the figures that a migration must come to.
// Maps from a table are keyed by the suggested legacy tables: organizations,
// units, people, groups, entries (containers and the domain).
type Counts struct {
	Entries int            `json:"entries"`
	Tables  map[string]int `json:"tables"`
	// People counts people by kind.
	People map[Kind]int `json:"people"`
	// Rejected counts rows by table and rule; UnitsBelowRejected are rejected
	// beside them, for their parent's sake.
	Rejected           map[string]map[string]int `json:"rejected"`
	UnitsBelowRejected int                       `json:"units_below_rejected"`
	// Excluded counts people who left.
	Excluded int `json:"excluded"`
	// Carried counts rows by table that are neither rejected nor excluded.
	Carried map[string]int `json:"carried"`

	Memberships Memberships `json:"memberships"`
	Groups      GroupCounts `json:"groups"`
	// All counts traits of all people, CarriedTraits of the carried ones.
	All           Traits `json:"all"`
	CarriedTraits Traits `json:"carried_traits"`

	// Disabled, Expired, Expiring and MustChange count carried people;
	// Disabled those with status disabled or locked.
	Disabled   int `json:"disabled"`
	Expired    int `json:"expired"`
	Expiring   int `json:"expiring"`
	MustChange int `json:"must_change"`
	// OtherSpellings counts references (departmentDN of people,
	// parentDepartment, member) that spell a DN in another way.
	OtherSpellings int `json:"other_spellings"`
}

// Memberships counts departments of carried people.
type Memberships struct {
	// Good: pairs of person and department that are sound.
	Good int `json:"good"`
	// MissingDepartment: the department does not exist.
	MissingDepartment int `json:"missing_department"`
	// RejectedDepartment: the department is itself rejected.
	RejectedDepartment int `json:"rejected_department"`
	// OrganizationOnly: people without any department.
	OrganizationOnly int `json:"organization_only"`
	// Roles: people with a role in their first department, which is sound.
	Roles int `json:"roles"`
}

// GroupCounts counts values of member.
type GroupCounts struct {
	Members         int `json:"members"` // all values
	ToCarried       int `json:"to_carried"`
	ToExcluded      int `json:"to_excluded"`
	ToRejected      int `json:"to_rejected"`
	Dangling        int `json:"dangling"`
	Nested          int `json:"nested"`           // values that name a group
	InCycle         int `json:"in_cycle"`         // groups
	EmptyAfterwards int `json:"empty_afterwards"` // groups without a carried member or nested group
}

// Traits count people with a property, or values where that is said.
type Traits struct {
	Schemes     map[string]int `json:"schemes"` // by neutral name of the password's scheme
	Photos      int            `json:"photos"`
	LargePhotos int            `json:"large_photos"`
	PhotoBytes  int64          `json:"photo_bytes"`
	NonLatin    int            `json:"non_latin"`
	CommaDNs    int            `json:"comma_dns"`
	SeveralMail int            `json:"several_mail"`
	MailValues  int            `json:"mail_values"`
	SeveralTel  int            `json:"several_telephone"`
	TelValues   int            `json:"telephone_values"`
	Described   int            `json:"described"`
}

func newCounts() *Counts {
	return &Counts{Tables: map[string]int{}, People: map[Kind]int{}, Rejected: map[string]map[string]int{}, Carried: map[string]int{},
		All: Traits{Schemes: map[string]int{}}, CarriedTraits: Traits{Schemes: map[string]int{}}}
}

// entry counts an entry of a table that is carried, or rejected by a rule.
func (c *Counts) entry(table, rule string) {
	c.Entries++
	c.Tables[table]++
	if rule == "" {
		c.Carried[table]++
		return
	}
	if c.Rejected[table] == nil {
		c.Rejected[table] = map[string]int{}
	}
	c.Rejected[table][rule]++
}

func (c *Counts) unit(u *unit) {
	if u.cascaded {
		c.Entries++
		c.Tables["units"]++
		c.UnitsBelowRejected++
		return
	}
	c.entry("units", u.rule)
}

func (c *Counts) person(p *person) {
	c.People[p.kind]++
	c.All.add(p)
	if p.kind == OtherSpelling {
		c.OtherSpellings++
	}
	if p.kind.Excluded() {
		c.Entries++
		c.Tables["people"]++
		c.Excluded++
		return
	}
	c.entry("people", p.kind.Rule())
	if !p.kind.Carried() {
		return
	}
	c.CarriedTraits.add(p)
	c.Memberships.add(p)
	switch p.kind {
	case Disabled, Locked:
		c.Disabled++
	case Expired:
		c.Expired++
	case Expiring:
		c.Expiring++
	case MustChange:
		c.MustChange++
	}
}

func (m *Memberships) add(p *person) {
	m.Good += p.good
	switch p.kind {
	case UnknownDepartment:
		m.MissingDepartment++
	case RejectedDepartment:
		m.RejectedDepartment++
	case NoDepartment:
		m.OrganizationOnly++
	}
	if p.role != "" && p.good > 0 {
		m.Roles++
	}
}

func (t *Traits) add(p *person) {
	if p.scheme != "" {
		t.Schemes[p.scheme]++
	}
	count := func(n *int, is bool) {
		if is {
			*n++
		}
	}
	count(&t.Photos, p.photo > 0)
	count(&t.LargePhotos, p.photo == largePhoto)
	t.PhotoBytes += int64(p.photo)
	count(&t.NonLatin, p.nonLatin)
	count(&t.CommaDNs, p.comma)
	count(&t.SeveralMail, len(p.mail) > 1)
	count(&t.SeveralTel, len(p.phones) > 1)
	count(&t.Described, p.text != "")
	t.MailValues += len(p.mail)
	t.TelValues += len(p.phones)
}

// group counts a group whose members are of the given kinds.
func (c *Counts) group(g *group, kinds []Kind, inCycle bool) {
	c.entry("groups", "")
	c.Groups.Members += len(kinds) + len(g.nested) + len(g.ghosts)
	c.Groups.Nested += len(g.nested)
	c.Groups.Dangling += len(g.ghosts)
	if inCycle {
		c.Groups.InCycle++
	}
	carried := 0
	for _, k := range kinds {
		switch {
		case k.Excluded():
			c.Groups.ToExcluded++
		case k.Rule() != "":
			c.Groups.ToRejected++
		default:
			carried++
		}
	}
	c.OtherSpellings += g.variants
	c.Groups.ToCarried += carried
	if carried == 0 && len(g.nested) == 0 {
		c.Groups.EmptyAfterwards++
	}
}
