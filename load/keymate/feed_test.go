package keymate_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/keymate"
	"github.com/parallelrun/parallelrun/schemas"
)

// shortTransactions lets a feed go back by little.
var shortTransactions = options{change: func(c *keymate.Config) { c.TransactionLimit = 100 * time.Millisecond }}

func (w *world) eventsOn() {
	w.t.Helper()
	if code := w.rest("PUT", "", map[string]any{"adminEventsEnabled": true, "eventsEnabled": true}, nil); code != 204 {
		w.t.Fatalf("switch events on: %d", code)
	}
}

func (w *world) mark() string {
	w.t.Helper()
	cursor, err := w.target.Mark(w.ctx)
	w.must(err)
	return cursor
}

func wantFeedError(t *testing.T, err error, part string) {
	t.Helper()
	e, ok := errors.AsType[*load.FeedError](err)
	if !ok || !strings.Contains(e.Error(), part) || e.Next == "" {
		t.Errorf("error %v, want a *load.FeedError with %q and a next step", err, part)
	}
}

// What others do to users and structure is told, each by its id.
func TestChanges(t *testing.T) {
	onEach(t, shortTransactions, func(w *world) {
		orgs := w.createStructure(schemas.Organizations, entity(schemas.Organizations, "org", map[string]any{"alias": "org", "name": "Org", "enabled": true}))
		depts := w.createStructure(schemas.Departments, entity(schemas.Departments, "dept", map[string]any{"organization": ref(schemas.Organizations, "org"), "name": "Dept"}))
		users := w.create(plainUser("edited"), plainUser("joined"), plainUser("granted"), plainUser("deleted"), plainUser("untouched"), plainUser("placed"))
		id := map[string]string{}
		for _, u := range users {
			id[u.User.Key] = w.target.UserID(u.User.ID)
		}
		_, err := w.target.Mark(w.ctx)
		wantFeedError(t, err, "does not save admin events")
		w.eventsOn()
		cursor := w.mark()

		org, _ := w.ids.TargetID(orgs[0].ID)
		dept, _ := w.ids.TargetID(depts[0].ID)
		var role struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		}
		w.rest("GET", "/roles/employee", nil, &role)
		edited := map[string]any{}
		w.rest("GET", "/users/"+id["edited"], nil, &edited)
		edited["firstName"] = "Edited"
		for _, step := range []struct {
			method, path string
			body         any
		}{
			{"PUT", "/users/" + id["edited"], edited},
			{"POST", "/organizations/" + org + "/members", id["joined"]},
			{"POST", "/organizations/" + org + "/members", id["placed"]},
			{"PUT", "/organizations/" + org + "/groups/" + dept + "/members/" + id["placed"], nil},
			{"POST", "/users/" + id["granted"] + "/role-mappings/realm", []any{role}},
			{"DELETE", "/users/" + id["deleted"], nil},
		} {
			if code := w.rest(step.method, step.path, step.body, nil); code/100 != 2 {
				t.Fatalf("%s %s: %d", step.method, step.path, code)
			}
		}
		got, err := w.target.Changes(w.ctx, cursor)
		w.must(err)
		want := map[string]bool{id["edited"]: true, id["joined"]: true, id["placed"]: true, id["granted"]: true, id["deleted"]: true}
		if diff := cmp.Diff(want, got.Users); diff != "" || got.Structure || len(got.Gone) > 0 {
			t.Errorf("users (-want +got):\n%s\nstructure %t, gone %v", diff, got.Structure, got.Gone)
		}

		w.rest("DELETE", "/organizations/"+org+"/groups/"+dept, nil, nil)
		w.rest("DELETE", "/roles/manager", nil, nil)
		if got, err = w.target.Changes(w.ctx, got.Next); err != nil || !got.Structure || !got.Gone[dept] || !got.Roles["manager"] {
			t.Errorf("after a department and a role were deleted: %+v, %v", got, err)
		}

		// An import names those that it made, and a settings change stops the feed.
		w.create(plainUser("new"))
		got, err = w.target.Changes(w.ctx, cursor)
		w.must(err)
		if !got.Users[w.target.UserID(plainUser("new").User.ID)] {
			t.Error("an imported user is not among the changed")
		}
		w.rest("PUT", "", map[string]any{"displayName": "x"}, nil)
		_, err = w.target.Changes(w.ctx, cursor)
		wantFeedError(t, err, "settings of the realm changed")
	})
}

