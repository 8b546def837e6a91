package schemas

// Bundle is a user with the rows that belong to it: the unit in which users
// are projected, written and read back, because some targets keep a
// membership's columns inside the user.
type Bundle struct {
	User        Row
	Credentials []Row
	Memberships []Row
}
