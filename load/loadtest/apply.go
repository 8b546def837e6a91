package loadtest

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

var shapes = schemas.Entities()

func get(table string, row *schemas.Row, column string) any {
	t := shapes[table]
	i := t.Column(column)
	if i < 0 || i >= len(row.Values) {
		return nil
	}
	return row.Values[i]
}

func set(table string, row *schemas.Row, column string, v any) {
	t := shapes[table]
	row.Values[t.Column(column)] = v
}

func str(table string, row *schemas.Row, column string) string {
	s, _ := get(table, row, column).(string)
	return s
}

// Apply implements load.Target.
func (t *Target) Apply(ctx context.Context, op load.Operation, s load.Subject, ids load.IDs) (string, error) {
	if op.Table == schemas.Users && op.Kind == load.Create {
		return "", fmt.Errorf("a user was created by Apply")
	}
	var users []schemas.RowID
	if s.User != nil {
		users = []schemas.RowID{s.User.User.ID}
	}
	var made string // of a late write nobody reads it
	err := t.request(ctx, string(op.Kind)+" "+op.Table, users, func() error {
		if err := t.Poison[op.Key]; err != nil {
			return err
		}
		if t.Refuse != nil {
			if err := t.Refuse(op, s.Row); err != nil {
				return err
			}
		}
		switch op.Table {
		case schemas.Users:
			return t.updateUser(op, s, ids)
		case schemas.Credentials:
			return t.credential(op, s, ids)
		case schemas.Memberships:
			return t.membership(op, s, ids)
		}
		id, err := t.structure(op, s.Row, ids)
		made = id
		return err
	})
	if err != nil {
		return "", err
	}
	return made, nil
}

func (t *Target) account(s load.Subject, ids load.IDs) (*account, error) {
	if a := t.users[t.accountID(s, ids)]; a != nil {
		return a, nil
	}
	return nil, Refusal(load.Permanent, http.StatusNotFound, "User not found")
}

// accountID is the id of an adopted account, else the one that we choose.
func (t *Target) accountID(s load.Subject, ids load.IDs) string {
	if id, ok := ids.TargetID(s.User.User.ID); ok {
		return id
	}
	return t.UserID(s.User.User.ID)
}

func changes(op load.Operation, column string) bool {
	return len(op.Columns) == 0 || slices.Contains(op.Columns, column)
}

// assign writes the columns that an operation changes.
func assign(op load.Operation, to *schemas.Row, from schemas.Row) {
	to.Values = slices.Clone(to.Values)
	for i, c := range shapes[op.Table].Columns {
		if changes(op, c.Name) {
			to.Values[i] = from.Values[i]
		}
	}
}

func (t *Target) updateUser(op load.Operation, s load.Subject, ids load.IDs) error {
	a, err := t.account(s, ids)
	if err != nil {
		return err
	}
	switch op.Kind {
	case load.Delete:
		delete(t.users, t.accountID(s, ids))
		return nil
	case load.Update, load.Adopt:
	default:
		return fmt.Errorf("kind %s on users", op.Kind)
	}
	now := a.user
	assign(op, &now, s.Row)
	if err := t.checkUser(&now, ids, t.accountID(s, ids), nil); err != nil {
		return err
	}
	a.user = now
	return nil
}

func (t *Target) credential(op load.Operation, s load.Subject, ids load.IDs) error {
	a, err := t.account(s, ids)
	if err != nil {
		return err
	}
	switch op.Kind {
	case load.Create, load.Update:
		if sealed, ok := get(schemas.Credentials, &s.Row, "secret").(schemas.Sealed); !ok || len(sealed.Box) == 0 {
			return Refusal(load.Permanent, http.StatusBadRequest, "credential without a secret")
		}
		for id, c := range a.credentials { // one of each type
			if str(schemas.Credentials, &c, "type") == str(schemas.Credentials, &s.Row, "type") {
				delete(a.credentials, id)
			}
		}
		a.credentials[s.Row.ID] = s.Row
	case load.Delete:
		delete(a.credentials, s.Row.ID)
	default:
		return fmt.Errorf("kind %s on credentials", op.Kind)
	}
	return nil
}

func (t *Target) membership(op load.Operation, s load.Subject, ids load.IDs) error {
	a, err := t.account(s, ids)
	if err != nil {
		return err
	}
	_, there := a.memberships[s.Row.ID]
	switch op.Kind {
	case load.Link:
		for _, column := range []string{"organization", "department"} {
			if ref := str(schemas.Memberships, &s.Row, column); ref != "" {
				if err := t.there(ref, ids); err != nil {
					return err
				}
			}
		}
		if there {
			return Refusal(load.Unknown, http.StatusConflict, "already a member")
		}
		a.memberships[s.Row.ID] = s.Row
	case load.Unlink:
		if !there {
			return Refusal(load.Permanent, http.StatusNotFound, "no such member")
		}
		delete(a.memberships, s.Row.ID)
	case load.Update:
		if !there {
			return Refusal(load.Permanent, http.StatusNotFound, "no such member")
		}
		row := a.memberships[s.Row.ID]
		assign(op, &row, s.Row)
		a.memberships[s.Row.ID] = row
	default:
		return fmt.Errorf("kind %s on memberships", op.Kind)
	}
	return nil
}

func (t *Target) structure(op load.Operation, row schemas.Row, ids load.IDs) (string, error) {
	for _, column := range []string{"organization", "parent"} {
		if ref := str(op.Table, &row, column); ref != "" && op.Kind != load.Delete {
			if err := t.there(ref, ids); err != nil {
				return "", err
			}
		}
	}
	if op.Kind == load.Create {
		return t.createNode(op, row)
	}
	id := op.TargetID
	if id == "" {
		id, _ = ids.TargetID(op.ID)
	}
	n := t.nodes[id]
	switch {
	case n == nil:
		return "", Refusal(load.Permanent, http.StatusNotFound, "not found")
	case op.Kind == load.Update:
		assign(op, &n.row, row)
	case op.Kind == load.Delete:
		if t.inUse(n.row.ID.String()) {
			return "", Refusal(load.Permanent, http.StatusConflict, "not empty")
		}
		delete(t.nodes, id)
	default:
		return "", fmt.Errorf("kind %s on %s", op.Kind, op.Table)
	}
	return id, nil
}

// createNode refuses a name that is taken among its siblings.
func (t *Target) createNode(op load.Operation, row schemas.Row) (string, error) {
	for _, n := range t.nodes {
		if n.table == op.Table && sibling(op.Table, &n.row, &row) {
			return "", Refusal(load.Unknown, http.StatusConflict, "name is taken")
		}
	}
	t.nextID++
	id := fmt.Sprintf("%s-%d", op.Table, t.nextID)
	t.nodes[id] = &node{op.Table, row}
	return id, nil
}

func sibling(table string, a, b *schemas.Row) bool {
	columns := []string{"organization", "parent", "name"}
	if table == schemas.Organizations {
		columns = []string{"alias"}
	}
	for _, c := range columns {
		if get(table, a, c) != get(table, b, c) {
			return false
		}
	}
	return true
}

func (t *Target) inUse(ref string) bool {
	for _, n := range t.nodes {
		if str(n.table, &n.row, "organization") == ref || str(n.table, &n.row, "parent") == ref {
			return true
		}
	}
	for _, a := range t.users {
		if groups, _ := get(schemas.Users, &a.user, "groups").([]string); slices.Contains(groups, ref) {
			return true
		}
		for _, m := range a.memberships {
			if str(schemas.Memberships, &m, "organization") == ref || str(schemas.Memberships, &m, "department") == ref {
				return true
			}
		}
	}
	return false
}
