package records

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/files"
	"github.com/parallelrun/parallelrun/extract/secrets"
	"github.com/parallelrun/parallelrun/schemas"
)

// ProblemsColumn names, per row, the columns whose values did not fit their
// type and stand in the other column instead, or that the row's file does not
// have; null for nearly all rows. A mapping that decides by such a column must
// not take its null for an absence.
const ProblemsColumn = "problems"

// RowField is the name in the other_sealed column under which an unread row
// keeps the record's text, where there is a key to seal it with.
const RowField = "row"

// Config says what to read and how records become rows. Its errors name the
// table and column; positions in a configuration file are its reader's to add.
type Config struct {
	Tables []TableConfig
	// SecretFields are sealed in every table, beside those that are known by
	// name.
	SecretFields []string
	// Encoding of the files; empty: UTF-8, or what a byte order mark says.
	Encoding string
	// MaxRow bounds a record in bytes; zero: 16 MiB.
	MaxRow int
}

// TableConfig is one table and the files that it takes.
type TableConfig struct {
	Name string
	// Files are paths or globs, read in this order; those that one glob matches
	// in the order of their names.
	Files []string
	// Key names the fields that identify a row for good. Several are joined with
	// slashes; a slash within one is written ~/, a tilde ~~.
	Key []string
	// KeyCase is "exact" (or empty) or "fold": keys that differ in case alone
	// are one key.
	KeyCase string
	Columns []ColumnConfig
	// Ignore names fields that are dropped. Nothing else is.
	Ignore []string
	// Header names the fields of files that do not do so themselves.
	Header []string
	// Flatten makes fields of the members of nested objects, with dots between
	// the names. Without it an object is one value.
	Flatten bool
}

// ColumnConfig declares one field. Type is one of string (or empty), strings,
// binary, binaries, bool, int, timestamp, secrets.
type ColumnConfig struct {
	Field string
	// As is the column's name; empty: the field's.
	As   string
	Type string
	// Optional: files may lack the field, which is null then. Else a field that no
	// file has is an error, and one that some lack a problem of their rows.
	Optional bool
	// Separator splits a value into several; empty: a field holds one, save
	// where the format has lists.
	Separator string
	// Layouts of a timestamp: Go's reference time ("02.01.2006 15:04"), or rfc3339
	// (the default), date, unix, unixMilli, unixMicro. The first that fits counts.
	Layouts []string
	// Zone of timestamps whose layout has none; empty: UTC.
	Zone string
	// Encoding of binary values: base64 (or empty), base64url, hex.
	Encoding string
	// True and False are the words for a bool, whatever their case; empty: true
	// and false.
	True, False []string
}

// Options are what a source needs from its surroundings.
type Options struct {
	// Namespace of the source, part of every row id; never changes.
	Namespace string
	// Sealer seals secrets; without one the first secret met is an error.
	Sealer extract.Sealer
	// Workers is how many chunks of a file are read at once; zero: one per core.
	Workers int
}

// DefaultMaxRow is the MaxRow of a Config that has none.
const DefaultMaxRow = 16 << 20

