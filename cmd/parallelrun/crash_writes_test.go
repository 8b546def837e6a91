package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/faultproxy"
)

// write is one kind of request that changes the target.
type write struct {
	name   string
	method string
	path   string // pattern of what follows the realm
	body   string // text in it; "": any
}

func (w write) is(r faultproxy.Request) bool {
	_, below, ok := strings.Cut(strings.TrimPrefix(r.Path, "/admin/realms/"), "/")
	return ok && r.Method == w.method && regexp.MustCompile("^"+w.path+"$").MatchString(below) && strings.Contains(string(r.Body), w.body)
}

// count is how many requests of a journal are of the kind.
func (w write) count(journal []faultproxy.Request) (n int) {
	for _, r := range journal {
		if w.is(r) {
			n++
		}
	}
	return n
}

// firstWrites are the kinds of writes of a first run, nightWrites those that
// only a later one has.
var (
	firstWrites = []write{
		{"role", http.MethodPost, `roles`, ""},
		{"profile", http.MethodPut, `users/profile`, ""},
		{"organization", http.MethodPost, `organizations`, ""},
		{"root-department", http.MethodPost, `organizations/[^/]+/groups`, ""},
		{"child-department", http.MethodPost, `organizations/[^/]+/groups/[^/]+/children`, ""},
		{"department-attributes", http.MethodPut, `organizations/[^/]+/groups/[^/]+`, ""},
		{"department-roles", http.MethodPost, `organizations/[^/]+/groups/[^/]+/role-mappings/realm`, ""},
		{"group", http.MethodPost, `groups`, ""},
		{"users", http.MethodPost, `partialImport`, `"username"`},
		{"member", http.MethodPost, `organizations/[^/]+/members`, ""},
		{"department-member", http.MethodPut, `organizations/[^/]+/groups/[^/]+/members/[^/]+`, ""},
		{"membership-details", http.MethodPut, `users/[^/]+`, `"attributes"`},
	}
	nightWrites = []write{
		{"user", http.MethodPut, `users/[^/]+`, `"Promoted"`},
		{"password", http.MethodPut, `users/[^/]+`, `"credentials"`},
		{"disable", http.MethodPut, `users/[^/]+`, `"enabled":false`},
		{"department", http.MethodPut, `organizations/[^/]+/groups/[^/]+`, "CC-9"},
		{"leave-group", http.MethodDelete, `users/[^/]+/groups/[^/]+`, ""},
		{"leave-department", http.MethodDelete, `organizations/[^/]+/groups/[^/]+/members/[^/]+`, ""},
	}
)

// killAround ends the program at the n-th request of a kind: before the request
// reaches the server, or once it is committed there and before the program
// hears of it.
func (f *front) killAround(w write, n int, committed bool, args ...string) result {
	f.t.Helper()
	seen := 0
	v := f.begin(func(v *victim, r faultproxy.Request) faultproxy.Fault {
		if !w.is(r) {
			return faultproxy.Fault{}
		}
		switch seen++; {
		case seen != n:
			return faultproxy.Fault{}
		case committed:
			return faultproxy.Fault{After: v.kill, Lose: true}
		}
		return faultproxy.Fault{Before: v.kill, Drop: true}
	}, args...)
	r := f.end(v)
	if r.code != -1 {
		f.t.Fatalf("was not killed at %s %d: exit code %d\n%s", w.name, n, r.code, r.stderr)
	}
	return r
}

// around tries both sides of every kind of write.
func around(t *testing.T, kinds []write, journal []faultproxy.Request, u *uninterrupted, open func(*testing.T) *front) {
	t.Helper()
	for i, w := range kinds {
		all := w.count(journal)
		if all == 0 {
			t.Errorf("an uninterrupted run has no write of the kind %s", w.name)
			continue
		}
		for j, committed := range []bool{false, true} {
			if !onlyOf(2*i + j) {
				continue
			}
			name, n := w.name+"/never-arrives", 1
			if committed {
				name, n = w.name+"/committed", (all+1)/2
			}
			t.Run(name, func(t *testing.T) {
				f := open(t)
				f.killAround(w, n, committed, "run", "--apply")
				f.resumeUntilDone()
				f.prove(u)
			})
		}
	}
}

// A kill around every kind of write of a first run. What never arrived is sent
// by the resume; what was committed and not recorded is found, and not sent
// twice.
func TestKilledAroundEveryWrite(t *testing.T) {
	t.Parallel()
	u, journal := newFirstRun(t)
	around(t, firstWrites, journal, u, func(t *testing.T) *front { return newFront(t, u.template, "") })
}

// The same for the writes of a later run: changes, passwords, disabled
// accounts, memberships that end.
func TestKilledAroundEveryChange(t *testing.T) {
	t.Parallel()
	night, journal := newNextNight(t)
	around(t, nightWrites, journal, night.uninterrupted, night.front)
}
