package keymate_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/keymate"
	"github.com/parallelrun/parallelrun/schemas"
)

// countingTransport counts what is sent.
type countingTransport struct{ all, changes atomic.Int64 }

func (c *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	c.all.Add(1)
	if r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "/openid-connect/") {
		c.changes.Add(1)
	}
	return http.DefaultTransport.RoundTrip(r)
}

var errTaken = errors.New("another took over")

// A membership takes several requests. Whenever the lease is lost among them,
// nothing more is sent, whatever it is, and the error is the lease's own;
// carried out again under a lease that holds, it comes to its end.
func TestNothingIsSentWithoutTheLease(t *testing.T) {
	lost := 0
	for after := int64(0); ; after++ {
		sent := &countingTransport{}
		w := onSandbox(t, options{change: func(c *keymate.Config) { c.Transport = sent }})
		w.furnish()
		u := w.project(fullUser(0))[0]
		w.must(w.target.CreateUsers(w.ctx, []schemas.Bundle{u}, w.ids))
		before := sent.all.Load()
		ctx := load.UnderLease(w.ctx, func(context.Context) error {
			if sent.all.Load()-before >= after {
				return errTaken
			}
			return nil
		})
		m := u.Memberships[0]
		op := load.Operation{Table: schemas.Memberships, Kind: load.Link, ID: m.ID, Key: m.Key}
		_, err := w.target.Apply(ctx, op, load.Subject{Row: m, User: &u}, w.ids)
		if err == nil {
			break
		}
		lost++
		if !errors.Is(err, errTaken) {
			t.Errorf("lost after %d requests: %v", after, err)
		}
		if n := sent.all.Load() - before; n != after {
			t.Errorf("lost after %d requests, and %d were sent", after, n)
		}
		w.link(u, load.Link, u.Memberships...)
		w.same(w.observe(load.Scope{Structure: true, IDs: w.ids, Users: probes(u)}), u)
	}
	if lost < 3 {
		t.Errorf("the membership took %d requests: too few to lose the lease between them", lost)
	}
}

// A request that waited for a connection is not sent on it any more.
func TestNothingIsSentOnALateConnection(t *testing.T) {
	w := onSandbox(t, options{})
	asked := 0
	ctx := load.UnderLease(w.ctx, func(context.Context) error {
		if asked++; asked > 1 { // the first is asked before there is a connection
			return errTaken
		}
		return nil
	})
	var before, after []struct{ ID string }
	w.rest(http.MethodGet, "/groups", nil, &before)
	r := entity(schemas.Groups, "late", map[string]any{"name": "Late", "path": "/Late"})
	_, err := w.target.Apply(ctx, load.Operation{Table: schemas.Groups, Kind: load.Create, ID: r.ID, Key: r.Key}, load.Subject{Row: r}, w.ids)
	w.rest(http.MethodGet, "/groups", nil, &after)
	if !errors.Is(err, errTaken) || len(after) != len(before) {
		t.Errorf("error %v; %d groups, then %d", err, len(before), len(after))
	}
}
