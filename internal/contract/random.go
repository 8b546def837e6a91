package contract

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Generator makes requests at random, the same ones for the same seed. They speak of a small population, so that they meet each
// other: names are taken, groups are moved and deleted, members are removed. About one in five is wrong on purpose.
type Generator struct {
	r *rand.Rand
	n int // requests made
}

// NewGenerator makes a generator.
func NewGenerator(seed uint64) *Generator {
	return &Generator{r: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
}

const (
	someUsers  = 12
	someOrgs   = 4
	someGroups = 6
	someRoles  = 4
)

// Variables are the ids of the generator's users, which the client chooses. The others are saved while the requests run.
func (g *Generator) Variables(vars Vars, ids func() string) {
	for i := range someUsers {
		vars[fmt.Sprintf("w%s", letter(i))] = ids()
	}
}

func letter(i int) string { return string(rune('a' + i)) }

func (g *Generator) one(of ...string) string { return of[g.r.IntN(len(of))] }

func (g *Generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *Generator) user() string {
	if g.chance(4) {
		return "none"
	}
	return "{w" + letter(g.r.IntN(someUsers)) + "}"
}

func (g *Generator) pick(kind string, n int) string {
	if g.chance(4) {
		return "none"
	}
	return "{" + kind + letter(g.r.IntN(n)) + "}"
}

// Next makes one request.
func (g *Generator) Next() Step {
	g.n++
	switch g.r.IntN(20) {
	case 0, 1, 2, 3:
		return g.importUsers()
	case 4, 5:
		return put("/users/"+g.user(), g.body(g.userFields(false)), 0, "")
	case 6:
		return post("/users", g.body(g.userFields(true)), 0, "").save("n" + letter(g.r.IntN(3)))
	case 7:
		return g.readUsers()
	case 8:
		if g.chance(30) {
			return del("/users/"+g.user(), "", 0, "")
		}
		return put("/users/"+g.user()+"/reset-password", g.one(`{"value":"new"}`, `{"value":""}`, `{}`, `{"value":"new","temporary":true}`), 0, "")
	case 9:
		return g.roles()
	case 10, 11:
		return g.groups()
	case 12:
		return g.organizations()
	case 13, 14:
		return g.members()
	case 15, 16, 17:
		return g.organizationGroups()
	case 18:
		return login(g.username(), g.one("pw", "new", "plain", "no"), 0, "")
	}
	return get(g.one("/users/"+g.user(), "/users/"+g.user()+"/credentials", "/users/"+g.user()+"/groups", "/users/"+g.user()+"/role-mappings/realm", "/users/count"), 0, "")
}

func (g *Generator) username() string { return "{p}person" + letter(g.r.IntN(someUsers)) }

func (g *Generator) body(m map[string]string) string {
	if g.chance(2) {
		return g.one("", "x", "[]", "{}")
	}
	var parts []string
	for _, name := range sortedKeys(m) {
		quoted, _ := json.Marshal(name)
		parts = append(parts, string(quoted)+":"+m[name])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func sortedKeys(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	for i := range names { // few
		for j := i; j > 0 && names[j] < names[j-1]; j-- {
			names[j], names[j-1] = names[j-1], names[j]
		}
	}
	return names
}

// userFields makes a user. Most of what it holds is in order.
func (g *Generator) userFields(always bool) map[string]string {
	m := map[string]string{}
	if always || g.chance(40) {
		m["username"] = `"` + g.username() + `"`
		if g.chance(15) {
			m["username"] = g.one(`""`, `" "`, `null`, `"{p}PERSONA"`, `"{p}x{x:260}"`, `"{p}é"`, `"{p}用户"`, `"ab"`, `"{p} b"`, `5`, `"{p}{nul}"`)
		}
	}
	if g.chance(70) {
		m["email"] = `"{p}` + letter(g.r.IntN(someUsers)) + `@example.org"`
		if g.chance(10) {
			m["email"] = g.one(`""`, `null`, `"bad{p}"`, `"{p}A@EXAMPLE.org"`, `"{p}a..b@x.org"`, `"{p}@x"`, `"{p}b@x_y.org"`, `"{p}é@x.org"`, `"{p}a b@x.org"`, `"{p}a@-x.org"`, `" {p}lead@x.org"`)
		}
	}
	for _, name := range []string{"firstName", "lastName"} {
		if g.chance(70) {
			m[name] = g.one(`"Ann"`, `"Ann"`, `"Bø Æ"`, `"O'Neil-Smith"`, `""`, `" "`, `null`, `"<b>"`, `"a/b"`, `"日本"`, `"{x:255}"`, `"tab\there"`)
		}
	}
	if g.chance(85) {
		m["enabled"] = g.one("true", "true", "true", "true", "false", "null", `"true"`, "1")
	}
	if g.chance(20) {
		m["emailVerified"] = g.one("true", "false", "null")
	}
	if g.chance(40) {
		m["attributes"] = g.attributes()
	}
	if g.chance(20) {
		m["requiredActions"] = g.one(`[]`, `["UPDATE_PASSWORD"]`, `["UPDATE_PROFILE","VERIFY_EMAIL"]`, `["NOPE"]`, `null`)
	}
	if g.chance(35) {
		m["credentials"] = g.one(`[{sha256}]`, `[{sha512}]`, `[{argon2id}]`, `[{bcrypt}]`, `[]`, `[{"type":"password","value":"plain"}]`, `null`, `[{nojson}]`, `[{sha256},{sha512}]`, `[{"type":"password","value":""}]`)
	}
	if g.chance(5) {
		m["nope"] = "1"
	}
	if g.chance(20) {
		m["createdTimestamp"] = g.one("1710169762684", "null", `"17"`, "-1", "0")
	}
	return m
}

func (g *Generator) attributes() string {
	m := map[string]string{}
	for range g.r.IntN(4) {
		m[g.one("a", "b", "dept", "r&d", "locale", "ünï")] = g.one(`["1"]`, `["1","2"]`, `["2","1","2"]`, `[]`, `[""]`, `"single"`, `[1,true]`, `["{x:300}"]`, `["{x:2100}"]`, `["zoë"]`, `["a b "]`, `[" "]`, `["","x"]`)
	}
	var parts []string
	for _, name := range sortedKeys(m) {
		parts = append(parts, `"`+name+`":`+m[name])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (g *Generator) importUsers() Step {
	var users []string
	for range 1 + g.r.IntN(2) {
		i := g.r.IntN(someUsers)
		m := g.userFields(true)
		m["id"] = `"{w` + letter(i) + `}"`
		if g.chance(80) {
			m["username"] = `"{p}person` + letter(i) + `"`
		}
		if g.chance(30) {
			m["realmRoles"] = g.one(`["{p}rolea"]`, `["{p}roleb","default-roles-{realm}"]`, `[]`, `null`)
		}
		if g.chance(25) {
			m["groups"] = g.one(`["/{p}groupa"]`, `["{p}groupb"]`, `["/{p}groupa/groupb"]`, `[]`, `["/none"]`, `null`)
		}
		users = append(users, g.body(m))
	}
	return impAs(g.one("SKIP", "SKIP", "SKIP", "SKIP", "FAIL", "OVERWRITE"), strings.Join(users, ","), 0, "")
}

func (g *Generator) readUsers() Step {
	a, b := g.user(), g.user()
	return get(g.one(
		"/users?search=id:"+a+"%20"+b, "/users?username="+g.username()+"&exact=true", "/users?email={p}"+letter(g.r.IntN(someUsers))+"@example.org&exact=true",
		"/users?username={p}person&first="+fmt.Sprint(g.r.IntN(5))+"&max="+fmt.Sprint(g.r.IntN(5)), "/users?first=0&max=50&briefRepresentation=true",
		"/users/count", "/users?q=a:1", "/users?search={p}", "/users?lastName=Ann", "/users?firstName=ann&exact=true",
	), 0, "")
}

func (g *Generator) roles() Step {
	name := "{p}role" + letter(g.r.IntN(someRoles))
	v := g.pick("r", someRoles)
	switch g.r.IntN(6) {
	case 0:
		return post("/roles", g.one(`{"name":"`+name+`"}`, `{"name":"`+name+`","description":"d","attributes":{"a":["1"]}}`, `{}`, `{"name":null}`, `{"name":"`+name+`","nope":1}`), 0, "")
	case 1:
		s := get("/roles/"+name, 0, "")
		s.SaveID = "r" + name[len(name)-1:]
		return s
	case 2:
		return post("/users/"+g.user()+"/role-mappings/realm", `[{"id":"`+v+`","name":"{p}role`+lastLetter(v)+`"}]`, 0, "")
	case 3:
		return del("/users/"+g.user()+"/role-mappings/realm", `[{"id":"`+v+`","name":"{p}role`+lastLetter(v)+`"}]`, 0, "")
	case 4:
		return get("/roles/"+name+"/users"+g.one("", "?max=2", "?briefRepresentation=true"), 0, "")
	}
	return get("/roles?search={p}", 0, "")
}

func lastLetter(v string) string {
	v = strings.TrimSuffix(v, "}")
	return v[len(v)-1:]
}

func (g *Generator) groups() Step {
	name := g.one("{p}group", "group") + letter(g.r.IntN(someGroups))
	v := g.pick("g", someGroups)
	attributes := g.one("", `,"attributes":{"a":["1","2"]}`, `,"attributes":{}`, `,"attributes":{"a":[]}`, `,"attributes":{"a":["{x:256}"]}`, `,"description":"d"`)
	body := g.one(`{"name":"`+name+`"`+attributes+`}`, `{"name":"`+name+`"`+attributes+`}`, `{"name":"`+name+`"`+attributes+`}`, `{"name":""}`, `{}`, `{"name":"a/b"}`, `{"name":"`+name+`","nope":1}`)
	switch g.r.IntN(10) {
	case 0, 1:
		return post("/groups", body, 0, "").save("g" + letter(g.r.IntN(someGroups)))
	case 2, 3:
		return post("/groups/"+v+"/children", body, 0, "").saveID("g" + letter(g.r.IntN(someGroups)))
	case 4:
		return put("/groups/"+v, body, 0, "")
	case 5:
		if g.chance(30) {
			return del("/groups/"+v, "", 0, "")
		}
		return get("/groups/"+v, 0, "")
	case 6:
		return put("/users/"+g.user()+"/groups/"+v, "", 0, "")
	case 7:
		return del("/users/"+g.user()+"/groups/"+v, "", 0, "")
	case 8:
		return get("/groups"+g.one("", "?briefRepresentation=false", "?search=group", "?first=1&max=2"), 0, "")
	}
	return get("/groups/"+v+g.one("/children", "/members", "/children?max=1", "/members?briefRepresentation=true"), 0, "")
}

func (g *Generator) organizations() Step {
	n := letter(g.r.IntN(someOrgs))
	v := "{o" + n + "}"
	more := g.one("", `,"description":"d"`, `,"attributes":{"k":["1"]}`, `,"domains":[{"name":"{p}`+n+`.org"}]`, `,"domains":[{"name":"{p}a.org","verified":true}]`, `,"enabled":false`, `,"attributes":{"k":["{x:256}"]}`, `,"nope":1`)
	name := g.one("{p}org"+n, "{p}org"+n, "{p}Org"+n, "{p} org", "")
	switch g.r.IntN(7) {
	case 0, 1, 2:
		return post("/organizations", `{"name":"{p}org`+n+`"`+more+`}`, 0, "").save("o" + n)
	case 3:
		return put("/organizations/"+v, `{"name":"`+name+`","alias":"{p}org`+n+`"`+more+`}`, 0, "")
	case 4:
		if g.chance(20) {
			return del("/organizations/"+v, "", 0, "")
		}
		return get("/organizations/"+v, 0, "")
	case 5:
		return post("/organizations", `{"name":"`+name+`"`+more+`}`, 0, "")
	}
	return get("/organizations"+g.one("", "?max=2", "?search={p}org", "?search={p}orga&exact=true", "?q=k:1", "?briefRepresentation=false", "/count"), 0, "")
}

func (g *Generator) members() Step {
	o, u := g.pick("o", someOrgs), g.user()
	switch g.r.IntN(6) {
	case 0, 1, 2:
		return post("/organizations/"+o+"/members", u, 0, "")
	case 3:
		return del("/organizations/"+o+"/members/"+u, "", 0, "")
	case 4:
		return get("/organizations/"+o+"/members"+g.one("", "?max=1", "?briefRepresentation=false", "/count", "?search=person"), 0, "")
	}
	return get(g.one("/organizations/members/"+u+"/organizations", "/organizations/"+o+"/members/"+u, "/organizations/"+o+"/members/"+u+"/groups"), 0, "")
}

func (g *Generator) organizationGroups() Step {
	o := "/organizations/" + g.pick("o", someOrgs) + "/groups"
	v := o + "/" + g.pick("q", someGroups)
	name := g.one("eng", "ops", "hr", "Eng", "a/b")
	attributes := g.one("", `,"attributes":{"a":["1"]}`, `,"attributes":{}`, `,"attributes":{"a":["{x:256}"]}`, `,"description":"d"`)
	body := g.one(`{"name":"`+name+`"`+attributes+`}`, `{"name":"`+name+`"`+attributes+`}`, `{"name":"`+name+`"`+attributes+`}`, `{"name":""}`, `{}`, `{"name":"`+name+`","nope":1}`)
	switch g.r.IntN(11) {
	case 0, 1:
		return post(o, body, 0, "").saveID("q" + letter(g.r.IntN(someGroups)))
	case 2, 3:
		return post(v+"/children", body, 0, "").saveID("q" + letter(g.r.IntN(someGroups)))
	case 4:
		return put(v, body, 0, "")
	case 5:
		if g.chance(30) {
			return del(v, "", 0, "")
		}
		return get(v, 0, "")
	case 6, 7:
		return put(v+"/members/"+g.user(), "", 0, "")
	case 8:
		return del(v+"/members/"+g.user(), "", 0, "")
	case 9:
		return get(o+g.one("", "?briefRepresentation=false", "?search=eng", "?search=e&populateHierarchy=true", "?q=a:1"), 0, "")
	}
	return get(v+g.one("/children", "/members", "/role-mappings/realm"), 0, "")
}
