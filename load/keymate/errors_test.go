package keymate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/keymate"
	"github.com/parallelrun/parallelrun/schemas"
)

func TestPreflightRefusals(t *testing.T) {
	onEach(t, options{bare: true, noOrgs: true}, func(w *world) {
		_, err := w.target.Preflight(w.ctx)
		wantClass(w.t, err, load.Setup, "organizations are switched off")
	})
	onEach(t, options{bare: true}, func(w *world) {
		for name, c := range map[string]struct {
			change func(*config)
			part   string
		}{
			"secret": {func(c *config) { c.ClientSecret = "wrong" }, "client id and secret"},
			"client": {func(c *config) { c.ClientID = "nobody" }, "client id and secret"},
			"rights": {func(c *config) { c.ClientID, c.ClientSecret = c.ProofClientID, c.ProofClientSecret }, "service account"},
			"realm":  {func(c *config) { c.Realm = "nowhere" }, "realm"},
		} {
			_, err := w.open(c.change).Preflight(w.ctx)
			wantClass(w.t, err, load.Setup, c.part)
			if strings.Contains(err.Error(), w.cfg.ClientSecret) {
				w.t.Errorf("%s: the error holds the secret: %v", name, err)
			}
		}
	})
}

func TestNothingListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	target, err := keymate.Open(keymate.Config{URL: "http://" + address, Realm: "r", ClientID: "c", ClientSecret: "s", Namespace: "n", ReadRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = target.Preflight(t.Context())
	wantClass(t, err, load.Transient, "can't be reached")
}

func TestOpenRefusesAnIncompleteConfig(t *testing.T) {
	_, err := keymate.Open(keymate.Config{URL: "iam.example.org"})
	for _, part := range []string{"url", "realm is missing", "client id is missing", "client secret is missing", "id name space is missing"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v should name %q", err, part)
		}
	}
}

// Rows that can't be written fail one by one, before anything is sent, and
// name themselves and the next step.
func TestBadRows(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		user := func(change func(*schemas.Bundle)) error {
			u := plainUser("bad")
			u = w.project(u)[0]
			change(&u)
			return w.target.CreateUsers(w.ctx, []schemas.Bundle{u}, w.ids)
		}
		setUser := func(column string, v any) func(*schemas.Bundle) {
			return func(u *schemas.Bundle) { u.User = set(schemas.Users, u.User, column, v) }
		}
		for part, change := range map[string]func(*schemas.Bundle){
			"user name is empty":   setUser("username", nil),
			"longer than 255":      setUser("username", strings.Repeat("x", 256)),
			"database refuses":     setUser("username", "a\x00b"),
			"not lower-cased":      setUser("username", "ABC"),
			`no role "unheard-of"`: setUser("realm_roles", []string{"unheard-of"}),
			"is not in the target": setUser("groups", []string{ref(schemas.Groups, "none")}),
			"holds no hash": func(u *schemas.Bundle) {
				u.Credentials[0] = set(schemas.Credentials, u.Credentials[0], "secret", sealed(schemas.SecretMaterial{Salt: []byte("s")}))
			},
			"holds no salt": func(u *schemas.Bundle) {
				u.Credentials[0] = set(schemas.Credentials, u.Credentials[0], "secret", sealed(schemas.SecretMaterial{Hash: []byte("h")}))
			},
			"no JSON of a hash": func(u *schemas.Bundle) {
				u.Credentials[0] = set(schemas.Credentials, u.Credentials[0], "secret", schemas.Sealed{Box: []byte("hunter2")})
			},
			`"iterations" is missing`: func(u *schemas.Bundle) {
				u.Credentials[0] = set(schemas.Credentials, u.Credentials[0], "parameters", nil)
			},
			"no scheme of the target": func(u *schemas.Bundle) {
				u.Credentials[0] = set(schemas.Credentials, u.Credentials[0], "algorithm", schemas.Bcrypt)
			},
		} {
			err := user(change)
			wantClass(w.t, err, load.Permanent, part)
			if !strings.Contains(err.Error(), "bad") || strings.Contains(err.Error(), "hunter2") {
				w.t.Errorf("the error should name the row and no secret: %v", err)
			}
		}
		for part, r := range map[string]schemas.Row{
			"name is empty":   entity(schemas.Organizations, "o", map[string]any{"alias": "o"}),
			"name is longer":  entity(schemas.Organizations, "o", map[string]any{"alias": "o", "name": strings.Repeat("x", 256)}),
			"alias is longer": entity(schemas.Organizations, "o", map[string]any{"alias": strings.Repeat("x", 256), "name": "o"}),
			"Empty Space":     entity(schemas.Organizations, "o", map[string]any{"alias": "o o", "name": "o"}),
			"legacy key":      entity(schemas.Organizations, strings.Repeat("k", 256), map[string]any{"alias": "o", "name": "o"}),
		} {
			wantClass(w.t, w.op(schemas.Organizations, load.Create, r), load.Permanent, part)
		}
		d := entity(schemas.Departments, "d", map[string]any{"name": "d", "organization": ref(schemas.Organizations, "none")})
		wantClass(w.t, w.op(schemas.Departments, load.Create, d), load.Permanent, "is not in the target")
		wantClass(w.t, w.op(schemas.PropertyTemplates, load.Create, entity(schemas.PropertyTemplates, "t", nil)), load.Permanent, "no such operation")
		wantClass(w.t, w.op(schemas.Groups, load.Update, entity(schemas.Groups, "g", map[string]any{"name": "g"})), load.Permanent, "not known")

		// One that the server alone can judge.
		u := w.create(plainUser("renamed"))[0]
		u.User = set(schemas.Users, u.User, "username", "renamed2")
		err := w.applyUser(load.Update, u, "username")
		wantClass(w.t, err, load.Permanent, "error-user-attribute-read-only")
		// What is not there any more.
		wantClass(w.t, w.applyUser(load.Update, w.project(plainUser("gone"))[0], "first_name"), load.Permanent, "User not found")
	})
}

