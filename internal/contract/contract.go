// Package contract states what a Keycloak does when a migration talks to it, as requests and expected answers.
//
// The same [Case] list is played to a real Keycloak and to the sandbox. Each step says what both have to answer; beyond that the test compares the two
// servers' whole answers, so that the sandbox may not accept what the real one refuses nor refuse what it accepts. A second
// test sends seeded random requests ([Generator]) to both. What differs on purpose stands in docs/keycloak-notes.md.
//
// Nouns: a [Target] is one server with a realm; a [Case] is a named list of [Step]s; an [Answer] is what came back, and its normal form is without
// ids, times and orders that the server chooses.
package contract

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Target is one server with one realm that is ours.
type Target struct {
	Name     string // "keycloak", "sandbox"
	URL      string
	Realm    string
	Migrator Client
	Proof    Client
	HTTP     *http.Client // nil: http.DefaultClient

	token   string
	expires time.Time
}

// Client is a confidential client of the realm.
type Client struct{ ID, Secret string }

// Case is one rule of the contract.
type Case struct {
	Name     string
	OwnRealm bool // it changes the realm or counts what is in it
	Steps    []Step
}

// Step is one request and what it has to be answered with. Texts may hold variables in braces: {p} is a prefix of the case's own for names,
// {u1} to {u9} are user ids, {realm} is the realm's name, others are saved by earlier steps.
type Step struct {
	Method, Path string // below the realm; LOGIN: Path is the username, Body the password
	Body         string
	ContentType  string // "": application/json for a request with a body
	Bearer       string // "": the migrator's; "none": no token; else this one

	Status int    // 0: not looked at
	Want   string // JSON that the answer has to contain; "": not looked at
	Save   string // variable for the last part of Location
	SaveID string // variable for the answer's "id", or that of the first element
	Loose  bool   // the two servers' answers are not compared beyond Want: their size differs by design
}

// Answer is what a server said.
type Answer struct {
	Status   int
	Body     string
	Location string
}

// Vars are the variables of a running case.
type Vars map[string]string

// NewVars makes the variables of one case. Two servers that play it get the same.
func NewVars(prefix string) Vars {
	v := Vars{"p": prefix}
	for i := 1; i <= 9; i++ {
		v[fmt.Sprintf("u%d", i)] = uuid.NewString()
	}
	return v
}

// For returns the variables with those that belong to a target.
func (v Vars) For(t *Target) Vars {
	w := Vars{"realm": t.Realm}
	for name, value := range v {
		w[name] = value
	}
	return w
}

var variable = regexp.MustCompile(`\{([a-z][a-zA-Z0-9]*)(?::(\d+))?\}`)

// expand replaces the variables of a text. {x:300} is 300 times the letter x; {nul} is JSON's escape for a NUL.
func (v Vars) expand(s string) string {
	return variable.ReplaceAllStringFunc(s, func(m string) string {
		parts := variable.FindStringSubmatch(m)
		if parts[2] != "" {
			n, err := strconv.Atoi(parts[2])
			if err != nil {
				panic("contract: " + m + " in a case: " + err.Error())
			}
			return strings.Repeat(parts[1], n)
		}
		if parts[1] == "nul" {
			return `\u0000`
		}
		if value, known := v[parts[1]]; known {
			return value
		}
		if value, known := credentials[parts[1]]; known {
			return value
		}
		return m
	})
}

