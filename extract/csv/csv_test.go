package csv

import (
	"bytes"
	"compress/gzip"
	stdcsv "encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/records"
	"github.com/parallelrun/parallelrun/extract/sourcetest"
	"github.com/parallelrun/parallelrun/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, people []sourcetest.Person, sealer extract.Sealer) (extract.Source, error) {
		dir := t.TempDir()
		half := len(people) / 2
		for i, part := range [][]sourcetest.Person{people[:half], people[half:]} {
			if len(part) == 0 && len(people) > 0 {
				continue
			}
			var b strings.Builder
			w := stdcsv.NewWriter(&b)
			rows := [][]string{{"id", "name", "mail", "password"}}
			for _, p := range part {
				rows = append(rows, []string{p.ID, p.Name, strings.Join(p.Mail, "|"), p.Password})
			}
			if err := w.WriteAll(rows); err != nil {
				t.Fatal(err)
			}
			write(t, dir, fmt.Sprintf("people-%d.csv", i), b.String())
		}
		return Open(Config{Config: records.Config{Tables: []records.TableConfig{{Name: "people", Files: []string{dir + "/people-*.csv"}, Key: []string{"id"},
			Columns: []records.ColumnConfig{{Field: "name"}, {Field: "mail", Type: "strings", Separator: "|"}, {Field: "password", Type: "secrets"}}}}}},
			records.Options{Namespace: sourcetest.Namespace, Sealer: sealer, Workers: 3})
	})
}

// read reads all rows of files as "key=values" lines, sealed values left out.
func read(t *testing.T, c Config, o records.Options) (rows []string, s *records.Source, err error) {
	t.Helper()
	o.Namespace = "n"
	if s, err = Open(c, o); err != nil {
		return nil, nil, err
	}
	shapes := map[string]schemas.Table{}
	for _, spec := range s.Tables() {
		shapes[spec.Table.Name] = spec.Table
	}
	err = s.Read(t.Context(), extract.Limits{}, func(b extract.Batch) error {
		shape := shapes[b.Table]
		for i := range int(b.Record.NumRows()) {
			row := shape.RowAt(b.Record, i)
			line := row.Key
			if i := shape.Column("id"); i >= 0 && row.Values[i] == row.Key {
				row.Values[i] = nil // as in most tests
			}
			for j, v := range row.Values {
				switch v.(type) {
				case nil:
					continue
				case bool, int64:
					line += fmt.Sprintf(" %s=%v", shape.Columns[j].Name, v)
					continue
				}
				line += fmt.Sprintf(" %s=%q", shape.Columns[j].Name, v)
			}
			rows = append(rows, line)
		}
		return nil
	})
	return rows, s, err
}

func one(file string, t records.TableConfig) Config {
	t.Name, t.Files = "people", []string{file}
	if t.Key == nil {
		t.Key = []string{"id"}
	}
	return Config{Config: records.Config{Tables: []records.TableConfig{t}}}
}

