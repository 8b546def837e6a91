package keymate_test

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

func (w *world) applyUser(kind load.Kind, u schemas.Bundle, columns ...string) error {
	_, err := w.target.Apply(w.ctx, load.Operation{Table: schemas.Users, Kind: kind, ID: u.User.ID, Key: u.User.Key, Columns: columns},
		load.Subject{Row: u.User, User: &u}, w.ids)
	return err
}

func (w *world) create(users ...schemas.Bundle) []schemas.Bundle {
	w.t.Helper()
	users = w.project(users...)
	w.must(w.target.CreateUsers(w.ctx, users, w.ids))
	for _, u := range users {
		w.link(u, load.Link, u.Memberships...)
	}
	return users
}

func TestUserUpdates(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		w.furnish()
		// The realm refuses new user names until an administrator allows them.
		w.rest("PUT", "", map[string]any{"editUsernameAllowed": true}, nil)
		u := w.create(fullUser(4))[0]
		for _, c := range []struct {
			column string
			value  any
		}{
			{"username", "new.name"}, {"email", "new@planet-express.example"}, {"email", nil}, {"email_verified", false},
			{"first_name", "Zoë"}, {"first_name", nil}, {"last_name", nil}, {"last_name", "O'Neil-Müller"}, {"enabled", false}, {"enabled", true},
			{"expires_at", nil}, {"expires_at", time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()},
			{"created_at", time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()}, {"created_at", nil},
			{"locale", "fr"}, {"locale", nil}, {"required_actions", []string{"UPDATE_PROFILE", "VERIFY_EMAIL"}}, {"required_actions", nil},
			{"attributes", map[string][]string{"title": {"b", "a"}, "photo": {strings.Repeat("x", 90_000)}}}, {"attributes", nil},
			{"realm_roles", []string{"manager"}}, {"realm_roles", []string{"employee", "manager"}}, {"realm_roles", nil},
			{"groups", []string{ref(schemas.Groups, "g1"), ref(schemas.Groups, "g3")}}, {"groups", nil},
		} {
			u.User = set(schemas.Users, u.User, c.column, c.value)
			columns := []string{c.column}
			if c.column == "email" && c.value == nil {
				u.User = set(schemas.Users, u.User, "email_verified", false)
				columns = append(columns, "email_verified")
			}
			u = w.project(u)[0]
			w.must(w.applyUser(load.Update, u, columns...))
			if w.same(w.observe(load.Scope{Users: probes(u)}), u); w.t.Failed() {
				w.t.Fatalf("after %s = %.60v", c.column, c.value)
			}
		}
		all := fullUser(4)
		u.User = w.project(all)[0].User
		w.must(w.applyUser(load.Update, u)) // no columns: all of them
		w.same(w.observe(load.Scope{Users: probes(u)}), u)
	})
}

// An update of one column leaves alone what changed beside it in the target.
func TestUpdateLeavesOtherColumnsAlone(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		u := w.create(plainUser("p1"))[0]
		path := "/users/" + w.target.UserID(u.User.ID)
		var rep map[string]any
		w.rest("GET", path, nil, &rep)
		rep["lastName"] = "Changed by hand"
		rep["attributes"].(map[string]any)["note"] = []string{"by hand"}
		w.rest("PUT", path, rep, nil)

		u.User = set(schemas.Users, u.User, "first_name", "New")
		w.must(w.applyUser(load.Update, u, "first_name"))
		got := w.observe(load.Scope{Users: probes(u)}).rows[schemas.Users][u.User.ID]
		for column, want := range map[string]any{
			"first_name": "New", "last_name": "Changed by hand", "email": "p1@example.org",
			"attributes": map[string][]string{"note": {"by hand"}, "title": {"t"}},
		} {
			if d := cmp.Diff(want, get(schemas.Users, got, column)); d != "" {
				w.t.Errorf("%s: %s", column, d)
			}
		}
	})
}

// plainUser is one without references.
func plainUser(key string) schemas.Bundle {
	user := entity(schemas.Users, key, map[string]any{
		"username": key, "email": key + "@example.org", "first_name": "First", "last_name": "Last", "enabled": true,
		"created_at": time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), "attributes": map[string][]string{"title": {"t"}},
	})
	return schemas.Bundle{User: user, Credentials: []schemas.Row{pbkdf2Password(user, "pw "+key, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))}}
}

