package keymate_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// TestThroughput prints what creating, linking and observing users costs on a
// real server:
//
//	KEYMATE_THROUGHPUT=2000 go test -run TestThroughput -v ./load/keymate
func TestThroughput(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("KEYMATE_THROUGHPUT"))
	if err != nil {
		n = 20 // only that it works
	}
	w := onKeycloak(t, options{change: func(c *config) { c.Concurrency = 4 }})
	w.furnish()
	var users []schemas.Bundle
	for i := range n {
		u := plainUser(fmt.Sprintf("t%06d", i))
		u.User = set(schemas.Users, u.User, "realm_roles", []string{"employee"})
		u.Memberships = []schemas.Row{membership(u.User.Key, "planet", "deep", nil)}
		users = append(users, u)
	}
	users = w.project(users...)
	rate := func(what string, n int, f func()) {
		start := time.Now()
		f()
		took := time.Since(start)
		t.Logf("%-24s %6d in %7s  %6.0f/s", what, n, took.Round(time.Millisecond), float64(n)/took.Seconds())
	}
	rate("observe, empty realm", n, func() { w.observe(load.Scope{Users: probes(users...), Foreign: true}) })
	rate("create", n, func() {
		var g errgroup.Group
		g.SetLimit(4)
		for batch := range slices.Chunk(users, 20) {
			g.Go(func() error { return w.target.CreateUsers(w.ctx, batch, w.ids) })
		}
		w.must(g.Wait())
	})
	rate("link", n, func() {
		var g errgroup.Group
		g.SetLimit(8)
		for _, u := range users {
			g.Go(func() error {
				m := u.Memberships[0]
				_, err := w.target.Apply(w.ctx, load.Operation{Table: schemas.Memberships, Kind: load.Link, ID: m.ID, Key: m.Key}, load.Subject{Row: m, User: &u}, w.ids)
				return err
			})
		}
		w.must(g.Wait())
	})
	var once sync.Once
	rate("observe", n, func() {
		s := w.observe(load.Scope{Users: probes(users...), Structure: true})
		once.Do(func() { w.same(s, users[0], users[n-1]) })
	})
}
