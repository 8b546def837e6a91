package modeltest

import "maps"

// restored plays somebody who has an account and goes back to a checkpoint:
// what we changed since goes back, what others changed stays unless overwritten,
// and access comes back only where it is asked for.
func (r *play) restored(key string, want *person, have *known) {
	a := r.target[key]
	before, now := a.person.clone(), a.person.clone()
	next := &known{*want.clone(), have != nil && have.created}
	last := want // what base goes on to hold of what is left
	if have != nil {
		last = &have.person
	}
	narrowed := false
	plain := func(field string, equal func(a, b *person) bool, copyTo func(to, from *person)) {
		switch {
		case equal(now, want):
		case (have == nil || !equal(now, &have.person)) && !r.call.Overwrite:
			r.kept.add(key + " " + field)
			copyTo(&next.person, last)
		default:
			copyTo(&a.person, want)
		}
	}
	plain("username", func(a, b *person) bool { return a.login == b.login }, func(to, from *person) { to.login = from.login })
	plain("email", func(a, b *person) bool { return a.email == b.email }, func(to, from *person) { to.email = from.email })
	plain("first_name", func(a, b *person) bool { return a.first == b.first }, func(to, from *person) { to.first = from.first })
	plain("attributes", func(a, b *person) bool { return a.title == b.title && a.desk == b.desk },
		func(to, from *person) { to.title, to.desk = from.title, from.desk })
	switch {
	case want.enabled == now.enabled:
	case !want.enabled:
		a.enabled = false
	case r.call.allows("enable"):
		a.enabled = true
		r.widen(key, "enable")
	default:
		narrowed = true
		r.withhold(key, "enable")
		next.enabled = last.enabled
	}
	narrowed = r.restoredSet(key, "roles", "realm_roles", &a.roles, want.roles, &next.roles, rolesOf(have)) || narrowed
	narrowed = r.restoredSet(key, "groups", "groups", &a.groups, want.groups, &next.groups, groupsOf(have)) || narrowed
	r.mergedClass(a, before, narrowed)
	next.places = r.link(key, want.places, placesOf(have))
	next.pw = r.password(key, want.pw, passwordOf(have))
	r.base[key] = next
}

func rolesOf(k *known) set {
	if k == nil {
		return set{}
	}
	return k.roles
}

func groupsOf(k *known) set {
	if k == nil {
		return set{}
	}
	return k.groups
}

// restoredSet takes away what we gave since, leaves what others gave, and gives
// back only when asked.
func (r *play) restoredSet(key, kind, field string, now *set, want set, held *set, have set) (narrowed bool) {
	back, theirs := want.minus(*now), now.minus(want, have)
	stands := now.both(want)
	*held = maps.Clone(stands) // a set of its own: the target's goes on to change
	if len(back) > 0 {
		if r.call.allows(kind) {
			r.widen(key, kind)
			stands, *held = stands.plus(back), held.plus(back)
		} else {
			narrowed = true
			r.withhold(key, kind)
			*held = held.plus(back.both(have))
		}
	}
	if len(theirs) > 0 && !r.call.Overwrite {
		r.kept.add(key + " " + field)
		stands = stands.plus(theirs)
	}
	*now = stands
	return narrowed
}