func TestSmallUser(t *testing.T) {
	onEach(t, options{change: nil}, func(w *world) {
		users := w.create(
			schemas.Bundle{User: entity(schemas.Users, "bare", map[string]any{"username": "bare"})},
			schemas.Bundle{User: entity(schemas.Users, "x", map[string]any{"username": "x y/z", "enabled": true, "first_name": "F", "email": "x@localhost"})},
		)
		w.same(w.observe(load.Scope{Users: probes(users...)}), users...)
		for _, u := range users { // what the import took can be changed as well
			u.User = set(schemas.Users, u.User, "last_name", "L")
			w.must(w.applyUser(load.Update, u, "last_name"))
			w.same(w.observe(load.Scope{Users: probes(u)}), u)
		}
	})
}

// Whatever projection leaves of a name, address or attribute, the account can
// be disabled afterwards: the server checks the whole of it again.
func TestWhatIsLoadedCanBeDisabled(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		var users []schemas.Bundle
		for i, cells := range []map[string]any{
			{"first_name": "Amy (ext.)", "last_name": "Wong <amy@x.de>"}, {"first_name": "{}", "last_name": "a\tb\u0085c\u2028d"},
			{"first_name": strings.Repeat("x", 256), "last_name": strings.Repeat("😀", 130)}, {"first_name": "D’Arcy, Jr.", "last_name": "„Łódź“ `@'+"},
			{"email": "not-an-address"}, {"email": "a..b@x.de"}, {"email": strings.Repeat("l", 65) + "@x.de"}, {"email": "ü@ö.de"}, {"email": "\"q u\"@x.de"},
			{"email": "a@-x.de"}, {"email": "root@localhost"}, {"email": "a@[127.0.0.1]"}, {"email": "a@" + strings.Repeat("x", 64) + ".de"}, {"email": "a@x_y.de"},
			{"email": "o'brien+tag@sub.x.co"}, {"email": "a b@x.de"}, {"email": "a@x..de"}, {"email": "a@x.de."},
			{"attributes": map[string][]string{"username": {"root"}, "EMAIL": {"e"}, "LDAP_ID": {"1"}, "Locale": {"de"}, "legacyId": {"z"}, "keymate.memberships": {"{}"}}},
			{"attributes": map[string][]string{"long": {strings.Repeat("x", 2049), strings.Repeat("y", 2048)}, "wide": {strings.Repeat("😀", 1025)}, "nul": {"a\x00b"}}},
			{"attributes": map[string][]string{"photo": {strings.Repeat("x", 100_001)}, strings.Repeat("n", 256): {"v"}, strings.Repeat("n", 255): {"v"}, "ctl": {"a\x01\r\nb"}}},
			{"username": "ẞΣΑΣ İ", "required_actions": []string{"FOO", "UPDATE_PASSWORD"}, "locale": "tlh"},
		} {
			all := map[string]any{"username": fmt.Sprintf("odd%02d", i), "enabled": true}
			for k, v := range cells {
				all[k] = v
			}
			users = append(users, schemas.Bundle{User: entity(schemas.Users, fmt.Sprintf("odd%02d", i), all)})
		}
		for batch := range slices.Chunk(users, 10) {
			w.create(batch...)
		}
		users = w.project(users...)
		w.same(w.observe(load.Scope{Users: probes(users...)}), users...)
		for i := range users {
			users[i].User = set(schemas.Users, users[i].User, "enabled", false)
			if err := w.applyUser(load.Update, users[i], "enabled"); err != nil {
				w.t.Errorf("%s: %v", users[i].User.Key, err)
			}
		}
		w.same(w.observe(load.Scope{Users: probes(users...)}), users...)
	})
}

