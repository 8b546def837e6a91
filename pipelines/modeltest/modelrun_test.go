package modeltest

import (
	"fmt"
	"maps"
	"slices"
)

// Words that an operator may say.
var allowWords = []string{"enable", "roles", "groups", "links", "password", "recreate"}

// call is what an operator asks for: a run, an undo or a restore.
type call struct {
	Waves      []string `json:",omitempty"`
	Sweep      bool     `json:",omitempty"`
	Everyone   bool     `json:",omitempty"`
	Allow      []string `json:",omitempty"`
	Restore    string   `json:",omitempty"` // a checkpoint
	Undo       string   `json:",omitempty"` // a wave
	Overwrite  bool     `json:",omitempty"`
	DeleteOurs bool     `json:",omitempty"`
	// Again: the same is asked for once more, and must find nothing to do.
	Again bool `json:",omitempty"`
}

func (c *call) goesBack() bool { return c.Restore != "" || c.Undo != "" }

func (c *call) allows(word string) bool { return slices.Contains(c.Allow, word) }

// expected is what a call comes to, beside what it makes of the model.
type expected struct {
	// classes of the users: how many end so.
	classes map[string]int
	// withheld names what is not given back: users with a kind of access.
	withheld, widens set
	// kept are users with fields that a restore leaves, because others changed
	// them.
	kept set
	// refused is how many units the target does not let go, since somebody is in
	// them whom the call did not look at.
	refused int
}

// outcome plays a call on the model: a new one with both sides as they shall be
// after it.
func (m *model) outcome(c *call) (*model, *expected) {
	next := *m
	next.target, next.base = map[string]*account{}, cloneBase(m.base)
	next.units, next.baseUnits = maps.Clone(m.units), maps.Clone(m.baseUnits)
	for key, a := range m.target {
		b := *a
		b.person = *a.person.clone()
		next.target[key] = &b
	}
	r := &play{model: &next, call: c, blocked: set{}, leaving: set{},
		expected: &expected{classes: map[string]int{}, withheld: set{}, widens: set{}, kept: set{}}}
	if c.goesBack() {
		r.goBack()
	} else {
		r.desire()
		next.wave = m.assign(m.wave, m.desired())
	}
	r.again = len(m.base) > 0 || len(m.baseUnits) > 0
	r.structure()
	for _, key := range r.everybody() {
		r.user(key)
	}
	r.empties()
	return &next, r.expected
}

// play is one call as it is played on the model.
type play struct {
	*model
	*expected
	call      *call
	want      map[string]*person
	wantUnits map[string]string
	rejected  set
	again     bool // the target was loaded before
	blocked   set  // units that can't stand
	leaving   set  // units that are to go
}

// everybody lists those whom a call is about.
func (r *play) everybody() []string {
	all := set{}
	for key := range r.want {
		all.add(key)
	}
	for key := range r.base {
		all.add(key)
	}
	return all.list()
}

func (r *play) desire() {
	r.want, r.rejected, r.wantUnits = r.model.desired(), set{}, r.names
	for key := range r.legacy {
		if r.want[key] == nil {
			r.rejected.add(key)
		}
	}
}

// goBack makes a checkpoint what is wanted.
func (r *play) goBack() {
	name := r.call.Restore
	if name == "" {
		name = r.first[r.call.Undo]
	}
	r.want, r.wantUnits, r.rejected = map[string]*person{}, map[string]string{}, set{}
	for key, k := range r.checkpoints[name].people {
		r.want[key] = &k.person
	}
	for u, k := range r.checkpoints[name].units {
		r.wantUnits[u] = k.name
	}
}

// reaches says whom the call may change.
func (r *play) reaches(key string) bool {
	c := r.call
	switch wave := r.wave[key]; {
	case c.Undo != "":
		return wave == c.Undo
	case len(c.Waves) > 0:
		return wave != "" && slices.Contains(c.Waves, wave)
	case c.Sweep:
		return wave == ""
	case c.Restore != "" || c.Everyone:
		return true
	}
	return r.base[key] != nil // what has moved is followed
}

func (r *play) class(name string) { r.classes[name]++ }

func (r *play) withhold(key, kind string) { r.withheld.add(key + " " + kind) }
func (r *play) widen(key, kind string)    { r.widens.add(key + " " + kind) }

func (r *play) user(key string) {
	want, have := r.want[key], r.base[key]
	if want != nil { // nobody is kept back for a group
		want = want.clone()
		want.groups = want.groups.minus(r.blocked)
	}
	switch {
	case r.rejected[key]: // stands as it is, and keeps its base
	case !r.reaches(key):
		r.class("deferred")
	case want == nil:
		r.leaver(key)
	case have != nil && have.born != want.born:
		r.class("conflict") // the key now means somebody else
	case r.target[key] == nil:
		r.absent(key, want, have)
	case r.call.goesBack():
		r.restored(key, want, have)
	case have != nil && r.complete[r.wave[key]]:
		r.handedOver(key, want, have)
	default:
		r.merged(key, want, have)
	}
}

// absent plays somebody who has no account.
func (r *play) absent(key string, want *person, have *known) {
	back := have != nil || r.call.goesBack() && r.again
	switch {
	case r.inTheWay(want):
		r.class("conflict")
		return
	case back && !r.call.allows("recreate"):
		r.withhold(key, "recreate")
		for place := range want.places {
			r.withhold(key+"/"+place, "recreate")
		}
		if want.pw != nil {
			r.withhold(key+"/password", "recreate")
		}
		r.class("conflict")
		return
	case back:
		r.widen(key, "recreate")
	}
	r.class("created")
	a, next := &account{person: *want.clone()}, &known{*want.clone(), have == nil || have.created}
	for place := range want.places {
		if r.blocks(place) {
			delete(a.places, place)
			if !placesOf(have)[place] {
				delete(next.places, place)
			}
		}
	}
	r.target[key], r.base[key] = a, next
}

