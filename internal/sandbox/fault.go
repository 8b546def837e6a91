package sandbox

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Fault is one misbehaviour. The zero value is none. Before and After combine: a delay, then a lost reply.
type Fault struct {
	Delay      time.Duration // wait before the request is looked at; the request is dropped if its client goes away meanwhile
	Status     int           // answer this instead of doing anything, such as 500, 503 or 409
	RetryAfter int           // seconds; sent with Status if not 0
	Body       string        // sent with Status, as JSON
	LoseReply  bool          // do the request, then close the connection without an answer
	LateDelay  time.Duration // do the request, then wait before the answer
}

// SetFault asks for misbehaviour: f is called once for each request, from several goroutines. nil ends it.
func (s *Server) SetFault(f func(*http.Request) Fault) {
	if f == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&f)
}

// Nth returns a fault function that strikes the requests from..to-1 of those that match, counted from 0. A nil match takes every request.
func Nth(from, to int64, match func(*http.Request) bool, fault Fault) func(*http.Request) Fault {
	var seen atomic.Int64
	return func(r *http.Request) Fault {
		if match != nil && !match(r) {
			return Fault{}
		}
		if n := seen.Add(1) - 1; n >= from && n < to {
			return fault
		}
		return Fault{}
	}
}

func (s *Server) serveFaulty(w http.ResponseWriter, r *http.Request, f Fault) {
	if f.Delay > 0 {
		// The server only looks whether a client is still there once the body
		// is read to its end.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.Status != 0 {
		if f.RetryAfter != 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		if f.Body != "" {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(f.Status)
		w.Write([]byte(f.Body))
		return
	}
	if f.LoseReply || f.LateDelay > 0 {
		late := recorder{header: http.Header{}}
		s.serve(&late, r)
		if f.LoseReply {
			panic(http.ErrAbortHandler)
		}
		time.Sleep(f.LateDelay)
		maps.Copy(w.Header(), late.header)
		w.WriteHeader(late.status)
		w.Write(late.body)
		return
	}
	s.serve(w, r)
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(b []byte) (int, error) {
	r.body = append(r.body, b...)
	return len(b), nil
}
