package main

import "fmt"

// linear does the works whose cost follows the rows with so many users and with
// four times as many, once each.
func (b *bench) linear(rows int64) error {
	var small []measured
	for _, n := range []int64{rows, 4 * rows} {
		if err := b.users(n); err != nil {
			return err
		}
		m, err := b.nights()
		if err != nil {
			return err
		}
		if small == nil {
			small = m
			continue
		}
		for i, work := range []string{"CSV → whole snapshot", "the next night", "diff of neighbours, rows as Parquet", "diff of two whole ones, counts"} {
			times := m[i].Seconds / small[i].Seconds
			b.add(result{work: work, side: fmt.Sprintf("the tool, %d users", rows), tool: m[i], other: small[i], rows: n,
				goal: "4 times the time within 10 %, the same memory within 10 %", met: times <= 4.4 && float64(m[i].Peak) <= 1.1*float64(small[i].Peak)})
		}
	}
	return nil
}

// nights makes two nights of the tool's and compares them.
func (b *bench) nights() (all []measured, err error) {
	if err := b.fresh("nights", "users.csv", b.data.first)(); err != nil {
		return nil, err
	}
	do := func(keep bool, work string, s side) {
		if err != nil {
			return
		}
		progress("%s", work)
		var m measured
		if m, err = s.run(); keep {
			all = append(all, m)
		}
	}
	do(true, "CSV to a whole snapshot", b.toolSide("nights", "extract"))
	do(false, "tag", b.toolSide("nights", "snapshots", "tag", "first", "source/users/legacy"))
	if err == nil {
		err = b.file("users.csv", b.data.second)
	}
	do(true, "the next night", b.toolSide("nights", "extract"))
	do(true, "diff of neighbours", b.diffSide("--format", "parquet", "--old", "digests", "-o", b.path("changes")))
	do(false, "compact", b.toolSide("nights", "snapshots", "compact", "source/users/legacy", "--apply"))
	do(false, "diff of whole ones, with files that were just written", b.diffSide("--counts", "--json"))
	do(true, "diff of whole ones", b.diffSide("--counts", "--json"))
	if err == nil {
		err = b.counted(all[3])
	}
	return all, err
}
