package diffprint_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"golang.org/x/net/html"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/seal/sealtest"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
	"github.com/parallelrun/parallelrun/snapshots/diffprint"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs (%v); rewrite with -update if that is meant. Got:\n%s", path, err, got)
	}
}

const password = "Correct-Horse-Battery"

// org is a small organization: two departments, users in them, one with a
// password.
type org struct {
	s       *snapshots.Store
	keyring *seal.Keyring
	// forbidden is what no output may hold.
	forbidden []string
}

func newOrg(t *testing.T) *org {
	t.Helper()
	id := sealtest.Identity(t)
	b := &backendtest.Memory{}
	if err := snapshots.Init(t.Context(), b, snapshots.InitOptions{Recipients: id.Recipients()}); err != nil {
		t.Fatal(err)
	}
	k, err := snapshots.Unlock(t.Context(), b, id)
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshots.Open(t.Context(), b, snapshots.Options{Keyring: k})
	if err != nil {
		t.Fatal(err)
	}
	return &org{s: s, keyring: k, forbidden: []string{password}}
}

func idOf(table, key string) schemas.RowID { return schemas.NewRowID("test", table, key) }

// row is a row of an entity, its cells by column.
func row(table, key string, cells map[string]any) schemas.Row {
	shape := schemas.Entities()[table]
	r := schemas.Row{ID: idOf(table, key), Key: key, Values: make([]any, len(shape.Columns))}
	for column, v := range cells {
		r.Values[shape.Column(column)] = v
	}
	return r
}

