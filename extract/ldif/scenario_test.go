package ldif

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/internal/ldifwriter"
	"github.com/parallelrun/parallelrun/internal/legacygen"
)

// scenarioConfig declares the generated directory's attributes.
func scenarioConfig(file string) Config {
	class := func(c string) Where { return Where{ObjectClass: []string{c}} }
	var people []ColumnConfig
	for typ, names := range map[string]string{
		"string":    "entryUUID uid cn sn givenName employeeNumber title preferredLanguage description organizationDN departmentRole accountStatus pwdAccountLockedTime",
		"strings":   "mail telephoneNumber departmentDN",
		"binary":    "jpegPhoto",
		"secrets":   "userPassword",
		"timestamp": "pwdChangedTime accountExpires createTimestamp modifyTimestamp",
		"bool":      "pwdReset",
	} {
		for n := range strings.FieldsSeq(names) {
			people = append(people, ColumnConfig{Name: n, Type: typ})
		}
	}
	return Config{Files: []string{file}, Tables: []TableConfig{
		{Name: "organizations", Where: class("legacyOrganization"), Key: "entryUUID"},
		{Name: "units", Where: class("legacyDepartment"), Key: "entryUUID"},
		{Name: "people", Where: class("legacyAccount"), Key: "entryUUID", Columns: people},
		{Name: "groups", Where: class("groupOfNames"), Key: "entryUUID", Columns: []ColumnConfig{{Name: "member", Type: "strings"}}},
	}}
}

func generated(t testing.TB, c legacygen.Config) (string, *legacygen.Counts) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "legacy.ldif")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	counts, err := legacygen.Generate(f, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path, counts
}

