package pipelines

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform"
)

// decisions are the configured ones, with the ids of their rows.
func (r *Runner) decisions() ([]load.Decision, error) {
	if r.Config.Decisions == "" {
		return nil, nil
	}
	list, err := config.LoadDecisions(r.Config.Decisions)
	if err != nil {
		return nil, err
	}
	aliases, err := fileAliases(r.Config)
	if err != nil {
		return nil, err
	}
	return r.withRows(list, aliases)
}

// decisionsOf are those that a run was started with.
func (r *Runner) decisionsOf(ctx context.Context, rec Record) ([]load.Decision, error) {
	list, err := r.decidedOf(ctx, rec)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	aliases, err := r.fileAliasesOf(ctx, rec)
	if err != nil {
		return nil, err
	}
	return r.withRows(list, aliases)
}

// decidedOf are the entries of the file of decisions that a run was started with.
func (r *Runner) decidedOf(ctx context.Context, rec Record) ([]config.Decision, error) {
	return inputOf(ctx, r.Store, rec, decisionsFolder, config.ParseDecisions)
}

// withRows finds the rows that decisions are about. People may write the keys that legacy
// has now.
func (r *Runner) withRows(list []config.Decision, aliases *transform.Aliases) (_ []load.Decision, err error) {
	out := make([]load.Decision, 0, len(list))
	for _, d := range list {
		d.Key = aliases.RowKey(d.Table, d.Key)
		one := load.Decision{Table: d.Table, Key: d.Key, Take: load.Take(d.Take), Account: d.Account, Place: d.Place}
		if d.Field != "" {
			one.Fields = []string{d.Field}
		}
		if one.Take == load.TakeNew {
			one.Other = schemas.NewRowID(r.Namespace, d.Table, transform.AnotherKey(d.Key))
		}
		if one.ID, err = rowOf(r.Namespace, d); err != nil {
			return nil, &load.DecisionError{Decision: one, What: err.Error(), Next: "take the entry as `parallelrun conflicts` writes it"}
		}
		out = append(out, one)
	}
	return out, nil
}

// rowOf is the row that a decision is about. Keys say it, save for memberships,
// whose keys hold those of three rows.
func rowOf(namespace string, d config.Decision) (schemas.RowID, error) {
	var given, derived schemas.RowID
	if d.ID != "" {
		id, err := schemas.ParseRowID(d.ID)
		if err != nil {
			return id, err
		}
		given = id
	}
	switch d.Table {
	case schemas.Memberships:
		if given.IsZero() {
			return given, fmt.Errorf("a membership is named by its id")
		}
		return given, nil
	case schemas.Credentials:
		at := strings.LastIndexByte(d.Key, '/')
		if at < 0 {
			return given, fmt.Errorf("the key of a credential is its user's, a slash and its type")
		}
		derived = schemas.CredentialID(schemas.NewRowID(namespace, schemas.Users, d.Key[:at]), d.Key[at+1:])
	default:
		derived = schemas.NewRowID(namespace, d.Table, d.Key)
	}
	if !given.IsZero() && given != derived {
		return given, fmt.Errorf("id and key name different rows")
	}
	return derived, nil
}

// decisionsFolder is where a run keeps its file of decisions.
const decisionsFolder = "decisions/"

// decisionsInput is the file of decisions as a run keeps it.
func decisionsInput(file string, data []byte) Input {
	return Input{Name: decisionsFolder + filepath.Base(file), Data: data}
}
