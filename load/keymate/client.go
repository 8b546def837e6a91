package keymate

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/parallelrun/parallelrun/load"
)

// maxReply bounds a reply that is read whole.
const maxReply = 64 << 20

// client sends requests to one realm. Reads are repeated after passing
// failures; a write is sent at most once, and its error says whether it can
// have happened.
type client struct {
	base    string // .../admin/realms/{realm}
	root    string // the server
	timeout time.Duration
	plain   *http.Client
	reads   *retryablehttp.Client
	tokens  *tokens
}

// call is one request.
type call struct {
	op     string // what it is for, in words: "create 20 users"
	method string
	path   string // below the realm, escaped; with a leading "//": below the server
	query  url.Values
	body   any    // sent as JSON
	raw    []byte // sent as it is, in place of body
	out    any    // a 2xx reply is decoded into it
	// each is handed the elements of a 2xx reply that is a JSON array, one at
	// a time, so that a long listing is never in memory whole.
	each func(*json.Decoder) error
	// private values must not come back in an error's message.
	private []string
}

// reply is what is left of a 2xx answer.
type reply struct {
	status   int
	location string
}

func newClient(cfg Config) *client {
	rt := cfg.Transport
	if rt == nil {
		rt = newTransport(cfg)
	}
	plain := &http.Client{Transport: leased{rt}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	c := &client{
		base: cfg.URL + "/admin/realms/" + url.PathEscape(cfg.Realm), root: cfg.URL,
		timeout: cfg.Timeout, plain: plain, reads: newRetrier(plain, cfg.ReadRetries),
	}
	c.tokens = newTokens(c, cfg)
	return c
}

// newTransport speaks HTTP/1.1 only: a cancelled HTTP/2 stream counts against
// the whole connection in the server's flood protection.
func newTransport(cfg Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
		Protocols:             protocols,
		MaxConnsPerHost:       cfg.MaxConnections,
		MaxIdleConnsPerHost:   cfg.MaxConnections,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: cfg.Timeout,
	}
}

func (c *client) closeIdle() { c.plain.CloseIdleConnections() }

// do sends the call with a token, once more with a fresh one if the server no
// longer knows it: a request that is answered 401 was not carried out.
func (c *client) do(ctx context.Context, k call) (reply, error) {
	body, err := k.encode()
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w", k.op, err)
	}
	token, err := c.tokens.get(ctx, "")
	if err != nil {
		return reply{}, err
	}
	r, err := c.send(ctx, k, body, token)
	if !isStatus(err, http.StatusUnauthorized) {
		return r, err
	}
	if token, err = c.tokens.get(ctx, token); err != nil {
		return reply{}, err
	}
	return c.send(ctx, k, body, token)
}

func (k *call) encode() ([]byte, error) {
	if k.raw != nil || k.body == nil {
		return k.raw, nil
	}
	return json.Marshal(k.body)
}

func (k *call) write() bool { return k.method != http.MethodGet }

// endpoint is the call's address without host and query, as errors name it.
func (c *client) endpoint(k call) string {
	return k.method + " " + strings.TrimPrefix(c.url(k), c.root)
}

func (c *client) url(k call) string {
	if strings.HasPrefix(k.path, "//") {
		return c.root + k.path[1:]
	}
	return c.base + k.path
}

func (c *client) send(ctx context.Context, k call, body []byte, token string) (reply, error) {
	if k.write() {
		return c.sendWrite(ctx, k, body, token)
	}
	return c.sendRead(ctx, k, token)
}

