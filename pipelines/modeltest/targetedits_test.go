package modeltest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
)

// targetEdit is something that an administrator of the target, or the user,
// does to one account of ours. It is done by the realm's API and to the model.
type targetEdit struct {
	name   string
	weight int
	can    func(a *account) bool // nil: always
	edit   func(ctx context.Context, s *sequence, key string, a *account, rnd *rand.Rand) error
}

// change sends an account back as it was read, with some fields changed.
func (r *realm) change(ctx context.Context, id string, edit func(rep map[string]any)) error {
	var rep map[string]any
	if err := r.do(ctx, "GET", "/users/"+id, nil, &rep); err != nil {
		return err
	}
	edit(rep)
	return r.do(ctx, "PUT", "/users/"+id, rep, nil)
}

func setAttribute(rep map[string]any, name, value string) {
	attributes, _ := rep["attributes"].(map[string]any)
	if attributes == nil {
		attributes = map[string]any{}
	}
	attributes[name] = []string{value}
	rep["attributes"] = attributes
}

func (r *realm) setRole(ctx context.Context, id, role string, on bool) error {
	var rep map[string]any
	if err := r.do(ctx, "GET", "/roles/"+role, nil, &rep); err != nil {
		return err
	}
	method := "DELETE"
	if on {
		method = "POST"
	}
	return r.do(ctx, method, "/users/"+id+"/role-mappings/realm", []any{rep}, nil)
}

// errCant means that an edit can't be made now.
var errCant = errors.New("can't be done now")

// setGroup and setOrganization take somebody in or out.
func (s *sequence) setGroup(ctx context.Context, id, group string, on bool) error {
	gid := s.model.unitIDs[group]
	if gid == "" {
		return errCant
	}
	method := "DELETE"
	if on {
		method = "PUT"
	}
	return s.rig.realm.do(ctx, method, "/users/"+id+"/groups/"+gid, nil, nil)
}

func (s *sequence) setOrganization(ctx context.Context, id, org string, on bool) error {
	oid := s.model.unitIDs[org]
	switch {
	case oid == "":
		return errCant
	case on:
		return s.rig.realm.do(ctx, "POST", "/organizations/"+oid+"/members", id, nil)
	}
	return s.rig.realm.do(ctx, "DELETE", "/organizations/"+oid+"/members/"+id, nil, nil)
}

