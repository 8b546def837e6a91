package legacygen

// Kind is the one way in which a person's entry is special.
type Kind string

// The kinds. What a migration is expected to do with each stands beside it.
const (
	Plain Kind = "plain" // carried

	// CaseDuplicate: two people whose uid differs in case alone. Both are
	// rejected by rule duplicate-username.
	CaseDuplicate Kind = "case-duplicate"
	// EmailDuplicate: two people with the same first mail; in every other pair
	// its case differs. Both are rejected by rule duplicate-email.
	EmailDuplicate Kind = "email-duplicate"
	// UnknownDepartment: the only departmentDN names no entry. The person is
	// fine, the membership fails by rule missing-department.
	UnknownDepartment Kind = "unknown-department"
	// RejectedDepartment: the only departmentDN names a department that is
	// itself rejected.
	RejectedDepartment Kind = "rejected-department"
	// Left: accountStatus left. Excluded, before uniqueness is looked at.
	Left Kind = "left"
	// Reused: an active person with the uid (and, in every other case, the mail)
	// of somebody who left, who is of kind ReusedLeft. Carried.
	Reused Kind = "reused"
	// ReusedLeft: accountStatus left; excluded.
	ReusedLeft Kind = "reused-left"

	// The rest is carried.

	MissingSurname Kind = "missing-surname" // no sn: "account is not fully set up" at the first login
	Disabled       Kind = "disabled"        // accountStatus disabled
	Locked         Kind = "locked"          // pwdAccountLockedTime 000001010000Z
	Expiring       Kind = "expiring"        // accountExpires in 2099
	Expired        Kind = "expired"         // accountExpires in 2020
	MustChange     Kind = "must-change"     // pwdReset TRUE
	NoMail         Kind = "no-mail"
	NoPassword     Kind = "no-password"
	NoDepartment   Kind = "no-department" // member of the organization alone
	// HiddenSecret: the description holds a password hash or a one-time-password
	// seed; the source seals it.
	HiddenSecret Kind = "hidden-secret"
	// OtherSpelling: departmentDN spells the department's dn in another way.
	OtherSpelling Kind = "other-spelling"
)

// share is how many of 10,000 people are of a kind. Kinds with a partner come
// in pairs, so their share is even.
type share struct {
	kind    Kind
	perMyri int
	pair    Kind // of the first of two, if the kind comes in pairs
}

var shares = []share{
	{CaseDuplicate, 40, CaseDuplicate}, {EmailDuplicate, 30, EmailDuplicate}, {Reused, 24, ReusedLeft},
	{UnknownDepartment, 25, ""}, {RejectedDepartment, 6, ""}, {Left, 80, ""}, {MissingSurname, 40, ""},
	{Disabled, 150, ""}, {Locked, 80, ""}, {Expiring, 60, ""}, {Expired, 40, ""}, {MustChange, 100, ""},
	{NoMail, 30, ""}, {NoPassword, 40, ""}, {NoDepartment, 20, ""}, {HiddenSecret, 5, ""}, {OtherSpelling, 50, ""},
}

// Excluded reports whether the mapping leaves people of the kind out.
func (k Kind) Excluded() bool { return k == Left || k == ReusedLeft }

// Rule is the rule that rejects people of the kind, empty for none.
func (k Kind) Rule() string {
	switch k {
	case CaseDuplicate:
		return "duplicate-username"
	case EmailDuplicate:
		return "duplicate-email"
	}
	return ""
}

// Carried reports whether people of the kind reach the target.
func (k Kind) Carried() bool { return !k.Excluded() && k.Rule() == "" }

// Active reports whether people of the kind may log in at the legacy system.
func (k Kind) Active() bool {
	return !k.Excluded() && k != Disabled && k != Locked && k != Expired && k != NoPassword
}

// layout spreads the kinds over the first organization: person i has slot
// (a*i+b) mod users, and each kind owns a range of slots. So a person's kind
// and partner are computed, never stored.
type layout struct {
	users      int
	a, b, inv  int
	ranges     []slotRange
	firstPlain int
}

type slotRange struct {
	share
	from, to int
}

func newLayout(c Config) layout {
	l := layout{users: c.Users, a: 1}
	if !c.Clean {
		l.spread(c)
	}
	l.inv = inverse(l.a, l.users)
	return l
}

func (l *layout) spread(c Config) {
	next := 0
	for _, s := range shares {
		n := max(1, (c.Users*s.perMyri+5000)/10000)
		if s.pair != "" {
			n = max(2, n/2*2)
		}
		l.ranges = append(l.ranges, slotRange{s, next, next + n})
		next += n
	}
	l.firstPlain = next
	d := newDraw(c.Seed, "layout", 0)
	l.b = d.n(c.Users)
	l.a = c.Users*618/1000 + d.n(c.Users/10+1)
	for gcd(l.a, c.Users) != 1 {
		l.a++
	}
}

// kind is the kind of person i, and its position among its kind's slots.
func (l *layout) kind(i int) (k Kind, pos int) {
	slot := (l.a*i + l.b) % l.users
	if slot >= l.firstPlain {
		return Plain, slot - l.firstPlain
	}
	for _, r := range l.ranges {
		if slot < r.to {
			pos = slot - r.from
			if r.pair != "" && pos%2 == 0 {
				return r.pair, pos
			}
			return r.kind, pos
		}
	}
	return Plain, 0
}

// partner is the first person of the pair in which i is the second.
func (l *layout) partner(i int) int {
	slot := (l.a*i + l.b) % l.users
	return (slot - 1 - l.b + l.users) % l.users * l.inv % l.users
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// inverse is x with a*x = 1 mod m, by the extended Euclidean algorithm.
func inverse(a, m int) int {
	if m == 1 {
		return 0
	}
	r0, r1, s0, s1 := m, a%m, 0, 1
	for r1 != 0 {
		q := r0 / r1
		r0, r1 = r1, r0-q*r1
		s0, s1 = s1, s0-q*s1
	}
	return (s0%m + m) % m
}
