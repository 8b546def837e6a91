package jsonl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/records"
	"github.com/parallelrun/parallelrun/extract/sourcetest"
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
			var b bytes.Buffer
			for _, p := range part {
				row := map[string]any{"id": p.ID, "name": p.Name, "mail": p.Mail}
				if p.Password != "" {
					row["password"] = p.Password
				}
				if err := json.NewEncoder(&b).Encode(row); err != nil {
					t.Fatal(err)
				}
			}
			write(t, dir, fmt.Sprintf("people-%d.jsonl", i), b.String())
		}
		return Open(Config{records.Config{Tables: []records.TableConfig{{Name: "people", Files: []string{dir + "/people-*.jsonl"}, Key: []string{"id"},
			Columns: []records.ColumnConfig{{Field: "name"}, {Field: "mail", Type: "strings"}, {Field: "password", Type: "secrets"}}}}}},
			records.Options{Namespace: sourcetest.Namespace, Sealer: sealer, Workers: 3})
	})
}

func read(t *testing.T, table records.TableConfig, texts ...string) (rows []string, s *records.Source) {
	t.Helper()
	dir := t.TempDir()
	table.Name = "people"
	if table.Key == nil {
		table.Key = []string{"id"}
	}
	for i, text := range texts {
		table.Files = append(table.Files, write(t, dir, fmt.Sprintf("p%d.jsonl", i), text))
	}
	s, err := Open(Config{records.Config{Tables: []records.TableConfig{table}, MaxRow: 4096}}, records.Options{Namespace: "n"})
	if err != nil {
		t.Fatal(err)
	}
	shape := s.Tables()[0].Table
	err = s.Read(t.Context(), extract.Limits{}, func(b extract.Batch) error {
		for i := range int(b.Record.NumRows()) {
			row := shape.RowAt(b.Record, i)
			line := row.Key
			if i := shape.Column("id"); i >= 0 && row.Values[i] == row.Key {
				row.Values[i] = nil // as in most tests
			}
			for j, v := range row.Values {
				switch v.(type) {
				case nil:
				case bool, int64:
					line += fmt.Sprintf(" %s=%v", shape.Columns[j].Name, v)
				default:
					line += fmt.Sprintf(" %s=%q", shape.Columns[j].Name, v)
				}
			}
			rows = append(rows, line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows, s
}

func TestRows(t *testing.T) {
	name := []records.ColumnConfig{{Field: "name"}}
	for _, tt := range []struct {
		name, text string
		table      records.TableConfig
		want       []string
	}{
		{"values", `{"id":1,"name":"a\u00fc\n","n":null,"e":"","l":[],"t":true}`, records.TableConfig{Columns: name}, []string{`1 name="aü\n" other=map["e":[""] "l":[] "n":[] "t":["true"]]`}},
		{"numbers keep their digits", `{"id":12345678901234567890123,"x":0.10000000000000000000001,"y":1e400,"z":-0}`, records.TableConfig{},
			[]string{`12345678901234567890123 other=map["x":["0.10000000000000000000001"] "y":["1e400"] "z":["-0"]]`}},
		{"typed", `{"id":"1","i":9007199254740993,"b":false,"l":["x",2,null],"s":"only","f":1.5}`, records.TableConfig{Columns: []records.ColumnConfig{
			{Field: "i", Type: "int"}, {Field: "b", Type: "bool"}, {Field: "l", Type: "strings"}, {Field: "s", Type: "strings"}, {Field: "f", Type: "int"}}},
			[]string{`1 i=9007199254740993 b=false l=["x" "2" "null"] s=["only"] problems=["f"] other=map["f":["1.5"]]`}},
		{"objects are one value, members sorted", `{"id":"1","name":{"z": 1.0, "a":[1, {"b":2,"a":"\u0041"}]},"l":[{"b":1,"a":2},[3, 4]]}`, records.TableConfig{Columns: name},
			[]string{`1 name="{\"a\":[1,{\"a\":\"A\",\"b\":2}],\"z\":1.0}" other=map["l":["{\"a\":2,\"b\":1}" "[3,4]"]]`}},
		{"flattened", `{"id":"1","name":{"first":"A","last":{"x":"B"}},"e":{}}`, records.TableConfig{Flatten: true, Columns: []records.ColumnConfig{{Field: "name.first", As: "givenName"}}},
			[]string{`1 givenName="A" other=map["name.last.x":["B"]]`}},
		{"blank lines, no line break at the end", "\n{\"id\":1}\r\n\n{\"id\":2}", records.TableConfig{}, []string{`1`, `2`}},
		{"several values for one", `{"id":1,"name":["a","b"]}`, records.TableConfig{Columns: name}, []string{`1 problems=["name"] other=map["name":["a" "b"]]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := read(t, tt.table, tt.text)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// A bad line is one row, and says nothing of what stood in it.
func TestBadRows(t *testing.T) {
	for _, tt := range []struct {
		line, want string
		table      records.TableConfig
	}{
		{line: `{"id":2,"hidden":tru}`, want: "no valid JSON at byte 21"},
		{line: `{"id":2,"hidden"`, want: "JSON that ends too early"},
		{line: `[2]`, want: "not a JSON object"},
		{line: `"hidden"`, want: "not a JSON object"},
		{line: `{"id":2}{"id":3}`, want: "more than one JSON value"},
		{line: `{"id":2} hidden`, want: "no valid JSON at byte 10"},
		{line: `{"id":2,"a":1,"a":2}`, want: "a member that stands twice, at byte 15"},
		{line: `{"id":2,"a":{"b":1,"b":2}}`, want: "a member that stands twice, at byte 20"},
		{line: `{"id":2,"a":"` + "\xff" + `"}`, want: "no valid JSON at byte 14"},
		{line: `{"id":2,"a":"\ud800"}`, want: "no valid JSON at byte 14"},
		{line: `{"name":"hidden"}`, want: "the key id is empty"},
		{line: `{"id":null}`, want: "the key id is empty"},
		{line: `{"id":[1]}`, want: "the key id has several values"},
		{line: `{"id":2,"a.b":1,"a":{"b":2}}`, want: "two members that flatten to one name", table: records.TableConfig{Flatten: true}},
		{line: `{"id":2,"a":"` + strings.Repeat("x", 5000) + `"}`, want: "a line longer than 4096 bytes: raise maxRow"},
		{line: `{"id":2,"` + strings.Repeat("x", 1500) + `":1}`, want: "a name of more than 1024 bytes"},
		{line: strings.Repeat("[", 3000), want: "not a JSON object"},
		{line: `{"id":2,"a":` + strings.Repeat("[", 4000), want: "JSON that ends too early"},
	} {
		got, s := read(t, tt.table, "{\"id\":1}\n"+tt.line+"\n{\"id\":3}\n")
		want := []string{"1", "p0.jsonl:2 unread=\"p0.jsonl:2: " + tt.want + "\"", "3"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", tt.line[:min(len(tt.line), 60)], diff)
		}
		if s.Stats().Tables["people"].Unread != 1 {
			t.Errorf("counts: %+v", s.Stats())
		}
	}
}

func TestDrift(t *testing.T) {
	_, s := read(t, records.TableConfig{Columns: []records.ColumnConfig{{Field: "Name", Optional: true}}}, "{\"id\":1,\"name\":2}\n", "{\"id\":2,\"extra\":1}\n")
	got := strings.Join(s.Warnings(), "\n")
	for _, want := range []string{"p1.jsonl: has no name, which ", "p1.jsonl: has extra, which "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

// A declared field that no row has is a mistake, not a null of everybody's.
func TestFieldNowhere(t *testing.T) {
	file := write(t, t.TempDir(), "p.jsonl", "{\"id\":1,\"name\":2}\n")
	s, err := Open(Config{records.Config{Tables: []records.TableConfig{{Name: "people", Key: []string{"id"}, Files: []string{file}, Columns: []records.ColumnConfig{{Field: "Name"}}}}}}, records.Options{Namespace: "n"})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Read(t.Context(), extract.Limits{}, func(extract.Batch) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "attribute Name: table people: a column of the configuration that no file has (correct its name, or make it optional: did you mean name?)") {
		t.Errorf("got %v", err)
	}
}

// What the standard library takes as an object comes apart without a panic and
// with all its members; what it does not take, this reader does not either.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"id":1,"a":[1,{"b":null}],"c":"\u00e9"}`, `{"a":1e5`, `[]`, `{"a":{"b":{"c":1}}}`, `{"a":"\ud83d\ude00"} `, `{}{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, flatten := range []bool{false, true} {
			p := (&format{}).Parser(0, flatten)
			fields, bad := p.Parse(line)
			var want map[string]json.RawMessage
			err := json.Unmarshal(line, &want)
			if err != nil && bad == "" {
				t.Fatalf("taken, where the standard library says %v", err)
			}
			if bad == "" && !flatten && len(fields) != len(want) {
				t.Fatalf("%d fields of %d members", len(fields), len(want))
			}
			if bad != "" {
				continue
			}
			first := fmt.Sprintf("%q", fields)
			again, _ := p.Parse(line)
			if fmt.Sprintf("%q", again) != first {
				t.Fatalf("read again: %q, at first %s", again, first)
			}
			for _, x := range fields {
				if m, ok := want[x.Name]; ok && x.Kind == records.One && len(m) > 0 && (m[0] == '-' || m[0] >= '0' && m[0] <= '9') && !bytes.Equal(m, x.Value) {
					t.Fatalf("number %s became %s", m, x.Value)
				}
			}
		}
	})
}
