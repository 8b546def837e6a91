package keymate

import (
	"io"
	"time"
)

// stallGuard ends a reply whose next bytes take too long. The clock runs only
// while somebody reads: a slow consumer is not the server's fault.
type stallGuard struct {
	io.ReadCloser
	limit  time.Duration
	cancel func()
}

func newStallGuard(r io.ReadCloser, limit time.Duration, cancel func()) io.ReadCloser {
	return &stallGuard{r, limit, cancel}
}

func (g *stallGuard) Read(p []byte) (int, error) {
	timer := time.AfterFunc(g.limit, g.cancel)
	defer timer.Stop()
	return g.ReadCloser.Read(p)
}