// Every entry of the generated directory arrives, nothing misfits, every
// password and every hidden secret is sealed.
func TestScenario(t *testing.T) {
	file, want := generated(t, legacygen.Config{Users: 2000, Rounds: 1, LargePhotos: 3})
	s, err := Open(scenarioConfig(file), Options{Namespace: "ns", Sealer: fakeSealer{map[string]int{}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := readSource(t, s, extract.Limits{Rows: 100})
	if err != nil {
		t.Fatal(err)
	}
	stats := s.Stats()
	for table, n := range want.Tables {
		if stats.Tables[table].Rows != int64(n) || len(got.rows[table]) != n {
			t.Errorf("table %s: %d rows, %d keys, want %d", table, stats.Tables[table].Rows, len(got.rows[table]), n)
		}
		if m := stats.Tables[table].Misfits; len(m) != 0 {
			t.Errorf("table %s: misfits %v", table, m)
		}
	}
	passwords := 0
	for _, n := range want.All.Schemes {
		passwords += n
	}
	people := stats.Tables["people"]
	if people.Sealed["userPassword"] != int64(passwords) || people.SealedByPattern["description"] != int64(want.People[legacygen.HiddenSecret]) || len(people.SealedByPattern) != 1 {
		t.Errorf("sealed %v, by pattern %v: want %d passwords and %d descriptions", people.Sealed, people.SealedByPattern, passwords, want.People[legacygen.HiddenSecret])
	}
	photos, bytes := 0, int64(0)
	for _, row := range got.rows["people"] {
		if p, ok := row["jpegPhoto"].([]byte); ok {
			photos, bytes = photos+1, bytes+int64(len(p))
		}
		if _, ok := row["other"]; ok {
			t.Fatalf("an attribute of %v has no column", row["dn"])
		}
	}
	if photos != want.All.Photos || bytes != want.All.PhotoBytes {
		t.Errorf("%d photos of %d bytes, want %d of %d", photos, bytes, want.All.Photos, want.All.PhotoBytes)
	}
	if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0], "description looks like a secret") {
		t.Errorf("warnings %q", w)
	}
}

// No secret of the generator leaves Read in the clear, in any column.
func TestScenarioLeaksNothing(t *testing.T) {
	c := legacygen.Config{Users: 300, Rounds: 1, LargePhotos: -1}
	file, _ := generated(t, c)
	s, err := Open(scenarioConfig(file), Options{Namespace: "ns", Sealer: fakeSealer{map[string]int{}}})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	err = s.Read(context.Background(), extract.Limits{}, func(b extract.Batch) error {
		fmt.Fprintln(&text, b.Record)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for secret, err := range legacygen.Secrets(c) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String(), secret) {
			t.Fatal("a secret left Read in the clear")
		}
	}
}

// Two Reads at the same time do not disturb each other.
func TestReadsAreIndependent(t *testing.T) {
	file, want := generated(t, legacygen.Config{Users: 300, Rounds: 1})
	s, err := Open(scenarioConfig(file), Options{Namespace: "ns", Sealer: constantSealer{}})
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			n := int64(0)
			err := s.Read(context.Background(), extract.Limits{Rows: 50}, func(b extract.Batch) error { n += b.Record.NumRows(); return nil })
			if err == nil && n != int64(want.Entries) {
				err = fmt.Errorf("%d rows, want %d", n, want.Entries)
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// Photos of a megabyte pass one after the other, not all at once.
func TestReadIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "photos.ldif")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := ldifwriter.New(f)
	photo := bytes.Repeat([]byte{0xff, 0xd8}, 512<<10)
	for i := range 60 {
		w.Begin(fmt.Sprintf("uid=u%d,dc=x", i))
		w.Value("objectClass", []byte("legacyAccount"))
		w.Value("entryUUID", fmt.Append(nil, i))
		w.Value("jpegPhoto", photo)
		w.End()
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(scenarioConfig(path), Options{Namespace: "ns"})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	err = s.Read(context.Background(), extract.Limits{}, func(extract.Batch) error {
		runtime.GC()
		runtime.ReadMemStats(&now)
		peak = max(peak, now.HeapAlloc)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if grown := int64(peak) - int64(before.HeapAlloc); grown > 24<<20 {
		t.Errorf("%d bytes in use while 60 MiB of photos passed", grown)
	}
}

// The Planet Express directory: every attribute of every entry arrives.
func TestPlanetExpress(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "planetexpress")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the Planet Express data is not here: " + dir)
	}
	c := Config{Files: []string{filepath.Join(dir, "*.ldif")}, Tables: []TableConfig{
		{Name: "people", Where: Where{ObjectClass: []string{"inetOrgPerson"}}, Key: "uid", Columns: []ColumnConfig{
			{Name: "uid"}, {Name: "cn", Type: "strings"}, {Name: "sn"}, {Name: "mail", Type: "strings"}, {Name: "ou", Type: "strings"},
			{Name: "jpegPhoto", Type: "binary"}, {Name: "userPassword", Type: "secrets"}}},
		{Name: "groups", Where: Where{ObjectClass: []string{"group"}}, Key: "dn", KeyCase: "fold", Columns: []ColumnConfig{{Name: "member", Type: "strings"}}},
	}}
	s, err := Open(c, Options{Namespace: "planet", Sealer: fakeSealer{map[string]int{}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := readSource(t, s, extract.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for table, rows := range got.rows {
		counts[table] = len(rows)
	}
	if diff := cmp.Diff(map[string]int{"people": 7, "groups": 2, "entries": 1}, counts); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	photos := 0
	for key, row := range got.rows["people"] {
		if p, ok := row["jpegPhoto"].([]byte); ok {
			photos++
			if !bytes.HasPrefix(p, []byte{0xff, 0xd8, 0xff}) || !bytes.HasSuffix(bytes.TrimRight(p, "\x00\n"), []byte{0xff, 0xd9}) {
				t.Errorf("the photo of %s is no whole JPEG", key)
			}
		}
	}
	if photos != 5 || s.Stats().Tables["people"].Sealed["userPassword"] != 7 {
		t.Errorf("%d photos, %+v", photos, s.Stats().Tables["people"])
	}
	if m := s.Stats().Tables["people"].Misfits; len(m) != 0 {
		t.Errorf("misfits %v", m)
	}
}

// go test ./extract/ldif -bench Read -benchtime 1x
func BenchmarkRead(b *testing.B) {
	file, counts := generated(b, legacygen.Config{Users: 10000, Rounds: 1})
	s, err := Open(scenarioConfig(file), Options{Namespace: "ns", Sealer: constantSealer{}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.Read(context.Background(), extract.Limits{}, func(extract.Batch) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(s.Stats().Bytes)
	b.ReportMetric(float64(counts.Entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
