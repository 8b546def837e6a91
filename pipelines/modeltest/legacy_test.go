package modeltest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// maxPeople is how many people legacy knows at most in a sequence.
const maxPeople = 12

// fresh is a number that names are made of, so that no name comes twice.
func (m *model) fresh() int {
	m.serial++
	return m.serial
}

// now is the time for a password: later than all before it.
func (m *model) now() int64 {
	for millis(time.Now()) <= m.last {
		time.Sleep(time.Millisecond)
	}
	m.last = millis(time.Now())
	return m.last
}

// newPassword makes a password of a date.
func (m *model) newPassword(date int64) *password {
	p := &password{text: fmt.Sprintf("secret-%d", m.fresh()), date: date}
	m.texts[date] = p.text
	return p
}

var bornFrom = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// longAgo is a date before all others, for passwords that legacy learns late.
func (m *model) longAgo() int64 { return millis(bornFrom) + int64(m.fresh()) }

// someone makes up a person.
func (m *model) someone(rnd *rand.Rand) *person {
	n := m.fresh()
	p := &person{login: fmt.Sprintf("Login%d", n), first: fmt.Sprintf("First%d", n), title: fmt.Sprintf("title%d", n), desk: fmt.Sprintf("desk%d", n),
		enabled: rnd.IntN(5) > 0, born: millis(bornFrom.Add(time.Duration(n) * time.Hour)),
		roles: some(rnd, roleNames), groups: some(rnd, groupNames), places: set{}}
	if rnd.IntN(4) > 0 {
		p.email = fmt.Sprintf("mail%d@model.example", n)
	}
	if place, _ := pick(rnd, places); rnd.IntN(4) > 0 {
		p.places.add(place)
	}
	if rnd.IntN(4) > 0 {
		p.pw = m.newPassword(m.now())
	}
	p.login, p.email = strings.ToLower(p.login), strings.ToLower(p.email)
	return p
}

var (
	groupNames = []string{"boss", "staff"}
	places     = []string{"acme", "acme/Sales", "acme/Works", "lumen"}
)

// legacyEdit is something that happens to one person in legacy.
type legacyEdit struct {
	name   string
	weight int
	// who can be edited; nil: everybody who is there.
	who  func(m *model) []string
	edit func(m *model, key string, p *person, rnd *rand.Rand)
}