func TestRows(t *testing.T) {
	name := []records.ColumnConfig{{Field: "name"}}
	for _, tt := range []struct {
		name, text string
		table      records.TableConfig
		with       func(*Config)
		want       []string
	}{
		{"null, empty, quotes, line breaks", "id,name\n1,\n2,\"\"\n3,\"a \"\"b\"\", c\nd\"\r\n4,e\r\n", records.TableConfig{Columns: name},
			nil, []string{`1`, `2 name=""`, "3 name=\"a \\\"b\\\", c\\nd\"", `4 name="e"`}},
		{"nothing is dropped", "id,name,x,y\n1,a,b,\n", records.TableConfig{Columns: name}, nil, []string{`1 name="a" other=map["x":["b"]]`}},
		{"ignored", "id,name,x\n1,a,b\n", records.TableConfig{Columns: name, Ignore: []string{"x"}}, nil, []string{`1 name="a"`}},
		{"renamed", "id,Full Name\n1,a\n", records.TableConfig{Columns: []records.ColumnConfig{{Field: "Full Name", As: "name"}}}, nil, []string{`1 name="a"`}},
		{"header of its own", "1,a\n", records.TableConfig{Header: []string{"id", "name"}, Columns: name}, nil, []string{`1 name="a"`}},
		{"byte order mark", "\ufeffid,name\n1,a\n", records.TableConfig{Columns: name}, nil, []string{`1 name="a"`}},
		{"several fields make a key", "a,b\nx/y,z~\n", records.TableConfig{Key: []string{"a", "b"}}, nil, []string{`x~/y/z~~ a="x/y" b="z~"`}},
		{"folded key", "id\nÄB\n", records.TableConfig{KeyCase: "fold"}, nil, []string{`äb id="ÄB"`}},
		{"delimiter, quote, nulls", "id;name\n1;'a;b'\n2;NULL\n3;'NULL'\n", records.TableConfig{Columns: name},
			func(c *Config) { c.Delimiter, c.Quote, c.Nulls = ";", "'", []string{"NULL"} }, []string{`1 name="a;b"`, `2`, `3 name="NULL"`}},
		{"tabs without quotes", "id\tname\n1\t\"a\n", records.TableConfig{Columns: name}, func(c *Config) { c.Delimiter, c.Quote = "tab", "none" }, []string{`1 name="\"a"`}},
		{"optional", "id,name\n1,a\n", records.TableConfig{Columns: []records.ColumnConfig{{Field: "name"}, {Field: "x", Optional: true}}}, nil, []string{`1 name="a"`}},
		{"windows-1252", "id,name\n1,M\xfcller \x80\n", records.TableConfig{Columns: name}, func(c *Config) { c.Encoding = "windows-1252" }, []string{`1 name="Müller €"`}},
		{"utf-16", "\xff\xfei\x00d\x00\n\x001\x00\n\x00", records.TableConfig{}, nil, []string{`1`}},
		{"blank lines", "\nid,name\n\n1,a\n\r\n2,b", records.TableConfig{Columns: name}, nil, []string{`1 name="a"`, `2 name="b"`}},
		{"types", "id,n,b,t,d,l,x\n1,42,YES,2020-01-02T03:04:05.000006+01:00,31.12.2019,a|b,aGk=\n2,042,maybe,2020-01-02,31.12.19,,?\n", records.TableConfig{Columns: []records.ColumnConfig{
			{Field: "n", Type: "int"}, {Field: "b", Type: "bool", True: []string{"yes"}, False: []string{"no"}}, {Field: "t", Type: "timestamp"},
			{Field: "d", Type: "timestamp", Layouts: []string{"02.01.2006"}, Zone: "Europe/Berlin"}, {Field: "l", Type: "strings", Separator: "|"}, {Field: "x", Type: "binary"}}}, nil,
			[]string{`1 n=42 b=true t=1577930645000006 d=1577746800000000 l=["a" "b"] x="hi"`,
				`2 problems=["n" "b" "t" "d" "x"] other=map["b":["maybe"] "d":["31.12.19"] "n":["042"] "t":["2020-01-02"] "x":["?"]]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := one(write(t, t.TempDir(), "people.csv", tt.text), tt.table)
			if tt.with != nil {
				tt.with(&c)
			}
			got, _, err := read(t, c, records.Options{})
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v, rows (-want +got):\n%s", err, diff)
			}
		})
	}
}

// A bad row is one row, whatever is wrong with it; those around it are whole.
func TestBadRows(t *testing.T) {
	const head, tail = "id,name\n1,a\n", "8,y\n9,z\n"
	for _, tt := range []struct {
		name, text string
		want       []string // between 1 and 8
	}{
		{"too few fields", "2\n", []string{`people.csv:3 unread="people.csv:3: 1 fields, where the header has 2"`}},
		{"too many fields", "2,b,c\n", []string{`people.csv:3 unread="people.csv:3: 3 fields, where the header has 2"`}},
		{"a quote inside", "2,b\"c\n", []string{`people.csv:3 unread="people.csv:3: a quote inside of a field that does not begin with one"`}},
		{"text after a quote", "2,\"b\" c\n", []string{`people.csv:3 unread="people.csv:3: text after a closing quote"`}},
		{"a quote never closed", "2,\"b\n3,c\n", []string{`people.csv:3 unread="people.csv:3: a quote that is never closed"`, `3 name="c"`}},
		{"no key", ",b\n", []string{`people.csv:3 unread="people.csv:3: the key id is empty"`}},
		{"no UTF-8", "2,b\xff\n", []string{`2 unread="people.csv:3: not UTF-8: say the encoding of the files, or correct it"`}},
		{"a key that is no UTF-8", "2\xff,b\n", []string{`people.csv:3 unread="people.csv:3: the key id is not UTF-8"`}},
		{"a key that is a secret", "{SSHA}abcdefgh,b\n", []string{`people.csv:3 unread="people.csv:3: the key id looks like a secret, and a key can't be sealed"`}},
		{"too long", "2," + strings.Repeat("x", 3<<20) + "\n", []string{`people.csv:3 unread="people.csv:3: a row longer than 1024 bytes: raise maxRow"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := one(write(t, t.TempDir(), "people.csv", head+tt.text+tail), records.TableConfig{Columns: []records.ColumnConfig{{Field: "name"}}})
			c.MaxRow = 1024
			got, s, err := read(t, c, records.Options{})
			want := slices.Concat([]string{`1 name="a"`}, tt.want, []string{`8 name="y"`, `9 name="z"`})
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Fatalf("%v, rows (-want +got):\n%s", err, diff)
			}
			if st := s.Stats().Tables["people"]; st.Unread != 1 || st.Rows != int64(len(want)) {
				t.Errorf("counts: %+v", st)
			}
			if w := strings.Join(s.Warnings(), "\n"); !strings.Contains(w, "table people: 1 rows could not be read and are rejected, the first at people.csv:3") {
				t.Errorf("warnings: %s", w)
			}
		})
	}
}

