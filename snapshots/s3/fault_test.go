package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/faultproxy"
	"github.com/parallelrun/parallelrun/internal/servers/versitygw/versitygwtest"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/parts"
	"github.com/parallelrun/parallelrun/snapshots/s3"
)

// line is a bucket on a real server, seen directly and through a line that
// faults strike.
type line struct {
	direct, faulty *s3.Backend
	proxy          *faultproxy.Proxy
}

func newServer(t *testing.T) (direct, proxied string, proxy *faultproxy.Proxy, bucket func(*testing.T) string) {
	t.Helper()
	server := versitygwtest.Start(t)
	versitygwtest.Credentials(t, server.Directory)
	proxy, err := faultproxy.NewKeepingHost(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxied, err = proxy.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return server.URL, proxied, proxy, func(t *testing.T) string { return versitygwtest.Bucket(t, server.Directory) }
}

// lines makes buckets on one server.
func lines(t *testing.T) func(t *testing.T, timeout time.Duration) *line {
	direct, proxied, proxy, bucket := newServer(t)
	return func(t *testing.T, timeout time.Duration) *line {
		t.Helper()
		proxy.Settle()
		proxy.Strike(nil)
		name := bucket(t)
		return &line{
			direct: mustOpen(t, s3.Options{Bucket: name, Endpoint: direct}), proxy: proxy,
			faulty: mustOpen(t, s3.Options{Bucket: name, Endpoint: proxied, Timeout: timeout}),
		}
	}
}

// answer is one of the server's own errors.
func answer(status int, code string) faultproxy.Fault {
	return faultproxy.Fault{Status: status, Header: http.Header{"Content-Type": {"application/xml"}},
		Answer: "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>made up</Message></Error>"}
}

func digest(n byte) (d snapshots.Digest) {
	d[0], d[31] = n, n
	return d
}

func commit(ctx context.Context, s *snapshots.Store, n byte) (uint64, error) {
	return s.Commit(ctx, snapshots.Change{Reason: "test", Actions: []snapshots.Action{
		snapshots.SnapshotAction{Digest: digest(n), Manifest: digest(n + 100), Dataset: "hr", Stage: "legacy"},
	}})
}

func openStore(t *testing.T, b snapshots.Backend) *snapshots.Store {
	t.Helper()
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{Patience: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A commit whose request or answer is lost on the way is done exactly once,
// and the SDK repeats no write by itself.
func TestCommitOverABadLine(t *testing.T) {
	newLine := lines(t)
	release := make(chan struct{})
	for _, c := range []struct {
		name  string
		fault faultproxy.Fault
		puts  int // requests to write the entry, in all
	}{
		{"none", faultproxy.Fault{}, 1},
		{"reply dropped", faultproxy.Fault{Lose: true}, 1},
		{"request dropped", faultproxy.Fault{Drop: true}, 2},
		{"body cut", faultproxy.Fault{Cut: true}, 2},
		{"reply cut", faultproxy.Fault{Half: true, Lose: true}, 1},
		{"409 conflict", answer(409, "ConditionalRequestConflict"), 2},
		{"412 though nothing is there", answer(412, "PreconditionFailed"), 2},
		{"500", answer(500, "InternalError"), 2},
		{"503 slow down", answer(503, "SlowDown"), 2},
		{"503 of a proxy", faultproxy.Fault{Status: 503}, 2},
		{"reply after the time-out", faultproxy.Fault{After: func() { time.Sleep(700 * time.Millisecond) }}, 1},
		{"carried out long after the time-out", faultproxy.Fault{Before: func() { <-release }}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLine(t, 300*time.Millisecond)
			if err := snapshots.Init(t.Context(), l.direct, snapshots.InitOptions{}); err != nil {
				t.Fatal(err)
			}
			s := openStore(t, l.faulty)
			var puts atomic.Int64
			l.proxy.Strike(func(r faultproxy.Request) faultproxy.Fault {
				if r.Method != http.MethodPut {
					return faultproxy.Fault{}
				}
				if r.Header.Get("If-None-Match") != "*" {
					t.Errorf("%s without a condition", r.Path)
				}
				if puts.Add(1) == 1 {
					return c.fault
				}
				return faultproxy.Fault{}
			})
			n, err := commit(t.Context(), s, 1)
			if err != nil || n != 1 {
				t.Fatalf("commit: entry %d, %v", n, err)
			}
			if strings.HasPrefix(c.name, "carried out long") {
				close(release)
			}
			l.proxy.Settle()
			if int(puts.Load()) != c.puts {
				t.Errorf("%d requests to write, want %d", puts.Load(), c.puts)
			}
			st, err := openStore(t, l.direct).State(t.Context())
			if err != nil || st.N != 1 || len(st.History) != 1 {
				t.Errorf("%d entries, %d commits, %v", st.N, len(st.History), err)
			}
		})
	}
}

// When nothing more can be learnt, the error says so, and the entry may come
// later all the same.
func TestCommitInDoubt(t *testing.T) {
	l := lines(t)(t, 200*time.Millisecond)
	if err := snapshots.Init(t.Context(), l.direct, snapshots.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := snapshots.Open(t.Context(), l.faulty, snapshots.Options{Patience: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	release, gone := make(chan struct{}), atomic.Bool{}
	l.proxy.Strike(func(r faultproxy.Request) faultproxy.Fault {
		if r.Method == http.MethodPut && !gone.Swap(true) {
			return faultproxy.Fault{Before: func() { <-release }}
		}
		if gone.Load() {
			return faultproxy.Fault{Drop: true}
		}
		return faultproxy.Fault{}
	})
	_, err = commit(t.Context(), s, 1)
	if doubt, ok := errors.AsType[*snapshots.OutcomeUnknownError](err); !ok || doubt.N != 1 {
		t.Fatalf("got %v", err)
	}
	close(release)
	l.proxy.Settle()
	if st, err := openStore(t, l.direct).State(t.Context()); err != nil || st.N != 1 {
		t.Errorf("%d entries, %v", st.N, err)
	}
}

// Reads are repeated until all bytes are there, and are the right ones.
func TestReadOverABadLine(t *testing.T) {
	l := lines(t)(t, time.Second)
	data := make([]byte, 20<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	for key, n := range map[string]int{"small": 1000, "large": len(data)} {
		if err := backendtest.Put(t.Context(), l.direct, key, data[:n]); err != nil {
			t.Fatal(err)
		}
	}
	for name, fault := range map[string]faultproxy.Fault{
		"reply dropped": {Lose: true}, "reply cut": {Half: true}, "503": answer(503, "SlowDown"), "500": answer(500, "InternalError"),
		"late": {After: func() { time.Sleep(1500 * time.Millisecond) }},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			l.proxy.Strike(func(faultproxy.Request) faultproxy.Fault { // every third
				if n.Add(1)%3 == 1 {
					return fault
				}
				return faultproxy.Fault{}
			})
			for key, n := range map[string]int{"small": 1000, "large": len(data)} {
				got, err := backendtest.Get(t.Context(), l.faulty, key)
				if err != nil || !bytes.Equal(got, data[:n]) {
					t.Errorf("%s: %d bytes, %v", key, len(got), err)
				}
			}
			if keys, err := backendtest.Keys(t.Context(), l.faulty, "", ""); len(keys) != 2 || err != nil {
				t.Errorf("listed %q, %v", keys, err)
			}
			whole := &window{p: make([]byte, len(data))}
			o, err := l.faulty.Open(t.Context(), "large")
			if err != nil {
				t.Fatal(err)
			}
			if err := o.(parts.Distant).CopyTo(t.Context(), whole); err != nil || !bytes.Equal(whole.p, data) {
				t.Errorf("copied whole: %v", err)
			}
		})
	}
}

type window struct{ p []byte }

func (w *window) WriteAt(p []byte, off int64) (int, error) { return copy(w.p[off:], p), nil }

// An object that is replaced under a reader is damage, not a mixture of both.
func TestReplacedWhileRead(t *testing.T) {
	server := versitygwtest.Start(t)
	versitygwtest.Credentials(t, server.Directory)
	bucket := versitygwtest.Bucket(t, server.Directory)
	b := mustOpen(t, s3.Options{Bucket: bucket, Endpoint: server.URL})
	if err := backendtest.Put(t.Context(), b, "x", make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	o, err := b.Open(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, server, bucket, "x", bytes.Repeat([]byte{1}, 1<<20))
	_, err = o.ReadAt(make([]byte, 1<<20), 0)
	if !snapshots.IsCorrupt(err) {
		t.Errorf("got %v", err)
	}
}

// Two gateways over one directory, four writers behind each, replies lost and
// requests dropped: every commit is there once, and the numbers have no gap.
func TestWritersOverTwoGateways(t *testing.T) {
	first := versitygwtest.Start(t)
	versitygwtest.Credentials(t, first.Directory)
	bucket := versitygwtest.Bucket(t, first.Directory)
	direct := mustOpen(t, s3.Options{Bucket: bucket, Endpoint: first.URL})
	if err := snapshots.Init(t.Context(), direct, snapshots.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	const writers, commits = 4, 6
	var wg sync.WaitGroup
	for g, url := range []string{first.URL, versitygwtest.Serve(t, first.Directory).URL} {
		proxy, err := faultproxy.NewKeepingHost(url)
		if err != nil {
			t.Fatal(err)
		}
		var n atomic.Int64
		proxy.Strike(func(r faultproxy.Request) faultproxy.Fault {
			if r.Method != http.MethodPut {
				return faultproxy.Fault{}
			}
			return []faultproxy.Fault{{}, {Lose: true}, {}, {Drop: true}, {}, answer(409, "ConditionalRequestConflict")}[n.Add(1)%6]
		})
		if url, err = proxy.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for w := range writers {
			s := openStore(t, mustOpen(t, s3.Options{Bucket: bucket, Endpoint: url}))
			wg.Go(func() {
				for i := range commits {
					if _, err := commit(t.Context(), s, byte(1+(g*writers+w)*commits+i)); err != nil {
						t.Errorf("gateway %d, writer %d: %v", g, w, err)
					}
				}
			})
		}
	}
	wg.Wait()
	st, err := openStore(t, direct).State(t.Context())
	if want := 2 * writers * commits; err != nil || int(st.N) != want || len(st.Snapshots) != want || len(st.History) != want {
		t.Errorf("%d entries, %d snapshots, %d commits, %v; want %d of each", st.N, len(st.Snapshots), len(st.History), err, want)
	}
}

// Fail request 1, then 2, then 3, until a whole run passes: each ends in an
// error or in a store that is right, and the next attempt completes it.
func TestEveryRequest(t *testing.T) {
	newLine := lines(t)
	for name, fault := range map[string]faultproxy.Fault{
		"lost": {Lose: true}, "dropped": {Drop: true}, "cut": {Cut: true}, "half": {Half: true},
		"503": answer(503, "SlowDown"), "403": answer(403, "AccessDenied"), "412": answer(412, "PreconditionFailed"),
	} {
		t.Run(name, func(t *testing.T) {
			step := 2
			if testing.Short() {
				step = 5
			}
			for k := 1; ; k += step {
				l := newLine(t, 2*time.Second)
				var n atomic.Int64
				l.proxy.Strike(func(faultproxy.Request) faultproxy.Fault {
					if n.Add(1) == int64(k) {
						return fault
					}
					return faultproxy.Fault{}
				})
				err := makeStore(t, l.faulty)
				hit := n.Load() >= int64(k)
				l.proxy.Strike(nil)
				if err != nil {
					t.Logf("request %d: %v", k, err)
					if err := makeStore(t, l.faulty); err != nil {
						t.Fatalf("request %d, then again: %v", k, err)
					}
				}
				s := openStore(t, l.direct)
				r, err := s.Verify(t.Context(), snapshots.VerifyOptions{Level: snapshots.VerifyRows})
				if err != nil || len(r.Findings) > 0 || r.Rows < 10 {
					t.Fatalf("request %d: %+v, %v", k, r, err)
				}
				if !hit {
					return
				}
			}
		})
	}
}

// As TestEveryRequest, of commits upon a parent and of compactions.
func TestEveryRequestOfLayers(t *testing.T) {
	newLine := lines(t)
	for name, fault := range map[string]faultproxy.Fault{
		"lost": {Lose: true}, "dropped": {Drop: true}, "cut": {Cut: true}, "half": {Half: true},
		"409": answer(409, "ConditionalRequestConflict"), "412": answer(412, "PreconditionFailed"), "503": answer(503, "SlowDown"),
		"late": {After: func() { time.Sleep(700 * time.Millisecond) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine(t, 300*time.Millisecond)
			f := backendtest.Faulty{Direct: l.direct, Line: l.faulty, Step: 2, Patience: 5 * time.Second, Arm: func(k int) func() bool {
				var n atomic.Int64
				l.proxy.Strike(func(faultproxy.Request) faultproxy.Fault {
					if n.Add(1) == int64(k)+1 {
						return fault
					}
					return faultproxy.Fault{}
				})
				return func() bool {
					l.proxy.Settle()
					l.proxy.Strike(nil)
					return n.Load() > int64(k)
				}
			}}
			if testing.Short() {
				f.Step = 9
			}
			backendtest.RunEveryFault(t, f)
		})
	}
}

// makeStore is the whole way from nothing to a tagged snapshot.
func makeStore(t *testing.T, b snapshots.Backend) error {
	ctx := t.Context()
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{}); err != nil {
		return err
	}
	s, err := snapshots.Open(ctx, b, snapshots.Options{Patience: 5 * time.Second})
	if err != nil {
		return err
	}
	table := schemas.Table{Name: "cards", Columns: []schemas.Column{{ID: 10, Name: "photo", Type: schemas.Binary}}}
	w := s.NewWriter([]schemas.Table{table}, snapshots.WriterOptions{Bounds: parts.Bounds{Rows: 6}})
	defer w.Close()
	for i := range 10 {
		key := fmt.Sprint(i)
		row := schemas.Row{ID: schemas.NewRowID("n", "cards", key), Key: key, Values: []any{make([]byte, 8000*i)}}
		if err := w.WriteRow(ctx, "cards", row, 0); err != nil {
			return err
		}
	}
	d, err := w.Finish(ctx)
	if err != nil {
		return err
	}
	if _, err := s.Commit(ctx, snapshots.Change{Reason: "extract", Actions: []snapshots.Action{d.Action("hr", "legacy")}}); err != nil {
		return err
	}
	err = s.PutFile(ctx, "runs/r1/report.json", []byte("{}"))
	if err != nil {
		return err
	}
	data, err := s.ReadFile(ctx, "runs/r1/report.json")
	if err == nil && string(data) != "{}" {
		err = io.ErrUnexpectedEOF
	}
	return err
}
