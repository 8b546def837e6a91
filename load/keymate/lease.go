package keymate

import (
	"net/http"
	"net/http/httptrace"

	"github.com/parallelrun/parallelrun/load"
)

// leased sends a request only as long as the lease that it is sent under holds.
// It asks at the last moment there is: a request may have waited for a
// connection, or the whole process may have been paused meanwhile.
type leased struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l leased) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if err := load.LeaseErr(ctx); err != nil {
		return nil, err
	}
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if load.LeaseErr(ctx) != nil {
			_ = got.Conn.Close() // nothing can be written to it any more
		}
	}}
	return l.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(ctx, trace)))
}

// CloseIdleConnections is what http.Client calls.
func (l leased) CloseIdleConnections() {
	if c, ok := l.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