// write makes a snapshot of two departments with the given users: key to last
// name. The template is property template t's schema.
func (o *org) write(t *testing.T, users map[string]string, template, secret string) *snapshots.Snapshot {
	t.Helper()
	var tables []schemas.Table
	for _, shape := range schemas.Entities() {
		tables = append(tables, shape)
	}
	w := o.s.NewWriter(tables, snapshots.WriterOptions{})
	defer w.Close()
	put := func(table string, r schemas.Row) {
		t.Helper()
		if err := w.WriteRow(t.Context(), table, r, 0); err != nil {
			t.Fatal(err)
		}
	}
	acme := idOf(schemas.Organizations, "acme").String()
	put(schemas.Organizations, row(schemas.Organizations, "acme", map[string]any{"alias": "acme"}))
	for _, d := range []string{"Sales", "R&D"} {
		put(schemas.Departments, row(schemas.Departments, d, map[string]any{"organization": acme, "name": d, "path": "/" + d}))
	}
	put(schemas.PropertyTemplates, row(schemas.PropertyTemplates, "person", map[string]any{"name": "person", "applies_to": "user", "schema": template}))
	for key, last := range users {
		department := "Sales"
		if key > "m" {
			department = "R&D"
		}
		put(schemas.Users, row(schemas.Users, key, map[string]any{"username": key, "last_name": last, "attributes": map[string][]string{"phone": {"+49 1"}}}))
		put(schemas.Memberships, row(schemas.Memberships, key+"/"+department, map[string]any{"user": idOf(schemas.Users, key).String(), "organization": acme,
			"department": idOf(schemas.Departments, department).String()}))
	}
	c := row(schemas.Credentials, "anna/password", map[string]any{"user": idOf(schemas.Users, "anna").String(), "type": "password"})
	sealed, err := o.keyring.Seal(schemas.Credentials, c.ID, "secret", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	shape := schemas.Entities()[schemas.Credentials]
	c.Values[shape.Column("secret")] = sealed
	put(schemas.Credentials, c)
	d, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sn, err := o.s.OpenManifest(t.Context(), d.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range sn.Index(t.Context(), schemas.Credentials) {
		if err != nil {
			t.Fatal(err)
		}
		o.forbid(e.Digest[:])
	}
	o.forbid(sealed.MAC[:])
	o.forbid(sealed.Box)
	return sn
}

func (o *org) forbid(b []byte) {
	o.forbidden = append(o.forbidden, string(b), hex.EncodeToString(b), base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b))
}

func (o *org) keepsSecrets(t *testing.T, what string, out []byte) {
	t.Helper()
	for _, s := range o.forbidden {
		if bytes.Contains(out, []byte(s)) {
			t.Errorf("%s tells a secret, or what follows from one", what)
		}
	}
}

const (
	hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e"
	formula = "=HYPERLINK(\"http://evil\")"
)

// states are base and two sides of it: changed names, one deleted, one new,
// another password, another template.
func states(t *testing.T) (o *org, base, a, b *snapshots.Snapshot) {
	o = newOrg(t)
	const before = `{"properties": {"phone": {"type": "string", "maxLength": 9}, "a/b": {"type": "string"}}}`
	const after = `{"properties": {"phone": {"type": "string", "maxLength": 12}}, "required": ["phone"]}`
	base = o.write(t, map[string]string{"anna": "A", "bert": "B", "nora": "N"}, before, password)
	a = o.write(t, map[string]string{"anna": hostile, "bert": "Both", "nora": "N", "otto": formula}, after, password+"2")
	b = o.write(t, map[string]string{"anna": "Other", "bert": "Both"}, before, password)
	return o, base, a, b
}

func print2(t *testing.T, a, b *snapshots.Snapshot, p diffprint.Printer) {
	t.Helper()
	printWith(t, a, b, p, snapshots.DiffOptions{Rows: true})
}

func printWith(t *testing.T, a, b *snapshots.Snapshot, p diffprint.Printer, o snapshots.DiffOptions) {
	t.Helper()
	var st snapshots.Stat
	o.Stat = &st
	for c, err := range snapshots.Diff(t.Context(), a, b, o) {
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Row(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Stat(st); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func print3(t *testing.T, base, a, b *snapshots.Snapshot, p diffprint.Printer) {
	t.Helper()
	var st snapshots.ThreeWayStat
	for c, err := range snapshots.ThreeWay(t.Context(), base, a, b, snapshots.DiffOptions{Rows: true}, nil, &st) {
		if err != nil {
			t.Fatal(err)
		}
		if err := p.ThreeWay(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.ThreeWayStat(st); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// Every format as it stands in testdata; none tells a secret.
func TestGoldenFormats(t *testing.T) {
	o, base, a, b := states(t)
	for name, open := range map[string]func(w io.Writer, sides ...*snapshots.Snapshot) diffprint.Printer{
		"txt":   func(w io.Writer, _ ...*snapshots.Snapshot) diffprint.Printer { return diffprint.NewText(w) },
		"jsonl": func(w io.Writer, _ ...*snapshots.Snapshot) diffprint.Printer { return diffprint.NewJSON(w) },
		"csv":   func(w io.Writer, _ ...*snapshots.Snapshot) diffprint.Printer { return diffprint.NewCSV(w) },
		"html": func(w io.Writer, sides ...*snapshots.Snapshot) diffprint.Printer {
			return diffprint.NewHTML(t.Context(), w, diffprint.Report{Sides: []string{"base", "a", "b"}[:len(sides)], Snapshots: sides})
		},
	} {
		var two, three bytes.Buffer
		print2(t, base, a, open(&two, base, a))
		print3(t, base, a, b, open(&three, base, a, b))
		golden(t, "two."+name, two.Bytes())
		golden(t, "three."+name, three.Bytes())
		o.keepsSecrets(t, name, two.Bytes())
		o.keepsSecrets(t, name+" three ways", three.Bytes())
	}
}

// No cell of a CSV begins like a formula.
func TestCSVIsHarmless(t *testing.T) {
	_, base, a, b := states(t)
	var two, three bytes.Buffer
	print2(t, base, a, diffprint.NewCSV(&two))
	print3(t, base, a, b, diffprint.NewCSV(&three))
	for _, out := range []*bytes.Buffer{&two, &three} {
		if !strings.Contains(out.String(), `"'=HYPERLINK`) {
			t.Errorf("the formula is not told of:\n%s", out)
		}
		lines, err := csv.NewReader(out).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, cell := range slices.Concat(lines...) {
			if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
				t.Errorf("cell %q", cell)
			}
		}
	}
}

// node calls f for every node of a document.
func nodes(n *html.Node, f func(*html.Node)) {
	f(n)
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		nodes(c, f)
	}
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// The page stands alone, runs its own script only, and shows what came from
// outside as text.
func TestReportIsSelfContained(t *testing.T) {
	_, base, a, _ := states(t)
	var out bytes.Buffer
	print2(t, base, a, diffprint.NewHTML(t.Context(), &out, diffprint.Report{Sides: []string{"before", hostile}, Snapshots: []*snapshots.Snapshot{base, a}, Where: hostile}))
	doc, err := html.Parse(&out)
	if err != nil {
		t.Fatal(err)
	}
	var scripts []string
	var policy string
	departments := map[string]string{}
	shown := false
	nodes(doc, func(n *html.Node) {
		if n.Type == html.TextNode && strings.Contains(n.Data, "</script><script>alert(1)</script><img") {
			shown = true
		}
		for _, a := range n.Attr {
			if slices.Contains([]string{"src", "href", "action", "srcset", "data"}, a.Key) || strings.HasPrefix(a.Key, "on") {
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "script":
			scripts = append(scripts, n.FirstChild.Data)
		case n.Data == "meta" && attr(n, "http-equiv") == "Content-Security-Policy":
			policy = attr(n, "content")
		case slices.Contains([]string{"img", "iframe", "link", "object", "embed", "form"}, n.Data):
			t.Errorf("<%s> on the page", n.Data)
		case n.Data == "details":
			departments[attr(n, "data-table")+" "+attr(n, "data-kind")] += attr(n, "data-departments")
		}
	})
	if len(scripts) != 1 {
		t.Fatalf("%d scripts", len(scripts))
	}
	sum := sha256.Sum256([]byte(scripts[0]))
	if want := "default-src 'none'"; !strings.Contains(policy, want) || !strings.Contains(policy, "script-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("policy %q does not allow the page's script alone", policy)
	}
	if !shown {
		t.Error("the hostile text is not shown as it is")
	}
	for rows, want := range map[string]string{
		"users update":       `["acme/Sales"]["acme/Sales"]`, // anna and bert
		"users insert":       `["acme/R\u0026D"]`,            // otto
		"memberships insert": `["acme/R\u0026D"]`,
		"credentials update": `["acme/Sales"]`,
		// nobody's
		"property_templates update": `[]`,
	} {
		if departments[rows] != want {
			t.Errorf("departments of %s: %s, want %s", rows, departments[rows], want)
		}
	}
}

// A page is bounded, says so, and lets no table crowd out the next.
func TestReportIsCut(t *testing.T) {
	o := newOrg(t)
	users := map[string]string{}
	for i := range 300 {
		users[fmt.Sprintf("user-%03d", i)] = "x"
	}
	base := o.write(t, nil, "{}", password)
	a := o.write(t, users, `{"a": 1}`, password)
	var out bytes.Buffer
	print2(t, base, a, diffprint.NewHTML(t.Context(), &out, diffprint.Report{Sides: []string{"a", "b"}, Snapshots: []*snapshots.Snapshot{base, a}, Rows: 60}))
	doc, err := html.Parse(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	nodes(doc, func(n *html.Node) {
		if n.Data == "details" {
			rows[attr(n, "data-table")]++
		}
	})
	if rows[schemas.Memberships] == 0 || rows[schemas.Users] == 0 || rows[schemas.PropertyTemplates] != 1 || rows[schemas.Users]+rows[schemas.Memberships] > 59 {
		t.Errorf("%v", rows)
	}
	if total := rows[schemas.Memberships] + rows[schemas.Users] + 1; !strings.Contains(out.String(), fmt.Sprintf("This page shows %d of the 601 rows", total)) {
		t.Errorf("no word of what is left out, %d shown", total)
	}
}

// memoryFile is a file of NewParquet.
type memoryFile struct {
	bytes.Buffer
	closed bool
}

func (f *memoryFile) Close() error { f.closed = true; return nil }

// parquetFiles prints a diff as Parquet and reads the files back as tables.
func parquetFiles(t *testing.T, a, b *snapshots.Snapshot, o snapshots.DiffOptions) (map[string]*memoryFile, map[string]arrow.Table) {
	t.Helper()
	files, tables := map[string]*memoryFile{}, map[string]arrow.Table{}
	printWith(t, a, b, diffprint.NewParquet(a, b, func(table string) (io.WriteCloser, error) {
		files[table] = &memoryFile{}
		return files[table], nil
	}), o)
	for name, f := range files {
		if !f.closed {
			t.Errorf("%s is left open", name)
		}
		r, err := file.NewParquetReader(bytes.NewReader(f.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		pq, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		if tables[name], err = pq.ReadTable(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return files, tables
}

// texts are the cells of a column of a table.
func texts(t arrow.Table, column string) (out []string) {
	for _, chunk := range t.Column(t.Schema().FieldIndices(column)[0]).Data().Chunks() {
		for i := range chunk.Len() {
			out = append(out, chunk.ValueStr(i))
		}
	}
	return out
}

// What is written as Parquet is read back: the new row in full, digests but of
// tables with secrets, and no secret.
func TestParquet(t *testing.T) {
	o, base, a, _ := states(t)
	files, tables := parquetFiles(t, base, a, snapshots.DiffOptions{Rows: true})
	if len(files) != 4 {
		t.Fatalf("%d files", len(files))
	}
	all := map[string]string{}
	for name, table := range tables {
		for i := range int(table.NumCols()) {
			c := table.Column(i)
			for _, chunk := range c.Data().Chunks() {
				all[name] += c.Name() + " " + chunk.String() + "\n"
			}
		}
		o.keepsSecrets(t, name, []byte(all[name]))
		o.keepsSecrets(t, name, files[name].Bytes())
	}
	for _, want := range []string{`"insert"`, `"update"`, `"last_name"`, `=HYPERLINK(\"http://evil\")`, "phone"} {
		if !strings.Contains(all[schemas.Users], want) {
			t.Errorf("users lack %s:\n%s", want, all[schemas.Users])
		}
	}
	if c := all[schemas.Credentials]; !strings.Contains(c, "(secret)") || !strings.Contains(c, "old_digest [(null)]") {
		t.Errorf("credentials:\n%s", c)
	}
}

// With old digests the files hold the same rows and digests: those that the
// other formats name and that the indexes have. Which columns changed is null,
// and so is the key of a deleted row.
func TestParquetWithOldDigests(t *testing.T) {
	o, base, a, b := states(t)
	for _, sides := range [][2]*snapshots.Snapshot{{base, a}, {base, b}, {a, b}} {
		_, full := parquetFiles(t, sides[0], sides[1], snapshots.DiffOptions{Rows: true})
		files, light := parquetFiles(t, sides[0], sides[1], snapshots.DiffOptions{Rows: true, OldDigests: true})
		var lines bytes.Buffer
		print2(t, sides[0], sides[1], diffprint.NewJSON(&lines))
		if len(full) != len(light) {
			t.Fatalf("%d tables and %d", len(full), len(light))
		}
		for name, table := range light {
			o.keepsSecrets(t, name, files[name].Bytes())
			kinds, ids := texts(table, "change"), rowIDs(table)
			for i := range int(table.NumCols()) {
				column := table.Column(i).Name()
				want := texts(full[name], column)
				for row := range want {
					if column == "changed_columns" || column == "legacy_key" && kinds[row] == "delete" {
						want[row] = "(null)"
					}
				}
				if got := texts(table, column); !slices.Equal(got, want) {
					t.Errorf("%s.%s: %q, want %q", name, column, got, want)
				}
			}
			if n := strings.Count(lines.String(), `"type":"row","table":"`+name+`"`); n != len(ids) {
				t.Errorf("%s: %d rows, %d as JSON", name, len(ids), n)
			}
			for _, id := range ids {
				if !strings.Contains(lines.String(), id) {
					t.Errorf("%s: row %s is none of those as JSON", name, id)
				}
			}
			if name == schemas.Credentials {
				continue // no digests there
			}
			for column, s := range map[string]*snapshots.Snapshot{"old_digest": sides[0], "new_digest": sides[1]} {
				digests := indexOf(t, s, name)
				for row, got := range texts(table, column) {
					if want := cmp.Or(digests[ids[row]], "(null)"); got != want {
						t.Errorf("%s: %s of row %s is %s, its index says %s", name, column, ids[row], got, want)
					}
				}
			}
		}
	}
}

// rowIDs are the ids of a table's rows in hex.
func rowIDs(t arrow.Table) (out []string) {
	for _, s := range texts(t, "row_id") {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			panic(err)
		}
		out = append(out, hex.EncodeToString(b))
	}
	return out
}

// indexOf are the digests of a table by row id, as Arrow shows them.
func indexOf(t *testing.T, s *snapshots.Snapshot, table string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for e, err := range s.Index(t.Context(), table) {
		if err != nil {
			t.Fatal(err)
		}
		out[e.ID.String()] = base64.StdEncoding.EncodeToString(e.Digest[:])
	}
	return out
}