// A look-up says that it can't tell where rows can't be read.
func TestUnsureLookup(t *testing.T) {
	c := one(write(t, t.TempDir(), "people.csv", "id,name\n1,a\n2,b,c\n3,\xff\n"), records.TableConfig{})
	s, err := Open(c, records.Options{Namespace: "n"})
	if err != nil {
		t.Fatal(err)
	}
	get := func(keys ...string) (n int64, err error) {
		err = s.Get(t.Context(), "people", keys, func(b extract.Batch) error { n += b.Record.NumRows(); return nil })
		return n, err
	}
	if n, err := get("1", "3"); n != 2 || err != nil {
		t.Errorf("%d found, %v", n, err)
	}
	n, err := get("1", "2")
	if e, ok := errors.AsType[*extract.UnsureError](err); n != 1 || !ok || e.First != "people.csv:3" || e.Rows != 1 {
		t.Errorf("%d found, %v", n, err)
	}
}

func TestPacked(t *testing.T) {
	text := "id,name\n"
	for i := range 20_000 {
		text += fmt.Sprintf("%d,name\n", i)
	}
	gz := &bytes.Buffer{}
	w := gzip.NewWriter(gz)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"p.csv.gz": gz.Bytes(), "p.csv.zst": z.EncodeAll([]byte(text), nil), "lies.csv": gz.Bytes()} {
		dir := t.TempDir()
		rows, _, err := read(t, one(write(t, dir, name, string(data)), records.TableConfig{}), records.Options{})
		if err != nil || len(rows) != 20_000 {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
		_, _, err = read(t, one(write(t, dir, name, string(data[:len(data)-9])), records.TableConfig{}), records.Options{})
		if err == nil || !strings.Contains(err.Error(), "cut or damaged") {
			t.Errorf("%s cut: %v", name, err)
		}
	}
	_ = z.Close()
}

