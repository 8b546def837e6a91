package loadtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// Observe implements load.Target.
func (t *Target) Observe(ctx context.Context, scope load.Scope, sink load.Sink) error {
	var probes []load.UserProbe
	if scope.Users != nil {
		for p, err := range scope.Users {
			if err != nil {
				return err
			}
			probes = append(probes, p)
		}
	}
	users := make([]schemas.RowID, len(probes))
	for i, p := range probes {
		users[i] = p.ID
	}
	return t.request(ctx, "observe", users, func() error {
		if scope.Structure {
			if err := t.observeStructure(sink); err != nil {
				return err
			}
		}
		for _, p := range probes {
			if err := t.observeUser(p, scope.Foreign, sink); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *Target) observeStructure(sink load.Sink) error {
	for _, id := range slices.Sorted(maps.Keys(t.nodes)) {
		n := t.nodes[id]
		if err := sink.Row(n.table, t.shown(n.table, n.row), id); err != nil {
			return err
		}
	}
	return nil
}

// shown is a row without what is not given back.
func (t *Target) shown(table string, row schemas.Row) schemas.Row {
	row.Values = slices.Clone(row.Values)
	for i, c := range shapes[table].Columns {
		if !t.Kept.Columns[table][c.Name].Readable {
			row.Values[i] = nil
		}
	}
	return row
}

func (t *Target) observeUser(p load.UserProbe, foreign bool, sink load.Sink) error {
	id := p.TargetID
	if id == "" {
		id = t.UserID(p.ID)
	}
	a := t.users[id]
	if a == nil {
		return t.observeAbsent(p, foreign, sink)
	}
	user := t.shown(schemas.Users, a.user)
	user.ID, user.Key = p.ID, p.Key // an adopted account was nobody's
	if err := sink.Row(schemas.Users, user, id); err != nil {
		return err
	}
	for _, rows := range []struct {
		table string
		rows  map[schemas.RowID]schemas.Row
	}{{schemas.Credentials, a.credentials}, {schemas.Memberships, a.memberships}} {
		for _, id := range slices.SortedFunc(maps.Keys(rows.rows), schemas.RowID.Compare) {
			row := t.shown(rows.table, rows.rows[id])
			set(rows.table, &row, "user", p.ID.String())
			if err := sink.Row(rows.table, row, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Target) observeAbsent(p load.UserProbe, foreign bool, sink load.Sink) error {
	if !foreign {
		return sink.Absent(p)
	}
	found := false
	for _, id := range slices.Sorted(maps.Keys(t.users)) {
		a := t.users[id]
		name, mail := str(schemas.Users, &a.user, "username"), str(schemas.Users, &a.user, "email")
		byName, byMail := name == p.Username, mail != "" && mail == p.Email
		match := map[[2]bool]string{{true, false}: "username", {false, true}: "email", {true, true}: load.MatchBoth}[[2]bool{byName, byMail}]
		all, _ := get(schemas.Users, &a.user, "attributes").(map[string][]string)
		attributes := map[string][]string{}
		for name, ours := range p.Attributes {
			if attributes[name] = all[name]; match == "" && slices.Equal(ours, all[name]) {
				match = name
			}
		}
		if match == "" {
			continue
		}
		found = true
		f := load.ForeignAccount{TargetID: id, Username: name, Email: mail, Match: match, Attributes: attributes}
		if err := sink.Foreign(p, f); err != nil {
			return err
		}
	}
	if found {
		return nil
	}
	return sink.Absent(p)
}

// Seed puts a row into the realm as it is, for tests that start from a target
// that is not empty. Users come before their rows; a user without a key is
// nobody's.
func (t *Target) Seed(table string, row schemas.Row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch table {
	case schemas.Users:
		t.users[t.UserID(row.ID)] = newAccount(row)
	case schemas.Credentials, schemas.Memberships:
		owner, err := schemas.ParseRowID(str(table, &row, "user"))
		a := t.users[t.UserID(owner)]
		if err != nil || a == nil {
			panic("loadtest: seeded a row of nobody")
		}
		if table == schemas.Credentials {
			a.credentials[row.ID] = row
		} else {
			a.memberships[row.ID] = row
		}
	default:
		t.nextID++
		t.nodes[fmt.Sprintf("%s-%d", table, t.nextID)] = &node{table, row}
	}
}

// Edit changes an account behind everyone's back.
func (t *Target) Edit(user schemas.RowID, change func(user *schemas.Row, credentials, memberships map[schemas.RowID]schemas.Row)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.users[t.UserID(user)]
	a.user.Values = slices.Clone(a.user.Values)
	change(&a.user, a.credentials, a.memberships)
}

// Remove takes an account out of the realm.
func (t *Target) Remove(user schemas.RowID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.users, t.UserID(user))
}

// Dump is all that the realm holds, as text that does not depend on the order
// in which it came in or on the ids that the realm chose.
func (t *Target) Dump() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	add := func(table string, row schemas.Row) {
		lines = append(lines, fmt.Sprintf("%s %s %v", table, row.Key, row.Values))
	}
	for _, n := range t.nodes {
		add(n.table, n.row)
	}
	for _, a := range t.users {
		add(schemas.Users, a.user)
		for _, c := range a.credentials {
			s, _ := get(schemas.Credentials, &c, "secret").(schemas.Sealed)
			add(fmt.Sprintf("credentials(%x)", s.MAC), c)
		}
		for _, m := range a.memberships {
			add(schemas.Memberships, m)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// IDs are the target's ids of the structure, by row id.
func (t *Target) IDs() map[schemas.RowID]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := map[schemas.RowID]string{}
	for id, n := range t.nodes {
		ids[n.row.ID] = id
	}
	return ids
}
