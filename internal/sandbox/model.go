package sandbox

import (
	"cmp"
	"slices"
	"strings"
)

// realm is the state of one realm. Everything in it is guarded by the server's lock.
type realm struct {
	id, name string
	rep      map[string]any // the representation beyond what has a field here
	clients  map[string]*client
	profile  *profile

	organizationsEnabled bool
	nextID               func() string

	roles       map[string]*role // by name
	rolesByID   map[string]*role
	defaultRole *role

	users  map[string]*user // by username
	emails map[string]*user
	count  int     // without service accounts
	sorted []*user // by username; may lack those in added, and hold deleted ones if stale
	added  []*user
	stale  bool

	groups map[string]*group // by id, those of organizations too
	top    *group            // nameless parent of the realm's own groups

	orgs        map[string]*organization // by id
	orgsByName  map[string]*organization
	orgsByAlias map[string]*organization
	domains     map[string]*organization

	adminEvents []adminEvent // oldest first
	userEvents  []userEvent
}

type client struct {
	id, secret string
	account    *user // service account, or nil
	passwords  bool  // password grant allowed
}

// user is kept small: a test loads 300,000 of them.
type user struct {
	realm               *realm
	id, username, email string // email "": none
	first, last         string
	flags               userFlags
	created             int64 // ms
	notBefore           int64 // s; tokens issued before are void
	federationLink      string
	attributes          []attribute // sorted by name
	actions             []string
	credentials         []*credential
	roles               []*role
	groups              []*group // the realm's and the organizations'
	organizations       []*organization
}

type userFlags uint8

const (
	enabled userFlags = 1 << iota
	emailVerified
	hasFirst // "" is not none
	hasLast
	service
	idChosen      // by the client
	createdChosen // likewise
	deleted
)

func (u *user) has(f userFlags) bool { return u.flags&f != 0 }

func (u *user) set(f userFlags, on bool) {
	if on {
		u.flags |= f
	} else {
		u.flags &^= f
	}
}

type attribute struct {
	name   string
	values []string
}

type credential struct {
	id, kind      string
	label         *string
	created       int64
	createdChosen bool
	data, secret  string // JSON, as sent
}

type role struct {
	id, name    string
	description *string
	composites  []*role // that it contains
	attributes  map[string][]string
	members     map[*user]struct{}
	groups      map[*group]struct{}
}

// group is a realm's group or, below an organization's hidden root, an organization's.
type group struct {
	id, name    string
	description *string
	parent      *group   // nil: a root, which has no name
	children    []*group // sorted by name
	org         *organization
	attributes  map[string][]string
	roles       []*role
	members     map[*user]struct{}
	sorted      []*user // cache of the members by username; nil: out of date
}

type organization struct {
	id, name, alias string
	description     *string
	redirectURL     *string
	enabled         bool
	attributes      map[string][]string
	domains         []domain // sorted by name
	members         map[*user]struct{}
	sorted          []*user
	root            *group
}

type domain struct {
	name     string
	verified bool
}

func byUsername(a, b *user) int { return cmp.Compare(a.username, b.username) }

func sortedMembers(members map[*user]struct{}, cache *[]*user) []*user {
	if *cache == nil {
		list := make([]*user, 0, len(members))
		for u := range members {
			list = append(list, u)
		}
		slices.SortFunc(list, byUsername)
		*cache = list
	}
	return *cache
}

// inOrder returns the users by username, service accounts included. Additions are merged in when somebody asks.
// The caller holds the lock for writing, or knows that nothing is pending.
func (re *realm) inOrder() []*user {
	if re.stale {
		re.sorted = slices.DeleteFunc(re.sorted, func(u *user) bool { return u.has(deleted) })
		re.added = slices.DeleteFunc(re.added, func(u *user) bool { return u.has(deleted) })
		slices.SortFunc(re.sorted, byUsername) // a rename moves a user
		re.stale = false
	}
	if len(re.added) > 0 {
		slices.SortFunc(re.added, byUsername)
		merged := make([]*user, 0, len(re.sorted)+len(re.added))
		i, j := 0, 0
		for i < len(re.sorted) && j < len(re.added) {
			if byUsername(re.sorted[i], re.added[j]) <= 0 {
				merged = append(merged, re.sorted[i])
				i++
			} else {
				merged = append(merged, re.added[j])
				j++
			}
		}
		re.sorted = append(append(merged, re.sorted[i:]...), re.added[j:]...)
		re.added = nil
	}
	return re.sorted
}

func (s *Server) addUser(u *user) {
	s.users[u.id] = u
	re := u.realm
	re.users[u.username] = u
	if u.email != "" {
		re.emails[u.email] = u
	}
	if !u.has(service) {
		re.count++
	}
	re.added = append(re.added, u)
}