var targetEdits = []targetEdit{
	{"target: switch", 5, nil, func(ctx context.Context, s *sequence, _ string, a *account, _ *rand.Rand) error {
		a.enabled = !a.enabled
		return s.rig.realm.change(ctx, a.id, func(rep map[string]any) { rep["enabled"] = a.enabled })
	}},
	{"target: role", 6, nil, func(ctx context.Context, s *sequence, _ string, a *account, rnd *rand.Rand) error {
		role := roleNames[rnd.IntN(len(roleNames))]
		toggle(a.roles, role)
		return s.rig.realm.setRole(ctx, a.id, role, a.roles[role])
	}},
	{"target: group", 3, nil, func(ctx context.Context, s *sequence, _ string, a *account, rnd *rand.Rand) error {
		group := groupNames[rnd.IntN(len(groupNames))]
		err := s.setGroup(ctx, a.id, group, !a.groups[group])
		if err == nil {
			toggle(a.groups, group)
		}
		return err
	}},
	{"target: expel", 5, func(a *account) bool { return len(a.places) > 0 }, func(ctx context.Context, s *sequence, _ string, a *account, rnd *rand.Rand) error {
		place, _ := pick(rnd, a.places.list())
		org := organizationOf(place)
		for p := range a.places {
			if organizationOf(p) == org {
				delete(a.places, p)
			}
		}
		return s.setOrganization(ctx, a.id, org, false)
	}},
	{"target: invite", 2, func(a *account) bool { return !a.places["lumen"] }, func(ctx context.Context, s *sequence, _ string, a *account, _ *rand.Rand) error {
		err := s.setOrganization(ctx, a.id, "lumen", true)
		if err == nil {
			a.places.add("lumen")
		}
		return err
	}},
	{"target: password", 4, nil, func(ctx context.Context, s *sequence, _ string, a *account, _ *rand.Rand) error {
		m := s.model
		m.now()
		p := &password{text: fmt.Sprintf("chosen-%d", m.fresh())}
		err := s.rig.realm.do(ctx, "PUT", "/users/"+a.id+"/reset-password", map[string]any{"type": "password", "value": p.text, "temporary": false}, nil)
		if err != nil {
			return err
		}
		if err := s.rig.realm.password(ctx, a); err != nil {
			return err
		}
		p.date = a.pw.date
		a.pw, m.texts[p.date], m.last = p, p.text, max(m.last, p.date)
		return nil
	}},
	{"target: no password", 2, func(a *account) bool { return a.pw != nil }, func(ctx context.Context, s *sequence, _ string, a *account, _ *rand.Rand) error {
		if err := s.rig.realm.password(ctx, a); err != nil {
			return err
		}
		a.pw = nil
		return s.rig.realm.do(ctx, "DELETE", "/users/"+a.id+"/credentials/"+a.pwID, nil, nil)
	}},
	{"target: first name", 2, nil, func(ctx context.Context, s *sequence, _ string, a *account, _ *rand.Rand) error {
		a.first = fmt.Sprintf("Theirs%d", s.model.fresh())
		return s.rig.realm.change(ctx, a.id, func(rep map[string]any) { rep["firstName"] = a.first })
	}},
	{"target: title", 2, nil, func(ctx context.Context, s *sequence, _ string, a *account, _ *rand.Rand) error {
		a.title = fmt.Sprintf("theirs%d", s.model.fresh())
		return s.rig.realm.change(ctx, a.id, func(rep map[string]any) { setAttribute(rep, "title", a.title) })
	}},
	{"target: desk", 1, nil, func(ctx context.Context, s *sequence, _ string, a *account, _ *rand.Rand) error {
		a.desk = fmt.Sprintf("theirs%d", s.model.fresh())
		return s.rig.realm.change(ctx, a.id, func(rep map[string]any) { setAttribute(rep, "desk", a.desk) })
	}},
	{"target: no title", 1, nil, func(ctx context.Context, s *sequence, _ string, a *account, _ *rand.Rand) error {
		a.title = ""
		return s.rig.realm.change(ctx, a.id, func(rep map[string]any) {
			if attributes, ok := rep["attributes"].(map[string]any); ok {
				delete(attributes, "title")
			}
		})
	}},
	{"target: email", 1, nil, func(ctx context.Context, s *sequence, _ string, a *account, _ *rand.Rand) error {
		a.email = fmt.Sprintf("theirs%d@model.example", s.model.fresh())
		return s.rig.realm.change(ctx, a.id, func(rep map[string]any) { rep["email"] = a.email })
	}},
	{"target: delete", 3, nil, func(ctx context.Context, s *sequence, key string, a *account, _ *rand.Rand) error {
		delete(s.model.target, key)
		return s.rig.realm.do(ctx, "DELETE", "/users/"+a.id, nil, nil)
	}},
}

