package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
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

// editTitles gives the first n users another title.
func (m *meddler) editTitles(ctx context.Context, n int) error {
	for first := 0; first < n; {
		var users []map[string]any
		if err := m.do(ctx, http.MethodGet, fmt.Sprintf("/users?first=%d&max=%d&briefRepresentation=false", first, min(100, n-first)), nil, &users); err != nil {
			return err
		}
		if len(users) == 0 {
			return fmt.Errorf("edit the target by hand: only %d users there, want %d", first, n)
		}
		for _, u := range users {
			attributes, _ := u["attributes"].(map[string]any)
			if attributes == nil {
				attributes = map[string]any{}
			}
			attributes["title"] = []string{"Edited by hand"}
			u["attributes"] = attributes
			if err := m.do(ctx, http.MethodPut, fmt.Sprintf("/users/%s", u["id"]), u, nil); err != nil {
				return err
			}
		}
		first += len(users)
	}
	return nil
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
			member := "/organizations/" + o.ID + "/members/" + u.ID
			var departments []idOnly
			if err := m.do(ctx, http.MethodGet, member+"/groups", nil, &departments); err != nil {
				return err
			}
			if len(departments) != 1 {
				continue
			}
			if err := m.do(ctx, http.MethodDelete, member, nil, nil); err != nil {
				return err
			}
			if n--; n == 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("edit the target by hand: %d memberships short", n)
}
