package keycloak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// StatusError is an answer of the server other than 2xx.
type StatusError struct {
	Method, Path string
	Status       int
	Body         string // cut to 1,000 bytes
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("keycloak: %s %s: status %d: %s", e.Method, e.Path, e.Status, e.Body)
}

// admin is the server administrator's client: it prepares realms for tests and the demo. The tool's own client is elsewhere.
type admin struct {
	base, user, password string
	http                 *http.Client

	mu      sync.Mutex
	token   string
	expires time.Time
}

func newAdmin(base, user, password string) *admin {
	return &admin{base: base, user: user, password: password, http: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 16}, // no proxy: the server is on loopback
		Timeout:   5 * time.Minute,
	}}
}

// Admin sends one request as the server's administrator. The path starts with "/"; in is sent as JSON unless nil, and a JSON answer is
// read into out unless nil. An answer other than 2xx is a [*StatusError].
func (s *Server) Admin(ctx context.Context, method, path string, in, out any) error {
	return s.admin.do(ctx, method, path, in, out)
}

func (a *admin) do(ctx context.Context, method, path string, in, out any) error {
	token, err := a.bearer(ctx)
	if err != nil {
		return err
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return a.send(req, out)
}

func (a *admin) send(req *http.Request, out any) error {
	resp, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("keycloak: %s %s: %w", req.Method, req.URL.Path, err)
	}
	if resp.StatusCode/100 != 2 {
		return &StatusError{Method: req.Method, Path: req.URL.Path, Status: resp.StatusCode, Body: string(b[:min(len(b), 1000)])}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("keycloak: %s %s: %w", req.Method, req.URL.Path, err)
	}
	return nil
}

// bearer returns a token, a new one in good time: those of the realm master live for a minute.
func (a *admin) bearer(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Until(a.expires) > 10*time.Second {
		return a.token, nil
	}
	t, err := a.grant(ctx, "master", url.Values{"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {a.user}, "password": {a.password}})
	if err != nil {
		return "", err
	}
	a.token, a.expires = t.AccessToken, time.Now().Add(time.Duration(t.ExpiresIn)*time.Second)
	return a.token, nil
}

// forget drops the token: one that was issued before a realm was made has no rights there.
func (a *admin) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expires = time.Time{}
}

type token struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
}

func (a *admin) grant(ctx context.Context, realm string, form url.Values) (token, error) {
	var t token
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"/realms/"+realm+"/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		return t, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	err = a.send(req, &t)
	return t, err
}
