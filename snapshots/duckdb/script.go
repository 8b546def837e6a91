// Package duckdb writes SQL with which DuckDB reads snapshots where they lie:
// a view for each table over its Parquet parts. It runs no SQL and links no
// DuckDB. Start with Script.
package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// ErrLayered: a table is stored as changes upon another, which SQL over its
// parts would take for rows. Compact the snapshot first.
var ErrLayered = errors.New("it is stored in layers")

// ErrPath: the store's path has characters that DuckDB takes for a pattern. Move
// the store.
var ErrPath = errors.New("DuckDB takes *, ? and [ in a path for a pattern")

// Script is SQL that makes the views of one snapshot or several. The zero value
// is empty.
type Script struct {
	b      strings.Builder
	bucket bool
}

// Add makes views of a snapshot's tables, in a schema of their own unless that
// is empty.
func (s *Script) Add(ctx context.Context, store *snapshots.Store, sn *snapshots.Snapshot, schema string) error {
	if len(sn.Layered()) > 0 {
		return ErrLayered
	}
	fmt.Fprintf(&s.b, "\n-- snapshot %s\n", sn.Digest())
	prefix := ""
	if schema != "" {
		prefix = identifier(schema) + "."
		fmt.Fprintf(&s.b, "create schema if not exists %s;\n", identifier(schema))
	}
	for _, name := range sn.Tables() {
		t, _ := sn.Stored(name)
		from, err := s.rows(ctx, store, &t)
		if err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
		fmt.Fprintf(&s.b, "create or replace view %s%s as %s;\n", prefix, identifier(name), from)
	}
	return nil
}

// rows is the query of a table's rows.
func (s *Script) rows(ctx context.Context, store *snapshots.Store, t *parts.Table) (string, error) {
	var files []string
	for _, p := range t.Layers[0].Parts {
		place, err := store.Place(ctx, p.Object)
		if err != nil {
			return "", err
		}
		if strings.ContainsAny(place, "*?[") {
			return "", fmt.Errorf("%s: %w", place, ErrPath)
		}
		s.bucket = s.bucket || strings.HasPrefix(place, "s3://")
		files = append(files, "\n  "+text(place))
	}
	if len(files) == 0 {
		return nothing(t), nil
	}
	return "select * from read_parquet([" + strings.Join(files, ",") + "])", nil
}

// nothing has the columns of a table and no rows: such a table has no parts.
func nothing(t *parts.Table) string {
	columns := []string{"null::BLOB as " + identifier(schemas.RowIDColumn), "null::VARCHAR as " + identifier(schemas.LegacyKeyColumn),
		"null::BLOB as " + identifier(parts.RowDigestColumn)}
	for _, c := range t.Columns {
		columns = append(columns, "null::"+typeOf(c.Type)+" as "+identifier(c.Name))
	}
	columns = append(columns, "null::STRUCT(path VARCHAR, sha256 BLOB, size BIGINT)[] as "+identifier(parts.LargeColumn))
	return "select " + strings.Join(columns, ", ") + " where false"
}

// typeOf is how DuckDB reads a column.
func typeOf(t schemas.Type) string {
	const sealed = "STRUCT(mac BLOB, box BLOB)"
	switch t {
	case schemas.Bool:
		return "BOOLEAN"
	case schemas.Int:
		return "BIGINT"
	case schemas.Timestamp:
		return "TIMESTAMP WITH TIME ZONE"
	case schemas.Binary:
		return "BLOB"
	case schemas.Strings:
		return "VARCHAR[]"
	case schemas.Binaries:
		return "BLOB[]"
	case schemas.StringsMap:
		return "MAP(VARCHAR, VARCHAR[])"
	case schemas.BinariesMap:
		return "MAP(VARCHAR, BLOB[])"
	case schemas.Secret:
		return sealed
	case schemas.Secrets:
		return sealed + "[]"
	case schemas.SecretsMap:
		return "MAP(VARCHAR, " + sealed + "[])"
	}
	return "VARCHAR"
}

// WriteTo writes the script.
func (s *Script) WriteTo(w io.Writer) (int64, error) {
	head := "-- Tables of snapshots as views over their Parquet files, which stay the store's: read them, never write.\n"
	if s.bucket {
		head += "-- They lie in a bucket: DuckDB needs its extension httpfs and a secret of type s3 before it comes here.\n"
	}
	n, err := io.WriteString(w, head+s.b.String())
	return int64(n), err
}

func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
