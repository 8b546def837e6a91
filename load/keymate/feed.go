package keymate

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/load"
)

// The change feed is the realm's event log: admin events for changes through
// the Admin API, user events for what people do themselves. An event carries
// the time at which its request began, so that one that is older than a cursor
// can appear after it: reading goes back by the server's transaction limit.

var _ load.ChangeFeed = (*Target)(nil)

// blind is what no event tells.
var blind = []string{
	"password hashes that a login renewed", "changes made in the target's database itself", "changes in a directory behind federated users",
}

// userEventTypes are those that change an account. A realm that does not keep
// one of them can't tell.
var userEventTypes = []string{
	"REGISTER", "DELETE_ACCOUNT", "UPDATE_PROFILE", "UPDATE_EMAIL", "VERIFY_EMAIL", "UPDATE_CREDENTIAL", "REMOVE_CREDENTIAL",
	"UPDATE_PASSWORD", "UPDATE_TOTP", "REMOVE_TOTP", "RESET_PASSWORD", "FEDERATED_IDENTITY_LINK", "REMOVE_FEDERATED_IDENTITY",
	"FEDERATED_IDENTITY_OVERRIDE_LINK", "IDENTITY_PROVIDER_FIRST_LOGIN", "IDENTITY_PROVIDER_LOGIN", "CUSTOM_REQUIRED_ACTION",
	"IDENTITY_PROVIDER_POST_LOGIN", "IDENTITY_PROVIDER_LINK_ACCOUNT", "USER_DISABLED_BY_PERMANENT_LOCKOUT", "VERIFY_PROFILE", "EXECUTE_ACTIONS",
	"EXECUTE_ACTION_TOKEN", "INVITE_ORG", loginEvent,
}

// loginEvent changes an account only where an identity provider's data comes
// in with it.
const (
	loginEvent     = "LOGIN"
	brokeredDetail = "identity_provider"
)

// clockSkew is how far the clocks of a cluster's servers may differ.
const clockSkew = 10 * time.Second

// eventPage is how many events one request asks for.
const eventPage = 1000

const fullInstead = "`parallelrun drift --full` looks at everything"

// cursor is a feed's place: the server's time, and the newest event of each
// kind then, which must still be there when the feed is read on from here.
type cursor struct {
	Realm string  `json:"realm"`
	At    int64   `json:"at"` // ms
	Admin witness `json:"admin,omitzero"`
	User  witness `json:"user,omitzero"`
}

type witness struct {
	ID   string `json:"id"`
	Time int64  `json:"time"`
}

func (c *cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic("keymate: encode a cursor: " + err.Error()) // texts and numbers
	}
	return "keycloak-events-1." + base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(text string) (*cursor, error) {
	c := &cursor{}
	encoded, ours := strings.CutPrefix(text, "keycloak-events-1.")
	b, err := base64.RawURLEncoding.DecodeString(encoded)
	if !ours || err != nil || json.Unmarshal(b, c) != nil || c.Realm == "" || c.At <= 0 {
		return nil, &load.FeedError{Why: "the cursor is not one of this target's event log", Next: fullInstead}
	}
	return c, nil
}

// adminEventRep and userEventRep are what we need of the server's events.
type adminEventRep struct {
	witness
	Operation string            `json:"operationType"`
	Resource  string            `json:"resourceType"`
	Path      string            `json:"resourcePath"`
	Details   map[string]string `json:"details"`
}

type userEventRep struct {
	witness
	Type    string            `json:"type"`
	User    string            `json:"userId"`
	Details map[string]string `json:"details"`
}

// retention is how the realm keeps its events.
type retention struct {
	user, admin time.Duration // 0: for good
}

// Mark implements load.ChangeFeed.
func (t *Target) Mark(ctx context.Context) (string, error) {
	c, _, err := t.mark(ctx)
	if err != nil {
		return "", err
	}
	return c.String(), nil
}

