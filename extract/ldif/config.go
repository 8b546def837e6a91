package ldif

import (
	"errors"
	"fmt"
	"strings"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/secrets"
	"github.com/parallelrun/parallelrun/internal/dn"
	"github.com/parallelrun/parallelrun/schemas"
)

// Columns that every table of an LDIF source has.
const (
	DNColumn          = "dn"
	ObjectClassColumn = "objectClass"
	// ProblemsColumn names, per row, the attributes whose values did not fit
	// their column and stand in the other column instead; null for nearly all
	// rows. A mapping that decides by such an attribute must not take its null
	// for an absence.
	ProblemsColumn = "problems"
)

// CatchAll is the table of entries that no configured table takes.
const CatchAll = "entries"

// Config says what to read and how entries become rows. Its errors name the
// table and column; positions in a configuration file are its reader's to add.
type Config struct {
	// Files are paths or globs, read in this order; those that one glob matches
	// in the order of their names.
	Files  []string
	Tables []TableConfig
	// SecretAttributes are sealed in every table, beside those that are known
	// by name.
	SecretAttributes []string
	// MaxLineBytes bounds a logical line; zero: 16 MiB.
	MaxLineBytes int
	// MaxEntryBytes bounds an entry; zero: 128 MiB.
	MaxEntryBytes int
}

// TableConfig is one table. An entry goes to the first table whose condition
// it meets.
type TableConfig struct {
	Name  string
	Where Where
	// Key is the attribute that identifies a row for good ("entryUUID"), or
	// "dn".
	Key string
	// KeyCase is "exact" (or empty) or "fold": keys that differ in case alone,
	// for DNs in spelling alone, are one key.
	KeyCase string
	// OnMissingKey is "error" (or empty), or "entries": an entry without the key
	// attribute goes to the catch-all table.
	OnMissingKey string
	Columns      []ColumnConfig
}

// Where is a condition on an entry; parts that are empty always hold.
type Where struct {
	ObjectClass []string // any of these
	Under       string   // DN of the entry itself or of one above it
	RDN         string   // attribute of the entry's own RDN, such as "uid"
}

// ColumnConfig declares one attribute. Type is one of string (or empty),
// strings, binary, binaries, bool, int, timestamp, secrets; Secret makes it
// secrets whatever Type says.
type ColumnConfig struct {
	Name   string
	Type   string
	Secret bool
}

// Options are what a source needs from its surroundings.
type Options struct {
	// Namespace of the source, part of every row id; never changes.
	Namespace string
	// Sealer seals secrets; without one the first secret met is an error.
	Sealer extract.Sealer
}

// Declare returns the tables that a configuration makes, without looking at its
// files: enough to check a mapping by. Its error says everything that is wrong.
func (c *Config) Declare() ([]extract.TableSpec, error) {
	tables, err := compile(c)
	if err != nil {
		return nil, fmt.Errorf("ldif: %w", err)
	}
	return specs(tables), nil
}

func specs(tables []*table) []extract.TableSpec {
	out := make([]extract.TableSpec, len(tables))
	for i, t := range tables {
		out[i] = t.spec
	}
	return out
}

