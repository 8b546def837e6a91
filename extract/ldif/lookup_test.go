package ldif

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/parallelrun/parallelrun/extract"
)

func get(t *testing.T, s *Source, table string, keys ...string) ([]string, error) {
	t.Helper()
	var found []string
	err := s.Get(t.Context(), table, keys, func(b extract.Batch) error {
		for _, spec := range s.Tables() {
			if spec.Table.Name != b.Table {
				continue
			}
			for i := range int(b.Record.NumRows()) {
				found = append(found, spec.Table.RowAt(b.Record, i).Key)
			}
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}

// Get finds the entries of one table by their keys, in any file, and no others.
func TestGet(t *testing.T) {
	dir := t.TempDir()
	entry := func(class, key string) string {
		return fmt.Sprintf("dn: cn=%s,o=x\nobjectClass: %s\ncn: %s\nentryUUID: %s\n\n", key, class, key, key)
	}
	first := write(t, dir, "a.ldif", entry("person", "p1")+entry("person", "p2")+entry("unit", "u1"))
	second := write(t, dir, "b.ldif", entry("person", "p3")+entry("unit", "p4"))
	s, err := Open(Config{Files: []string{first, second}, Tables: []TableConfig{
		{Name: "people", Key: "entryUUID", Where: Where{ObjectClass: []string{"person"}}},
		{Name: "units", Key: "entryUUID", Where: Where{ObjectClass: []string{"unit"}}},
	}}, Options{Namespace: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Read(t.Context(), extract.Limits{}, func(extract.Batch) error { return nil }); err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(s.Stats())
	got, err := get(t, s, "people", "p1", "p3", "p4", "u1", "p9")
	if err != nil || fmt.Sprint(got) != "[p1 p3]" {
		t.Errorf("got %v, %v", got, err)
	}
	if now := fmt.Sprint(s.Stats()); now != before {
		t.Errorf("stats of the read changed: %s", now)
	}
	if _, err := get(t, s, "nobody", "p1"); err == nil {
		t.Error("a table that is not there is no error")
	}
	// What the files hold now counts, not what they held when they were read.
	if err := os.WriteFile(second, []byte(entry("unit", "p4")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, s, "people", "p3"); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	if err := os.WriteFile(second, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, s, "people", "p3"); !errors.Is(err, extract.ErrEmpty) {
		t.Errorf("an empty file: %v", err)
	}
}
