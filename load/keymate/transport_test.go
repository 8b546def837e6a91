package keymate_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/keymate"
)

// lossyTransport carries out every request and loses the answer of one write.
type lossyTransport struct {
	lose  int // which, counted from 0
	seen  atomic.Int64
	armed atomic.Bool
}

var errLost = errors.New("connection reset by peer")

func (l *lossyTransport) in(cfg *keymate.Config) { cfg.Transport = l }

func (l *lossyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !l.armed.Load() || r.Method == http.MethodGet || strings.Contains(r.URL.Path, "/openid-connect/") {
		return resp, err
	}
	if l.seen.Add(1)-1 == int64(l.lose) {
		resp.Body.Close()
		return nil, errLost
	}
	return resp, nil
}

// wantClass asserts an error's class and a part of its text.
func wantClass(t *testing.T, err error, class load.ErrorClass, part string) {
	t.Helper()
	e, ok := errors.AsType[*load.Error](err)
	switch {
	case !ok:
		t.Fatalf("error %v, want a *load.Error of class %s", err, class)
	case e.Class != class || !strings.Contains(e.Error(), part):
		t.Fatalf("error of class %s: %v\nwant class %s with %q", e.Class, e, class, part)
	case e.Hint == "":
		t.Errorf("error without a next step: %v", e)
	}
}
