package modeltest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// set is some names.
type set map[string]bool

func setOf(list ...string) set {
	s := set{}
	for _, v := range list {
		s.add(v)
	}
	return s
}

func (s set) add(v string)   { s[v] = true }
func (s set) list() []string { return append([]string{}, slices.Sorted(maps.Keys(s))...) }
func (s set) equal(o set) bool {
	return maps.Equal(s, o)
}

// both, minus and plus make new sets.
func (s set) both(o set) set {
	out := set{}
	for v := range s {
		if o[v] {
			out.add(v)
		}
	}
	return out
}

func (s set) minus(others ...set) set {
	out := maps.Clone(s)
	for _, o := range others {
		for v := range o {
			delete(out, v)
		}
	}
	return out
}

func (s set) plus(o set) set {
	out := maps.Clone(s)
	maps.Copy(out, o)
	return out
}

// password is one password of a person. Its date is its identity: no two of a
// sequence have the same.
type password struct {
	text string // empty: not known
	date int64  // milliseconds
}

func (p *password) same(o *password) bool {
	return p == nil && o == nil || p != nil && o != nil && p.date == o.date
}

// person is what one side holds of somebody.
type person struct {
	login, email, first string
	title               string // an attribute that belongs to Keymate once the account is there
	desk                string // an attribute of legacy's
	enabled             bool
	external            bool // of legacy: left out by a rule
	born                int64
	roles, groups       set
	places              set // organizations, and departments as organization/name
	pw                  *password
}

func (p *person) clone() *person {
	out := *p
	out.roles, out.groups, out.places = maps.Clone(p.roles), maps.Clone(p.groups), maps.Clone(p.places)
	return &out
}

func (p *person) String() string {
	pw := "none"
	if p.pw != nil {
		pw = fmt.Sprint(p.pw.date)
	}
	return fmt.Sprintf("login=%s email=%s first=%s title=%s desk=%s enabled=%v born=%d roles=%v groups=%v places=%v password=%s",
		p.login, p.email, p.first, p.title, p.desk, p.enabled, p.born, p.roles.list(), p.groups.list(), p.places.list(), pw)
}

// differs names the fields in which two sides differ.
func (p *person) differs(o *person) []string {
	var out []string
	for name, same := range map[string]bool{
		"login": p.login == o.login, "email": p.email == o.email, "first": p.first == o.first, "title": p.title == o.title, "desk": p.desk == o.desk,
		"enabled": p.enabled == o.enabled, "born": p.born == o.born, "roles": p.roles.equal(o.roles), "groups": p.groups.equal(o.groups),
		"places": p.places.equal(o.places), "password": p.pw.same(o.pw),
	} {
		if !same {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// account is a person in the target.
type account struct {
	person
	id, pwID string
}

// known is what base holds of a user: what was last confirmed, and of access
// that the target took away since still what legacy gave.
type known struct {
	person
	created bool // by us
}

func (k *known) clone() *known {
	return &known{*k.person.clone(), k.created}
}

func cloneBase(base map[string]*known) map[string]*known {
	out := map[string]*known{}
	for key, k := range base {
		out[key] = k.clone()
	}
	return out
}

// model is both sides and what we know of them.
type model struct {
	legacy  map[string]*person
	target  map[string]*account // ours, by legacy key
	foreign map[string]*account // nobody's, by user name
	base    map[string]*known
	wave    map[string]string // recorded, for good
	// complete are the waves whose users' profiles are Keymate's.
	complete set
	loaded   bool // a run has written
	// checkpoints by name, each a base; first is the one before a wave's first run.
	checkpoints map[string]*pinned
	first       map[string]string
	gone        map[string]*person // who left legacy, and may come back
	names       map[string]string  // of units, in legacy
	units       map[string]string  // names of those that the target has
	unitIDs     map[string]string  // the target's ids of them
	baseUnits   map[string]unit
	texts       map[int64]string // every password, by its date
	serial      int              // of names, so that none comes twice
	last        int64            // date of the last password
}

func newModel() *model {
	return &model{legacy: map[string]*person{}, target: map[string]*account{}, foreign: map[string]*account{}, base: map[string]*known{}, wave: map[string]string{}, complete: set{},
		names: map[string]string{"acme": "Acme", "lumen": "Lumen", "acme/Sales": "Sales", "acme/Works": "Works", "staff": "staff", "boss": "boss"},
		units: map[string]string{}, baseUnits: map[string]unit{},
		checkpoints: map[string]*pinned{}, first: map[string]string{}, gone: map[string]*person{}, texts: map[int64]string{}}
}

// keys are all legacy keys that anything knows, sorted.
func (m *model) keys() []string {
	all := set{}
	for key := range m.legacy {
		all.add(key)
	}
	for key := range m.gone {
		all.add(key)
	}
	for key := range m.target {
		all.add(key)
	}
	for key := range m.base {
		all.add(key)
	}
	for _, cp := range m.checkpoints {
		for key := range cp.people {
			all.add(key)
		}
	}
	return all.list()
}

// desired are the people whom the mapping yields: those that a rule leaves out,
// and those who share a login name or an e-mail address, are not among them.
func (m *model) desired() map[string]*person {
	logins, emails := map[string]int{}, map[string]int{}
	for _, p := range m.legacy {
		if !p.external {
			logins[strings.ToLower(p.login)]++
			emails[strings.ToLower(p.email)]++
		}
	}
	out := map[string]*person{}
	for key, p := range m.legacy {
		if p.external || logins[strings.ToLower(p.login)] > 1 || p.email != "" && emails[strings.ToLower(p.email)] > 1 {
			continue
		}
		out[key] = p
	}
	return out
}

// assign gives everybody desired who is in no wave the first that takes them.
func (m *model) assign(wave map[string]string, desired map[string]*person) map[string]string {
	wave = maps.Clone(wave)
	for key, p := range desired {
		if wave[key] != "" {
			continue
		}
		switch {
		case slices.Contains(waveRules[0].Keys, key):
			wave[key] = "first"
		case p.groups["staff"]:
			wave[key] = "second"
		}
	}
	return wave
}

// inTheWay says that an account of nobody has the name or address that somebody
// would get.
func (m *model) inTheWay(p *person) bool {
	for _, f := range m.foreign {
		if f.login == p.login || p.email != "" && f.email == p.email {
			return true
		}
	}
	return false
}