func (t *Target) mark(ctx context.Context) (*cursor, retention, error) {
	f, err := t.refresh(ctx)
	if err != nil {
		return nil, retention{}, err
	}
	keeps, err := t.eventLog(ctx)
	if err != nil {
		return nil, keeps, err
	}
	c := &cursor{Realm: f.ID}
	if c.At, err = t.serverTime(ctx); err != nil {
		return nil, keeps, err
	}
	for path, w := range map[string]*witness{"/admin-events": &c.Admin, "/events": &c.User} {
		newest := url.Values{"first": {"0"}, "max": {"1"}, "direction": {"desc"}}
		if err := list(ctx, t.http, "read the newest event", path, newest, func(e witness) error { *w = e; return nil }); err != nil {
			return nil, keeps, mayNotRead(err)
		}
	}
	return c, keeps, nil
}

// eventLog refuses a realm that does not keep all that is needed.
func (t *Target) eventLog(ctx context.Context) (retention, error) {
	var config struct {
		Enabled    bool     `json:"eventsEnabled"`
		Expiration int64    `json:"eventsExpiration"`
		Types      []string `json:"enabledEventTypes"`
		Admin      bool     `json:"adminEventsEnabled"`
	}
	if err := t.http.get(ctx, "read the settings of events", "/events/config", nil, &config); err != nil {
		return retention{}, mayNotRead(err)
	}
	var realm struct {
		Attributes map[string]string `json:"attributes"`
	}
	if err := t.http.get(ctx, "read the realm", "", nil, &realm); err != nil {
		return retention{}, err
	}
	switchOn := "switch it on in the realm's settings, under Events, and run a full drift once; until then " + fullInstead
	switch {
	case !config.Admin:
		return retention{}, &load.FeedError{Why: "the realm does not save admin events", Next: switchOn}
	case !config.Enabled:
		return retention{}, &load.FeedError{Why: "the realm does not save user events", Next: switchOn}
	}
	for _, need := range userEventTypes {
		if !slices.Contains(config.Types, need) {
			return retention{}, &load.FeedError{Why: "the realm does not save user events of type " + need, Next: switchOn}
		}
	}
	keeps := retention{user: time.Duration(config.Expiration) * time.Second}
	if s, err := strconv.ParseInt(realm.Attributes["adminEventsExpiration"], 10, 64); err == nil {
		keeps.admin = time.Duration(s) * time.Second
	}
	return keeps, nil
}

func mayNotRead(err error) error {
	if isStatus(err, http.StatusForbidden) {
		return &load.FeedError{Why: "the client may not read the realm's events",
			Next: "give its service account the realm-management role view-events; until then " + fullInstead}
	}
	return err
}

// serverTime is the server's clock, in ms: that of a fresh token, rounded down.
func (t *Target) serverTime(ctx context.Context) (int64, error) {
	token, err := t.http.tokens.get(ctx, "")
	if err == nil {
		token, err = t.http.tokens.get(ctx, token)
	}
	if err != nil {
		return 0, err
	}
	var claims struct {
		Issued int64 `json:"iat"`
	}
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		b, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && json.Unmarshal(b, &claims) == nil && claims.Issued > 0 {
			return claims.Issued * 1000, nil
		}
	}
	return 0, &load.FeedError{Why: "the server's token does not say what time it is", Next: fullInstead}
}

// Changes implements load.ChangeFeed.
func (t *Target) Changes(ctx context.Context, text string) (*load.Changes, error) {
	since, err := parseCursor(text)
	if err != nil {
		return nil, err
	}
	next, keeps, err := t.mark(ctx)
	if err != nil {
		return nil, err
	}
	if since.Realm != next.Realm {
		return nil, &load.FeedError{Why: "the cursor is of another realm, or of one that was deleted and made anew", Next: fullInstead}
	}
	r := &feedReader{target: t, since: since, names: map[string]bool{}, out: &load.Changes{
		Users: map[string]bool{}, Gone: map[string]bool{}, Roles: map[string]bool{}, Next: next.String(), Blind: blind,
	}}
	r.from = since.At - (t.cfg.TransactionLimit + clockSkew).Milliseconds()
	for _, kept := range []struct {
		what string
		w    witness
		keep time.Duration
		path string
	}{{"admin events", since.Admin, keeps.admin, "/admin-events"}, {"user events", since.User, keeps.user, "/events"}} {
		if err := r.stillThere(ctx, kept.what, kept.path, kept.w, kept.keep, next.At); err != nil {
			return nil, err
		}
	}
	if err := r.adminEvents(ctx); err != nil {
		return nil, err
	}
	if err := r.userEvents(ctx); err != nil {
		return nil, err
	}
	return r.out, r.resolve(ctx)
}

