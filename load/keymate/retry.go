package keymate

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/parallelrun/parallelrun/load"
)

// How reads (and token requests) are repeated.
const (
	firstPause = 200 * time.Millisecond
	maxPause   = 10 * time.Second
	// maxRetryAfter caps what a server may ask for: a run that sleeps for an
	// hour looks dead.
	maxRetryAfter = 30 * time.Second
)

func newRetrier(plain *http.Client, retries int) *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient:   plain,
		RetryMax:     max(retries, 0),
		CheckRetry:   worthRepeating,
		Backoff:      pause,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

// worthRepeating says whether a read may go better the next time.
func worthRepeating(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if lost := load.LeaseErr(ctx); lost != nil {
		return false, lost
	}
	if err != nil {
		return !isCertificate(err) && !errors.Is(err, http.ErrUseLastResponse), nil
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, nil
	}
	return false, nil
}

// pause is the server's wish, capped, or an exponential wait with jitter.
func pause(_, _ time.Duration, attempt int, resp *http.Response) time.Duration {
	if wish := retryAfter(resp); wish > 0 {
		return min(wish, maxRetryAfter)
	}
	d := min(firstPause<<min(attempt, 10), maxPause)
	return d/2 + rand.N(d/2+1)
}

// retryAfter reads the header in both of its forms; zero if there is none.
func retryAfter(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	h := resp.Header.Get("Retry-After")
	if h == "" {
		return 0
	}
	if s, err := strconv.Atoi(h); err == nil {
		return max(0, time.Duration(s)*time.Second)
	}
	if at, err := http.ParseTime(h); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