// merged plays somebody who has an account, by what legacy says.
func (r *play) merged(key string, want *person, have *known) {
	a := r.target[key]
	before := a.person.clone()
	a.login, a.email, a.first, a.desk = want.login, want.email, want.first, want.desk
	narrowed := false
	switch {
	case !want.enabled:
		a.enabled = false
	case a.enabled:
	case have != nil && !have.enabled || r.call.allows("enable"):
		a.enabled = true
		r.widen(key, "enable")
	default:
		narrowed = true
		r.withhold(key, "enable")
	}
	for _, f := range []struct {
		kind string
		now  *set
		want set
	}{{kind: "roles", now: &a.roles, want: want.roles}, {kind: "groups", now: &a.groups, want: want.groups}} {
		missing := f.want.minus(*f.now)
		taken := missing // nobody knows who took it
		if have != nil {
			taken = missing.both(map[string]set{"roles": have.roles, "groups": have.groups}[f.kind])
		}
		if len(missing) > len(taken) || len(missing) > 0 && r.call.allows(f.kind) {
			r.widen(key, f.kind)
		}
		if r.call.allows(f.kind) {
			taken = nil
		}
		if len(taken) > 0 {
			narrowed = true
			r.withhold(key, f.kind)
		}
		*f.now = f.want.minus(taken)
	}
	next := &known{*want.clone(), have != nil && have.created}
	next.title = a.title // Keymate's
	next.born = a.born
	r.mergedClass(a, before, narrowed)
	next.places = r.link(key, want.places, placesOf(have))
	next.pw = r.password(key, want.pw, passwordOf(have))
	r.base[key] = next
}

// mergedClass counts somebody who has an account.
func (r *play) mergedClass(a *account, before *person, narrowed bool) {
	switch {
	case len(a.person.differs(before)) > 0:
		r.class("updated")
	case narrowed:
		r.class("conflict")
	default:
		r.class("unchanged")
	}
}

func placesOf(k *known) set {
	if k == nil {
		return set{}
	}
	return k.places
}

func passwordOf(k *known) *password {
	if k == nil {
		return nil
	}
	return k.pw
}

// link plays somebody's memberships and returns what base then holds.
func (r *play) link(key string, want, have set) set {
	a, next := r.target[key], set{}
	for _, place := range want.list() {
		switch {
		case a.places[place]:
		case r.blocks(place) && (!have[place] && !r.call.goesBack() || r.call.allows("links")):
			if have[place] {
				next.add(place)
			}
			continue
		case !have[place] && !r.call.goesBack() || r.call.allows("links"):
			r.widen(key+"/"+place, "links")
			a.places.add(place)
			delete(a.places, parentOf(place)) // who is in a department is in its organization by that
		default:
			r.withhold(key+"/"+place, "links")
			if have[place] {
				next.add(place)
			}
			continue
		}
		next.add(place)
	}
	for place := range have.minus(want) {
		delete(a.places, place)
	}
	return next
}

// password plays somebody's password and returns what base then holds.
func (r *play) password(key string, want, have *password) *password {
	a := r.target[key]
	switch {
	case want == nil && r.call.goesBack() && !r.call.Overwrite && have != nil && a.pw != nil && !a.pw.same(have):
		return have // their own since
	case want == nil && !r.call.goesBack() && have != nil && a.pw != nil && a.pw.date > have.date:
		return have // chosen in the target, and newer
	case want == nil:
		if have != nil {
			a.pw = nil
		}
		return nil
	case a.pw == nil:
		if (have != nil || r.call.goesBack()) && !r.call.allows("password") {
			r.withhold(key+"/password", "password")
			return have
		}
		if have != nil || r.call.goesBack() {
			r.widen(key+"/password", "password")
		}
	case a.pw.date > want.date && !r.call.allows("password"):
		r.withhold(key+"/password", "password")
		return have
	case a.pw.date > want.date:
		r.widen(key+"/password", "password")
	}
	a.pw = want
	return want
}

// leaver plays somebody who is not, or no longer, desired.
func (r *play) leaver(key string) {
	a, have := r.target[key], r.base[key]
	if a == nil { // gone on both sides
		r.class("unchanged")
		delete(r.base, key)
		return
	}
	if r.call.DeleteOurs && have.created && r.untouched(a, have) {
		r.class("removed")
		delete(r.target, key)
		delete(r.base, key)
		return
	}
	if a.enabled {
		r.class("disabled")
	} else {
		r.class("unchanged")
	}
	a.enabled = false
	next := &known{*a.person.clone(), have.created}
	for place := range have.places {
		delete(a.places, place)
	}
	next.places = set{}
	next.pw = have.pw
	if a.pw == nil {
		next.pw = nil
	}
	r.base[key] = next
}

// untouched says that nobody changed an account of ours since base.
func (r *play) untouched(a *account, have *known) bool {
	for _, name := range a.person.differs(&have.person) {
		switch {
		case name == "password" && (have.pw == nil || a.pw == nil):
		case name == "places": // further ones are not ours, and those that are gone don't count
		default:
			return false
		}
	}
	return true
}

func (e *expected) String() string {
	return fmt.Sprintf("classes %v, withheld %v, widens %v, kept %v", e.classes, e.withheld.list(), e.widens.list(), e.kept.list())
}