// feedReader reads the event log on from a cursor.
type feedReader struct {
	target *Target
	since  *cursor
	from   int64 // ms
	out    *load.Changes
	names  map[string]bool // user names of those whom events name so only
}

// stillThere refuses a log that was cleared, or expired further than the cursor.
func (r *feedReader) stillThere(ctx context.Context, what, path string, w witness, keep time.Duration, now int64) error {
	oldest := int64(0)
	if keep > 0 {
		if oldest = now - keep.Milliseconds(); r.from < oldest {
			return &load.FeedError{Why: fmt.Sprintf("the realm keeps %s for %s, which is less than to the cursor of %s and the %s that requests may take",
				what, keep, time.UnixMilli(r.since.At).UTC().Format(time.RFC3339), r.target.cfg.TransactionLimit), Next: fullInstead}
		}
	}
	if w.ID == "" || w.Time <= oldest {
		return nil
	}
	at := strconv.FormatInt(w.Time, 10)
	for first := 0; ; first += eventPage {
		n, found := 0, false
		q := url.Values{"dateFrom": {at}, "dateTo": {at}, "first": {strconv.Itoa(first)}, "max": {strconv.Itoa(eventPage)}}
		err := list(ctx, r.target.http, "look for the cursor's event", path, q, func(e witness) error {
			n++
			found = found || e.ID == w.ID
			return nil
		})
		switch {
		case err != nil || found:
			return err
		case n < eventPage:
			return &load.FeedError{Why: what + " were cleared since the cursor", Next: fullInstead}
		}
	}
}

// pages reads a log to its end, oldest first. It goes on from the time of the
// last event of a page, so that events which appear or expire meanwhile push
// none out of sight; some are seen twice.
func pages[E any](ctx context.Context, r *feedReader, what, path string, q url.Values, at func(E) int64, each func(E) error) error {
	from, first := r.from, 0
	for {
		n, last := 0, from
		q.Set("direction", "asc")
		q.Set("dateFrom", strconv.FormatInt(from, 10))
		q.Set("first", strconv.Itoa(first))
		q.Set("max", strconv.Itoa(eventPage))
		err := list(ctx, r.target.http, "read "+what, path, q, func(e E) error {
			n++
			last = at(e)
			return each(e)
		})
		switch {
		case err != nil:
			return mayNotRead(err)
		case n < eventPage:
			return nil
		case last > from:
			from, first = last, 0
		default:
			first += n
		}
		if len(r.out.Users)+len(r.names) > load.MostChanges {
			return &load.FeedError{Why: fmt.Sprintf("more than %d users changed", load.MostChanges), Next: fullInstead}
		}
	}
}

func (r *feedReader) userEvents(ctx context.Context) error {
	return pages(ctx, r, "user events", "/events", url.Values{"type": userEventTypes}, func(e userEventRep) int64 { return e.Time }, func(e userEventRep) error {
		if e.User != "" && (e.Type != loginEvent || e.Details[brokeredDetail] != "") {
			r.out.Users[e.User] = true
		}
		return nil
	})
}

func (r *feedReader) adminEvents(ctx context.Context) error {
	return pages(ctx, r, "admin events", "/admin-events", url.Values{}, func(e adminEventRep) int64 { return e.Time }, r.adminEvent)
}

