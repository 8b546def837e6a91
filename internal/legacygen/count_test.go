package legacygen

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

// rawEntry is an entry as the naive parser of this test sees it: attributes in
// lower case.
type rawEntry map[string][]string

func (e rawEntry) one(attr string) string {
	if len(e[attr]) == 0 {
		return ""
	}
	return e[attr][0]
}

func (e rawEntry) is(class string) bool {
	for _, c := range e["objectclass"] {
		if c == class {
			return true
		}
	}
	return false
}

// parse is as naive as can be, on purpose: it shares no code with the project.
func parse(t *testing.T, b []byte) []rawEntry {
	t.Helper()
	var out []rawEntry
	text := strings.ReplaceAll(string(b), "\n ", "")
	for block := range strings.SplitSeq(text, "\n\n") {
		e := rawEntry{}
		for line := range strings.SplitSeq(block, "\n") {
			if line == "" || line[0] == '#' || strings.HasPrefix(line, "version:") {
				continue
			}
			name, v, ok := strings.Cut(line, ":")
			if !ok {
				t.Fatalf("line without a colon: %q", line)
			}
			if strings.HasPrefix(v, ":") {
				raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(v[1:]))
				if err != nil {
					t.Fatal(err)
				}
				v = " " + string(raw)
			}
			name = strings.ToLower(name)
			e[name] = append(e[name], strings.TrimPrefix(v, " "))
		}
		if len(e) > 0 {
			out = append(out, e)
		}
	}
	return out
}

var spaceAfterComma = regexp.MustCompile(`([^\\]),\s+`)

// fold is all that our DNs need to be compared.
func fold(dn string) string {
	return strings.ToLower(spaceAfterComma.ReplaceAllString(dn, "$1,"))
}

// counting works the expected figures out from the entries alone, by what the
// migration is told to do.
type counting struct {
	*Counts
	people, units, groups []rawEntry
	unitState             map[string]string // folded DN: "", rule, "below"
	personState           map[string]string // folded DN: "carried", "excluded", "rejected"
	dns                   map[string]string // folded DN to DN
}

func count(t *testing.T, b []byte) *Counts {
	c := counting{Counts: newCounts(), unitState: map[string]string{}, personState: map[string]string{}, dns: map[string]string{}}
	for _, e := range parse(t, b) {
		c.sort(t, e)
	}
	c.countUnits()
	c.countPeople()
	c.countGroups()
	return c.Counts
}

func (c *counting) sort(t *testing.T, e rawEntry) {
	dn := e.one("dn")
	if prev, dup := c.dns[fold(dn)]; dup {
		t.Errorf("two entries have the dn %s (%s)", dn, prev)
	}
	c.dns[fold(dn)] = dn
	for _, attr := range []string{"entryuuid", "createtimestamp", "modifytimestamp"} {
		if len(e[attr]) != 1 {
			t.Errorf("%s has %d values of %s", dn, len(e[attr]), attr)
		}
	}
	table := "entries"
	switch {
	case e.is("legacyOrganization"):
		table = "organizations"
	case e.is("legacyDepartment"):
		table = "units"
		c.units = append(c.units, e)
	case e.is("legacyAccount"):
		table = "people"
		c.people = append(c.people, e)
	case e.is("groupOfNames"):
		table = "groups"
		c.groups = append(c.groups, e)
	}
	c.Entries++
	c.Tables[table]++
	if table == "entries" || table == "organizations" || table == "groups" {
		c.Carried[table]++
	}
}

// spelled counts a reference that is not spelled as the entry's own dn.
func (c *counting) spelled(ref string) {
	if own, ok := c.dns[fold(ref)]; ok && own != ref {
		c.OtherSpellings++
	}
}

func (c *counting) countUnits() {
	parent := map[string]string{}
	for _, u := range c.units {
		parent[fold(u.one("dn"))] = fold(u.one("parentdepartment"))
		c.spelled(u.one("parentdepartment"))
	}
	for _, u := range c.units {
		dn := fold(u.one("dn"))
		state := ""
		for at, steps := parent[dn], 0; at != "" && state == ""; at, steps = parent[at], steps+1 {
			_, known := parent[at]
			switch {
			case !known && steps == 0:
				state = "unknown-parent"
			case !known:
				state = "below"
			case at == dn:
				state = "department-cycle"
			case steps > len(parent):
				state = "below"
			}
		}
		c.unitState[dn] = state
		switch state {
		case "":
			c.Carried["units"]++
		case "below":
			c.UnitsBelowRejected++
		default:
			c.reject("units", state)
		}
	}
}

func (c *counting) reject(table, rule string) {
	if c.Rejected[table] == nil {
		c.Rejected[table] = map[string]int{}
	}
	c.Rejected[table][rule]++
}

func (c *counting) countPeople() {
	logins, mails := map[string]int{}, map[string]int{}
	for _, p := range c.people {
		if p.one("accountstatus") != "left" {
			logins[strings.ToLower(p.one("uid"))]++
			mails[strings.ToLower(p.one("mail"))]++
		}
	}
	for _, p := range c.people {
		addTraits(&c.All, p)
		for _, d := range p["departmentdn"] {
			c.spelled(d)
		}
		state := "carried"
		switch {
		case p.one("accountstatus") == "left":
			state = "excluded"
			c.Excluded++
		case logins[strings.ToLower(p.one("uid"))] > 1:
			state = "rejected"
			c.reject("people", "duplicate-username")
		case p.one("mail") != "" && mails[strings.ToLower(p.one("mail"))] > 1:
			state = "rejected"
			c.reject("people", "duplicate-email")
		default:
			c.Carried["people"]++
			c.carried(p)
		}
		c.personState[fold(p.one("dn"))] = state
	}
}

