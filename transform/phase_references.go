package transform

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"

	"github.com/parallelrun/parallelrun/internal/extsort"
	"github.com/parallelrun/parallelrun/schemas"
)

// Records of the join of references, by the value's hash: first who answers to
// a value, then what refers to it.
const (
	recordAnswer    byte = 0
	recordReference byte = 1
)

// Kinds of references that go through the join.
const (
	refersMember    byte = 'm' // a group names a user or group
	refersDependent byte = 'd' // a membership or credential names its user
)

type referenceTo struct {
	kind  byte
	group schemas.RowID
	rule  int
	body  []byte
}

// register says that a user answers to a lookup's value.
func (r *run) register(l lookupValue, userKey []byte) error {
	h := hashValue(l.value)
	return r.references.add(append(h[:], recordAnswer), append(binary.BigEndian.AppendUint16(nil, uint16(l.lookup)), userKey...))
}

// refer sends a reference to the join.
func (r *run) refer(value string, ref referenceTo) error {
	h := hashValue(value)
	e := encoder{b: []byte{ref.kind}}
	if ref.kind == refersMember {
		e.id(ref.group)
		e.uint(uint64(ref.rule))
	} else {
		e.b = append(e.b, ref.body...)
	}
	return r.references.add(append(h[:], recordReference), e.b)
}

// answers are the users that answer to one value, a few for each lookup: one
// is right, two are too many.
type answers struct {
	value valueHash
	list  []answer
}

type answer struct {
	lookup  uint16
	userKey []byte
}

func (a *answers) add(rec extsort.Record) {
	x := answer{binary.BigEndian.Uint16(rec.Value), slices.Clone(rec.Value[2:])}
	same := 0
	for i, y := range a.list {
		if y.lookup != x.lookup || y.excluded() != x.excluded() {
			continue
		}
		if bytes.Equal(x.userKey, y.userKey) {
			return
		}
		if same++; same == 2 {
			// Keep the two smallest, whatever the order of work was.
			if bytes.Compare(x.userKey, y.userKey) < 0 {
				a.list[i] = x
			}
			return
		}
	}
	a.list = append(a.list, x)
}

func (a answer) excluded() bool { return isExcluded(a.userKey) }

// find returns the user that answers; several is true when there are two. An
// excluded user answers only where no other does.
func (a *answers) find(lookup int) (userKey []byte, several bool) {
	for _, excluded := range []bool{false, true} {
		for _, x := range a.list {
			if int(x.lookup) != lookup || x.excluded() != excluded {
				continue
			}
			if userKey != nil {
				return nil, true
			}
			userKey = x.userKey
		}
		if userKey != nil {
			return userKey, false
		}
	}
	return nil, false
}

// joinReferences finds what group members and dependent rows refer to.
func (r *run) joinReferences(ctx context.Context) error {
	t := newTally(len(r.totals.sources))
	defer func() { r.totals.add(t) }()
	groups := r.structure.groups()
	var a answers
	for rec, err := range r.references.Sorted() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if v := valueHash(rec.Key[:16]); v != a.value {
			a = answers{value: v}
		}
		if rec.Key[16] == recordAnswer {
			a.add(rec)
			continue
		}
		if rec.Value[0] == refersMember {
			err = r.joinMember(groups, &a, rec.Value[1:], t)
		} else {
			err = r.joinDependent(ctx, &a, rec.Value[1:], t)
		}
		if err != nil {
			return err
		}
	}
	r.structure.sortNesting()
	return nil
}

// groups finds the unit that stands for a group's row id.
func (s *structure) groups() map[schemas.RowID]int32 {
	out := map[schemas.RowID]int32{}
	for i, u := range s.units {
		if u.entity == groupEntity && !u.again {
			out[u.id] = int32(i)
		}
	}
	return out
}

func (s *structure) sortNesting() {
	for _, u := range s.units {
		slices.Sort(u.memberOf)
		u.memberOf = slices.Compact(u.memberOf)
	}
}

func (r *run) joinMember(groups map[schemas.RowID]int32, a *answers, b []byte, t *tally) error {
	d := decoder{b: b, m: r.in.Mapping}
	id, index := d.id(), int(d.uint())
	if d.err != nil || index >= len(r.in.Mapping.rules) {
		return errCodec
	}
	outer := groups[id]
	if !r.structure.ok(outer) {
		return nil // the group itself is accounted for
	}
	left := func(why string) error {
		t.left(schemas.Groups, "members", why, 1)
		return nil
	}
	for _, l := range r.in.Mapping.rules[index].members.lookups {
		if i, ok := r.structure.find[unitLookup{groupEntity, uint16(l.index), a.value}]; ok {
			switch {
			case i == ambiguous:
				return left("several rows answer to it")
			case r.structure.units[i].excluded != "":
				return left("the member group is excluded")
			case !r.structure.ok(i):
				return left("the member group is rejected")
			}
			r.structure.units[i].memberOf = append(r.structure.units[i].memberOf, outer)
			return nil
		}
		userKey, several := a.find(l.index)
		if several {
			return left("several rows answer to it")
		}
		if userKey != nil {
			return r.events.add(userKey, binary.BigEndian.AppendUint32([]byte{eventGroup}, uint32(outer)))
		}
	}
	return left("there is no such row")
}

func (r *run) joinDependent(ctx context.Context, a *answers, b []byte, t *tally) error {
	c, err := r.decode(b)
	if err != nil {
		return err
	}
	for _, l := range c.rule.user.lookups {
		userKey, several := a.find(l.index)
		if several {
			c.fail(RuleAmbiguous, "user", "several users answer to the reference: give the lookup a value that is unique")
			break
		}
		if userKey != nil {
			return r.events.add(userKey, append([]byte{eventDependent}, b...))
		}
	}
	if len(c.failures) == 0 {
		c.fail(RuleUnknownUser, "user", "there is no user that the reference means: correct the reference or map the missing row")
	}
	// Without a user the row has no id that could ever be the target's.
	return r.reject(ctx, c, c.failures, true, t)
}
