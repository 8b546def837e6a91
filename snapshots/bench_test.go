package snapshots_test

import (
	"fmt"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
)

// The counts of two whole snapshots, from their indexes.
//
//	go test ./snapshots -run '^$' -bench DiffIndex -benchtime 20x
func BenchmarkDiffIndex(b *testing.B) {
	const rows, changed = 300_000, 3000
	old, now := benchSnapshots(b, rows, changed)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				st, err := snapshots.DiffStat(b.Context(), old, now, snapshots.DiffOptions{Counts: true, Workers: workers})
				if err != nil || st.Changed() != changed {
					b.Fatalf("%d changes, %v", st.Changed(), err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// The changed rows with their fields.
//
//	go test ./snapshots -run '^$' -bench Diff/ -benchtime 3x
func BenchmarkDiff(b *testing.B) {
	const rows = 100_000
	for _, changed := range []int{0, 100, rows / 100, rows / 2} {
		old, now := benchSnapshots(b, rows, changed)
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("rows=%d/changed=%d/workers=%d", rows, changed, workers), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					st, err := snapshots.DiffStat(b.Context(), old, now, snapshots.DiffOptions{Workers: workers})
					if err != nil || st.Changed() != int64(changed) {
						b.Fatalf("%d changes, %v", st.Changed(), err)
					}
				}
				b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// The changed rows as they are now, of the old ones the digests.
//
//	go test ./snapshots -run '^$' -bench DiffNewRows -benchtime 5x
func BenchmarkDiffNewRows(b *testing.B) {
	const rows, changed = 200_000, 2000
	old, now := benchSnapshots(b, rows, changed)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				st, err := snapshots.DiffStat(b.Context(), old, now, snapshots.DiffOptions{Rows: true, OldDigests: true, Workers: workers})
				if err != nil || st.Changed() != changed {
					b.Fatalf("%d changes, %v", st.Changed(), err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func benchSnapshots(b *testing.B, rows, changed int) (old, now *snapshots.Snapshot) {
	back, err := local.Create(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { back.Close() })
	s := openOn(b, initOn(b, back))
	table := schemas.Entities()[schemas.Users]
	write := func(changed int) *snapshots.Snapshot {
		w := s.NewWriter([]schemas.Table{table}, snapshots.WriterOptions{})
		defer w.Close()
		for i := range rows {
			if err := w.WriteRow(b.Context(), schemas.Users, benchUser(&table, i, i < changed), 0); err != nil {
				b.Fatal(err)
			}
		}
		d, err := w.Finish(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		sn, err := s.OpenManifest(b.Context(), d.Manifest)
		if err != nil {
			b.Fatal(err)
		}
		return sn
	}
	return write(0), write(changed)
}

func benchUser(t *schemas.Table, i int, changed bool) schemas.Row {
	key := fmt.Sprintf("u%07d", i)
	r := schemas.Row{ID: schemas.NewRowID("bench", schemas.Users, key), Key: key, Values: make([]any, len(t.Columns))}
	set := func(column string, v any) { r.Values[t.Column(column)] = v }
	set("username", key)
	set("email", key+"@example.org")
	set("first_name", "First")
	set("last_name", "Last "+key)
	set("enabled", !changed)
	set("attributes", map[string][]string{"department": {"sales"}, "phone": {"+49 30 " + key}})
	set("realm_roles", []string{"employee", "vpn"})
	return r
}
