package transform

import (
	"bytes"
	"context"
	"encoding/binary"
	"iter"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/internal/extsort"
	"github.com/parallelrun/parallelrun/schemas"
)

// userTask is a user with what the joins found out about it.
type userTask struct {
	key       []byte
	body      []byte
	events    [][]byte
	duplicate bool // another candidate that is not excluded has the row id
	again     bool // a candidate before it has the row id
}

// writeUsers joins users with what was found out about them, checks them, and
// writes them with their memberships and credentials.
func (r *run) writeUsers(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	chunks := make(chan []userTask)
	g.Go(func() error {
		defer close(chunks)
		return r.userTasks(ctx, chunks)
	})
	var done atomic.Int64
	for range r.in.Workers {
		g.Go(func() error {
			t := newTally(len(r.totals.sources))
			defer func() { r.totals.add(t) }()
			f := &finisher{run: r, t: t}
			for chunk := range chunks {
				for _, task := range chunk {
					if err := f.user(ctx, task); err != nil {
						return err
					}
				}
				r.in.Progress("write", done.Add(int64(len(chunk))))
			}
			return nil
		})
	}
	return g.Wait()
}

// userTasks merges the sorted users with the sorted events.
func (r *run) userTasks(ctx context.Context, chunks chan<- []userTask) error {
	next, stop := iter.Pull2(r.events.Sorted())
	defer stop()
	ev := &eventCursor{next: next}
	if err := ev.advance(); err != nil {
		return err
	}
	var chunk []userTask
	size := 0
	send := func() error {
		// The last task stays: the next user tells whether it is a duplicate.
		keep := chunk[len(chunk)-1]
		select {
		case chunks <- chunk[:len(chunk)-1]:
			chunk, size = append(make([]userTask, 0, chunkRows+1), keep), len(keep.body)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for rec, err := range r.users.Sorted() {
		if err != nil {
			return err
		}
		task := userTask{key: slices.Clone(rec.Key), body: slices.Clone(rec.Value)}
		if task.events, err = ev.take(rec.Key); err != nil {
			return err
		}
		if n := len(chunk); n > 0 && bytes.Equal(chunk[n-1].key[:16], task.key[:16]) {
			task.again = true
			if !isExcluded(task.key) { // those not excluded come first
				chunk[n-1].duplicate, task.duplicate = true, true
			}
		}
		chunk = append(chunk, task)
		if size += len(task.body); len(chunk) > chunkRows || size >= chunkBytes && len(chunk) > 1 {
			if err := send(); err != nil {
				return err
			}
		}
	}
	select {
	case chunks <- chunk:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// eventCursor walks the events in step with the users.
type eventCursor struct {
	next func() (extsort.Record, error, bool)
	rec  extsort.Record
	ok   bool
}

func (c *eventCursor) advance() error {
	rec, err, ok := c.next()
	c.rec, c.ok = rec, ok
	if !ok {
		return nil
	}
	return err
}

func (c *eventCursor) take(key []byte) ([][]byte, error) {
	var out [][]byte
	for c.ok {
		switch bytes.Compare(c.rec.Key, key) {
		case 1:
			return out, nil
		case 0:
			out = append(out, slices.Clone(c.rec.Value))
		default:
			return nil, errCodec // an event for a user that is not there
		}
		if err := c.advance(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// finisher settles users, one worker's share.
type finisher struct {
	*run
	t *tally
}

func (f *finisher) user(ctx context.Context, task userTask) error {
	c, err := f.decode(task.body)
	if err != nil {
		return err
	}
	if task.duplicate {
		c.fail(RuleDuplicateKey, "key", f.in.Aliases.sameKey(schemas.Users, c.key))
	}
	direct, dependents, err := f.apply(c, task.events)
	if err != nil {
		return err
	}
	f.ck.check(c)
	stands := c.excluded == "" && len(c.failures) == 0
	if stands {
		f.groups(c, direct)
	} else {
		f.lostMembers(c, len(direct))
	}
	for _, d := range dependents {
		if d.rule.entity.id == membershipEntity {
			c.memberships = append(c.memberships, d)
		} else {
			c.credentials = append(c.credentials, d)
		}
	}
	if stands {
		f.t.settled(c, fateMapped)
		f.t.yielded(c)
		f.t.remarks(c)
		err = f.out.row(ctx, schemas.Users, schemas.Row{ID: c.id, Key: c.key, Values: c.values})
	} else {
		err = f.reject(ctx, c, c.failures, task.again, f.t)
	}
	if err != nil {
		return err
	}
	if err := f.memberships(ctx, c, stands, task.again); err != nil {
		return err
	}
	return f.credentials(ctx, c, stands, task.again)
}

// apply takes in the events, in an order of its own: they come as the workers
// made them.
func (f *finisher) apply(c *candidate, events [][]byte) (groups []int32, dependents []*candidate, err error) {
	slices.SortFunc(events, bytes.Compare)
	for _, e := range events {
		d := decoder{b: e[1:], m: f.in.Mapping}
		switch e[0] {
		case eventFailed:
			c.fail(d.text(), d.text(), d.text())
		case eventGroup:
			groups = append(groups, int32(binary.BigEndian.Uint32(d.take(4))))
		case eventDependent:
			dependents = append(dependents, d.candidate())
		}
		if d.err != nil {
			return nil, nil, d.err
		}
	}
	return groups, dependents, nil
}

// lostMembers counts the values of groups that name a user who does not stand.
func (f *finisher) lostMembers(c *candidate, n int) {
	why := "the member is rejected"
	if c.excluded != "" {
		why = "the member is excluded"
	}
	for range n {
		f.t.left(schemas.Groups, "members", why, 1)
	}
}

// groups gives the user every group it is in, directly or through others.
func (f *finisher) groups(c *candidate, direct []int32) {
	s := &f.structure
	for _, g := range c.groups {
		switch i := s.resolve(f.in.Mapping.rules[g.rule].groups, groupEntity, g.value); {
		case i == none:
		case i < 0:
			f.t.left(schemas.Users, "groups", "there is no such group", 1)
		case !s.ok(i):
			f.t.left(schemas.Users, "groups", "the group is rejected or excluded", 1)
		default:
			direct = append(direct, i)
		}
	}
	ids := []string{}
	for _, i := range direct {
		for _, j := range f.closureOf(i) {
			if s.ok(j) {
				ids = append(ids, s.units[j].id.String())
			}
		}
	}
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	at := c.rule.entity.table.Column("groups")
	c.values[at], c.marks[at] = slices.Compact(ids), markCarried
}

// closureOf is structure.closure for several workers.
func (r *run) closureOf(group int32) []int32 {
	r.closureMu.Lock()
	defer r.closureMu.Unlock()
	return r.structure.closure(group)
}
