package load

import (
	"context"
	"hash/maphash"

	"github.com/parallelrun/parallelrun/schemas"
)

// contest is who takes a login name or an e-mail address that another of our
// users has now, found ahead of the plan: whoever gives it up comes first, and
// where nobody can, the taker goes without. Nil: nobody does.
//
// It holds those users alone, beside eight bytes for each user whose names
// change.
type contest struct {
	takers  map[schemas.RowID]*taker
	holders map[string]*holder // by column and value

	// parks are the columns of a user that go through a temporary value, to open
	// a circle.
	parks map[schemas.RowID][]string
	// order has the takers that can take, whoever gives up before whoever takes.
	order []schemas.RowID
	turns map[schemas.RowID][]turnOf

	// holding are the users who have a name that another one takes.
	holding map[schemas.RowID]bool
	// What the plan makes of it: the operations of takers, which are kept until
	// all have a number, and the numbers of all that others wait for.
	late    map[schemas.RowID]Operation
	numbers map[turnOf]int64
}

// holder is a user who has a name that another one takes.
type holder struct {
	id     schemas.RowID
	column string
	looked bool // seen in the target, not only believed
	// leaves says that the plan has the user give the name up; else why not, and
	// whether that is only a matter of time.
	leaves bool
	why    string
	waits  bool
}

// taker is a user who takes names that others have.
type taker struct {
	id      schemas.RowID
	from    map[string]*holder // by column
	before  *schemas.Row       // as it stands, of NamesBefore; nil for a new user
	blocked []hindrance
}

// hindrance is why a user can't take a name.
type hindrance struct {
	column, reason string
	waits          bool // another run may change it
}

// turnOf is a user whose operation, or whose parking, comes first.
type turnOf struct {
	user   schemas.RowID
	column string
	park   bool
}

func nameKey(column int, value string) string { return nameColumns[column] + " " + value }

// findContest looks for names that change hands. It reads the names of all
// users once or twice, and the rows of all between those concerned once more.
func (p *planner) findContest(ctx context.Context, up *userPlanner) (*contest, error) {
	if p.in.Base.Rows(schemas.Users)+p.in.Observed.Rows(schemas.Users) == 0 {
		return nil, nil // nobody has a name yet
	}
	f := &contestFinder{planner: p, users: up.users.shape, seed: maphash.MakeSeed()}
	if !p.from.IsZero() || !p.to.IsZero() { // one user alone is planned
		if err := f.wanted(ctx, p.from, p.to); err != nil || len(f.wants) == 0 {
			return nil, err
		}
		f.wants = nil
	}
	if err := f.wanted(ctx, schemas.RowID{}, schemas.RowID{}); err != nil || len(f.wants) == 0 {
		return nil, err
	}
	c := &contest{takers: map[schemas.RowID]*taker{}, holders: map[string]*holder{}, parks: map[schemas.RowID][]string{}, turns: map[schemas.RowID][]turnOf{},
		late: map[schemas.RowID]Operation{}, numbers: map[turnOf]int64{}, holding: map[schemas.RowID]bool{}}
	if err := f.held(ctx, c); err != nil || len(c.holders) == 0 {
		return nil, err
	}
	if err := f.judge(ctx, up, c); err != nil {
		return nil, err
	}
	c.settle()
	return c, nil
}
