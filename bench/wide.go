package main

import (
	"fmt"
	"os"
)

// members is the table of who is in one group that has a million.
func (b *bench) members() error {
	rows := min(1_000_000, b.data.Rows)
	file, bytes, err := makeMembers(b.dir, rows)
	if err != nil {
		return err
	}
	return b.alone(fmt.Sprintf("a group of %d members", rows), "members", file, rows, bytes,
		"      - {name: members, files: [members.csv], key: [user, group], columns: {user: string, group: string, role: string}}\n")
}

// photoTable is a table of few rows and many bytes.
func (b *bench) photoTable() error {
	if b.photos == 0 {
		return nil
	}
	progress("%d photos: %s of CSV", b.photos, megabytes(b.photos*photoBytes*4/3))
	file, bytes, err := makePhotos(b.dir, b.photos)
	if err != nil {
		return err
	}
	return b.alone(fmt.Sprintf("%d photos of 40 KB", b.photos), "photos", file, b.photos, bytes,
		"      - {name: photos, files: [photos.csv], key: id, columns: {photo: binary}}\n")
}

// alone extracts one table, once, and reads it back.
func (b *bench) alone(work, name, file string, rows, bytes int64, table string) error {
	progress("%s", work)
	if err := b.config(name+".yaml", table); err != nil {
		return err
	}
	if err := b.fresh(name, name+".csv", file)(); err != nil {
		return err
	}
	on := func(args ...string) side { return b.toolOn(name+".yaml", b.path(name), nil, args...) }
	for _, w := range []struct {
		work string
		args []string
	}{
		{work + ", CSV → whole snapshot", []string{"extract"}},
		{work + ", verify of rows", []string{"snapshots", "verify", "--rows"}},
	} {
		m, err := on(w.args...).run()
		if err != nil {
			return err
		}
		b.add(result{work: w.work, tool: m, rows: rows, bytes: bytes, goal: "at most 512 MiB", met: m.Peak <= limit})
	}
	return os.RemoveAll(b.path(name))
}