// sendWrite sends once. A cancelled context stops it before it is sent, never
// afterwards: the server would carry it out all the same, and nobody would
// know.
func (c *client) sendWrite(ctx context.Context, k call, body []byte, token string) (reply, error) {
	if err := ctx.Err(); err != nil {
		return reply{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	sent := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }})
	req, err := c.request(ctx, k, body, token)
	if err != nil {
		return reply{}, err
	}
	resp, err := c.plain.Do(req)
	if lost := load.LeaseErr(ctx); err != nil && lost != nil {
		return reply{}, lost
	}
	if err != nil {
		return reply{}, c.noAnswer(k, err, sent)
	}
	defer drain(resp.Body)
	if resp.StatusCode/100 != 2 {
		return reply{}, c.refusal(k, resp)
	}
	r := reply{status: resp.StatusCode, location: resp.Header.Get("Location")}
	if k.out == nil {
		return r, nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(k.out); err != nil {
		return r, c.broken(k, resp.StatusCode, err, load.Unknown)
	}
	return r, nil
}

// sendRead sends a GET, again after passing failures; a body that breaks off
// while it is read whole counts as one.
func (c *client) sendRead(ctx context.Context, k call, token string) (reply, error) {
	for attempt := 0; ; attempt++ {
		r, err := c.readOnce(ctx, k, token)
		var cut *cutOff
		if k.each != nil || attempt == 2 || !asCutOff(err, &cut) || ctx.Err() != nil {
			return r, err
		}
	}
}

func (c *client) readOnce(ctx context.Context, k call, token string) (reply, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := c.request(ctx, k, nil, token)
	if err != nil {
		return reply{}, err
	}
	retryable, err := retryablehttp.FromRequest(req)
	if err != nil {
		return reply{}, err
	}
	resp, err := c.reads.Do(retryable)
	if err != nil {
		if ctx.Err() != nil {
			return reply{}, ctx.Err()
		}
		if lost := load.LeaseErr(ctx); lost != nil {
			return reply{}, lost
		}
		return reply{}, c.noAnswer(k, err, false)
	}
	body := newStallGuard(resp.Body, c.timeout, cancel)
	defer drain(body)
	if resp.StatusCode/100 != 2 {
		return reply{}, c.refusal(k, resp)
	}
	r := reply{status: resp.StatusCode}
	if k.each != nil {
		return r, c.elements(k, resp.StatusCode, body)
	}
	if k.out == nil {
		return r, nil
	}
	if err := json.NewDecoder(io.LimitReader(body, maxReply)).Decode(k.out); err != nil {
		return r, c.broken(k, resp.StatusCode, &cutOff{err}, load.Transient)
	}
	return r, nil
}

// elements hands the members of a JSON array to the call, one by one.
func (c *client) elements(k call, status int, body io.Reader) error {
	d := json.NewDecoder(body)
	if tok, err := d.Token(); err != nil || tok != json.Delim('[') {
		return c.broken(k, status, fmt.Errorf("want a JSON array: %w", orUnexpected(err)), load.Transient)
	}
	for d.More() {
		if err := k.each(d); err != nil {
			if isSyntax(err) {
				return c.broken(k, status, err, load.Transient)
			}
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return c.broken(k, status, err, load.Transient)
	}
	return nil
}

func (c *client) request(ctx context.Context, k call, body []byte, token string) (*http.Request, error) {
	address := c.url(k)
	if len(k.query) > 0 {
		address += "?" + k.query.Encode()
	}
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, address, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.op, err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// drain reads a little of what is left, so that the connection can be used
// again, and closes.
func drain(b io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, b, 64<<10)
	_ = b.Close()
}

// get is a read of one JSON value.
func (c *client) get(ctx context.Context, op, path string, query url.Values, out any) error {
	_, err := c.do(ctx, call{op: op, method: http.MethodGet, path: path, query: query, out: out})
	return err
}

// list is a read of a JSON array, element by element.
func list[T any](ctx context.Context, c *client, op, path string, query url.Values, each func(T) error) error {
	_, err := c.do(ctx, call{op: op, method: http.MethodGet, path: path, query: query, each: func(d *json.Decoder) error {
		var v T
		if err := d.Decode(&v); err != nil {
			return err
		}
		return each(v)
	}})
	return err
}