// Do sends one step.
func (t *Target) Do(ctx context.Context, s Step, vars Vars) (Answer, error) {
	if s.Method == "LOGIN" {
		return t.post(ctx, url.Values{
			"grant_type": {"password"}, "client_id": {t.Proof.ID}, "client_secret": {t.Proof.Secret},
			"username": {vars.expand(s.Path)}, "password": {vars.expand(s.Body)},
		})
	}
	if s.Method == "TOKEN" {
		form, err := url.ParseQuery(vars.expand(s.Body))
		if err != nil {
			return Answer{}, err
		}
		for name, secret := range map[string]string{"MIGRATOR": t.Migrator.Secret, "PROOF": t.Proof.Secret} {
			if form.Get("client_secret") == name {
				form.Set("client_secret", secret)
			}
		}
		return t.post(ctx, form)
	}
	body := vars.expand(s.Body)
	base := t.URL + "/admin/realms/" + t.Realm
	if strings.HasPrefix(s.Path, "//") { // an absolute path
		base, s.Path = t.URL, s.Path[1:]
	}
	req, err := http.NewRequestWithContext(ctx, s.Method, base+vars.expand(s.Path), strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	if s.ContentType == "" {
		s.ContentType = "application/json"
	}
	if s.Method != http.MethodGet {
		req.Header.Set("Content-Type", s.ContentType)
	}
	switch s.Bearer {
	case "none":
	case "":
		token, err := t.Token(ctx)
		if err != nil {
			return Answer{}, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	default:
		req.Header.Set("Authorization", "Bearer "+vars.expand(s.Bearer))
	}
	return t.send(req)
}

// Token returns an access token of the migrator.
func (t *Target) Token(ctx context.Context) (string, error) {
	if time.Until(t.expires) > 20*time.Second {
		return t.token, nil
	}
	a, err := t.post(ctx, url.Values{"grant_type": {"client_credentials"}, "client_id": {t.Migrator.ID}, "client_secret": {t.Migrator.Secret}})
	if err != nil {
		return "", err
	}
	var granted struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(a.Body), &granted); err != nil || a.Status != http.StatusOK {
		return "", fmt.Errorf("%s: no token: status %d: %s", t.Name, a.Status, a.Body)
	}
	t.token, t.expires = granted.AccessToken, time.Now().Add(time.Duration(granted.ExpiresIn)*time.Second)
	return t.token, nil
}

func (t *Target) post(ctx context.Context, form url.Values) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL+"/realms/"+t.Realm+"/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return t.send(req)
}

func (t *Target) send(req *http.Request) (Answer, error) {
	client := t.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("%s: %w", t.Name, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("%s: %s %s: %w", t.Name, req.Method, req.URL.Path, err)
	}
	return Answer{Status: resp.StatusCode, Body: string(b), Location: strings.TrimPrefix(resp.Header.Get("Location"), t.URL)}, nil
}

// Keep saves what a step asks to be saved.
func (s Step) Keep(a Answer, vars Vars) {
	if a.Status/100 != 2 {
		return
	}
	if s.Save != "" && a.Location != "" {
		vars[s.Save] = a.Location[strings.LastIndexByte(a.Location, '/')+1:]
	}
	if s.SaveID == "" {
		return
	}
	type identified struct {
		ID          string `json:"id"`
		AccessToken string `json:"access_token"`
	}
	var one identified
	if json.Unmarshal([]byte(a.Body), &one) != nil {
		var many []identified
		if json.Unmarshal([]byte(a.Body), &many) == nil && len(many) > 0 {
			one = many[0]
		}
	}
	if id := cmp.Or(one.ID, one.AccessToken); id != "" {
		vars[s.SaveID] = id
	}
}

