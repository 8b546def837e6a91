// Package faultproxy stands between a program under test and the server that it
// speaks to, and strikes at an exact moment: before a request reaches the
// server, or after the server has committed it and before anybody hears so.
//
// Nouns: a request is what came in, its body read to the end; a fault says what
// becomes of it. A request that was passed on is always carried out to its end,
// whatever becomes of its sender, as a server behind a network does.
//
// Start with New and Strike; Settle waits for what is still on its way.
package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Request is one request that came in.
type Request struct {
	N      int // by arrival, from 1
	Method string
	Path   string
	Header http.Header
	Body   []byte
}

// Writes reports whether the request is meant to change what the server holds.
// Logging in and out is not.
func (r Request) Writes() bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.Contains(r.Path, "/protocol/openid-connect/")
}

// Fault is what becomes of a request; the zero value passes it on and its
// answer back. Its parts happen in the order in which they stand here.
type Fault struct {
	Before func()      // called once the request was read, before it is passed on
	Status int         // answered in place of passing the request on
	Header http.Header // sent with Status
	Answer string      // body sent with Status
	Drop   bool        // the request is not passed on, and gets no answer
	Cut    bool        // only half of the request's body reaches the server, then the line breaks
	After  func()      // called once the server has answered, before the answer is sent
	Lose   bool        // the answer is not sent
	Half   bool        // the answer breaks off in the middle of its body
}

// Proxy is an http.Handler that passes requests on. It is safe for concurrent
// use.
type Proxy struct {
	next http.Handler

	mu      sync.Mutex
	strike  func(Request) Fault
	seen    int
	running int
	idle    *sync.Cond
}

// New returns a proxy before a handler.
func New(next http.Handler) *Proxy {
	p := &Proxy{next: next}
	p.idle = sync.NewCond(&p.mu)
	return p
}

// NewTo returns a proxy before the server at a URL.
func NewTo(server string) (*Proxy, error) {
	return newTo(server, func(*httputil.ProxyRequest) {})
}

// NewKeepingHost is NewTo for a server whose requests are signed: it sees them
// as they were sent, the proxy's host name included.
func NewKeepingHost(server string) (*Proxy, error) {
	return newTo(server, func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host })
}

func newTo(server string, rewrite func(*httputil.ProxyRequest)) (*Proxy, error) {
	to, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	return New(&httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to); rewrite(r) },
		ErrorLog: log.New(io.Discard, "", 0), // faults are meant
	}), nil
}

// Start listens on a free loopback port until ctx ends, and returns the URL.
func (p *Proxy) Start(ctx context.Context) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	go func() { _ = s.Serve(l) }()
	return "http://" + l.Addr().String(), nil
}

// Strike asks f what becomes of each request from now on, one at a time; nil
// lets all pass.
func (p *Proxy) Strike(f func(Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.strike = f
}

// Settle waits until no request is on its way.
func (p *Proxy) Settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.running > 0 {
		p.idle.Wait()
	}
}

// ServeHTTP passes one request on, as the fault in force says.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil { // half a request is none
		panic(http.ErrAbortHandler)
	}
	f := p.arrived(r, body)
	defer p.left()
	call(f.Before)
	if f.Status != 0 {
		maps.Copy(w.Header(), f.Header)
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Answer)
		return
	}
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	a := p.pass(r, body, f.Cut)
	call(f.After)
	if f.Lose || f.Cut {
		panic(http.ErrAbortHandler)
	}
	a.send(w, f.Half)
}

// broken is where a body breaks off.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func call(f func()) {
	if f != nil {
		f()
	}
}

func (p *Proxy) arrived(r *http.Request, body []byte) (f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	p.running++
	req := Request{N: p.seen, Method: r.Method, Path: r.URL.Path, Header: r.Header, Body: body}
	if p.strike != nil {
		f = p.strike(req)
	}
	return f
}

func (p *Proxy) left() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	p.idle.Broadcast()
}

// pass has the request carried out, also if its sender is gone meanwhile.
func (p *Proxy) pass(r *http.Request, body []byte, cut bool) *answer {
	on := r.Clone(context.WithoutCancel(r.Context()))
	on.Body = io.NopCloser(bytes.NewReader(body))
	if cut {
		on.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), broken{}))
	}
	a := &answer{header: http.Header{}, status: http.StatusOK}
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			a.aborted = true
		}
	}()
	p.next.ServeHTTP(a, on)
	return a
}

// answer keeps what the server said until it may be sent.
type answer struct {
	header  http.Header
	status  int
	body    bytes.Buffer
	aborted bool // the server closed the connection
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func (a *answer) send(w http.ResponseWriter, half bool) {
	if a.aborted {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), a.header)
	body := a.body.Bytes()
	if half {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // a sender that is gone hears nothing
}
