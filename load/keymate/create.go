package keymate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// CreateUsers writes users by one partial import, which the server commits
// whole or not at all. An account that is there already makes it fail (never
// skipped, never overwritten): the loader then looks who it is.
func (t *Target) CreateUsers(ctx context.Context, users []schemas.Bundle, ids load.IDs) error {
	if len(users) == 0 {
		return nil
	}
	f, err := t.look(ctx)
	if err != nil {
		return err
	}
	reps := make([]userRep, len(users))
	later := map[string][]string{} // groups that no path leads to, by user
	var private []string
	for i, u := range users {
		rep, byID, err := t.newUser(ctx, f, u, ids)
		if err != nil {
			return err
		}
		reps[i] = rep
		if len(byID) > 0 {
			later[rep.ID] = byID
		}
		private = append(private, personal(u.User)...)
	}
	if err := t.importUsers(ctx, reps, private); err != nil {
		t.names.forget()
		return err
	}
	return t.joinGroups(ctx, later)
}

// personal lists the values of a user that no message may repeat.
func personal(row schemas.Row) []string {
	var out []string
	for _, c := range []string{"username", "email", "first_name", "last_name"} {
		if s := text(schemas.Users, row, c); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (t *Target) importUsers(ctx context.Context, reps []userRep, private []string) error {
	op := fmt.Sprintf("create %d users", len(reps))
	body, err := json.Marshal(importRep{IfResourceExists: "FAIL", Users: reps})
	if err != nil {
		return err
	}
	if len(body) > t.cfg.BatchBytes && len(reps) > 1 {
		return &load.Error{Class: load.Permanent, Op: op, Message: fmt.Sprintf("together they take %d bytes, more than the %d of one request", len(body), t.cfg.BatchBytes),
			Hint: "send fewer at once"}
	}
	var result struct{ Added int }
	_, err = t.http.do(ctx, call{op: op, method: http.MethodPost, path: "/partialImport", raw: body, out: &result, private: private})
	if err == nil && result.Added != len(reps) {
		err = &load.Error{Class: load.Unknown, Op: op, Endpoint: "POST partialImport", Status: http.StatusOK,
			Message: fmt.Sprintf("the server says that it added %d", result.Added), Hint: "read the rows back"}
	}
	return err
}

// joinGroups adds new users to groups by id. The users are there already, so a
// failure leaves the outcome unknown, not undone.
func (t *Target) joinGroups(ctx context.Context, groups map[string][]string) error {
	for user, list := range groups {
		for _, group := range list {
			if err := t.joinGroup(ctx, user, group); err != nil {
				return &load.Error{Class: load.Unknown, Op: "add a new user to a group", Message: "the user is there, the group is not",
					Hint: "read the row back: an update adds the group", Err: err}
			}
		}
	}
	return nil
}

func (t *Target) joinGroup(ctx context.Context, user, group string) error {
	_, err := t.http.do(ctx, call{op: "add a user to a group", method: http.MethodPut,
		path: "/users/" + url.PathEscape(user) + "/groups/" + url.PathEscape(group)})
	return err
}

// newUser makes one user of an import, and lists the groups that can't be part
// of it.
func (t *Target) newUser(ctx context.Context, f *realmFacts, u schemas.Bundle, ids load.IDs) (userRep, []string, error) {
	const tb = schemas.Users
	if err := checkUser(u.User); err != nil {
		return userRep{}, nil, err
	}
	rep := writeUser(f, u, nil)
	rep.ID = userID(f.ID, u.User.ID)
	if at, ok := moment(tb, u.User, "created_at"); ok {
		millis := toMillis(at)
		rep.CreatedTimestamp = &millis
	}
	rep.RealmRoles = texts(tb, u.User, "realm_roles")
	if _, err := t.names.rolesNamed(ctx, rep.RealmRoles); err != nil {
		return rep, nil, ofRow(err, tb, u.User.Key)
	}
	for alias, link := range textMap(tb, u.User, "federated_links") {
		rep.Federated = append(rep.Federated, linkRep(alias, link))
	}
	for _, c := range u.Credentials {
		cred, err := t.encodeCredential(c)
		if err != nil {
			return rep, nil, err
		}
		rep.Credentials = append(rep.Credentials, cred)
	}
	var byID []string
	for _, ref := range texts(tb, u.User, "groups") {
		group, err := resolve(ids, schemas.Groups, ref)
		if err != nil {
			return rep, nil, ofRow(err, tb, u.User.Key)
		}
		path, err := t.names.groupPath(ctx, group)
		if err != nil {
			return rep, nil, ofRow(err, tb, u.User.Key)
		}
		if path == "" {
			byID = append(byID, group)
		} else {
			rep.Groups = append(rep.Groups, path)
		}
	}
	return rep, byID, nil
}

// checkUser refuses what the import would take and nobody could use, or what
// it answers with a bare 500.
func checkUser(row schemas.Row) error {
	const tb = schemas.Users
	name := text(tb, row, "username")
	switch {
	case row.ID.IsZero() || row.Key == "":
		return refuse(tb, row, "row id or legacy key is missing", "this is a fault of the program")
	case name == "":
		return refuse(tb, row, "the user name is empty", "give the row a user name by the mapping")
	case name != schemas.LowerLogin(name):
		return refuse(tb, row, "the user name is not lower-cased", "this is a fault of the program: write projected rows")
	case hasNUL(name), !utf8.ValidString(name):
		return refuse(tb, row, "the user name holds characters that the target's database refuses", "mend it in the source or the mapping")
	case utf8.RuneCountInString(name) > maxColumn:
		return refuse(tb, row, fmt.Sprintf("the user name is longer than %d characters", maxColumn), "mend it in the source or the mapping")
	case units(row.Key) > maxUndeclaredValue:
		return refuse(tb, row, "the legacy key is too long to be kept as an attribute", "choose a shorter key")
	}
	return nil
}

func refuse(table string, row schemas.Row, message, hint string) error {
	return &load.Error{Class: load.Permanent, Op: "write " + table + " " + row.Key, Message: message, Hint: hint}
}

// ofRow names the row in an error that was met on its behalf.
func ofRow(err error, table, key string) error {
	if e, ok := err.(*load.Error); ok {
		named := *e
		named.Op = "write " + table + " " + key + ": " + e.Op
		return &named
	}
	return fmt.Errorf("%s %s: %w", table, key, err)
}

// resolve finds the target id of a row that another one refers to.
func resolve(ids load.IDs, table, ref string) (string, error) {
	id, err := schemas.ParseRowID(ref)
	if err != nil {
		return "", fmt.Errorf("reference to %s: %w", table, err)
	}
	if target, ok := ids.TargetID(id); ok {
		return target, nil
	}
	return "", &load.Error{Class: load.Permanent, Op: "look up a reference", Message: table + " " + ref + " is not in the target",
		Hint: "it failed earlier or is not part of this run: see its own outcome"}
}

func linkRep(alias string, link []string) federatedRep {
	l := federatedRep{Provider: alias, UserID: first(link)}
	if len(link) > 1 {
		l.UserName = link[1]
	}
	return l
}