// Normal is an answer without what the server chooses: ids, times, tokens and the order of sets.
func (a Answer) Normal(vars Vars) string {
	location := normalText(a.Location, vars)
	var v any
	d := json.NewDecoder(strings.NewReader(a.Body))
	d.UseNumber()
	if a.Body == "" || d.Decode(&v) != nil {
		return fmt.Sprintf("%d %s %s", a.Status, location, normalText(a.Body, vars))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(normal("", v, vars)); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s\n%s", a.Status, location, b.String())
}

var (
	anyUUID  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	position = regexp.MustCompile(` at line \d+ column \d+\.`)
)

func normalText(s string, vars Vars) string {
	if realm := vars["realm"]; realm != "" {
		s = strings.ReplaceAll(s, realm, "{realm}")
	}
	for name, value := range vars {
		if len(name) == 2 && (name[0] == 'u' || name[0] == 'w') { // ids that the client chose
			s = strings.ReplaceAll(s, value, "{"+name+"}")
		}
	}
	return position.ReplaceAllString(anyUUID.ReplaceAllString(s, "<uuid>"), "")
}

// sets are the fields whose order means nothing, beside the roles of a user or a realm, which a list shows.
var sets = []string{"results", "requiredActions", "realmRoles", "domains", "errors"}

func normal(key string, v any, vars Vars) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, x := range v {
			if k == "attributes" {
				m[k] = normalAttributes(x, vars)
				continue
			}
			m[k] = normal(k, x, vars)
		}
		return m
	case []any:
		list := make([]any, 0, len(v))
		roles := false
		for _, x := range v {
			if o, isObject := x.(map[string]any); isObject && o["containerId"] != nil {
				roles = true
			}
			list = append(list, normal("", x, vars))
		}
		if roles || slices.Contains(sets, key) {
			slices.SortFunc(list, byJSON)
		}
		return list
	case string:
		switch key {
		case "access_token", "refresh_token", "id_token", "session_state":
			return "<token>"
		case "scope":
			scopes := strings.Fields(v)
			slices.Sort(scopes)
			return strings.Join(scopes, " ")
		}
		return normalText(v, vars)
	case json.Number:
		switch key {
		case "createdTimestamp", "createdDate", "time", "notBefore", "expires_in", "refresh_expires_in":
			if n, err := v.Int64(); err == nil && (n > 0 && key == "refresh_expires_in" || key == "expires_in" || n > 1_750_000_000) {
				return "<now>"
			}
		}
		return v
	}
	return v
}

// normalAttributes keeps the values as sets.
func normalAttributes(v any, vars Vars) any {
	m, isMap := v.(map[string]any)
	if !isMap {
		return normal("", v, vars)
	}
	out := make(map[string]any, len(m))
	for name, values := range m {
		list, _ := normal("", values, vars).([]any)
		slices.SortFunc(list, byJSON)
		out[name] = list
	}
	return out
}

func byJSON(a, b any) int {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Compare(x, y)
}

// Check says how an answer differs from what the step wants; "" if it does not.
func (s Step) Check(a Answer, vars Vars) string {
	if s.Status != 0 && a.Status != s.Status {
		return fmt.Sprintf("status %d, want %d: %s", a.Status, s.Status, cut(a.Body))
	}
	if s.Want == "" {
		return ""
	}
	text := vars.expand(s.Want)
	var want, got any
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		return fmt.Sprintf("the case is wrong: %v in %s", err, text)
	}
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		return fmt.Sprintf("body %q, want %s", cut(a.Body), text)
	}
	if complaint := contains("", got, want); complaint != "" {
		return complaint + " in " + cut(a.Body)
	}
	return ""
}

func cut(s string) string {
	if len(s) > 800 {
		return s[:800] + "…"
	}
	return s
}

// contains checks got against want: an object has to hold the fields named, "<absent>" means that a field is not there, "<any>" that it is;
// a list has to have as many elements. An error's message may end in "…".
func contains(at string, got, want any) string {
	switch want := want.(type) {
	case map[string]any:
		m, isMap := got.(map[string]any)
		if !isMap {
			return fmt.Sprintf("%s: %v, want an object", at, got)
		}
		for _, k := range slices.Sorted(keys(want)) {
			v, has := m[k]
			if want[k] == "<absent>" {
				if has {
					return fmt.Sprintf("%s.%s: %v, want none", at, k, v)
				}
				continue
			}
			if !has {
				return fmt.Sprintf("%s.%s: absent, want %v", at, k, want[k])
			}
			if complaint := contains(at+"."+k, v, want[k]); complaint != "" {
				return complaint
			}
		}
		return ""
	case []any:
		list, isList := got.([]any)
		if !isList || len(list) != len(want) {
			return fmt.Sprintf("%s: %v, want %d elements", at, got, len(want))
		}
		for i := range want {
			if complaint := contains(fmt.Sprintf("%s[%d]", at, i), list[i], want[i]); complaint != "" {
				return complaint
			}
		}
		return ""
	}
	if want == "<any>" || got == want {
		return ""
	}
	return fmt.Sprintf("%s: %v, want %v", at, got, want)
}

func keys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Prefix makes a prefix for names that no earlier run has used.
func Prefix() string { return "c" + strings.ToLower(rand.Text()[:7]) }