func TestMemberships(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		w.furnish()
		u := plainUser("m1")
		u.Memberships = []schemas.Row{
			membership("m1", "planet", "", map[string]any{"roles": []string{"visitor"}}), // beside a department of the same organization
			membership("m1", "planet", "eng", nil),
			membership("m1", "planet", "back", map[string]any{"attributes": map[string][]string{"desk": {"2", "1"}}}),
		}
		u = w.create(u)[0]
		look := func(when string) {
			w.t.Helper()
			if w.same(w.observe(load.Scope{Users: probes(u)}), u); w.t.Failed() {
				w.t.Fatal(when)
			}
		}
		look("after linking")
		w.link(u, load.Link, u.Memberships...) // again: nothing new
		look("after linking again")

		find := func(dept string) int {
			return slices.IndexFunc(u.Memberships, func(r schemas.Row) bool {
				d, _ := get(schemas.Memberships, r, "department").(string)
				return dept == "" && d == "" || dept != "" && d == ref(schemas.Departments, dept)
			})
		}
		i := find("eng")
		u.Memberships[i] = set(schemas.Memberships, set(schemas.Memberships, u.Memberships[i], "roles", []string{"lead"}), "is_default", true)
		w.link(u, load.Update, u.Memberships[i])
		look("after an update")

		drop := func(dept string) {
			w.t.Helper()
			i := find(dept)
			gone := u.Memberships[i]
			u.Memberships = slices.Delete(slices.Clone(u.Memberships), i, i+1)
			w.link(u, load.Unlink, gone)
			look("after leaving " + dept)
			w.link(u, load.Unlink, gone)
			look("after leaving twice " + dept)
		}
		drop("back")
		drop("") // the department keeps the user in the organization
		drop("eng")
		s := w.observe(load.Scope{Users: probes(u)})
		if len(s.rows[schemas.Memberships]) != 0 {
			w.t.Errorf("left %v", s.rows[schemas.Memberships])
		}

		// The last department goes, the membership of the organization alone stays.
		u = plainUser("m2")
		u.Memberships = []schemas.Row{membership("m2", "planet", "", nil), membership("m2", "planet", "eng", nil)}
		u = w.create(u)[0]
		look("organization beside a department")
		drop("eng")
		drop("")
	})
}

func TestLogins(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		users := []schemas.Bundle{plainUser("l0"), plainUser("l1"), plainUser("l2"), plainUser("l3")}
		at := time.Date(2020, 5, 6, 7, 8, 9, 123_000_000, time.UTC)
		users[1].Credentials = []schemas.Row{argon2Password(users[1].User, "pw l1", at)}
		users[2].User = set(schemas.Users, users[2].User, "enabled", false)
		users[3].Credentials[0] = set(schemas.Credentials, users[3].Credentials[0], "state", "must_change")
		users = w.create(users...)
		login := func(user, password string, want load.LoginResult) {
			w.t.Helper()
			got, err := w.target.Login(w.ctx, user, password)
			w.must(err)
			if got != want {
				w.t.Errorf("login of %s: %q, want %q", user, got, want)
			}
		}
		login("l0", "pw l0", load.LoginOK)
		login("L1", "pw l1", load.LoginOK)
		login("l2", "pw l2", load.LoginDisabled)
		login("l3", "pw l3", load.LoginPending)
		for _, u := range []string{"l0", "l1", "l2", "l3", "nobody"} {
			login(u, "wrong", load.LoginRefused)
		}
		// A login leaves no session, and the row as verify knows it, though the server hashed anew.
		for _, u := range users {
			var sessions []any
			if w.rest("GET", "/users/"+w.target.UserID(u.User.ID)+"/sessions", nil, &sessions); len(sessions) > 0 {
				w.t.Errorf("%s has %d sessions", u.User.Key, len(sessions))
			}
		}
		w.same(w.observe(load.Scope{Users: probes(users...)}), users...)

		u := users[0]
		u.Credentials = w.project(schemas.Bundle{User: u.User, Credentials: []schemas.Row{argon2Password(u.User, "new", at.Add(time.Hour))}})[0].Credentials
		op := load.Operation{Table: schemas.Credentials, Kind: load.Update, ID: u.Credentials[0].ID, Key: u.Credentials[0].Key}
		_, err := w.target.Apply(w.ctx, op, load.Subject{Row: u.Credentials[0], User: &u}, w.ids)
		w.must(err)
		login("l0", "new", load.LoginOK)
		login("l0", "pw l0", load.LoginRefused)
		w.same(w.observe(load.Scope{Users: probes(u)}), u)

		op.Kind = load.Delete
		for range 2 {
			_, err = w.target.Apply(w.ctx, op, load.Subject{Row: u.Credentials[0], User: &u}, w.ids)
			w.must(err)
		}
		login("l0", "new", load.LoginRefused)
		u.Credentials = nil
		w.same(w.observe(load.Scope{Users: probes(u)}), u)

		if got, err := w.open(func(c *config) { c.ProofClientID = "" }).Login(w.ctx, "l1", "pw l1"); got != load.LoginImpossible || err != nil {
			w.t.Errorf("login without a proof client: %q, %v", got, err)
		}
		_, err = w.open(func(c *config) { c.ProofClientSecret = "wrong" }).Login(w.ctx, "l1", "pw l1")
		wantClass(w.t, err, load.Setup, "unauthorized_client")
	})
}