// Declare returns the tables that a configuration makes, without looking at its
// files: enough to check a mapping by. Its error says everything that is wrong.
func (c *Config) Declare() ([]extract.TableSpec, error) {
	tables, err := compile(c)
	if err != nil {
		return nil, err
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

func compile(c *Config) ([]*table, error) {
	errs := []error{files.CheckEncoding(c.Encoding)}
	if len(c.Tables) == 0 {
		errs = append(errs, errors.New("no tables: name at least one, with its files and a key"))
	}
	secret := c.secretNames()
	var tables []*table
	seen := map[string]bool{}
	for _, tc := range c.Tables {
		t, err := compileTable(tc, secret)
		if err != nil {
			err = fmt.Errorf("table %s: %w", tc.Name, err)
		} else if seen[tc.Name] {
			err = fmt.Errorf("table %s: configured twice: rename one", tc.Name)
		}
		errs = append(errs, err)
		seen[tc.Name] = true
		tables = append(tables, t)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return tables, nil
}

// secretNames are the fields that the configuration calls secret, in lower
// case: one that is a secret in one table is so in all.
func (c *Config) secretNames() map[string]bool {
	secret := map[string]bool{}
	for _, f := range c.SecretFields {
		secret[strings.ToLower(f)] = true
	}
	for _, t := range c.Tables {
		for _, col := range t.Columns {
			if extract.MeansSecret(col.Type) {
				secret[strings.ToLower(col.Field)] = true
			}
		}
	}
	return secret
}

// mutableKeys are fields that change when a person or a name does.
var mutableKeys = map[string]bool{"uid": true, "username": true, "user_name": true, "login": true, "cn": true, "mail": true, "email": true, "e-mail": true,
	"name": true, "displayname": true, "upn": true, "userprincipalname": true, "samaccountname": true}

func compileTable(tc TableConfig, secret map[string]bool) (*table, error) {
	switch {
	case tc.Name == "":
		return nil, errors.New("the name is empty: choose one")
	case len(tc.Key) == 0:
		return nil, errors.New("no key: name the field that never changes, such as employee_id")
	case tc.KeyCase != "" && tc.KeyCase != "exact" && tc.KeyCase != "fold":
		return nil, fmt.Errorf("key case %q: write exact or fold", tc.KeyCase)
	}
	t := &table{config: tc, fold: tc.KeyCase == "fold", secret: secret, ignored: map[string]bool{}, columns: map[string]*column{}}
	for _, f := range tc.Ignore {
		t.ignored[f] = true
	}
	mutable := false
	for _, k := range tc.Key {
		switch {
		case k == "":
			return nil, errors.New("a field of the key has no name")
		case t.isSecret(k):
			return nil, fmt.Errorf("key %s is a secret: name another field", k)
		case t.ignored[k]:
			return nil, fmt.Errorf("key %s is ignored: take it out of ignore", k)
		}
		mutable = mutable || mutableKeys[strings.ToLower(k)]
	}
	cols, err := t.declare(withKey(tc))
	if err != nil {
		return nil, err
	}
	shape, err := schemas.NewLegacyTable(tc.Name, cols)
	if err != nil {
		return nil, err
	}
	t.spec = extract.TableSpec{Table: shape, Key: strings.Join(tc.Key, "/"), KeyMutable: mutable}
	t.problems, t.unread = shape.Column(ProblemsColumn), shape.Column(schemas.UnreadColumn)
	t.other, t.otherSealed = shape.Column(schemas.OtherColumn), shape.Column(schemas.OtherSealedColumn)
	return t, nil
}

// withKey declares the fields of the key where the configuration does not:
// rules refer to rows by them.
func withKey(tc TableConfig) []ColumnConfig {
	var out []ColumnConfig
	for _, k := range tc.Key {
		if !slices.ContainsFunc(tc.Columns, func(c ColumnConfig) bool { return c.Field == k }) {
			out = append(out, ColumnConfig{Field: k})
		}
	}
	return append(out, tc.Columns...)
}

// columnName keeps names that rules of a mapping can write.
var columnName = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.;-]*$`)

var reserved = map[string]bool{ProblemsColumn: true, schemas.UnreadColumn: true, schemas.OtherColumn: true, schemas.OtherSealedColumn: true,
	schemas.RowIDColumn: true, schemas.LegacyKeyColumn: true}

func (t *table) declare(declared []ColumnConfig) ([]schemas.Column, error) {
	var cols []schemas.Column
	seen := map[string]bool{}
	for _, cc := range declared {
		c, err := t.column(cc, len(cols))
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", cc.Field, err)
		}
		low := strings.ToLower(c.name)
		if t.columns[cc.Field] != nil || seen[low] {
			return nil, fmt.Errorf("column %s: declared twice: rename one with as", cc.Field)
		}
		seen[low], t.columns[cc.Field] = true, c
		t.declared = append(t.declared, c)
		cols = append(cols, schemas.Column{Name: c.name, Type: c.typ})
	}
	return append(cols,
		schemas.Column{Name: ProblemsColumn, Type: schemas.Strings, Doc: "columns whose value did not fit, or that the file does not have"},
		schemas.Column{Name: schemas.UnreadColumn, Type: schemas.String, Doc: "why the row could not be read"}), nil
}

func (t *table) column(cc ColumnConfig, at int) (*column, error) {
	c := &column{field: cc.Field, name: cc.As, at: at, optional: cc.Optional, separator: cc.Separator, zone: time.UTC}
	if c.name == "" {
		c.name = cc.Field
	}
	var err error
	if c.typ, err = extract.ColumnType(cc.Type); err != nil {
		return nil, err
	}
	switch low := strings.ToLower(c.name); {
	case cc.Field == "":
		return nil, errors.New("has no field: name one")
	case !columnName.MatchString(c.name):
		return nil, fmt.Errorf("%q can't be a column's name: give it another with as, of letters, digits, dots, dashes and underscores", c.name)
	case reserved[low]:
		return nil, errors.New("the name is taken: give it another with as")
	case t.ignored[cc.Field]:
		return nil, errors.New("is ignored as well: do one of the two")
	case !c.typ.IsSecret() && (t.isSecret(cc.Field) || secrets.Named(c.name)):
		return nil, errors.New("holds secrets: declare its type as secrets")
	}
	if err := c.values(cc); err != nil {
		return nil, err
	}
	return c, nil
}

// values checks what says how values are written.
func (c *column) values(cc ColumnConfig) (err error) {
	is := func(types ...schemas.Type) bool {
		for _, t := range types {
			if c.typ == t {
				return true
			}
		}
		return false
	}
	switch {
	case cc.Separator != "" && !is(schemas.Strings, schemas.Binaries, schemas.Secrets):
		return errors.New("has a separator, but its type holds one value: make it strings, binaries or secrets")
	case (len(cc.Layouts) > 0 || cc.Zone != "") && !is(schemas.Timestamp):
		return errors.New("has a layout or zone, but is no timestamp")
	case cc.Encoding != "" && !is(schemas.Binary, schemas.Binaries):
		return errors.New("has an encoding, but is not binary")
	case len(cc.True)+len(cc.False) > 0 && !is(schemas.Bool):
		return errors.New("has words for true and false, but is no bool")
	case (len(cc.True) == 0) != (len(cc.False) == 0):
		return errors.New("has words for one of true and false: name both")
	}
	if c.decode = decoders[cc.Encoding]; c.decode == nil {
		return fmt.Errorf("encoding %q: use base64, base64url or hex", cc.Encoding)
	}
	if c.zone, err = time.LoadLocation(cc.Zone); err != nil {
		return fmt.Errorf("zone %q is not known: write a name such as Europe/Berlin", cc.Zone)
	}
	if c.layouts, err = parseLayouts(cc.Layouts); err != nil {
		return err
	}
	c.words = map[string]bool{"true": true, "false": false}
	if len(cc.True) > 0 {
		c.words = map[string]bool{}
		for _, w := range cc.True {
			c.words[strings.ToLower(w)] = true
		}
		for _, w := range cc.False {
			if c.words[strings.ToLower(w)] {
				return fmt.Errorf("%q means both true and false", w)
			}
			c.words[strings.ToLower(w)] = false
		}
	}
	return nil
}
