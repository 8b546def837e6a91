package diffprint

import (
	"context"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/parallelrun/parallelrun/snapshots"
)

//go:embed report.html
var reportHTML string

//go:embed report.js
var reportJS string

// Report says what an HTML page is about and how much of it fits.
type Report struct {
	// Sides name what is compared, in order: a and b, or base, a and b. Snapshots
	// are the same, where departments are looked up.
	Sides     []string
	Snapshots []*snapshots.Snapshot
	Where     string // the expression that chose the rows, if any
	// Rows is how many are shown at most; zero means 5,000. Some are kept for every
	// table that differs, so that none crowds out those after it.
	Rows int64
}

const (
	reportRows  = 5000
	reportBytes = 24 << 20 // of texts; a browser still opens that
	reportText  = 2000     // characters of one text
	reportCells = 500      // of one row
)

// NewHTML writes one page that holds all it needs and asks no network for
// anything: counts, and the changed rows to be searched, filtered and grouped by
// table, kind, column and department. It is written by Close, and holds so many
// rows in memory until then. Rows must come with DiffOptions.Rows set.
func NewHTML(ctx context.Context, w io.Writer, r Report) Printer {
	p := &htmlPrinter{ctx: ctx, w: w, r: r}
	if p.r.Rows <= 0 {
		p.r.Rows = reportRows
	}
	p.differ = tablesThatDiffer(r.Snapshots)
	p.page = page{Title: "What differs", Sides: r.Sides, Where: r.Where, ValueHeads: []string{"old", "new"},
		CountHeads: []string{"inserted", "updated", "deleted", "unchanged"}, ColumnHeads: []string{"changed"}}
	if len(r.Sides) == 3 {
		p.page.Title, p.page.ValueHeads = "What differs, three ways", []string{"base", "a", "b"}
		p.page.CountHeads = []string{"only a", "only b", "same", "both", "conflict", "unchanged"}
		p.page.ColumnHeads = []string{"only a", "only b", "same", "conflict"}
	}
	return p
}

// tablesThatDiffer are those whose digests are not the same everywhere.
func tablesThatDiffer(sides []*snapshots.Snapshot) (names []string) {
	seen := map[string]bool{}
	for _, s := range sides {
		for _, name := range s.Tables() {
			if seen[name] {
				continue
			}
			seen[name] = true
			first, _ := s.Stored(name)
			if slices.ContainsFunc(sides, func(o *snapshots.Snapshot) bool { t, ok := o.Stored(name); return !ok || t.Digest != first.Digest }) {
				names = append(names, name)
			}
		}
	}
	return names
}

// page is the data of report.html.
type page struct {
	Title, Where, Cut string
	Sides             []string
	CountHeads        []string
	ColumnHeads       []string
	ValueHeads        []string
	Tables, Columns   []pageCounts
	Schema            []string
	Rows              []*pageRow
	Script            template.JS
	ScriptHash        string
}

type pageCounts struct {
	Name, Note string
	Counts     []int64
}

type pageRow struct {
	Table, ID, Key, Kind, Note string
	Departments                []string
	Fields                     []pageField
	columns                    []string
	home                       home
}

type pageField struct {
	Column, Side string
	Values       []string
}

// ColumnsJSON and DepartmentsJSON are for the page's script.
func (r *pageRow) ColumnsJSON() string     { return listOf(r.columns) }
func (r *pageRow) DepartmentsJSON() string { return listOf(r.Departments) }

func listOf(l []string) string {
	if l == nil {
		return "[]"
	}
	b, err := json.Marshal(l)
	if err != nil {
		return "[]" // texts always encode
	}
	return string(b)
}

type htmlPrinter struct {
	ctx    context.Context
	w      io.Writer
	r      Report
	differ []string // tables
	page   page
	bytes  int64
	total  int64
	full   bool
}

// room says whether one more row is shown.
func (p *htmlPrinter) room(table string) bool {
	p.total++
	later := int64(0)
	for _, t := range p.differ {
		if t > table {
			later++
		}
	}
	kept := later * (p.r.Rows / int64(2*max(1, len(p.differ))))
	return !p.full && int64(len(p.page.Rows)) < max(1, p.r.Rows-kept)
}

func (p *htmlPrinter) add(r *pageRow) {
	for _, f := range r.Fields {
		for _, v := range f.Values {
			p.bytes += int64(len(v))
		}
		p.bytes += 100
	}
	p.full = p.bytes > reportBytes
	p.page.Rows = append(p.page.Rows, r)
}

func (p *htmlPrinter) Row(c snapshots.RowChange) error {
	if !p.room(c.Table) {
		return nil
	}
	r := &pageRow{Table: c.Table, ID: c.ID.String(), Key: quote(c.Key, reportText), Kind: string(c.Kind)}
	r.home = homeOf(c.Table, c.ID, sideRow{p.r.Snapshots[1], c.New}, sideRow{p.r.Snapshots[0], c.Old})
	for _, f := range c.Fields {
		r.columns = append(r.columns, f.Column)
		r.Fields = append(r.Fields, pageFields(c.Kind, f)...)
	}
	r.trim()
	p.add(r)
	return nil
}