// adminEvent takes from an event whom or what it is about.
func (r *feedReader) adminEvent(e adminEventRep) error {
	seg := strings.Split(e.Path, "/")
	head, id := seg[0], ""
	if len(seg) > 1 {
		id = seg[1]
	}
	switch {
	case e.Resource == "ORGANIZATION_MEMBERSHIP" && len(seg) == 3: // its path does not say who
		name := e.Details["username"]
		if name == "" {
			return &load.FeedError{Why: "an event of a membership does not say whose", Next: fullInstead}
		}
		r.names[name] = true
	case e.Resource == "ORGANIZATION_MEMBERSHIP", e.Resource == "ORGANIZATION_GROUP_MEMBERSHIP":
		r.out.Users[seg[len(seg)-1]] = true
	case head == "users" && id != "" && e.Resource != "USER_PROFILE":
		if e.Resource == "REALM" && e.Operation == "UPDATE" {
			return &load.FeedError{Why: "an import overwrote accounts, and no event says whose", Next: fullInstead}
		}
		r.out.Users[id] = true
	case head == "groups" || head == "organizations":
		r.structure(e, seg)
	case e.Resource == "REALM_ROLE":
		return r.role(e, seg)
	case e.Operation == "DELETE" && (e.Resource == "CLIENT" || e.Resource == "CLIENT_ROLE"): // departments may have had its roles
		r.out.Structure = true
	case r.everybody(e):
		return &load.FeedError{Why: "settings of the realm changed (" + strings.ToLower(e.Resource+" "+e.Operation) + "), which can touch everybody or interrupt the events",
			Next: fullInstead}
	}
	return nil
}

// fresh says that an event is younger than the newest one at the cursor: what
// is older was in force already then.
func (r *feedReader) fresh(e adminEventRep) bool {
	if r.since.Admin.ID != "" {
		return e.Time > r.since.Admin.Time
	}
	return e.Time >= r.since.At
}

// everybody says that what the event tells of can touch any account, or the
// log itself.
func (r *feedReader) everybody(e adminEventRep) bool {
	switch e.Resource {
	case "REALM", "USER_PROFILE", "COMPONENT", "USER_FEDERATION_PROVIDER", "USER_FEDERATION_MAPPER":
		return r.fresh(e)
	case "IDENTITY_PROVIDER": // links to it go with it
		return e.Operation == "DELETE" && r.fresh(e)
	}
	return false
}

// structure takes an event about a group or an organization. Who was in what
// was deleted lost it without an event.
func (r *feedReader) structure(e adminEventRep, seg []string) {
	r.out.Structure = true
	if e.Operation != "DELETE" || e.Resource == "REALM_ROLE_MAPPING" || e.Resource == "CLIENT_ROLE_MAPPING" {
		return
	}
	r.out.Gone[seg[len(seg)-1]] = true
}

func (r *feedReader) role(e adminEventRep, seg []string) error {
	if e.Operation != "DELETE" && e.Operation != "UPDATE" {
		return nil
	}
	if len(seg) == 2 && seg[0] == "roles" {
		name, err := url.PathUnescape(seg[1])
		if err != nil {
			name = seg[1]
		}
		r.out.Structure = true
		r.out.Roles[name], r.out.Roles[seg[1]] = true, true
		return nil
	}
	if len(seg) > 2 || !r.fresh(e) { // its composites: not what accounts hold
		return nil
	}
	return &load.FeedError{Why: "a role was changed or deleted, and the event does not name it", Next: fullInstead}
}

// resolve finds those whom events name by user name alone. One that is not
// there any more was renamed or deleted since, and has an event for it.
func (r *feedReader) resolve(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(r.target.cfg.Concurrency)
	var mu sync.Mutex
	for name := range r.names {
		work.Go(func() error {
			q := url.Values{"username": {name}, "exact": {"true"}, "briefRepresentation": {"true"}, "max": {"2"}}
			return list(ctx, r.target.http, "look for an account by username", "/users", q, func(u userRep) error {
				mu.Lock()
				defer mu.Unlock()
				r.out.Users[u.ID] = true
				return nil
			})
		})
	}
	return work.Wait()
}