func TestForeignAccounts(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		byHand := func(username, email string) {
			w.t.Helper()
			if s := w.rest("POST", "/users", map[string]any{"username": username, "email": email, "enabled": true}, nil); s != 201 {
				w.t.Fatalf("make %s: %d", username, s)
			}
		}
		byHand("for1", "other@example.org")
		byHand("somebody", "for2@example.org")
		byHand("for3", "for3@example.org")
		byHand("for4x", "for4x@example.org")
		byHand("for5", "else@example.org")
		byHand("else", "for5@example.org")
		users := w.project(plainUser("for1"), plainUser("for2"), plainUser("for3"), plainUser("for4"), plainUser("for5"))
		s := w.observe(load.Scope{Users: probes(users...), Foreign: true})
		want := []load.ForeignAccount{
			{Username: "for1", Email: "other@example.org", Match: "username"},
			{Username: "somebody", Email: "for2@example.org", Match: "email"},
			{Username: "for3", Email: "for3@example.org", Match: "username and email"},
			{Username: "for5", Email: "else@example.org", Match: "username"},
			{Username: "else", Email: "for5@example.org", Match: "email"},
		}
		byName := cmpopts.SortSlices(func(a, b load.ForeignAccount) bool { return a.Username < b.Username })
		if d := cmp.Diff(want, s.foreign, byName, cmpopts.IgnoreFields(load.ForeignAccount{}, "TargetID")); d != "" {
			w.t.Error(d)
		}
		if d := cmp.Diff([]string{"for4"}, s.absent); d != "" {
			w.t.Errorf("absent: %s", d)
		}

		// The same from a list of all accounts, which many look-ups lead to.
		var many []schemas.Bundle
		for i := range 200 {
			many = append(many, plainUser(fmt.Sprintf("n%03d", i)))
		}
		s = w.observe(load.Scope{Users: probes(append(many, users...)...), Foreign: true})
		if d := cmp.Diff(want, s.foreign, byName, cmpopts.IgnoreFields(load.ForeignAccount{}, "TargetID")); d != "" {
			w.t.Error(d)
		}
		if len(s.absent) != 201 {
			w.t.Errorf("%d absent, want 201", len(s.absent))
		}

		// A batch with one of them in it changes nothing and is not known to be ours.
		for _, i := range []int{0, 1} { // by user name, by e-mail address
			err := w.target.CreateUsers(w.ctx, []schemas.Bundle{users[3], users[i]}, w.ids)
			wantClass(w.t, err, load.Unknown, "")
			if strings.Contains(err.Error(), users[i].User.Key) {
				w.t.Errorf("the error repeats a name: %v", err)
			}
		}
		if s := w.observe(load.Scope{Users: probes(users...)}); len(s.absent) != 5 {
			w.t.Errorf("%d absent after a refused batch, want 5", len(s.absent))
		}
	})
}

func TestLostReplyOfAnImport(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		users := w.project(plainUser("r1"), plainUser("r2"))
		lossy := &lossyTransport{}
		target := w.open(lossy.in)
		_, err := target.Preflight(w.ctx)
		w.must(err)
		lossy.armed.Store(true)
		err = target.CreateUsers(w.ctx, users, w.ids)
		wantClass(w.t, err, load.Unknown, "read the rows back")
		w.same(w.observe(load.Scope{Users: probes(users...)}), users...)
		// Blindly again, it would be taken for a clash.
		wantClass(w.t, w.target.CreateUsers(w.ctx, users, w.ids), load.Unknown, "")
	})
}

func TestFederatedLinks(t *testing.T) {
	w := onKeycloak(t, options{bare: true})
	grantIdentityProviders(t, w)
	for _, alias := range []string{"legacy", "other"} {
		if s := w.rest("POST", "/identity-provider/instances", map[string]any{"alias": alias, "providerId": "oidc", "enabled": true,
			"config": map[string]string{"authorizationUrl": "https://x.example/a", "tokenUrl": "https://x.example/t", "clientId": "c", "clientSecret": "s"}}, nil); s != 201 {
			t.Fatalf("make an identity provider: %d", s)
		}
	}
	_, err := w.target.Preflight(w.ctx)
	w.must(err)
	u := plainUser("fed")
	u.User = set(schemas.Users, u.User, "federated_links", map[string][]string{"legacy": {"42", "Amy"}, "nowhere": {"1", "x"}})
	u = w.create(u)[0]
	if d := cmp.Diff(map[string][]string{"legacy": {"42", "Amy"}}, get(schemas.Users, u.User, "federated_links")); d != "" {
		t.Fatal(d)
	}
	w.same(w.observe(load.Scope{Users: probes(u)}), u)
	for _, links := range []any{map[string][]string{"legacy": {"43", "Amy"}}, map[string][]string{"legacy": {"43", "Amy"}, "other": {"z", "a"}}, nil} {
		u.User = set(schemas.Users, u.User, "federated_links", links)
		w.must(w.applyUser(load.Update, u, "federated_links"))
		w.same(w.observe(load.Scope{Users: probes(u)}), u)
	}
}

