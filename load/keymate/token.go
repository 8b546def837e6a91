package keymate

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/parallelrun/parallelrun/load"
)

// tokens holds the service account's access token and renews it ahead of its
// end, one request at a time however many wait for it.
type tokens struct {
	c     *client
	url   string
	form  url.Values
	turn  chan struct{} // holds one value: whose turn it is
	value string
	renew time.Time // from here on a new one is fetched
}

func newTokens(c *client, cfg Config) *tokens {
	t := &tokens{c: c, url: cfg.TokenURL, turn: make(chan struct{}, 1), form: url.Values{
		"grant_type": {"client_credentials"}, "client_id": {cfg.ClientID}, "client_secret": {cfg.ClientSecret},
	}}
	t.turn <- struct{}{}
	return t
}

// get returns a token other than the stale one.
func (t *tokens) get(ctx context.Context, stale string) (string, error) {
	select {
	case <-t.turn:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { t.turn <- struct{}{} }()
	if t.value != "" && t.value != stale && time.Now().Before(t.renew) {
		return t.value, nil
	}
	asked := time.Now()
	g, err := t.c.grant(ctx, "ask for a token", t.url, t.form)
	if err != nil {
		t.value = ""
		return "", err
	}
	life := time.Duration(g.ExpiresIn) * time.Second
	t.value, t.renew = g.AccessToken, asked.Add(life-max(life/4, min(life/2, 10*time.Second)))
	return t.value, nil
}

// grantReply is the token endpoint's answer.
type grantReply struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
	Error        string `json:"error"`
	Description  string `json:"error_description"`
}

// grant asks a token endpoint; it may be asked again after passing failures,
// since a token that nobody received harms nobody.
func (c *client) grant(ctx context.Context, op, address string, form url.Values) (grantReply, error) {
	k := call{op: op, method: http.MethodPost, path: serverPath(address)}
	g, status, err := c.postForm(ctx, k, address, form)
	if err != nil {
		return g, err
	}
	if status/100 == 2 && g.AccessToken != "" {
		return g, nil
	}
	e := &load.Error{Class: load.Setup, Op: op, Endpoint: c.endpoint(k), Status: status, Message: strings.TrimSpace(g.Error + " " + g.Description)}
	switch {
	case status == http.StatusTooManyRequests || status >= 500:
		e.Class, e.Hint = load.Transient, "the token endpoint is not ready: try again later"
	case status == http.StatusNotFound:
		e.Hint = "check the target's url and realm"
	case g.Error == "invalid_client" || g.Error == "unauthorized_client":
		e.Hint = "check client id and secret, and that the client has a service account"
	default:
		e.Hint = "check the target's url, realm and client"
	}
	return g, e
}

// serverPath names an address in errors: its path alone, as a call has it.
func serverPath(address string) string {
	if u, err := url.Parse(address); err == nil {
		return "/" + u.EscapedPath()
	}
	return "//"
}

// postForm sends a form and reads an answer of the token endpoint, whatever its
// status.
func (c *client) postForm(ctx context.Context, k call, address string, form url.Values) (grantReply, int, error) {
	var g grantReply
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader([]byte(form.Encode())))
	if err != nil {
		return g, 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := c.reads.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return g, 0, ctx.Err()
		}
		if lost := load.LeaseErr(ctx); lost != nil {
			return g, 0, lost
		}
		return g, 0, c.noAnswer(k, err, false)
	}
	defer drain(resp.Body)
	_ = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&g) // an error page: the status tells
	return g, resp.StatusCode, nil
}