// compile makes the tables that Read fills, the catch-all last.
func compile(c *Config) ([]*table, error) {
	if len(c.Tables) == 0 {
		return nil, errors.New("no tables: name at least one, with a key")
	}
	secret := c.secretNames()
	var errs []error
	var tables []*table
	seen := map[string]bool{}
	for _, tc := range c.Tables {
		t, err := compileTable(tc, secret)
		if err == nil && seen[tc.Name] {
			err = fmt.Errorf("table %s: configured twice: rename one", tc.Name)
		}
		errs = append(errs, err)
		seen[tc.Name] = true
		tables = append(tables, t)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	all, err := catchAll(tables, secret)
	return append(tables, all), err
}

// secretNames are the attributes that the configuration calls secret, in lower
// case: one that is a secret in one table is so in all.
func (c *Config) secretNames() map[string]bool {
	secret := map[string]bool{}
	for _, a := range c.SecretAttributes {
		secret[strings.ToLower(a)] = true
	}
	for _, t := range c.Tables {
		for _, col := range t.Columns {
			if col.Secret || extract.MeansSecret(col.Type) {
				secret[strings.ToLower(col.Name)] = true
			}
		}
	}
	return secret
}

func compileTable(tc TableConfig, secret map[string]bool) (*table, error) {
	fail := func(format string, args ...any) (*table, error) {
		return nil, fmt.Errorf("table %s: %w", tc.Name, fmt.Errorf(format, args...))
	}
	switch {
	case tc.Name == "" || tc.Name == CatchAll:
		return nil, fmt.Errorf("table %q: the name is empty or the catch-all's: choose another", tc.Name)
	case tc.Key == "":
		return fail("no key: name the attribute that never changes, such as entryUUID")
	case secrets.Named(tc.Key) || secret[strings.ToLower(tc.Key)]:
		return fail("key %s is a secret: name another attribute", tc.Key)
	case tc.KeyCase != "" && tc.KeyCase != "exact" && tc.KeyCase != "fold":
		return fail("key case %q: write exact or fold", tc.KeyCase)
	case tc.OnMissingKey != "" && tc.OnMissingKey != "error" && tc.OnMissingKey != CatchAll:
		return fail("missing key %q: write error or entries", tc.OnMissingKey)
	}
	t := &table{where: tc.Where, secret: secret, keys: []string{strings.ToLower(tc.Key)}, fold: tc.KeyCase == "fold", strayKeyless: tc.OnMissingKey == CatchAll}
	if tc.Where.Under != "" {
		under, err := dn.Parse(tc.Where.Under)
		if err != nil {
			return fail("condition under: %w", err)
		}
		t.under = under
	}
	cols, err := columns(tc.Columns, secret)
	if err != nil {
		return fail("%w", err)
	}
	err = t.shape(tc.Name, tc.Key, cols)
	return t, err
}

// columns puts the columns that every table has before the declared ones.
func columns(declared []ColumnConfig, secret map[string]bool) ([]schemas.Column, error) {
	cols := []schemas.Column{{Name: DNColumn, Type: schemas.String}, {Name: ObjectClassColumn, Type: schemas.Strings}}
	seen := map[string]bool{"dn": true, "objectclass": true}
	for _, cc := range declared {
		typ, err := extract.ColumnType(cc.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", cc.Name, err)
		}
		low := strings.ToLower(cc.Name)
		if low == "dn" && typ == schemas.String || low == "objectclass" && typ == schemas.Strings {
			continue // there anyway
		}
		if cc.Secret {
			typ = schemas.Secrets
		}
		if err := checkColumn(cc.Name, typ, seen, secret); err != nil {
			return nil, err
		}
		seen[low] = true
		cols = append(cols, schemas.Column{Name: cc.Name, Type: typ})
	}
	return append(cols, schemas.Column{Name: ProblemsColumn, Type: schemas.Strings, Doc: "attributes that did not fit their column"}), nil
}

func checkColumn(name string, typ schemas.Type, seen, secret map[string]bool) error {
	low := strings.ToLower(name)
	switch {
	case !validName([]byte(name)):
		return fmt.Errorf("column %q: no attribute name", name)
	case seen[low]:
		return fmt.Errorf("column %s: declared twice, or with another type than it always has: remove it", name)
	case low == ProblemsColumn || low == schemas.UnreadColumn || low == schemas.OtherColumn || low == schemas.OtherSealedColumn || low == schemas.RowIDColumn || low == schemas.LegacyKeyColumn:
		return fmt.Errorf("column %s: the name is taken: leave the attribute to the other column", name)
	case !typ.IsSecret() && (secrets.Named(name) || secret[low]):
		return fmt.Errorf("column %s: holds secrets: declare its type as secrets", name)
	}
	return nil
}

// catchAll makes the table for what no other takes. Its rows are known by the
// first of the other tables' keys that they have, else by their dn.
func catchAll(tables []*table, secret map[string]bool) (*table, error) {
	t := &table{strayKeyless: true, secret: secret}
	for _, o := range tables {
		t.keys = append(t.keys, o.keys...)
	}
	t.keys = append(t.keys, DNColumn)
	cols, err := columns(nil, secret)
	if err != nil {
		return nil, err
	}
	err = t.shape(CatchAll, tables[0].spec.Key, cols)
	return t, err
}

// mutableKeys are attributes that change when a person or a name does.
var mutableKeys = map[string]bool{"dn": true, "uid": true, "cn": true, "mail": true, "samaccountname": true, "userprincipalname": true, "sn": true, "displayname": true}

// shape fills in the table's specification.
func (t *table) shape(name, key string, cols []schemas.Column) error {
	tab, err := schemas.NewLegacyTable(name, cols)
	if err != nil {
		return fmt.Errorf("ldif: %w", err)
	}
	t.spec = extract.TableSpec{Table: tab, Key: key, KeyMutable: mutableKeys[strings.ToLower(key)]}
	t.columns = make(map[string]int, len(tab.Columns))
	for i, c := range cols {
		if c.Name != DNColumn && c.Name != ProblemsColumn {
			t.columns[strings.ToLower(c.Name)] = i
		}
	}
	t.problems = tab.Column(ProblemsColumn)
	t.other, t.otherSealed = tab.Column(schemas.OtherColumn), tab.Column(schemas.OtherSealedColumn)
	return nil
}
