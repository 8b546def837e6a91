package legacygen

import (
	"fmt"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/internal/dn"
	"github.com/parallelrun/parallelrun/schemas"
)

// person is one person's entry, before it is written. Passwords are hashed and
// photos drawn only when it is.
type person struct {
	index    int
	kind     Kind
	pos      int // among the kind's
	org      *org
	dn       string
	key      string
	uid      string
	cn       string
	given    string
	surname  string // empty: none
	mail     []string
	phones   []string
	number   string
	title    string
	language string
	nonLatin bool
	comma    bool // the DN has an escaped comma
	text     string
	role     string
	scheme   string // empty: no password
	photo    int    // bytes, zero for none
	depts    []string
	good     int // how many of depts are sound departments
	created  time.Time
	modified time.Time
	changed  time.Time // password
}

// person computes person i; it is the same whenever it is called.
func (d *directory) person(i int) *person {
	r := newDraw(d.config.Seed, "person", i)
	p := &person{index: i, org: d.org(i), kind: Plain, pos: i, key: uuid(d.config.Seed, "people", i)}
	if i < d.orgs[0].users {
		p.kind, p.pos = d.layout.kind(i)
	}
	p.number = fmt.Sprint(p.org.employeeBase + i - p.org.first)
	d.name(p, r)
	d.contact(p, r)
	d.departments(p, r)
	p.title = pick(r, titles)
	p.scheme = scheme(r)
	p.photo = d.photo(p, r)
	p.text = d.text(p, r)
	p.times(r)
	d.special(p)
	return p
}

func (d *directory) name(p *person, r *draw) {
	l := drawLanguage(r)
	given, surname := pick(r, l.given), pick(r, l.surname)
	p.language, p.nonLatin = l.tag, l.nonLatin
	p.given, p.surname = given.written, surname.written
	p.cn = given.written + " " + surname.written
	if l.surname1st {
		p.cn = surname.written + given.written
	}
	p.uid = fmt.Sprintf("%s.%s.%d", given.ascii, surname.ascii, p.index)
	if r.percent(40) {
		p.uid = fmt.Sprintf("%s%s%d", given.ascii[:1], surname.ascii, p.index)
	}
	rdn := "employeeNumber=" + p.number
	if p.comma = r.percent(3); p.comma {
		p.cn = surname.written + ", " + given.written
		rdn = "cn=" + dn.Escape(p.cn) + "+" + rdn
	}
	p.dn = rdn + ",ou=people," + p.org.dn
	p.mail = []string{fmt.Sprintf("%s.%s.%d@%s", given.ascii, surname.ascii, p.index, p.org.domains[0])}
}

// contact adds further addresses and telephone numbers.
func (d *directory) contact(p *person, r *draw) {
	if r.percent(10) {
		p.mail = append(p.mail, "p"+p.number+"@"+p.org.domains[len(p.org.domains)-1])
		if r.percent(20) {
			p.mail = append(p.mail, "desk-"+p.number+"@"+p.org.domains[0])
		}
	}
	if r.percent(80) {
		p.phones = append(p.phones, fmt.Sprintf("+49 30 555 %04d", p.index%10000))
		if r.percent(18) {
			p.phones = append(p.phones, fmt.Sprintf("+49 170 %07d", r.n(10000000)))
		}
	}
}

func (d *directory) departments(p *person, r *draw) {
	units := p.org.good
	first := r.n(len(units))
	p.depts = []string{units[first].dn}
	if r.percent(12) {
		second := (first + 1 + r.n(len(units)-1)) % len(units)
		p.depts = append(p.depts, units[second].dn)
	}
	p.good = len(p.depts)
	switch n := r.n(100); n {
	case 0:
		p.role = "lead"
	case 1, 2:
		p.role = "deputy"
	}
}

// photo is the size of the person's photo: every twentieth has a small one,
// and the first few Plain people a large one.
func (d *directory) photo(p *person, r *draw) int {
	size := 1024 + r.n(7*1024)
	switch {
	case p.kind == Plain && p.org == d.orgs[0] && p.pos < d.config.LargePhotos:
		return largePhoto
	case r.percent(5):
		return size
	}
	return 0
}

const largePhoto = 1 << 20

func (d *directory) text(p *person, r *draw) string {
	switch n := r.n(100); {
	case n < 8:
		return pick(r, longTexts)
	case n < 10:
		return pick(r, multiLineTexts)
	case n < 30:
		return "room " + fmt.Sprint(100+r.n(800))
	}
	return ""
}

// times draws the dates, all of them in the past of any run.
func (p *person) times(r *draw) {
	start := time.Date(2005, 1, 1, 0, 0, 0, 0, time.UTC)
	const span = 18 * 365 * 24 * 3600
	created := r.n(span)
	changed := created + r.n(span-created+1)
	modified := changed + r.n(span-changed+1)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	p.created, p.changed, p.modified = at(created), at(changed), at(modified)
}

// special makes the person what its kind says.
func (d *directory) special(p *person) {
	switch p.kind {
	case CaseDuplicate:
		if p.pos%2 == 1 {
			first := d.person(d.layout.partner(p.index))
			p.uid = strings.ToUpper(first.uid[:1]) + first.uid[1:]
			if p.pos%4 == 3 {
				p.uid = strings.ToUpper(first.uid)
			}
		}
	case EmailDuplicate:
		if p.pos%2 == 1 {
			first := d.person(d.layout.partner(p.index))
			p.mail[0] = first.mail[0]
			if p.pos%4 == 3 {
				local, domain, _ := strings.Cut(first.mail[0], "@")
				p.mail[0] = strings.ToUpper(local) + "@" + domain
			}
		}
	case Reused:
		left := d.person(d.layout.partner(p.index))
		p.uid = left.uid
		if p.pos%4 == 3 {
			p.mail[0] = left.mail[0]
		}
	case UnknownDepartment:
		p.depts, p.good = []string{"ou=Gone" + fmt.Sprint(p.pos%3) + "," + p.org.units[0].dn}, 0
	case RejectedDepartment:
		p.depts, p.good = []string{d.rejected.dn}, 0
	case NoDepartment:
		p.depts, p.good, p.role = nil, 0, ""
	case OtherSpelling:
		p.depts[0] = otherSpelling(p.depts[0])
	case MissingSurname:
		p.surname = ""
	case NoMail:
		p.mail = nil
	case NoPassword:
		p.scheme = ""
	case HiddenSecret:
		p.text = d.hidden(p)
	}
	if p.kind == Left || p.kind == ReusedLeft {
		p.changed = p.created
	}
}

// hidden is a description with a secret in it, of every form in turn.
func (d *directory) hidden(p *person) string {
	clear := clearPassword(d.config.Seed, -1-p.index)
	if p.pos%2 == 0 {
		return "token otpauth://totp/legacy:" + p.uid + "?secret=" + strings.ToUpper(strings.NewReplacer("-", "", ".", "", "0", "2", "1", "3", "8", "4", "9", "5").Replace(clear)) + "&issuer=legacy"
	}
	stored, err := storedPassword(d.config, p.index, schemas.SSHA, clear)
	if err != nil {
		return ""
	}
	return "before the move: " + stored
}