// there are the people of legacy, alone those who have their name to
// themselves where alone is set.
func (m *model) there(alone bool) []string {
	var out []string
	for key := range m.legacy {
		if !alone || len(m.namesakes(key)) == 0 {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func alone(m *model) []string { return m.there(true) }

// namesakes are the others who share somebody's login name.
func (m *model) namesakes(key string) []string {
	var out []string
	for other, p := range m.legacy {
		if other != key && p.login == m.legacy[key].login {
			out = append(out, other)
		}
	}
	slices.Sort(out)
	return out
}

func (m *model) vacant() []string {
	var out []string
	for n := range maxPeople {
		if key := fmt.Sprintf("u%d", n); m.legacy[key] == nil && m.gone[key] == nil {
			out = append(out, key)
		}
	}
	return out
}

func toggle(s set, v string) {
	if s[v] {
		delete(s, v)
	} else {
		s.add(v)
	}
}

var legacyEdits = []legacyEdit{
	{"hire", 10, (*model).vacant, func(m *model, key string, _ *person, rnd *rand.Rand) { m.legacy[key] = m.someone(rnd) }},
	{"leave", 4, alone, func(m *model, key string, p *person, _ *rand.Rand) {
		m.gone[key] = p
		delete(m.legacy, key)
	}},
	{"come back", 4, func(m *model) []string {
		var out []string
		for key := range m.gone {
			out = append(out, key)
		}
		slices.Sort(out)
		return out
	}, func(m *model, key string, _ *person, _ *rand.Rand) {
		m.legacy[key] = m.gone[key]
		delete(m.gone, key)
	}},
	{"recycle the key", 1, alone, func(m *model, key string, _ *person, rnd *rand.Rand) { m.legacy[key] = m.someone(rnd) }},
	{"rename", 3, nil, func(m *model, key string, p *person, _ *rand.Rand) {
		for _, other := range m.namesakes(key) {
			m.legacy[other].login = fmt.Sprintf("login%d", m.fresh())
		}
		p.login = fmt.Sprintf("login%d", m.fresh())
	}},
	{"share a login", 1, alone, func(m *model, key string, p *person, rnd *rand.Rand) {
		others := slices.DeleteFunc(m.there(true), func(o string) bool { return o == key || m.legacy[o].external })
		if other, ok := pick(rnd, others); ok && !p.external {
			p.login = m.legacy[other].login
		}
	}},
	{"readdress", 2, nil, func(m *model, _ string, p *person, rnd *rand.Rand) {
		p.email = ""
		if rnd.IntN(4) > 0 {
			p.email = fmt.Sprintf("mail%d@model.example", m.fresh())
		}
	}},
	{"marry", 2, nil, func(m *model, _ string, p *person, _ *rand.Rand) { p.first = fmt.Sprintf("First%d", m.fresh()) }},
	{"promote", 2, nil, func(m *model, _ string, p *person, _ *rand.Rand) { p.title = fmt.Sprintf("title%d", m.fresh()) }},
	{"move desk", 2, nil, func(m *model, _ string, p *person, _ *rand.Rand) { p.desk = fmt.Sprintf("desk%d", m.fresh()) }},
	{"clear desk", 1, nil, func(_ *model, _ string, p *person, _ *rand.Rand) { p.desk = "" }},
	{"switch", 5, nil, func(_ *model, _ string, p *person, _ *rand.Rand) { p.enabled = !p.enabled }},
	{"role", 6, nil, func(_ *model, _ string, p *person, rnd *rand.Rand) {
		toggle(p.roles, roleNames[rnd.IntN(len(roleNames))])
	}},
	{"group", 4, nil, func(_ *model, _ string, p *person, rnd *rand.Rand) {
		toggle(p.groups, groupNames[rnd.IntN(len(groupNames))])
	}},
	{"place", 6, nil, func(m *model, key string, p *person, rnd *rand.Rand) {
		if place := places[rnd.IntN(len(places))]; !m.hides(key, place) {
			p.move(place)
		}
	}},
	{"new password", 4, nil, func(m *model, _ string, p *person, _ *rand.Rand) { p.pw = m.newPassword(m.now()) }},
	{"late password", 2, nil, func(m *model, _ string, p *person, _ *rand.Rand) { p.pw = m.newPassword(m.longAgo()) }},
	{"lose password", 2, nil, func(_ *model, _ string, p *person, _ *rand.Rand) { p.pw = nil }},
	{"external", 2, alone, func(_ *model, _ string, p *person, _ *rand.Rand) { p.external = !p.external }},
}

// hides says that the target can't show somebody in an organization apart from
// its departments, as a department is there that is not ours: that needs a run
// which was killed between the two and given up.
func (m *model) hides(key, place string) bool {
	a := m.target[key]
	if a == nil || parentOf(place) != "" {
		return false
	}
	for other := range a.places {
		if parentOf(other) == place && !placesOf(m.base[key])[other] {
			return true
		}
	}
	return false
}

// move takes a person to a place, or out of it. In an organization everybody
// has one.
func (p *person) move(place string) {
	was := p.places[place]
	for other := range p.places {
		if organizationOf(other) == organizationOf(place) {
			delete(p.places, other)
		}
	}
	if !was {
		p.places.add(place)
	}
}

func organizationOf(place string) string {
	org, _, _ := strings.Cut(place, "/")
	return org
}

func (k legacyEdit) subjects(m *model) []string {
	if k.who == nil {
		return m.there(false)
	}
	return k.who(m)
}

func drawLegacy(k legacyEdit) func(*sequence, *rand.Rand) (action, bool) {
	return func(s *sequence, rnd *rand.Rand) (action, bool) {
		key, ok := pick(rnd, k.subjects(s.model))
		return action{Key: key, Seed: seed(rnd)}, ok
	}
}

func playLegacy(k legacyEdit) func(context.Context, *sequence, action) (bool, error) {
	return func(_ context.Context, s *sequence, a action) (bool, error) {
		if !slices.Contains(k.subjects(s.model), a.Key) {
			return false, nil
		}
		k.edit(s.model, a.Key, s.model.legacy[a.Key], a.rand())
		return true, nil
	}
}
