package snapshots

import (
	"context"
	"io"
	"time"
)

// Sleep waits, and says whether it slept to the end: false when ctx ended
// first. Back ends use it between their tries, as the store does.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Copying reads r until ctx ends, so that a back end's copy of a large body
// stops soon after.
func Copying(ctx context.Context, r io.Reader) io.Reader { return copying{ctx, r} }

type copying struct {
	ctx context.Context
	r   io.Reader
}

func (c copying) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