// Two members of an organization swap login name and e-mail: refused as long as
// the other has them, and possible by way of a temporary value, which the server
// takes although its domain is none of the organization's.
func TestNamesSwapByATemporaryValue(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		w.furnish()
		w.rest("PUT", "", map[string]any{"editUsernameAllowed": true}, nil)
		users := w.create(fullUser(4), fullUser(5))
		swapped := w.project(fullUser(4), fullUser(5))
		for i, other := range []int{1, 0} {
			for _, c := range []string{"username", "email"} {
				swapped[i].User = set(schemas.Users, swapped[i].User, c, get(schemas.Users, users[other].User, c))
			}
		}
		for _, c := range []string{"username", "email"} {
			if e, ok := w.applyUser(load.Update, swapped[1], c).(*load.Error); !ok || e.Status != 409 {
				t.Errorf("%s of another user: got %v, want status 409", c, e)
			}
		}
		parked := users[0]
		for _, c := range []string{"username", "email"} {
			parked.User = set(schemas.Users, parked.User, c, load.TemporaryName(parked.User.ID))
		}
		w.must(w.applyUser(load.Update, parked, "username", "email"))
		w.same(w.observe(load.Scope{Users: probes(parked)}), parked)
		w.must(w.applyUser(load.Update, swapped[1], "username", "email"))
		w.must(w.applyUser(load.Update, swapped[0], "username", "email"))
		w.same(w.observe(load.Scope{Users: probes(swapped...)}), swapped...)
	})
}

// Accounts are found by an attribute of the user as well, and come with it.
func TestForeignAccountsByAttribute(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		for name, number := range map[string]string{"old1": "n 1", "fora2": "22", "old3": "N3", "old4": "4"} {
			account := map[string]any{"username": name, "enabled": true, "attributes": map[string]any{"number": []string{number}, "title": []string{"t"}}}
			if s := w.rest("POST", "/users", account, nil); s != 201 {
				w.t.Fatalf("make %s: %d", name, s)
			}
		}
		users := w.project(plainUser("fora1"), plainUser("fora2"), plainUser("fora3"), plainUser("fora4"))
		list := func(more ...schemas.Bundle) iter.Seq2[load.UserProbe, error] {
			return func(yield func(load.UserProbe, error) bool) {
				for p, err := range probes(append(more, users...)...) {
					switch p.Key {
					case "fora1":
						p.Attributes = map[string][]string{"number": {"n 1"}}
					case "fora2":
						p.Attributes = map[string][]string{"number": {"2"}}
					case "fora3": // the server compares without case, we do not
						p.Attributes = map[string][]string{"number": {"n3"}}
					case "fora4":
						p.Attributes = map[string][]string{"number": {"4", "5"}}
					}
					if !yield(p, err) {
						return
					}
				}
			}
		}
		want := []load.ForeignAccount{
			{Username: "old1", Match: "number", Attributes: map[string][]string{"number": {"n 1"}}},
			{Username: "fora2", Match: "username", Attributes: map[string][]string{"number": {"22"}}},
		}
		byName := cmpopts.SortSlices(func(a, b load.ForeignAccount) bool { return a.Username < b.Username })
		var many []schemas.Bundle
		for i := range 200 { // so many look-ups are made from a list of all accounts
			many = append(many, plainUser(fmt.Sprintf("na%03d", i)))
		}
		for name, users := range map[string]iter.Seq2[load.UserProbe, error]{"one by one": list(), "from a list": list(many...)} {
			s := w.observe(load.Scope{Users: users, Foreign: true, ForeignBy: []string{"number"}})
			if d := cmp.Diff(want, s.foreign, byName, cmpopts.IgnoreFields(load.ForeignAccount{}, "TargetID")); d != "" {
				w.t.Errorf("%s: %s", name, d)
			}
		}
	})
}
