package iceberg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parallelrun/parallelrun/snapshots"
)

// Exported is a table that an export wrote.
type Exported struct {
	Dataset, Stage, Table string
	Dir                   string // the table's folder
	Snapshots             int
	Written
}

// Done is what an export did.
type Done struct {
	Compacted int   // snapshots that were written whole
	Bytes     int64 // that this wrote
	Pinned    []string
	Tables    []Exported
	// NoTags are names that Iceberg keeps for itself.
	NoTags []string
}

// Apply carries the plan out: layered snapshots are written whole in the store,
// those without a name get one if that was asked for, then metadata is
// written. It may be called again after any error.
func (p *Plan) Apply(ctx context.Context, s *snapshots.Store, o snapshots.WriterOptions, now time.Time) (Done, error) {
	var done Done
	if err := os.MkdirAll(p.o.Dir, 0o755); err != nil {
		return done, folderError(err)
	}
	for _, item := range p.Layered() {
		sn, err := s.OpenManifest(ctx, item.Manifest)
		if err != nil {
			return done, err
		}
		c, err := s.Compact(ctx, sn, o)
		if err != nil && !errors.Is(err, snapshots.ErrManifestMoved) { // moved: somebody else made it whole
			return done, err
		}
		done.Compacted, done.Bytes = done.Compacted+1, done.Bytes+c.Put.Bytes
	}
	var err error
	if done.Pinned, err = p.pin(ctx, s); err != nil {
		return done, err
	}
	again, err := Look(ctx, s, p.o) // what is there now
	if err != nil {
		return done, err
	}
	if left := again.Layered(); len(left) > 0 {
		return done, fmt.Errorf("snapshot %s: %w", left[0].Digest.Short(), snapshots.ErrManifestMoved)
	}
	for i := range again.Histories {
		if err := again.write(ctx, s, &again.Histories[i], now, &done); err != nil {
			return done, err
		}
	}
	return done, nil
}

// pin names what has no name, in one log entry.
func (p *Plan) pin(ctx context.Context, s *snapshots.Store) (names []string, err error) {
	if p.o.Pin == "" {
		return nil, nil
	}
	var actions []snapshots.Action
	for _, item := range p.Unnamed() {
		name := p.o.Pin + "/" + item.Digest.Short()
		names = append(names, name)
		actions = append(actions, snapshots.RefAction{Name: name, Digest: item.Digest, Old: &snapshots.Digest{}})
	}
	if len(actions) == 0 {
		return nil, nil
	}
	_, err = s.Commit(ctx, snapshots.Change{Reason: "exported as Iceberg tables", Actions: actions})
	return names, err
}

// write writes the tables of a history.
func (p *Plan) write(ctx context.Context, s *snapshots.Store, h *History, now time.Time, done *Done) error {
	tags := map[string]int64{}
	for _, item := range h.Snapshots {
		for _, name := range item.Names {
			tags[name] = int64(item.N) // the latest commit of a snapshot that was committed twice
		}
	}
	if _, taken := tags["main"]; taken {
		delete(tags, "main")
		done.NoTags = append(done.NoTags, "main")
	}
	return p.each(ctx, s, h, func(name, dir string, t Table) error {
		t.tag(tags)
		written, err := WriteTable(dir, t, now)
		done.Tables = append(done.Tables, Exported{h.Dataset, h.Stage, name, dir, len(t.Versions), written})
		return err
	})
}

// check refuses what can't be written to where it shall be, before anything is.
func (p *Plan) check(ctx context.Context, s *snapshots.Store, h *History) error {
	return p.each(ctx, s, h, func(_, dir string, t Table) error { return checkTable(dir, t) })
}

// each hands every table of a history, without tags, and its folder to do.
func (p *Plan) each(ctx context.Context, s *snapshots.Store, h *History, do func(name, dir string, t Table) error) error {
	places := placer{s: s, known: map[string]string{}}
	for _, name := range h.Tables() {
		path := tablePath(h.Dataset, h.Stage, name)
		t, err := h.table(ctx, name, &places)
		if err == nil {
			t.UUID = uuid.NewSHA1(uuid.NameSpaceURL, []byte("parallelrun:"+s.ID()+"/"+path)).String()
			t.Location = p.o.Location + "/" + path
			err = do(name, filepath.Join(p.o.Dir, filepath.FromSlash(path)), t)
		}
		if err != nil {
			return fmt.Errorf("table %s, %s of %s: %w", name, h.Stage, h.Dataset, err)
		}
	}
	return nil
}

// table is one table of a history, from the first snapshot that has it. A later
// one that has it not is a version without rows.
func (h *History) table(ctx context.Context, name string, places *placer) (Table, error) {
	out := Table{Properties: map[string]string{"parallelrun.dataset": h.Dataset, "parallelrun.stage": h.Stage, "parallelrun.store": places.s.ID()}}
	for _, item := range h.Snapshots {
		v := Version{ID: int64(item.N), Time: item.Time, Summary: map[string]string{"parallelrun.snapshot": item.Digest.String()}}
		if item.Run != "" {
			v.Summary["parallelrun.run"] = item.Run
		}
		there := false
		for i := range item.Tables {
			t := &item.Tables[i]
			if t.Name != name {
				continue
			}
			there, v.Columns = true, t.Columns
			for _, part := range t.Layers[0].Parts {
				where, err := places.of(ctx, part.Object)
				if err != nil {
					return out, err
				}
				v.Files = append(v.Files, File{URI: where, Prefix: part.Prefix, Rows: part.Rows, Bytes: part.Object.Bytes})
			}
		}
		switch n := len(out.Versions); {
		case there:
		case n == 0:
			continue
		default:
			v.Columns = out.Versions[n-1].Columns
			v.Summary["parallelrun.table"] = "absent"
		}
		out.Versions = append(out.Versions, v)
		if item.N <= h.Main.N || out.Main == 0 {
			out.Main = v.ID
		}
	}
	return out, nil
}

// tag gives the table those of the names whose version it has.
func (t *Table) tag(all map[string]int64) {
	t.Tags = map[string]int64{}
	for name, id := range all {
		for _, v := range t.Versions {
			if v.ID == id {
				t.Tags[name] = id
			}
		}
	}
}

// tablePath is a table's folder. Datasets are named like source/hr and
// target/live, a folder each.
func tablePath(dataset, stage, table string) string {
	var path []string
	for s := range strings.SplitSeq(dataset, "/") {
		path = append(path, segment(s))
	}
	return strings.Join(append(path, segment(stage), segment(table)), "/")
}

// segment is a name as a folder is called: what is not a letter, digit or one of
// ._- as = and two hex digits.
func segment(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.' && i > 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("=" + strconv.FormatUint(uint64(c)+0x100, 16)[1:])
	}
	return b.String()
}