func (s *Server) removeUser(u *user) {
	re := u.realm
	delete(s.users, u.id)
	delete(re.users, u.username)
	if u.email != "" && re.emails[u.email] == u {
		delete(re.emails, u.email)
	}
	for _, r := range u.roles {
		delete(r.members, u)
	}
	for _, g := range u.groups {
		g.drop(u)
	}
	for _, o := range u.organizations {
		delete(o.members, u)
		o.sorted = nil
	}
	if !u.has(service) {
		re.count--
	}
	u.set(deleted, true)
	re.stale = true
}

// rename gives a user another username; the caches ordered by it are dropped.
func (re *realm) rename(u *user, username string) {
	if u.username == username {
		return
	}
	delete(re.users, u.username)
	u.username = username
	re.users[username] = u
	re.inOrder() // so that the additions are in the list that is sorted anew
	re.stale = true
	for _, g := range u.groups {
		g.sorted = nil
	}
	for _, o := range u.organizations {
		o.sorted = nil
	}
}

func (re *realm) setEmail(u *user, email string) {
	if u.email != "" && re.emails[u.email] == u {
		delete(re.emails, u.email)
	}
	u.email = email
	if email != "" {
		re.emails[email] = u
	}
}

func (u *user) attribute(name string) ([]string, bool) {
	i, found := slices.BinarySearchFunc(u.attributes, name, func(a attribute, n string) int { return cmp.Compare(a.name, n) })
	if !found {
		return nil, false
	}
	return u.attributes[i].values, true
}

func (u *user) password() *credential { return u.firstCredential("password") }

func (u *user) firstCredential(kind string) *credential {
	for _, c := range u.credentials {
		if c.kind == kind {
			return c
		}
	}
	return nil
}

func (u *user) grant(r *role) {
	if _, has := r.members[u]; !has {
		r.members[u] = struct{}{}
		u.roles = append(u.roles, r)
	}
}

func (u *user) revoke(r *role) {
	delete(r.members, u)
	u.roles = slices.DeleteFunc(u.roles, func(x *role) bool { return x == r })
}

func (g *group) add(u *user) {
	if _, has := g.members[u]; !has {
		g.members[u] = struct{}{}
		g.sorted = nil
		u.groups = append(u.groups, g)
	}
}

func (g *group) remove(u *user) {
	g.drop(u)
	u.groups = slices.DeleteFunc(u.groups, func(x *group) bool { return x == g })
}

// drop takes the user out of the group's own lists only.
func (g *group) drop(u *user) {
	delete(g.members, u)
	g.sorted = nil
}

func (g *group) path() string {
	if g.parent == nil {
		return ""
	}
	return g.parent.path() + "/" + g.name
}

func (g *group) child(name string) *group {
	for _, c := range g.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (g *group) attach(c *group) {
	c.parent = g
	g.children = append(g.children, c)
	g.sortChildren()
}

func (g *group) sortChildren() {
	slices.SortFunc(g.children, func(a, b *group) int { return cmp.Compare(a.name, b.name) })
}

func (g *group) detach() {
	g.parent.children = slices.DeleteFunc(g.parent.children, func(x *group) bool { return x == g })
}

// walk visits the groups below g, parents first.
func (g *group) walk(visit func(*group)) {
	for _, c := range g.children {
		visit(c)
		c.walk(visit)
	}
}

// find looks a path up. A slash may belong to a name, so every way to cut the path is tried.
func (g *group) find(path string) *group {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return g.findParts(strings.Split(path, "/"))
}

func (g *group) findParts(parts []string) *group {
	for n := 1; n <= len(parts); n++ {
		c := g.child(strings.Join(parts[:n], "/"))
		if c == nil {
			continue
		}
		if n == len(parts) {
			return c
		}
		if found := c.findParts(parts[n:]); found != nil {
			return found
		}
	}
	return nil
}

func (re *realm) removeGroup(g *group) {
	g.walk(func(c *group) { re.forgetGroup(c) })
	re.forgetGroup(g)
	g.detach()
}

func (re *realm) forgetGroup(g *group) {
	for u := range g.members {
		u.groups = slices.DeleteFunc(u.groups, func(x *group) bool { return x == g })
	}
	for _, r := range g.roles {
		delete(r.groups, g)
	}
	delete(re.groups, g.id)
}

func (o *organization) expel(u *user) {
	delete(o.members, u)
	o.sorted = nil
	u.organizations = slices.DeleteFunc(u.organizations, func(x *organization) bool { return x == o })
	for _, g := range slices.Clone(u.groups) {
		if g.org == o {
			g.remove(u)
		}
	}
}
