package load

import (
	"github.com/parallelrun/parallelrun/schemas"
)

// ForeignAccounts is the table, in an observed snapshot, of accounts that are
// nobody's and stand in the way of one of ours. Its row ids are those of ours.
const ForeignAccounts = "foreign_accounts"

// ForeignAccountsTable returns the shape of ForeignAccounts.
func ForeignAccountsTable() schemas.Table {
	return schemas.Table{Name: ForeignAccounts, Columns: []schemas.Column{
		{ID: 130, Name: "target_id", Type: schemas.String},
		{ID: 131, Name: "username", Type: schemas.String},
		{ID: 132, Name: "email", Type: schemas.String},
		{ID: 133, Name: "match", Type: schemas.String, Doc: "username, email, or username and email; else the attribute that agrees"},
		{ID: 134, Name: "rule", Type: schemas.String, Doc: "the rule by which the account is adopted; null: it is not"},
		{ID: 135, Name: "why", Type: schemas.String, Doc: "why it is not, though a rule spoke for it"},
		{ID: 136, Name: "others", Type: schemas.Strings, Doc: "target ids of further accounts in the way"},
	}}
}

// HeldTable is the table, beside an entity's own in stage effective, of rows as
// the next base keeps them where that differs from what will stand: withheld
// access stays in base, so that the next plan knows that the target took it
// away and legacy did not give it anew.
func HeldTable(entity string) string { return entity + "_held" }

// NamesBefore is the table, in stage effective, of the names that users have
// before they take those of others: what they get back should a circle fail.
const NamesBefore = "names_before"

// NamesBeforeTable returns the shape of NamesBefore; its row ids are the users'.
func NamesBeforeTable() schemas.Table {
	return schemas.Table{Name: NamesBefore, Columns: []schemas.Column{
		{ID: 134, Name: "username", Type: schemas.String},
		{ID: 135, Name: "email", Type: schemas.String},
		{ID: 136, Name: "email_verified", Type: schemas.Bool},
	}}
}

// EffectiveTables are the tables that Plan writes.
func EffectiveTables() []schemas.Table {
	tables := entityTables()
	for _, t := range entityTables() {
		t.Name = HeldTable(t.Name)
		tables = append(tables, t)
	}
	return append(tables, schemas.IDMapTable(), NamesBeforeTable())
}

// BaseTables are the tables that Fold writes.
func BaseTables() []schemas.Table {
	return append(entityTables(), schemas.IDMapTable())
}

// ObservedTables are the tables that Observe writes: the entities with the
// columns that the target gives back, the scope, the accounts in the way, and
// the target ids of structure rows.
func ObservedTables(p schemas.TargetProfile) []schemas.Table {
	var tables []schemas.Table
	for _, t := range entityTables() {
		if t = readable(t, p); len(t.Columns) > 0 {
			tables = append(tables, t)
		}
	}
	return append(tables, schemas.ScopeTable(), ForeignAccountsTable(), schemas.IDMapTable())
}

// entityTables returns the eight tables in load order.
func entityTables() []schemas.Table {
	all := schemas.Entities()
	tables := make([]schemas.Table, 0, len(schemas.LoadOrder))
	for _, name := range schemas.LoadOrder {
		tables = append(tables, all[name])
	}
	return tables
}

// readable reduces a table to the columns that the target gives back, and the
// one that says whose row it is.
func readable(t schemas.Table, p schemas.TargetProfile) schemas.Table {
	out := schemas.Table{Name: t.Name, DependsOn: t.DependsOn}
	any := false
	for _, c := range t.Columns {
		is := p.Columns[t.Name][c.Name].Readable && !c.Type.IsSecret()
		any = any || is
		if is || t.DependsOn != "" && c.Refs == t.DependsOn {
			out.Columns = append(out.Columns, c)
		}
	}
	if !any {
		out.Columns = nil
	}
	return out
}

// holds says whether the target has a place for any of a table.
func holds(p schemas.TargetProfile, table string) bool {
	for _, c := range p.Columns[table] {
		if c.Support == schemas.Native || c.Support == schemas.Encoded {
			return true
		}
	}
	return false
}

// structureTables do not depend on users and fit in memory; parents first.
var structureTables = []string{
	schemas.PropertyTemplates, schemas.DepartmentTemplates, schemas.Organizations, schemas.Departments, schemas.Groups,
}

// userTables are streamed.
var userTables = []string{schemas.Users, schemas.Credentials, schemas.Memberships}
