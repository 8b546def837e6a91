package modeltest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// neverHappens looks at what a run made of the target, from one moment to the
// other, and at nothing of how: whatever it was, none of this may come of it.
// It holds for a run that was killed half way as well.
func neverHappens(m *model, c *call, before, after *seen) error {
	v := &watcher{m: m, c: c, want: m.desired()}
	if c.goesBack() {
		r := &play{model: m, call: c}
		r.goBack()
		v.want = r.want
	}
	for key, was := range before.ours {
		is := after.ours[key]
		if is == nil {
			if !c.DeleteOurs || v.want[key] != nil {
				v.says("%s is lost", key)
			}
			continue
		}
		v.account(key, was, is)
	}
	for key := range after.ours {
		if before.ours[key] == nil && v.want[key] == nil {
			v.says("%s has an account, and nobody wants it", key)
		}
	}
	v.doubles(after)
	for login, was := range before.foreign {
		is := after.foreign[login]
		if is == nil || len(is.differs(&was.person)) > 0 {
			v.says("the account %s is nobody's, and was changed", login)
		}
	}
	if len(v.bad) == 0 {
		return nil
	}
	slices.Sort(v.bad)
	return errors.New("what must never happen:\n    " + strings.Join(v.bad, "\n    "))
}

type watcher struct {
	m    *model
	c    *call
	want map[string]*person
	bad  []string
}

func (v *watcher) says(format string, args ...any) {
	v.bad = append(v.bad, fmt.Sprintf(format, args...))
}

// account watches one account that was there before and is there after.
func (v *watcher) account(key string, was, is *account) {
	want, have := v.want[key], v.m.base[key]
	// given says that the side which is wanted gives something, and that it is
	// either new since we last confirmed it, or asked for.
	given := func(word string, wants, knew bool) bool {
		return want != nil && wants && (v.c.allows(word) || !v.c.goesBack() && !knew)
	}
	if is.enabled && !was.enabled && !given("enable", want != nil && want.enabled, have == nil || have.enabled) {
		v.says("%s was disabled and is enabled", key)
	}
	for _, s := range []struct {
		word             string
		was, is          set
		of               func(*person) set
		nobodyKnowsBased bool
	}{
		{"roles", was.roles, is.roles, func(p *person) set { return p.roles }, true},
		{"groups", was.groups, is.groups, func(p *person) set { return p.groups }, true},
		{"links", was.places, is.places, func(p *person) set { return p.places }, false},
	} {
		for name := range s.is.minus(s.was) {
			wants := want != nil && s.of(want)[name]
			knew := have == nil && s.nobodyKnowsBased || have != nil && s.of(&have.person)[name]
			if s.word == "links" && partOf(name, was.places) {
				continue // of the organization it was before, by one of its departments
			}
			if s.word == "links" && !wants && want != nil { // half way into a department
				into := want.places.within(name)
				wants, knew = len(into) > 0, have != nil && len(into.minus(have.places)) == 0
			}
			if !given(s.word, wants, knew) {
				v.says("%s gained %s, and nobody gave it", key, name)
			}
		}
	}
	if was.pw != nil && is.pw != nil && is.pw.date < was.pw.date && !v.c.allows("password") {
		v.says("%s has an older password than before", key)
	}
	if was.pw == nil && is.pw != nil && (v.c.goesBack() || have != nil && have.pw != nil) && !v.c.allows("password") {
		v.says("%s has a password again that was taken away", key)
	}
}

func partOf(org string, places set) bool { return len(places.within(org)) > 0 }

// within are the places that belong to an organization.
func (s set) within(org string) set {
	out := set{}
	for p := range s {
		if organizationOf(p) == org {
			out.add(p)
		}
	}
	return out
}

// doubles says that nobody has two accounts, by what tells people apart.
func (v *watcher) doubles(after *seen) {
	for login, f := range after.foreign {
		if _, known := v.m.foreign[login]; !known {
			v.says("there is a second account %s: %s", login, &f.person)
		}
	}
}
