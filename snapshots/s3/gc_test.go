package s3_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/faultproxy"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// night is a snapshot of a few names in a bucket.
func night(t *testing.T, s *snapshots.Store, names ...string) snapshots.Draft {
	t.Helper()
	table := schemas.Table{Name: "units", Columns: []schemas.Column{{ID: 7, Name: "name", Type: schemas.String}}}
	w := s.NewWriter([]schemas.Table{table}, snapshots.WriterOptions{})
	defer w.Close()
	for _, name := range names {
		if err := w.WriteRow(t.Context(), "units", schemas.Row{ID: schemas.NewRowID("n", "units", name), Key: name, Values: []any{name}}, 0); err != nil {
			t.Fatal(err)
		}
	}
	d, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Garbage in a bucket is given up and deleted, over a line that loses answers
// of deletes and requests too; what is needed stays whole.
func TestGarbageCollection(t *testing.T) {
	make := lines(t)
	for name, fault := range map[string]faultproxy.Fault{
		"good line": {}, "lost answers": {Lose: true}, "lost requests": {Drop: true}, "busy server": answer(http.StatusServiceUnavailable, "SlowDown"),
	} {
		t.Run(name, func(t *testing.T) {
			l, ctx := make(t, 2*time.Second), t.Context()
			if err := snapshots.Init(ctx, l.direct, snapshots.InitOptions{}); err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			s, err := snapshots.Open(ctx, l.faulty, snapshots.Options{Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			commit := func(actions ...snapshots.Action) {
				t.Helper()
				if _, err := s.Commit(ctx, snapshots.Change{Reason: "test", Actions: actions}); err != nil {
					t.Fatal(err)
				}
			}
			old := night(t, s, "a", "b")
			commit(old.Action("hr", "legacy"))
			commit(night(t, s, "a", "c").Action("hr", "legacy"))
			commit(snapshots.DropAction{Snapshots: []snapshots.Digest{old.Digest}, By: "test"})
			var gone []string
			for range 2 {
				now = now.Add(3 * snapshots.DefaultGrace)
				p, err := s.PlanGC(ctx, snapshots.GCOptions{})
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range p.Delete {
					gone = append(gone, g.Key)
				}
				struck := map[string]bool{}
				l.proxy.Strike(func(r faultproxy.Request) faultproxy.Fault {
					if r.Method != http.MethodDelete || struck[r.Path] {
						return faultproxy.Fault{}
					}
					struck[r.Path] = true
					return fault
				})
				if _, err := s.Collect(ctx, p, snapshots.GCOptions{}); err != nil {
					t.Fatal(err)
				}
				l.proxy.Strike(nil)
			}
			if len(gone) != 3 {
				t.Errorf("deleted %q, want a part, its index and their manifest", gone)
			}
			for _, key := range gone {
				if _, err := l.direct.Stat(ctx, key); !errors.Is(err, snapshots.ErrNotFound) {
					t.Errorf("%s: %v", key, err)
				}
			}
			again := night(t, s, "a", "b")
			commit(again.Action("hr", "legacy"))
			n := 0
			for d, err := range l.direct.Details(ctx, "objects/", "") {
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(d.Key, "-2") {
					n++
				}
			}
			r, err := s.Verify(ctx, snapshots.VerifyOptions{Level: snapshots.VerifyRows})
			if err != nil || len(r.Findings) > 0 || r.Snapshots != 2 || n != 2 {
				t.Errorf("%d objects under a second name; verify: %+v, %v", n, r, err)
			}
		})
	}
}