func TestBatchTooLarge(t *testing.T) {
	onEach(t, options{change: func(c *config) { c.BatchBytes = 150_000 }}, func(w *world) {
		one, two := plainUser("b1"), plainUser("b2")
		for _, u := range []*schemas.Bundle{&one, &two} {
			u.User = set(schemas.Users, u.User, "attributes", map[string][]string{"photo": {strings.Repeat("x", 90_000)}})
		}
		users := w.project(one, two)
		wantClass(w.t, w.target.CreateUsers(w.ctx, users, w.ids), load.Permanent, "send fewer at once")
		for i := range users {
			w.must(w.target.CreateUsers(w.ctx, users[i:i+1], w.ids))
		}
	})
}

// canned answers requests of the realm by a function; tokens and the realm's
// facts are a fixed server's.
type canned struct {
	tokens   atomic.Int64
	life     int
	answer   func(r *http.Request, n int64) (status int, header map[string]string, body string, err error)
	requests atomic.Int64
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
	}
	reply := func(status int, header map[string]string, body string) *http.Response {
		rec := httptest.NewRecorder()
		for k, v := range header {
			rec.Header().Set(k, v)
		}
		rec.WriteHeader(status)
		rec.WriteString(body)
		resp := rec.Result()
		resp.Request = r
		return resp
	}
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/token"):
		return reply(200, nil, fmt.Sprintf(`{"access_token":"t%d","expires_in":%d}`, c.tokens.Add(1), c.life)), nil
	case path == "/admin/realms/r":
		return reply(200, nil, `{"id":"985a991a-35ee-4041-8d6f-cd7ffd712e56","realm":"r","enabled":true,"organizationsEnabled":true}`), nil
	case path == "/admin/realms/r/users/profile":
		return reply(200, nil, `{"attributes":[],"unmanagedAttributePolicy":"ADMIN_EDIT"}`), nil
	case strings.HasSuffix(path, "/required-actions"), strings.HasSuffix(path, "/instances"):
		return reply(200, nil, `[]`), nil
	case path == "/admin/serverinfo", strings.HasSuffix(path, "/roles"):
		return reply(403, nil, `{}`), nil
	}
	status, header, body, err := c.answer(r, c.requests.Add(1)-1)
	if err != nil {
		return nil, err
	}
	return reply(status, header, body), nil
}

func openCanned(t *testing.T, c *canned) *keymate.Target {
	t.Helper()
	if c.life == 0 {
		c.life = 300
	}
	target, err := keymate.Open(keymate.Config{URL: "https://iam.example.org", Realm: "r", ClientID: "c", ClientSecret: "s", Namespace: "n", Transport: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.Close() })
	return target
}

