package keymate

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// observeBatch is how many users one read-back call asks for.
const observeBatch = 50

// CountUsers implements load.Counter.
func (t *Target) CountUsers(ctx context.Context) (n int64, err error) {
	err = t.http.get(ctx, "count the accounts", "/users/count", nil, &n)
	return n, err
}

// Observe reads what the realm holds within the scope. Users are found by
// their ids, a batch per call; what belongs to each is asked for per user, a
// bounded number of users at once, leaving out what the realm has none of.
func (t *Target) Observe(ctx context.Context, scope load.Scope, sink load.Sink) error {
	f, err := t.look(ctx)
	if err != nil {
		return err
	}
	o := &observer{target: t, facts: f, scope: scope, sink: sink}
	if err := o.structure(ctx); err != nil {
		return err
	}
	if scope.Users == nil {
		return nil
	}
	return o.users(ctx)
}

// observer is one observation.
type observer struct {
	target *Target
	facts  *realmFacts
	scope  load.Scope

	mu   sync.Mutex // guards the sink
	sink load.Sink

	census census
	links  bool // the realm has identity providers
}

func (o *observer) row(table string, row schemas.Row, targetID string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sink.Row(table, row, targetID)
}

// users looks at every probe of the scope.
func (o *observer) users(ctx context.Context) error {
	o.links = o.facts.AliasesKnown && len(o.facts.Aliases) > 0
	strangers, err := newStrangers(ctx, o.target, o.scope.ForeignBy)
	if err != nil {
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(o.target.cfg.Concurrency)
	walk := func() error {
		batch := make([]load.UserProbe, 0, observeBatch)
		for p, err := range o.scope.Users {
			if err != nil {
				return err
			}
			if p.TargetID == "" {
				p.TargetID = userID(o.facts.ID, p.ID)
			}
			if batch = append(batch, p); len(batch) < observeBatch {
				continue
			}
			if err := o.batch(ctx, work, batch, strangers); err != nil {
				return err
			}
			batch = make([]load.UserProbe, 0, observeBatch)
		}
		return o.batch(ctx, work, batch, strangers)
	}
	if err := walk(); err != nil {
		// The first failure of a worker ends the walk as well: its error tells more.
		if werr := work.Wait(); werr != nil && ctx.Err() != nil {
			return werr
		}
		return err
	}
	return work.Wait()
}

// batch reads the users of some probes, handing each to a worker as it comes.
func (o *observer) batch(ctx context.Context, work *errgroup.Group, probes []load.UserProbe, strangers *strangers) error {
	if len(probes) == 0 {
		return nil
	}
	missing := make(map[string]load.UserProbe, len(probes))
	if strangers.count > 0 { // an empty realm need not be asked
		for _, p := range probes {
			missing[p.TargetID] = p
		}
		if err := o.found(ctx, work, missing); err != nil {
			return err
		}
	}
	for _, p := range probes {
		if _, absent := missing[p.TargetID]; !absent && strangers.count > 0 {
			continue
		}
		work.Go(func() error { return o.absent(ctx, p, strangers) })
	}
	return ctx.Err()
}

// found asks for the users and takes those that are there out of missing. A
// reply that breaks off is asked for again, for those that are left.
func (o *observer) found(ctx context.Context, work *errgroup.Group, missing map[string]load.UserProbe) error {
	for attempt := 0; ; attempt++ {
		err := o.ask(ctx, work, slices.Sorted(maps.Keys(missing)), missing)
		if attempt == 2 || ctx.Err() != nil || !isClass(err, load.Transient) || len(missing) == 0 {
			return err
		}
	}
}

func (o *observer) ask(ctx context.Context, work *errgroup.Group, ids []string, missing map[string]load.UserProbe) error {
	q := url.Values{
		"search": {"id:" + strings.Join(ids, " ")}, "briefRepresentation": {"false"},
		"first": {"0"}, "max": {strconv.Itoa(len(ids))},
	}
	k := call{op: "read " + strconv.Itoa(len(ids)) + " users", method: http.MethodGet, path: "/users", query: q}
	k.each = func(d *json.Decoder) error {
		u := new(userRep)
		if err := d.Decode(u); err != nil {
			return err
		}
		p, asked := missing[u.ID]
		if !asked {
			return nil
		}
		delete(missing, u.ID)
		work.Go(func() error { return o.user(ctx, p, u) })
		return ctx.Err()
	}
	_, err := o.target.http.do(ctx, k)
	return err
}

// user completes one user and hands it on.
func (o *observer) user(ctx context.Context, p load.UserProbe, u *userRep) error {
	const tb = schemas.Users
	row := readUser(p.ID, p.Key, u)
	d := &details{observer: o, user: u.ID}
	if err := d.read(ctx); err != nil {
		if isStatus(err, http.StatusNotFound) { // deleted since the batch was read
			o.mu.Lock()
			defer o.mu.Unlock()
			return o.sink.Absent(p)
		}
		return err
	}
	put(tb, row, "realm_roles", d.roles)
	put(tb, row, "groups", d.groups)
	put(tb, row, "federated_links", d.links)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.sink.Row(tb, row, u.ID); err != nil {
		return err
	}
	for _, c := range d.credentials {
		if err := o.sink.Row(schemas.Credentials, readCredential(p.ID, p.Key, c), c.ID); err != nil {
			return err
		}
	}
	for _, m := range readMemberships(p.ID, p.Key, d.places, u.Attributes[membershipsAttribute]) {
		if err := o.sink.Row(schemas.Memberships, m, ""); err != nil {
			return err
		}
	}
	return nil
}

// absent reports a probe that is not there, and who stands in its way.
func (o *observer) absent(ctx context.Context, p load.UserProbe, strangers *strangers) error {
	var found []load.ForeignAccount
	if o.scope.Foreign {
		var err error
		if found, err = strangers.like(ctx, p); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range found {
		if err := o.sink.Foreign(p, f); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		return nil
	}
	return o.sink.Absent(p)
}