func (c *counting) carried(p rawEntry) {
	addTraits(&c.CarriedTraits, p)
	if p.one("accountstatus") == "disabled" || p.one("pwdaccountlockedtime") != "" {
		c.Disabled++
	}
	switch expires := p.one("accountexpires"); {
	case expires == "":
	case expires < "2024":
		c.Expired++
	default:
		c.Expiring++
	}
	if p.one("pwdreset") == "TRUE" {
		c.MustChange++
	}
	good := 0
	for _, d := range p["departmentdn"] {
		switch state, known := c.unitState[fold(d)]; {
		case !known:
			c.Memberships.MissingDepartment++
		case state != "":
			c.Memberships.RejectedDepartment++
		default:
			good++
		}
	}
	c.Memberships.Good += good
	if len(p["departmentdn"]) == 0 {
		c.Memberships.OrganizationOnly++
	}
	if p.one("departmentrole") != "" && good > 0 {
		c.Memberships.Roles++
	}
}

func addTraits(t *Traits, p rawEntry) {
	if pw := p.one("userpassword"); pw != "" {
		t.Schemes[schemeOf(pw)]++
	}
	if photo := p.one("jpegphoto"); photo != "" {
		t.Photos++
		t.PhotoBytes += int64(len(photo))
		if len(photo) == 1<<20 {
			t.LargePhotos++
		}
	}
	beyond := func(r rune) bool { return unicode.IsLetter(r) && !unicode.Is(unicode.Latin, r) }
	if strings.ContainsFunc(p.one("cn"), beyond) {
		t.NonLatin++
	}
	if strings.Contains(p.one("dn"), `\,`) {
		t.CommaDNs++
	}
	if len(p["mail"]) > 1 {
		t.SeveralMail++
	}
	if len(p["telephonenumber"]) > 1 {
		t.SeveralTel++
	}
	if p.one("description") != "" {
		t.Described++
	}
	t.MailValues += len(p["mail"])
	t.TelValues += len(p["telephonenumber"])
}

func schemeOf(stored string) string {
	for prefix, name := range map[string]string{"{SSHA}": schemas.SSHA, "{PBKDF2-SHA256}": schemas.PBKDF2SHA256, "{PBKDF2-SHA512}": schemas.PBKDF2SHA512,
		"{ARGON2}$argon2id$": schemas.Argon2ID, "{CRYPT}$2a$": schemas.Bcrypt, "{CRYPT}$2b$": schemas.Bcrypt} {
		if strings.HasPrefix(stored, prefix) {
			return name
		}
	}
	return schemas.ClearText
}

func (c *counting) countGroups() {
	edges := map[string][]string{}
	groups := map[string]bool{}
	for _, g := range c.groups {
		groups[fold(g.one("dn"))] = true
	}
	for _, g := range c.groups {
		dn := fold(g.one("dn"))
		living := 0
		for _, m := range g["member"] {
			c.Groups.Members++
			c.spelled(m)
			state := c.personState[fold(m)]
			switch {
			case groups[fold(m)]:
				c.Groups.Nested++
				edges[dn] = append(edges[dn], fold(m))
				living++
			case state == "carried":
				c.Groups.ToCarried++
				living++
			case state == "excluded":
				c.Groups.ToExcluded++
			case state == "rejected":
				c.Groups.ToRejected++
			default:
				c.Groups.Dangling++
			}
		}
		if living == 0 {
			c.Groups.EmptyAfterwards++
		}
	}
	for dn := range groups {
		if reaches(edges, dn, dn, map[string]bool{}) {
			c.Groups.InCycle++
		}
	}
}

func reaches(edges map[string][]string, from, to string, seen map[string]bool) bool {
	for _, next := range edges[from] {
		if next == to {
			return true
		}
		if !seen[next] {
			seen[next] = true
			if reaches(edges, next, to, seen) {
				return true
			}
		}
	}
	return false
}

// compareCounts leaves out People: kinds are the generator's own notion; the
// figures above follow from them.
func compareCounts(t *testing.T, parsed, generated *Counts) {
	t.Helper()
	kinds := 0
	for _, n := range generated.People {
		kinds += n
	}
	if kinds != parsed.Tables["people"] {
		t.Errorf("%d people have a kind, the file has %d", kinds, parsed.Tables["people"])
	}
	a := *generated
	a.People = parsed.People
	if diff := cmp.Diff(parsed, &a); diff != "" {
		t.Errorf("counts (-file +generator):\n%s", diff)
	}
}

func TestNaiveParser(t *testing.T) {
	got := parse(t, []byte("version: 1\n\n# c\ndn: cn=a\\, b,dc=x\nCN: lo\n ng\ncn:: w7w=\n\n"))
	want := []rawEntry{{"dn": {`cn=a\, b,dc=x`}, "cn": {"long", "ü"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if fold(`CN=A\, b,  DC=x`) != `cn=a\, b,dc=x` || !bytes.Equal([]byte(fold("ou=A1, ou=A")), []byte("ou=a1,ou=a")) {
		t.Error("fold")
	}
}
