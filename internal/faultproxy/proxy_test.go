package faultproxy_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/faultproxy"
)

// notebook is a server that keeps what is posted to it.
type notebook struct {
	mu    sync.Mutex
	lines []string
}

func (n *notebook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // half a request is none
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if r.Method == http.MethodPost {
		n.lines = append(n.lines, string(body))
	}
	w.Header().Set("X-Lines", strings.Join(n.lines, ","))
	w.WriteHeader(http.StatusCreated)
}

func (n *notebook) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines, ",")
}

func start(t *testing.T, p *faultproxy.Proxy) string {
	t.Helper()
	url, err := p.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// once posts on a connection of its own, so that nothing is repeated.
func once(url, body string) (*http.Response, error) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Post(url, "text/plain", strings.NewReader(body))
	if err == nil {
		_ = resp.Body.Close()
	}
	return resp, err
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  faultproxy.Fault
		status int // 0: no answer
		there  bool
	}{
		{"none", faultproxy.Fault{}, http.StatusCreated, true},
		{"dropped before", faultproxy.Fault{Drop: true}, 0, false},
		{"refused", faultproxy.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}}, 503, false},
		{"answer lost", faultproxy.Fault{Lose: true}, 0, true},
		{"body cut", faultproxy.Fault{Cut: true}, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &notebook{}
			behind := faultproxy.New(n) // a network hop, as before a real server
			p, err := faultproxy.NewTo(start(t, behind))
			if err != nil {
				t.Fatal(err)
			}
			var order []string
			c.fault.Before = func() { order = append(order, "before:"+n.text()) }
			c.fault.After = func() { order = append(order, "after:"+n.text()) }
			p.Strike(func(faultproxy.Request) faultproxy.Fault { return c.fault })
			resp, err := once(start(t, p), "x")
			p.Settle()
			switch {
			case c.status == 0 && err == nil:
				t.Errorf("answered %d, want silence", resp.StatusCode)
			case c.status != 0 && (err != nil || resp.StatusCode != c.status):
				t.Errorf("got %v, %v, want status %d", resp, err, c.status)
			case c.status == 503 && resp.Header.Get("Retry-After") != "7":
				t.Errorf("header %v", resp.Header)
			}
			if there := n.text() == "x"; there != c.there {
				t.Errorf("carried out: %v, want %v", there, c.there)
			}
			want := "before:"
			switch {
			case c.there:
				want += " after:x"
			case c.fault.Cut:
				want += " after:"
			}
			if got := strings.Join(order, " "); got != want {
				t.Errorf("order %q, want %q", got, want)
			}
		})
	}
}

// A request is carried out to its end though its sender is gone, and Settle
// waits for it.
func TestSenderGone(t *testing.T) {
	n := &notebook{}
	p := faultproxy.New(n)
	gone, held := make(chan struct{}), atomic.Bool{}
	p.Strike(func(faultproxy.Request) faultproxy.Fault {
		held.Store(true)
		return faultproxy.Fault{Before: func() { <-gone }}
	})
	c := http.Client{Timeout: 50 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := c.Post(start(t, p), "text/plain", strings.NewReader("late")); err == nil {
		_ = resp.Body.Close()
		t.Fatal("answered before it was let go")
	}
	if !held.Load() || n.text() != "" {
		t.Fatalf("held %v, carried out %q", held.Load(), n.text())
	}
	close(gone)
	p.Settle()
	if n.text() != "late" {
		t.Fatal("lost with its sender")
	}
}

func TestWrites(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         bool
	}{
		{http.MethodGet, "/admin/realms/x/users", false},
		{http.MethodPost, "/realms/x/protocol/openid-connect/token", false},
		{http.MethodPost, "/admin/realms/x/partialImport", true},
		{http.MethodDelete, "/admin/realms/x/users/1", true},
	} {
		if got := (faultproxy.Request{Method: c.method, Path: c.path}).Writes(); got != c.want {
			t.Errorf("%s %s: %v", c.method, c.path, got)
		}
	}
}

// An answer that breaks off is longer than what comes of it.
func TestHalfAnswer(t *testing.T) {
	p := faultproxy.New(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "0123456789") }))
	p.Strike(func(faultproxy.Request) faultproxy.Fault { return faultproxy.Fault{Half: true} })
	resp, err := http.Get(start(t, p))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if string(body) != "01234" || err == nil {
		t.Errorf("%q, %v", body, err)
	}
}