// Files of one table that differ in their columns are told, and a column that a
// file lacks is no null of its rows.
func TestDrift(t *testing.T) {
	dir := t.TempDir()
	a := write(t, dir, "a.csv", "id,name,dept\n1,a,d\n")
	b := write(t, dir, "b.csv", "dept,id,name\ne,2,b\n")
	c := write(t, dir, "c.csv", "id,name,extra\n3,c,x\n")
	cfg := one("", records.TableConfig{Columns: []records.ColumnConfig{{Field: "dept"}}})
	cfg.Tables[0].Files = []string{dir + "/*.csv", a}
	rows, s, err := read(t, cfg, records.Options{})
	want := []string{`1 dept="d" other=map["name":["a"]]`, `2 dept="e" other=map["name":["b"]]`, `3 problems=["dept"] other=map["extra":["x"] "name":["c"]]`}
	if diff := cmp.Diff(want, rows); diff != "" || err != nil {
		t.Errorf("%v, rows (-want +got):\n%s", err, diff)
	}
	wantWarnings := []string{
		"table people: " + b + ": has its fields in another order than " + a + ": they were taken by their names",
		"table people: " + c + ": has no dept, which " + a + " has",
		"table people: " + c + ": has extra, which " + a + " does not have",
		"table people: " + c + " has no dept: rows of it are rejected by rules that read that column",
	}
	if diff := cmp.Diff(wantWarnings, s.Warnings()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, text, want string
		table            records.TableConfig
	}{
		{"key not in the header", "id;name\n1;a\n", "people.csv:1: attribute id: the key is not in the header, which names 1 fields (check the delimiter", records.TableConfig{}},
		{"near", "ID,name\n1,a\n", "did you mean ID?", records.TableConfig{}},
		{"column nowhere", "id,Name\n1,a\n", "attribute name: table people: a column of the configuration that no file has (correct its name, or make it optional: did you mean Name?)", records.TableConfig{Columns: []records.ColumnConfig{{Field: "name"}}}},
		{"twice", "id,name,name\n1,a,b\n", "names this field twice", records.TableConfig{}},
		{"header alone", "id,name\n", "has no rows", records.TableConfig{}},
		{"header can't be read", "id,na\"me\n1,2\n", "the header can't be read: a quote inside", records.TableConfig{}},
		{"zip", "PK\x03\x04abc", "is a zip archive", records.TableConfig{}},
		{"secret key", "id\n1\n", "is a secret", records.TableConfig{Key: []string{"userPassword"}}},
		{"secret in the clear", "id\n1\n", "declare its type as secrets", records.TableConfig{Columns: []records.ColumnConfig{{Field: "userPassword"}}}},
		{"bad name", "id\n1\n", "give it another with as", records.TableConfig{Columns: []records.ColumnConfig{{Field: "Full Name"}}}},
		{"taken name", "id\n1\n", "the name is taken", records.TableConfig{Columns: []records.ColumnConfig{{Field: "other"}}}},
		{"bad layout", "id\n1\n", "has no year", records.TableConfig{Columns: []records.ColumnConfig{{Field: "t", Type: "timestamp", Layouts: []string{"%d.%m.%Y"}}}}},
		{"separator of one value", "id\n1\n", "its type holds one value", records.TableConfig{Columns: []records.ColumnConfig{{Field: "t", Separator: "|"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := read(t, one(write(t, dir, "people.csv", tt.text), tt.table), records.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want ...%s...", err, tt.want)
			}
		})
	}
}

// cutAll takes a text apart with the given steps of available data.
func cutAll(f *format, text []byte, step int) (rows [][]string, bad int) {
	const limit = 1 << 16
	p := f.Parser(0, false)
	have := min(step, len(text))
	for at := 0; at < len(text); {
		cut := f.Cut(text[at:have], have == len(text), limit)
		if cut.N == 0 {
			have = min(have+step, len(text))
			continue
		}
		if cut.Bad != "" {
			bad++
		} else if !cut.Blank {
			fields, _ := p.Parse(text[at : at+cut.N])
			var row []string
			for _, x := range fields {
				row = append(row, string(x.Value))
			}
			rows = append(rows, row)
		}
		at += cut.N
		have = min(max(have, at+step), len(text))
	}
	return rows, bad
}

// What the standard library's strict reader takes, this one takes to the same
// fields; how much of the text is there at a time changes nothing.
func FuzzCut(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "\"a\",\"b\nc\"\r\n1,\"\"\"\"\n", "a,\"b\n", "a\"b,c\n\"a\"b\n", "\r\n\n,\n\"", "\"a\"\r", "a\rb\n"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		fm := &format{delimiter: ',', quote: '"', quotes: true}
		got, bad := cutAll(fm, text, len(text)+1)
		again, badAgain := cutAll(fm, text, int(step)+1)
		if diff := cmp.Diff(got, again); diff != "" || bad != badAgain {
			t.Fatalf("in steps of %d: %d bad, then %d, rows:\n%s", int(step)+1, bad, badAgain, diff)
		}
		r := stdcsv.NewReader(bytes.NewReader(text))
		r.FieldsPerRecord = -1
		want, err := r.ReadAll()
		if err != nil || bytes.Contains(text, []byte{'\r'}) || bad > 0 { // it makes \n of \r\n within quotes
			if err == nil && bad > 0 {
				t.Fatalf("%d bad rows where the standard library has none", bad)
			}
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("rows (-standard +got):\n%s", diff)
		}
	})
}

// go test -run xxx -bench Read ./extract/csv
func BenchmarkRead(b *testing.B) {
	var text bytes.Buffer
	text.WriteString("id,username,email,org,dept,enabled,created,attributes\n")
	const rows = 100_000
	for i := range rows {
		fmt.Fprintf(&text, "%08x-0000-4000-8000-%012x,user%d,user%d@example.org,%d,%d,true,2024-01-02T03:04:05Z,\"{\"\"phone\"\":\"\"+49%d\"\",\"\"title\"\":\"\"Engineer\"\"}\"\n", i, i, i, i, i%500, i%20000, i)
	}
	path := write(b, b.TempDir(), "people.csv", text.String())
	c := one(path, records.TableConfig{Columns: []records.ColumnConfig{{Field: "username"}, {Field: "email"}, {Field: "org", Type: "int"}, {Field: "dept", Type: "int"},
		{Field: "enabled", Type: "bool"}, {Field: "created", Type: "timestamp"}, {Field: "attributes"}}})
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			s, err := Open(c, records.Options{Namespace: "n", Workers: workers})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				if err := s.Read(b.Context(), extract.Limits{}, func(extract.Batch) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
	b.Run("encoding/csv", func(b *testing.B) {
		b.SetBytes(int64(text.Len()))
		for b.Loop() {
			r := stdcsv.NewReader(bytes.NewReader(text.Bytes()))
			r.ReuseRecord = true
			for {
				if _, err := r.Read(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
