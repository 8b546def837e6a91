package main

import (
	"fmt"
	"strings"
)

// diffSide compares the two nights of a store.
func (b *bench) diffSide(args ...string) side {
	return b.toolSide("nights", append([]string{"snapshots", "diff", "first", "source/users/legacy"}, args...)...)
}

// counted is what a diff has to find.
func (b *bench) counted(tool measured) error {
	want := fmt.Sprintf(`"inserted":%d,"updated":%d,"deleted":%d`, b.data.Inserted, b.data.Updated, b.data.Deleted)
	if !strings.Contains(tool.Out, want) {
		return fmt.Errorf("the tool found %s, want %s", tool.Out, want)
	}
	return nil
}

// answered is what DuckDB has to find.
func (b *bench) answered(duck measured, numbers ...int64) error {
	want := `"answer":[` + strings.Trim(strings.Join(strings.Fields(fmt.Sprint(numbers)), ","), "[]") + "]"
	if !strings.Contains(duck.Out, want) {
		return fmt.Errorf("DuckDB found %s, want %s", duck.Out, want)
	}
	return nil
}

func (b *bench) duckJoin() side { return b.duckSide(join(b.path("1.parquet"), b.path("2.parquet"))) }

func (b *bench) diffNeighbours() error {
	progress("diffs")
	m, err := b.turns(b.diffSide("--counts", "--json"), b.duckJoin())
	if err == nil {
		err = b.counted(m[0])
	}
	if err == nil {
		err = b.answered(m[1], b.data.Updated, b.data.Deleted, b.data.Inserted)
	}
	if err != nil {
		return err
	}
	b.add(result{work: "diff of neighbours, counts", side: "DuckDB, full outer join", tool: m[0], other: m[1], rows: b.data.Rows,
		goal: "at most 1/20 of its time", met: m[0].Seconds <= m[1].Seconds/20})
	return nil
}

func (b *bench) neighbourRows() error {
	return b.rows("diff of neighbours, rows as Parquet", "at most 1/4 of its time", 0.25)
}

func (b *bench) wholeRows() error {
	return b.rows("diff of two whole ones, rows as Parquet", reported, 1)
}

// rows has the changed rows written: the new ones in full, of the old ones the
// digests. What both write is compared.
func (b *bench) rows(work, goal string, share float64) error {
	tool := b.diffSide("--format", "parquet", "--old", "digests", "-o", b.path("changes"))
	m, err := b.turns(tool, b.duckSide(changedRows(b.path("1.parquet"), b.path("2.parquet"), b.path("changes.parquet"))...))
	if err != nil {
		return err
	}
	same, err := b.duckSide(sameRows(b.path("changes/users.parquet"), b.path("changes.parquet"))).run()
	if err == nil {
		err = b.answered(same, b.data.Updated, b.data.Deleted, b.data.Inserted, b.data.Updated+b.data.Inserted)
	}
	if err != nil {
		return err
	}
	b.add(result{work: work, side: "DuckDB, join and COPY", tool: m[0], other: m[1], rows: b.data.Rows, goal: goal, met: m[0].Seconds <= share*m[1].Seconds,
		note: fmt.Sprintf("%d rows written", b.data.Updated+b.data.Deleted+b.data.Inserted)})
	return nil
}

// compact makes the second night whole, for what compares two whole ones.
func (b *bench) compact() error {
	_, err := b.toolSide("nights", "snapshots", "compact", "source/users/legacy", "--apply").run()
	return err
}

func (b *bench) diffWhole() error {
	m, err := b.turns(b.diffSide("--counts", "--json"), b.duckJoin(), b.duckSide(except(b.path("1.parquet"), b.path("2.parquet"))))
	if err == nil {
		err = b.counted(m[0])
	}
	if err != nil {
		return err
	}
	b.add(result{work: "diff of two whole ones, counts", side: "DuckDB, full outer join", tool: m[0], other: m[1], rows: b.data.Rows,
		goal: "at most 1/8 of its time, at most 64 MiB", met: m[0].Seconds <= m[1].Seconds/8 && m[0].Peak <= 64<<20})
	b.add(result{work: "the same", side: "DuckDB, EXCEPT both ways", tool: m[0], other: m[2], rows: b.data.Rows,
		goal: "at most 1/50 of its time", met: m[0].Seconds <= m[2].Seconds/50})
	return nil
}

func (b *bench) diffEqual() error {
	start := side{name: "parallelrun", run: func() (measured, error) { return measure(threadsEnv, b.tool, "version") }}
	m, err := b.turns(b.toolSide("nights", "snapshots", "diff", "first", "first", "--counts", "--json"), start)
	if err != nil {
		return err
	}
	b.add(result{work: "diff of equal ones", side: "the program's start alone (`version`)", tool: m[0], other: m[1], rows: b.data.Rows, goal: "under 10 ms", met: m[0].Seconds < 0.010})
	return nil
}
