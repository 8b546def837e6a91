package transform

import (
	"encoding/csv"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

var docFile = regexp.MustCompile("(?s)<!-- file: ([^ ]+) -->\n```[a-z]*\n(.*?)```")

// The worked example of docs/templates.md comes out as the page says.
func TestDocumentedTemplates(t *testing.T) {
	page, err := os.ReadFile("../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, m := range docFile.FindAllStringSubmatch(string(page), -1) {
		files[m[1]] = m[2]
	}
	m := newMemory()
	for _, name := range []string{"firms", "units", "people"} {
		addCSV(t, m, name, files[name])
	}
	mapping, err := loadFiles(files, m)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := runMapping(t, m, mapping, nil)
	for name, got := range map[string][][]string{"departments": departmentRows(out), "memberships": {{"key"}}, "rejects": rejectRows(out)} {
		if name == "memberships" {
			for _, key := range keysOf(out, schemas.Memberships) {
				got = append(got, []string{key})
			}
		}
		if diff := cmp.Diff(readCSV(t, files[name]), got); diff != "" {
			t.Errorf("%s (-page +run):\n%s", name, diff)
		}
	}
	files["holding-staff.json"] = strings.Replace(files["holding-staff.json"], `"maxLength": 5`, `"maxLength": 2`, 1)
	if _, err := loadFiles(files, m); err == nil || err.Error() != strings.TrimSpace(files["refused"]) {
		t.Errorf("refused with:\n%v", err)
	}
}

func readCSV(t *testing.T, text string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%v in %q", err, text)
	}
	return rows
}

// addCSV makes a legacy table of texts; the first column is the key.
func addCSV(t *testing.T, m *memory, name, text string) {
	t.Helper()
	rows := readCSV(t, text)
	var columns []string
	for _, c := range rows[0][1:] {
		columns = append(columns, c+":string")
	}
	table := legacyTable(name, columns...)
	m.names, m.tables[name] = append(m.names, name), &table
	for _, row := range rows[1:] {
		c := cells{}
		for i, v := range row[1:] {
			c[rows[0][i+1]] = v
		}
		m.add(name, row[0], c)
	}
}

func departmentRows(out *collector) [][]string {
	rows := [][]string{{"key", "path", "realm_roles", "costCenter", "sap", "template"}}
	table := tableOf(schemas.Departments)
	for _, key := range keysOf(out, schemas.Departments) {
		values := out.byKey(schemas.Departments)[key].Values
		cell := func(column, name string) string {
			switch v := values[table.Column(column)].(type) {
			case string:
				return v
			case []string:
				return strings.Join(slices.Sorted(slices.Values(v)), " ")
			case map[string][]string:
				return strings.Join(v[name], " ")
			}
			return ""
		}
		rows = append(rows, []string{key, cell("path", ""), cell("realm_roles", ""), cell("attributes", "costCenter"), cell("external_ids", "sap"), cell("template", "")})
	}
	return rows
}

func rejectRows(out *collector) [][]string {
	var rows [][]string
	for _, entity := range schemas.LoadOrder {
		for key, r := range out.byKey(schemas.RejectedTable(entity)) {
			rows = append(rows, []string{entity, key, strings.Join(r.Values[1].([]string), " "), strings.Join(r.Values[3].([]string), "; ")})
		}
	}
	slices.SortFunc(rows, slices.Compare)
	return append([][]string{{"entity", "key", "rules", "messages"}}, rows...)
}
