package load

import (
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// nameColumns are the columns of users that name an account: no two accounts of
// a target have the same login name, nor the same e-mail address where the
// target says so.
var nameColumns = [...]string{"email", "username"}

// names are a user's values in nameColumns; empty for none.
type names [len(nameColumns)]string

func namesOf(shape *schemas.Table, row *schemas.Row) (n names) {
	for i, c := range nameColumns {
		n[i] = text(cell(shape, row, c))
	}
	return n
}

// TemporaryName is the login name or e-mail address of an account for the
// moment between giving up the old one and taking the new one, where several
// accounts change in a circle. It follows from the row id alone. The domain is
// reserved (RFC 2606): no mail goes there, and nobody can own it.
func TemporaryName(id schemas.RowID) string { return id.String() + "@parallelrun.invalid" }

// isTemporary says that a column of a user holds its temporary value, which
// only a load that was stopped leaves.
func isTemporary(table, column string, id schemas.RowID, v any) bool {
	return table == schemas.Users && slices.Contains(nameColumns[:], column) && v == TemporaryName(id)
}

// temporaries are the columns in which a user's row holds temporary values.
func temporaries(shape *schemas.Table, id schemas.RowID, row *schemas.Row) (columns []string) {
	for _, c := range nameColumns {
		if row != nil && isTemporary(shape.Name, c, id, cell(shape, row, c)) {
			columns = append(columns, c)
		}
	}
	return columns
}

// parked is a user's row with temporary values in some columns.
func parked(shape *schemas.Table, row schemas.Row, columns []string) schemas.Row {
	row = cloneRow(row)
	for _, c := range columns {
		setCell(shape, &row, c, TemporaryName(row.ID))
	}
	return row
}

// withVerified adds the column that says something about an e-mail address to
// the address itself: one is never written without the other.
func withVerified(columns []string) []string {
	if !slices.Contains(columns, "email") {
		return columns
	}
	return append(slices.Clone(columns), "email_verified")
}
