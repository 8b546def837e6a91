package modeltest

import (
	"bytes"
	"context"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync"

	"github.com/parallelrun/parallelrun/snapshots"
)

// killer stands between a process and the world, target and store. At one
// request, or at one write to the store, the process dies: that one is carried
// out or not, and nothing reaches the world any more. The zero value only
// counts.
type killer struct {
	request, change, create int  // the one to die at, from 1; zero: none
	after                   bool // it is carried out all the same

	wires   http.RoundTripper
	backend snapshots.Backend
	stop    context.CancelFunc // of the process's context

	mu                         sync.Mutex
	requests, changes, creates int
	dead                       bool
}

// passes counts one step and says whether the process lives to take it, and
// whether it is its last.
func (k *killer) passes(n *int, at int) (alive, last bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return false, false
	}
	*n++
	if at == 0 || *n != at {
		return true, false
	}
	k.dead = true
	if k.stop != nil {
		k.stop()
	}
	return k.after, true
}

func (k *killer) died() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

// RoundTrip sends a request to the target.
func (k *killer) RoundTrip(r *http.Request) (*http.Response, error) {
	alive, last := k.passes(&k.requests, k.request)
	if alive && !last && changes(r) {
		alive, last = k.passes(&k.changes, k.change)
	}
	if !alive {
		return nil, errKilled
	}
	if last { // the context is the dead process's
		r = r.WithContext(context.WithoutCancel(r.Context()))
	}
	resp, err := k.wires.RoundTrip(r)
	if last {
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		return nil, errKilled
	}
	return resp, err
}

// changes reports whether a request changes the realm, as that for a token does
// not.
func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/token")
}

// Location names the back end.
func (k *killer) Location() string { return k.backend.Location() }

// Create writes to the store.
func (k *killer) Create(ctx context.Context, key string, body io.ReadSeeker) error {
	alive, last := k.passes(&k.creates, k.create)
	if !alive {
		return errKilled
	}
	if !last {
		return k.backend.Create(ctx, key, body)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	_ = k.backend.Create(context.WithoutCancel(ctx), key, bytes.NewReader(data))
	return errKilled
}

// Open reads from the store.
func (k *killer) Open(ctx context.Context, key string) (snapshots.Object, error) {
	if k.died() {
		return nil, errKilled
	}
	return k.backend.Open(ctx, key)
}

// Stat returns an object's size.
func (k *killer) Stat(ctx context.Context, key string) (int64, error) {
	if k.died() {
		return 0, errKilled
	}
	return k.backend.Stat(ctx, key)
}

// List lists the store.
func (k *killer) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	if k.died() {
		return func(yield func(string, error) bool) { yield("", errKilled) }
	}
	return k.backend.List(ctx, prefix, after)
}