// A cursor that can't be read on from is refused.
func TestChangesRefused(t *testing.T) {
	w := onSandbox(t, shortTransactions)
	w.eventsOn()
	w.create(plainUser("one"))
	cursor := w.mark()
	change := func(edit func(map[string]any)) string {
		kind, encoded, _ := strings.Cut(cursor, ".")
		b, err := base64.RawURLEncoding.DecodeString(encoded)
		w.must(err)
		fields := map[string]any{}
		w.must(json.Unmarshal(b, &fields))
		edit(fields)
		b, err = json.Marshal(fields)
		w.must(err)
		return kind + "." + base64.RawURLEncoding.EncodeToString(b)
	}
	for part, c := range map[string]string{
		"not one of this target's": "last week",
		"of another realm":         change(func(f map[string]any) { f["realm"] = "gone" }),
		"admin events were cleared": change(func(f map[string]any) {
			f["admin"] = map[string]any{"id": "0", "time": f["admin"].(map[string]any)["time"]}
		}),
		"user events were cleared": change(func(f map[string]any) { f["user"] = map[string]any{"id": "0", "time": f["at"]} }),
	} {
		_, err := w.target.Changes(w.ctx, c)
		wantFeedError(t, err, part)
	}
	denied := w.open(func(c *keymate.Config) { c.Transport = denying("/events/config") })
	_, err := denied.Mark(w.ctx)
	wantFeedError(t, err, "may not read")
}

// denying answers requests to a path as a server does to a client without the right.
type denying string

func (d denying) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, string(d)) {
		return http.DefaultTransport.RoundTrip(r)
	}
	return &http.Response{StatusCode: http.StatusForbidden, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

// More events than a page holds, many of them in one millisecond, are all read.
func TestChangesInPages(t *testing.T) {
	w := onSandbox(t, shortTransactions)
	w.eventsOn()
	cursor := w.mark()
	const people = 2500
	var users []map[string]any
	for i := range people {
		users = append(users, map[string]any{"id": fmt.Sprintf("id-%04d", i), "username": fmt.Sprintf("u%04d", i)})
	}
	if code := w.rest("POST", "/partialImport", map[string]any{"ifResourceExists": "FAIL", "users": users}, nil); code != 200 {
		t.Fatalf("import: %d", code)
	}
	got, err := w.target.Changes(w.ctx, cursor)
	w.must(err)
	if len(got.Users) != people {
		t.Errorf("%d changed users, want %d", len(got.Users), people)
	}
	if got, err = w.target.Changes(w.ctx, got.Next); err != nil || len(got.Users) != people { // they are within the time that requests may take
		t.Errorf("on from there: %d changed users, %v", len(got.Users), err)
	}
}

// A login changes an account where an identity provider's data comes with it.
func TestChangesByLogin(t *testing.T) {
	w := onSandbox(t, shortTransactions)
	w.eventsOn()
	cursor := w.mark()
	target := w.open(func(c *keymate.Config) {
		c.Transport = logins(`[{"id":"1","time":1,"type":"LOGIN","userId":"plain","details":{"username":"a"}},
		{"id":"2","time":2,"type":"LOGIN","userId":"brokered","details":{"identity_provider":"legacy"}},
		{"id":"3","time":3,"type":"UPDATE_PROFILE","userId":"edited"},{"id":"4","time":4,"type":"REGISTER"}]`)
	})
	got, err := target.Changes(w.ctx, cursor)
	w.must(err)
	if diff := cmp.Diff(map[string]bool{"brokered": true, "edited": true}, got.Users); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// logins answers for the realm's user events.
type logins string

func (l logins) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/events") || r.URL.Query().Get("max") == "1" {
		return http.DefaultTransport.RoundTrip(r)
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(l))), Header: http.Header{}, Request: r}, nil
}
