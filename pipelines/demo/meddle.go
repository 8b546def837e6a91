package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/pipelines"
)

// meddler edits a target behind the tool's back, as an administrator would in
// the console: with plain requests of its own, none of the loader's code.
type meddler struct {
	base  string // .../admin/realms/<realm>
	token string
	http  http.Client
}

func newMeddler(ctx context.Context, at pipelines.Endpoint) (*meddler, error) {
	realm := url.PathEscape(at.Realm)
	m := &meddler{base: at.URL + "/admin/realms/" + realm, http: http.Client{Timeout: time.Minute}}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {at.ClientID}, "client_secret": {at.ClientSecret}}
	tokens := at.URL + "/realms/" + realm + "/protocol/openid-connect/token"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tokens, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var grant struct {
		AccessToken string `json:"access_token"`
	}
	if err := m.send(req, &grant); err != nil {
		return nil, err
	}
	m.token = grant.AccessToken
	return m, nil
}

func (m *meddler) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, m.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+m.token)
	req.Header.Set("Content-Type", "application/json")
	return m.send(req, out)
}

func (m *meddler) send(req *http.Request, out any) error {
	resp, err := m.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("edit the target by hand: %s %s: status %d", req.Method, req.URL.Path, resp.StatusCode)
	}
	if out == nil || len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, out)
}

// Meddle edits a target by hand: other titles for people, memberships taken
// away.
func Meddle(ctx context.Context, at pipelines.Endpoint, titles, memberships int) error {
	m, err := newMeddler(ctx, at)
	if err != nil {
		return err
	}
	if err := m.editUsers(ctx, titles, setAttribute("title", "Edited by hand")); err != nil {
		return err
	}
	return m.removeMemberships(ctx, memberships)
}

// edit changes a user as the console sends it.
type edit func(user map[string]any)

func setAttribute(name, value string) edit {
	return func(user map[string]any) {
		attributes, _ := user["attributes"].(map[string]any)
		if attributes == nil {
			attributes = map[string]any{}
		}
		attributes[name] = []string{value}
		user["attributes"] = attributes
	}
}

func setField(name string, value any) edit {
	return func(user map[string]any) { user[name] = value }
}

// editUsers edits the first n users.
func (m *meddler) editUsers(ctx context.Context, n int, e edit) error {
	for first := 0; first < n; {
		var users []map[string]any
		if err := m.do(ctx, http.MethodGet, fmt.Sprintf("/users?first=%d&max=%d&briefRepresentation=false", first, min(100, n-first)), nil, &users); err != nil {
			return err
		}
		if len(users) == 0 {
			return fmt.Errorf("edit the target by hand: only %d users there, want %d", first, n)
		}
		for _, u := range users {
			if err := m.put(ctx, u, e); err != nil {
				return err
			}
		}
		first += len(users)
	}
	return nil
}

func (m *meddler) put(ctx context.Context, user map[string]any, e edit) error {
	e(user)
	return m.do(ctx, http.MethodPut, fmt.Sprintf("/users/%s", user["id"]), user, nil)
}

// editDepartment edits people who are in a department or in one below it, and
// in no other: n with the first edit, n more with the second, and so on.
func (m *meddler) editDepartment(ctx context.Context, name string, n int, edits ...edit) error {
	members, err := m.members(ctx, name, n*len(edits))
	if err != nil {
		return err
	}
	for i, id := range members {
		user := map[string]any{}
		if err := m.do(ctx, http.MethodGet, "/users/"+id, nil, &user); err != nil {
			return err
		}
		if err := m.put(ctx, user, edits[i/n]); err != nil {
			return err
		}
	}
	return nil
}

// members are the ids of n people who are in a department, or in one below it,
// and in no other.
func (m *meddler) members(ctx context.Context, department string, n int) ([]string, error) {
	var organizations []idOnly
	if err := m.do(ctx, http.MethodGet, "/organizations?max=100", nil, &organizations); err != nil {
		return nil, err
	}
	var out []string
	for _, o := range organizations {
		var departments []struct{ ID, Name string }
		if err := m.do(ctx, http.MethodGet, "/organizations/"+o.ID+"/groups?search=*&first=0&max=1000", nil, &departments); err != nil {
			return nil, err
		}
		slices.SortFunc(departments, func(a, b struct{ ID, Name string }) int { return strings.Compare(a.Name, b.Name) })
		for _, d := range departments {
			if !strings.HasPrefix(d.Name, department) {
				continue
			}
			var users []idOnly
			if err := m.do(ctx, http.MethodGet, fmt.Sprintf("/organizations/%s/groups/%s/members?first=0&max=%d", o.ID, d.ID, 2*n), nil, &users); err != nil {
				return nil, err
			}
			for _, u := range users {
				alone, err := m.inOneDepartment(ctx, o.ID, u.ID)
				if err != nil {
					return nil, err
				}
				if !alone {
					continue
				}
				if out = append(out, u.ID); len(out) == n {
					return out, nil
				}
			}
		}
	}
	return nil, fmt.Errorf("edit the target by hand: only %d people are in %s alone, want %d", len(out), department, n)
}

func (m *meddler) inOneDepartment(ctx context.Context, organization, user string) (bool, error) {
	var departments []idOnly
	err := m.do(ctx, http.MethodGet, "/organizations/"+organization+"/members/"+user+"/groups", nil, &departments)
	return len(departments) == 1, err
}

type idOnly struct {
	ID string `json:"id"`
}

// removeMemberships takes n people out of their organization, of those who are
// in one department: so exactly n memberships are gone.
func (m *meddler) removeMemberships(ctx context.Context, n int) error {
	var organizations []idOnly
	if err := m.do(ctx, http.MethodGet, "/organizations?max=100", nil, &organizations); err != nil {
		return err
	}
	for _, o := range organizations {
		var members []idOnly
		if err := m.do(ctx, http.MethodGet, fmt.Sprintf("/organizations/%s/members?max=%d", o.ID, 20*n), nil, &members); err != nil {
			return err
		}
		for _, u := range members {
			alone, err := m.inOneDepartment(ctx, o.ID, u.ID)
			if err != nil {
				return err
			}
			if !alone {
				continue
			}
			if err := m.do(ctx, http.MethodDelete, "/organizations/"+o.ID+"/members/"+u.ID, nil, nil); err != nil {
				return err
			}
			if n--; n == 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("edit the target by hand: %d memberships short", n)
}
