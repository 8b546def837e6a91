package modeltest

// handedOver plays somebody of a complete wave: the profile is Keymate's, save
// that who is disabled in legacy is disabled. Base follows it, and remembers the
// access that legacy gives and Keymate took away.
func (r *play) handedOver(key string, want *person, have *known) {
	a := r.target[key]
	for field, same := range map[string]bool{
		"username": a.login == want.login, "email": a.email == want.email, "first_name": a.first == want.first,
		"attributes": a.title == want.title && a.desk == want.desk, "enabled": a.enabled == want.enabled || !want.enabled,
		"realm_roles": a.roles.equal(want.roles), "groups": a.groups.equal(want.groups),
	} {
		if !same {
			r.kept.add(key + " " + field)
		}
	}
	class := "unchanged"
	if !want.enabled && a.enabled {
		a.enabled = false
		class = "updated"
	}
	r.class(class)
	next := &known{*a.person.clone(), have.created}
	next.enabled = a.enabled || have.enabled && want.enabled
	next.roles = a.roles.plus(have.roles.both(want.roles))
	next.groups = a.groups.plus(have.groups.both(want.groups))
	next.places = r.link(key, want.places, have.places)
	next.pw = r.password(key, want.pw, have.pw)
	r.base[key] = next
}