// pageFields are the lines of a field: of a JSON document one for each place.
func pageFields(kind snapshots.ChangeKind, f snapshots.FieldChange) (out []pageField) {
	if at := jsonChanges(f.Type, f.Old, f.New); len(at) > 0 {
		for _, place := range at {
			out = append(out, pageField{Column: f.Column + " " + visible(place.Path), Values: []string{placeValue(place.Old, reportText), placeValue(place.New, reportText)}})
		}
		return out
	}
	old, now := valueText(f.Type, f.Old, reportText), valueText(f.Type, f.New, reportText)
	switch {
	case kind == snapshots.Insert:
		old = ""
	case kind == snapshots.Delete:
		now = ""
	case f.Type.IsSecret() && f.New != nil:
		now = "(secret) changed"
	}
	return []pageField{{Column: f.Column, Values: []string{old, now}}}
}

// trim bounds a row: lists and maps may have any number of texts.
func (r *pageRow) trim() {
	if len(r.Fields) > reportCells {
		r.Note += fmt.Sprintf("%d of %d places shown", reportCells, len(r.Fields))
		r.Fields = r.Fields[:reportCells]
	}
	for i := range r.Fields { // one text was bounded already; lists may have many
		for j, v := range r.Fields[i].Values {
			r.Fields[i].Values[j] = cutText(v, 2*reportText)
		}
	}
}

func (p *htmlPrinter) ThreeWay(c snapshots.ThreeWayChange) error {
	if !p.room(c.Table) {
		return nil
	}
	r := &pageRow{Table: c.Table, ID: c.ID.String(), Key: quote(c.Key, reportText), Kind: string(c.Side), Note: "(" + did(c) + ")"}
	r.home = homeOf(c.Table, c.ID, sideRow{p.r.Snapshots[0], c.BaseRow})
	if c.BaseRow == nil && c.ARow != nil {
		r.home = homeOf(c.Table, c.ID, sideRow{p.r.Snapshots[1], c.ARow})
	} else if c.BaseRow == nil {
		r.home = homeOf(c.Table, c.ID, sideRow{p.r.Snapshots[2], c.BRow})
	}
	for _, f := range c.Fields {
		r.columns = append(r.columns, f.Column)
		base, a, b := threeValues(c, f, reportText)
		if at := threePlaces(f); len(at) > 0 {
			base, a, b = "JSON", "", ""
			for _, p := range at {
				text := p.who + visible(p.Path) + "  " + placeText(p.pathChange)
				if p.who == "b: " {
					b += text + "\n"
				} else {
					a += text + "\n"
				}
			}
		}
		r.Fields = append(r.Fields, pageField{Column: f.Column, Side: string(f.Side), Values: []string{base, a, b}})
	}
	r.trim()
	p.add(r)
	return nil
}

func (p *htmlPrinter) Stat(st snapshots.Stat) error {
	for _, t := range st.Tables {
		note := leftNote(t.Left)
		if t.OnlyIn != "" {
			note += " (only in " + t.OnlyIn + ")"
		}
		p.page.Tables = append(p.page.Tables, pageCounts{Name: t.Table, Note: strings.TrimSpace(note), Counts: []int64{t.Inserted, t.Updated, t.Deleted, t.Unchanged}})
		for _, c := range t.Columns {
			p.page.Columns = append(p.page.Columns, pageCounts{Name: t.Table + "." + c.Column, Counts: []int64{c.Changed}})
		}
		for _, n := range t.NotCompared {
			p.page.Schema = append(p.page.Schema, schemaText(t.Table, n))
		}
	}
	return nil
}

func (p *htmlPrinter) ThreeWayStat(st snapshots.ThreeWayStat) error {
	for _, t := range st.Tables {
		counts := pageCounts{Name: t.Table, Note: strings.TrimSpace(leftNote(t.Left))}
		for _, s := range snapshots.Sides {
			counts.Counts = append(counts.Counts, t.Rows[s])
		}
		counts.Counts = append(counts.Counts, t.Unchanged)
		p.page.Tables = append(p.page.Tables, counts)
		for _, c := range t.Columns {
			p.page.Columns = append(p.page.Columns, pageCounts{Name: t.Table + "." + c.Column,
				Counts: []int64{c.Fields[snapshots.OnlyA], c.Fields[snapshots.OnlyB], c.Fields[snapshots.Same], c.Fields[snapshots.Conflict]}})
		}
		for _, n := range t.NotCompared {
			p.page.Schema = append(p.page.Schema, t.Table+"."+n.Column+": "+n.Why)
		}
	}
	return nil
}

func (p *htmlPrinter) Close() error {
	if shown := int64(len(p.page.Rows)); shown < p.total {
		p.page.Cut = fmt.Sprintf("This page shows %s of the %s rows that differ; the counts are of all. Narrow it with --table, --column or --where, or take --format csv, which holds every row.",
			strconv.FormatInt(shown, 10), strconv.FormatInt(p.total, 10))
	}
	if err := p.departments(); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(reportJS))
	p.page.Script = template.JS(reportJS)
	p.page.ScriptHash = "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
	t, err := template.New("report").Parse(reportHTML)
	if err != nil {
		return err
	}
	return t.Execute(p.w, &p.page)
}