// What an answer to a write means for what is done next.
func TestWriteAnswers(t *testing.T) {
	row := entity(schemas.Groups, "g", map[string]any{"name": "g"})
	for name, c := range map[string]struct {
		status int
		header map[string]string
		body   string
		err    error
		class  load.ErrorClass
		part   string
		wait   time.Duration
		sends  int64
	}{
		"busy":         {status: 503, header: map[string]string{"Retry-After": "7"}, class: load.Transient, wait: 7 * time.Second, sends: 1},
		"throttled":    {status: 429, class: load.Transient, sends: 1},
		"server error": {status: 500, body: `{"error":"unknown_error"}`, class: load.Unknown, part: "server's log", sends: 1},
		"bad gateway":  {status: 502, body: "<html>", class: load.Unknown, sends: 1},
		"refused":      {status: 400, body: `{"errorMessage":"Group name is missing"}`, class: load.Permanent, part: "Group name is missing", sends: 1},
		"validation":   {status: 400, body: `{"errors":[{"field":"email","errorMessage":"error-invalid-email","params":["email","amy@x.de"]}]}`, class: load.Permanent, part: "email: error-invalid-email", sends: 1},
		"too large":    {status: 413, class: load.Permanent, part: "10 MiB", sends: 1},
		"forbidden":    {status: 403, class: load.Setup, part: "manage-users", sends: 1},
		"unauthorized": {status: 401, class: load.Setup, part: "token is refused", sends: 2}, // once more with a fresh token
		"elsewhere":    {status: 302, class: load.Setup, part: "redirects", sends: 1},
		"no realm":     {status: 404, body: `{"error":"Realm not found."}`, class: load.Setup, part: "realm", sends: 1},
		"reset":        {err: errors.New("read tcp: connection reset by peer"), class: load.Transient, sends: 1}, // a canned transport never had a connection
	} {
		t.Run(name, func(t *testing.T) {
			can := &canned{answer: func(*http.Request, int64) (int, map[string]string, string, error) {
				return c.status, c.header, c.body, c.err
			}}
			target := openCanned(t, can)
			_, err := target.Apply(t.Context(), load.Operation{Table: schemas.Groups, Kind: load.Create, ID: row.ID, Key: row.Key}, load.Subject{Row: row}, newIDMap())
			wantClass(t, err, c.class, c.part)
			e, _ := errors.AsType[*load.Error](err)
			if e.RetryAfter != c.wait {
				t.Errorf("wait %s, want %s", e.RetryAfter, c.wait)
			}
			if n := can.requests.Load(); n != c.sends {
				t.Errorf("sent %d times, want %d", n, c.sends)
			}
			if strings.Contains(err.Error(), "amy") || strings.Contains(err.Error(), "iam.example.org") {
				t.Errorf("the error tells too much: %v", err)
			}
		})
	}
}

// Reads are repeated after passing failures, and streams that break off are
// asked for again.
func TestReadsAreRepeated(t *testing.T) {
	can := &canned{answer: func(r *http.Request, n int64) (int, map[string]string, string, error) {
		switch n {
		case 0:
			return 503, nil, "", nil
		case 1:
			return 0, nil, "", errors.New("connection reset")
		case 2:
			return 200, nil, `[{"id":"a"`, nil
		}
		return 200, nil, `[]`, nil
	}}
	target := openCanned(t, can)
	err := target.Observe(t.Context(), load.Scope{Structure: true}, newSeen())
	wantClass(t, err, load.Transient, "cut off")
	if n := can.requests.Load(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestTokenIsRenewedAheadOfItsEnd(t *testing.T) {
	can := &canned{life: 1, answer: func(*http.Request, int64) (int, map[string]string, string, error) { return 200, nil, "[]", nil }}
	target := openCanned(t, can)
	for range 3 {
		if err := target.Observe(t.Context(), load.Scope{Structure: true}, newSeen()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond)
	}
	if n := can.tokens.Load(); n != 3 {
		t.Errorf("%d tokens, want 3", n)
	}
}

// A cancelled run sends nothing more, but waits for what it has sent.
func TestCancel(t *testing.T) {
	row := entity(schemas.Groups, "g", map[string]any{"name": "g"})
	op := load.Operation{Table: schemas.Groups, Kind: load.Create, ID: row.ID, Key: row.Key}
	ctx, cancel := context.WithCancel(t.Context())
	can := &canned{answer: func(r *http.Request, _ int64) (int, map[string]string, string, error) {
		cancel()
		time.Sleep(50 * time.Millisecond)
		return 201, map[string]string{"Location": "https://x/groups/id1"}, "", r.Context().Err()
	}}
	target := openCanned(t, can)
	id, err := target.Apply(ctx, op, load.Subject{Row: row}, newIDMap())
	if err != nil || id != "id1" {
		t.Errorf("the write under way: %q, %v", id, err)
	}
	if _, err := target.Apply(ctx, op, load.Subject{Row: row}, newIDMap()); !errors.Is(err, context.Canceled) {
		t.Errorf("after the cancel: %v", err)
	}
	if n := can.requests.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}
