package load

import (
	"context"
	"encoding/binary"
	"iter"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// ProbesWithin lists the users of base with from <= id < to; zero means no
// bound.
func ProbesWithin(ctx context.Context, base Snapshot, from, to schemas.RowID) iter.Seq2[UserProbe, error] {
	b, _ := sideStreams(base, schemas.Entities(), func(x *person) *side { return &x.base })
	return probes(ctx, []stream{b[0], idStream(base)}, from, to, nil, func(x *person) (*schemas.Row, error) { return x.base.user, nil })
}

// ProbesOf lists those users of base that have one of the ids, which are
// sorted.
func ProbesOf(ctx context.Context, base Snapshot, ids []schemas.RowID) iter.Seq2[UserProbe, error] {
	return func(yield func(UserProbe, error) bool) {
		for r := range ranges(ids) {
			for p, err := range ProbesWithin(ctx, base, r.from, r.to) {
				if err == nil && !holdsID(ids, p.ID) {
					continue
				}
				if !yield(p, err) || err != nil {
					return
				}
			}
		}
	}
}

// fewIDs is up to how many ids are looked up one by one rather than by reading
// all that lies between the first and the last.
const fewIDs = 32

// idRange is a range of row ids that holds users with all that belongs to them:
// from <= id < to, a zero to is the end.
type idRange struct{ from, to schemas.RowID }

// ranges cover the users with the sorted ids.
func ranges(ids []schemas.RowID) iter.Seq[idRange] {
	return func(yield func(idRange) bool) {
		if len(ids) == 0 {
			return
		}
		if len(ids) > fewIDs {
			yield(idRange{prefixStart(ids[0]), prefixEnd(ids[len(ids)-1])})
			return
		}
		var last schemas.RowID
		for i, id := range ids {
			from := prefixStart(id)
			if i > 0 && from == last {
				continue // 64 bits alike: read with the one before
			}
			if last = from; !yield(idRange{from, prefixEnd(id)}) {
				return
			}
		}
	}
}

// prefixStart and prefixEnd bound the first 64 bits of an id, which a user
// shares with what belongs to it.
func prefixStart(id schemas.RowID) schemas.RowID {
	var out schemas.RowID
	copy(out[:8], id[:8])
	return out
}

func prefixEnd(id schemas.RowID) schemas.RowID {
	var out schemas.RowID
	binary.BigEndian.PutUint64(out[:8], binary.BigEndian.Uint64(id[:8])+1) // wraps to zero: no end
	return out
}

func holdsID(ids []schemas.RowID, id schemas.RowID) bool {
	_, found := slices.BinarySearchFunc(ids, id, schemas.RowID.Compare)
	return found
}

// ConcernedUser is a user that changes are about.
type ConcernedUser struct {
	ID schemas.RowID
	// Named: the changes name the account; otherwise it had what is gone.
	Named bool
}

// Concerned lists, in order, the users of base that changes are about: those
// that they name, and those that had what is gone.
func Concerned(ctx context.Context, target Target, base Snapshot, ids IDs, c *Changes) iter.Seq2[ConcernedUser, error] {
	return func(yield func(ConcernedUser, error) bool) {
		shapes := schemas.Entities()
		gone, err := goneRows(ctx, base, shapes, ids, c)
		if err != nil {
			yield(ConcernedUser{}, err)
			return
		}
		b, _ := sideStreams(base, shapes, func(x *person) *side { return &x.base })
		streams := []stream{b[0], idStream(base)}
		if len(gone) > 0 {
			streams = append(streams, b[2])
		}
		users, mapped := shapes[schemas.Users], schemas.IDMapTable()
		roles := users.Column("realm_roles")
		for x, err := range people(ctx, streams, schemas.RowID{}, schemas.RowID{}) {
			if err != nil {
				yield(ConcernedUser{}, err)
				return
			}
			if x.base.user == nil {
				continue
			}
			id := target.UserID(x.id)
			if x.mapped != nil {
				id = text(cell(&mapped, x.mapped, "target_id"))
			}
			hit := c.Users[id]
			user := ConcernedUser{ID: x.id, Named: hit}
			hit = hit || slices.ContainsFunc(flattenRefs(x.base.user.Values[roles]), func(r string) bool { return c.Roles[r] }) ||
				refersTo(&users, x.base.user, gone)
			for _, d := range x.base.dependents() {
				shape := shapes[d.table]
				hit = hit || refersTo(&shape, d.row, gone)
			}
			if hit && !yield(user, nil) {
				return
			}
		}
	}
}

// goneRows are the rows of base's structure that are gone from the target, with
// all that was below them.
func goneRows(ctx context.Context, base Snapshot, shapes map[string]schemas.Table, ids IDs, c *Changes) (map[string]bool, error) {
	gone := map[string]bool{}
	for targetID := range c.Gone {
		if id, _, ok := ids.RowID(targetID); ok {
			gone[id.String()] = true
		}
	}
	if len(gone) == 0 {
		return nil, nil
	}
	for _, table := range []string{schemas.Departments, schemas.Groups} {
		shape := shapes[table]
		rows, err := newReader(base, &shape).readAll(ctx)
		if err != nil {
			return nil, err
		}
		for more := true; more; {
			more = false
			for id, row := range rows {
				if !gone[id.String()] && refersTo(&shape, &row, gone) {
					gone[id.String()], more = true, true
				}
			}
		}
	}
	return gone, nil
}

// refersTo says whether a row refers to one of the rows.
func refersTo(shape *schemas.Table, row *schemas.Row, rows map[string]bool) bool {
	if len(rows) == 0 {
		return false
	}
	for i, c := range shape.Columns {
		if c.Refs != "" && c.Refs != schemas.Users && slices.ContainsFunc(flattenRefs(row.Values[i]), func(r string) bool { return rows[r] }) {
			return true
		}
	}
	return false
}

// PortionTables are the tables that Portion writes.
func PortionTables(p schemas.TargetProfile, structure bool) []schemas.Table {
	var out []schemas.Table
	for _, t := range entityTables() {
		if t = readable(t, p); len(t.Columns) > 0 && (structure || !slices.Contains(structureTables, t.Name)) {
			out = append(out, t)
		}
	}
	return out
}

// Portion writes those rows of base to out that an observation of some users
// can be compared with: theirs, those of the structure where that was looked
// at, and the columns that the target gives back.
func Portion(ctx context.Context, base Snapshot, users []schemas.RowID, p schemas.TargetProfile, structure bool, out RowWriter) error {
	shapes := schemas.Entities()
	write := func(t *schemas.Table, row *schemas.Row) error {
		full := shapes[t.Name]
		kept := schemas.Row{ID: row.ID, Key: row.Key}
		for _, c := range t.Columns {
			kept.Values = append(kept.Values, row.Values[full.Column(c.Name)])
		}
		return out.WriteRow(ctx, t.Name, kept, -1)
	}
	tables := map[string]schemas.Table{}
	for _, t := range PortionTables(p, structure) {
		tables[t.Name] = t
		if !slices.Contains(structureTables, t.Name) {
			continue
		}
		full := shapes[t.Name]
		for row, err := range newReader(base, &full).scan(ctx, schemas.RowID{}, schemas.RowID{}) {
			if err == nil {
				err = write(&t, &row)
			}
			if err != nil {
				return err
			}
		}
	}
	streams, _ := sideStreams(base, shapes, func(x *person) *side { return &x.base })
	for r := range ranges(users) {
		for x, err := range people(ctx, streams, r.from, r.to) {
			if err != nil {
				return err
			}
			if x.base.user == nil || !holdsID(users, x.id) {
				continue
			}
			rows := append([]dependent{{schemas.Users, x.base.user}}, x.base.dependents()...)
			for _, d := range rows {
				t, looked := tables[d.table]
				if !looked {
					continue
				}
				if err := write(&t, d.row); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// NotGivenBack lists, by table, the columns that a state has and an observation
// of the target can't, in the tables that were looked at: they are not compared.
func NotGivenBack(p schemas.TargetProfile, base Snapshot, structure bool) map[string][]string {
	out := map[string][]string{}
	for _, t := range entityTables() {
		if !structure && slices.Contains(structureTables, t.Name) {
			continue
		}
		given := readable(t, p)
		for _, c := range t.Columns {
			if given.Column(c.Name) < 0 && base.Rows(t.Name) > 0 {
				out[t.Name] = append(out[t.Name], c.Name)
			}
		}
	}
	return out
}