func (k targetEdit) subjects(m *model) []string {
	var out []string
	for key, a := range m.target {
		if k.can == nil || k.can(a) {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func drawTarget(k targetEdit) func(*sequence, *rand.Rand) (action, bool) {
	return func(s *sequence, rnd *rand.Rand) (action, bool) {
		key, ok := pick(rnd, k.subjects(s.model))
		return action{Key: key, Seed: seed(rnd)}, ok
	}
}

func playTarget(k targetEdit) func(context.Context, *sequence, action) (bool, error) {
	return func(ctx context.Context, s *sequence, a action) (bool, error) {
		if !slices.Contains(k.subjects(s.model), a.Key) {
			return false, nil
		}
		err := k.edit(ctx, s, a.Key, s.model.target[a.Key], a.rand())
		if errors.Is(err, errCant) {
			return false, nil
		}
		return true, err
	}
}

// foreignKinds are about accounts of the target that are nobody's.
var foreignKinds = []kind{
	{name: "target: register", weight: 2, draw: func(s *sequence, rnd *rand.Rand) (action, bool) {
		key, ok := pick(rnd, s.model.unregistered())
		return action{Key: key, Seed: seed(rnd)}, ok
	}, play: register},
	{name: "target: rename unit", weight: 2, draw: func(s *sequence, rnd *rand.Rand) (action, bool) {
		u, ok := pick(rnd, slices.Sorted(maps.Keys(s.model.units)))
		return action{Key: u}, ok
	}, play: renameUnit},
	{name: "rename unit", weight: 2, legacy: true, draw: func(_ *sequence, rnd *rand.Rand) (action, bool) {
		u, ok := pick(rnd, allUnits)
		return action{Key: u}, ok
	}, play: func(_ context.Context, s *sequence, a action) (bool, error) {
		s.model.names[a.Key] = fmt.Sprintf("Unit%d", s.model.fresh())
		return true, nil
	}},
	{name: "target: unregister", weight: 1, draw: func(s *sequence, rnd *rand.Rand) (action, bool) {
		return action{Seed: seed(rnd)}, len(s.model.foreign) > 0
	}, play: func(ctx context.Context, s *sequence, a action) (bool, error) {
		login, ok := pick(a.rand(), logins(s.model.foreign))
		if !ok {
			return false, nil
		}
		id := s.model.foreign[login].id
		delete(s.model.foreign, login)
		return true, s.rig.realm.do(ctx, "DELETE", "/users/"+id, nil, nil)
	}},
}

// renameUnit gives an organization, a department or a group another name in the
// target.
func renameUnit(ctx context.Context, s *sequence, a action) (bool, error) {
	id := s.model.unitIDs[a.Key]
	if s.model.units[a.Key] == "" || id == "" {
		return false, nil
	}
	path := "/groups/" + id
	switch up := parentOf(a.Key); {
	case up != "":
		path = "/organizations/" + s.model.unitIDs[up] + path
	case slices.Contains(orgUnits, a.Key):
		path = "/organizations/" + id
	}
	var rep map[string]any
	if err := s.rig.realm.do(ctx, "GET", path, nil, &rep); err != nil {
		return false, err
	}
	s.model.units[a.Key] = fmt.Sprintf("Theirs%d", s.model.fresh())
	rep["name"] = s.model.units[a.Key]
	return true, s.rig.realm.do(ctx, "PUT", path, rep, nil)
}

func logins(m map[string]*account) []string {
	s := set{}
	for login := range m {
		s.add(login)
	}
	return s.list()
}

// unregistered are people of legacy without an account, whose name and address
// nobody in the target has.
func (m *model) unregistered() []string {
	taken := set{}
	for _, accounts := range []map[string]*account{m.target, m.foreign} {
		for _, a := range accounts {
			taken.add(a.login)
			taken.add(a.email)
		}
	}
	var out []string
	for key, p := range m.legacy {
		if m.target[key] == nil && !taken[p.login] && (p.email == "" || !taken[p.email]) && len(m.namesakes(key)) == 0 {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// register makes an account with somebody's name or address that is nobody's.
func register(ctx context.Context, s *sequence, a action) (bool, error) {
	if !slices.Contains(s.model.unregistered(), a.Key) {
		return false, nil
	}
	p, rnd := s.model.legacy[a.Key], a.rand()
	f := &account{person: person{login: p.login, enabled: true, roles: setOf("reader"), groups: set{}, places: set{}}}
	if p.email != "" && rnd.IntN(2) == 0 {
		f.login, f.email = fmt.Sprintf("stranger%d", s.model.fresh()), p.email
	}
	if err := s.rig.realm.do(ctx, "POST", "/users", map[string]any{"username": f.login, "email": f.email, "enabled": true}, nil); err != nil {
		return false, err
	}
	var found []wireUser
	if err := s.rig.realm.do(ctx, "GET", "/users?exact=true&username="+url.QueryEscape(f.login), nil, &found); err != nil {
		return false, err
	}
	for _, u := range found {
		if strings.EqualFold(u.Username, f.login) {
			f.id, f.born = u.ID, u.Created
		}
	}
	s.model.foreign[f.login] = f
	return true, s.rig.realm.setRole(ctx, f.id, "reader", true)
}
