package keymate

import (
	"context"
	"fmt"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// Apply carries out one operation. Where it takes several requests, each
// leaves the target in a state from which the same operation goes on: what is
// done already is found and not done again.
func (t *Target) Apply(ctx context.Context, op load.Operation, s load.Subject, ids load.IDs) (string, error) {
	f, err := t.look(ctx)
	if err != nil {
		return "", err
	}
	a := &applier{target: t, facts: f, op: op, subject: s, ids: ids}
	id, err := a.do(ctx)
	if err != nil {
		return id, ofRow(err, op.Table, op.Key)
	}
	return id, nil
}

// applier is one operation under way.
type applier struct {
	target  *Target
	facts   *realmFacts
	op      load.Operation
	subject load.Subject
	ids     load.IDs
}

func (a *applier) do(ctx context.Context) (string, error) {
	switch a.op.Table {
	case schemas.Users:
		return a.user(ctx)
	case schemas.Credentials:
		return "", a.credential(ctx)
	case schemas.Memberships:
		return "", a.membership(ctx)
	case schemas.Organizations:
		return a.organization(ctx)
	case schemas.Departments, schemas.Groups:
		return a.group(ctx)
	}
	return "", a.never()
}

// never is the answer to an operation that this dialect has no meaning for.
func (a *applier) never() error {
	return &load.Error{Class: load.Permanent, Op: fmt.Sprintf("%s a row of %s", a.op.Kind, a.op.Table),
		Message: "a Keycloak realm has no such operation", Hint: "leave the table out of the run"}
}

// changes says whether the operation changes the column; one that names no
// columns changes all.
func (a *applier) changes(columns ...string) bool {
	if len(a.op.Columns) == 0 {
		return true
	}
	for _, c := range columns {
		for _, changed := range a.op.Columns {
			if c == changed {
				return true
			}
		}
	}
	return false
}

// targetID is the id in the target of the operation's own row.
func (a *applier) targetID() (string, error) {
	if a.op.TargetID != "" {
		return a.op.TargetID, nil
	}
	if id, ok := a.ids.TargetID(a.op.ID); ok {
		return id, nil
	}
	return "", &load.Error{Class: load.Permanent, Op: fmt.Sprintf("%s a row", a.op.Kind), Message: "its id in the target is not known",
		Hint: "observe the target and plan anew"}
}

// userTarget is the account of the user that the operation is about.
func (a *applier) userTarget() (string, error) {
	if a.subject.User == nil {
		return "", fmt.Errorf("operation %d on %s brings no user: this is a fault of the program", a.op.Seq, a.op.Table)
	}
	id := a.subject.User.User.ID
	if a.op.Table == schemas.Users && a.op.TargetID != "" {
		return a.op.TargetID, nil
	}
	if known, ok := a.ids.TargetID(id); ok {
		return known, nil
	}
	return userID(a.facts.ID, id), nil
}
