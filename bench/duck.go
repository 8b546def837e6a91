package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
)

// duck runs statements in DuckDB, in this process, with so many threads, and
// prints how long they took and what the last one yields.
func duck(threads string, statements ...string) error {
	db, err := sql.Open("duckdb", "?threads="+threads)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := db.Ping(); err != nil {
		return err
	}
	start := time.Now()
	var answer []any
	for _, s := range statements {
		if answer, err = query(db, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"seconds": time.Since(start).Seconds(), "answer": answer})
}

// query is the first row that a statement yields.
func query(db *sql.DB, s string) ([]any, error) {
	rows, err := db.Query(s)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	out := make([]any, len(names))
	to := make([]any, len(names))
	for i := range out {
		to[i] = &out[i]
	}
	if rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
	}
	return out, rows.Err()
}

// csvTypes are the columns' types for DuckDB, which then need not guess.
const csvTypes = "{'id':'VARCHAR','username':'VARCHAR','email':'VARCHAR','org_id':'BIGINT','dept_id':'BIGINT','enabled':'BOOLEAN','created_at':'TIMESTAMPTZ','attributes':'VARCHAR','verifier':'VARCHAR'}"

func fromCSV(file string) string {
	return fmt.Sprintf("read_csv('%s', header=true, columns=%s)", file, csvTypes)
}

// toParquet writes a night as plain Parquet.
func toParquet(csv, parquet string) string {
	return fmt.Sprintf("COPY (SELECT * FROM %s) TO '%s' (FORMAT parquet, COMPRESSION zstd)", fromCSV(csv), parquet)
}

// toSorted writes a night as a snapshot is: sorted, each row with a digest of all
// its columns. DuckDB's own hash of 64 bits is its cheapest; the tool's is
// SHA-256.
func toSorted(csv, parquet string) string {
	return fmt.Sprintf("COPY (SELECT *, hash(%s) AS row_hash FROM %s ORDER BY id) TO '%s' (FORMAT parquet, COMPRESSION zstd)",
		strings.Join(columns, ", "), fromCSV(csv), parquet)
}

// join counts what differs by a join of ids and row hashes.
func join(a, b string) string {
	return fmt.Sprintf(`SELECT count(*) FILTER (a.id IS NOT NULL AND b.id IS NOT NULL AND a.row_hash <> b.row_hash), count(*) FILTER (b.id IS NULL), count(*) FILTER (a.id IS NULL)
FROM (SELECT id, row_hash FROM '%s') a FULL OUTER JOIN (SELECT id, row_hash FROM '%s') b ON a.id = b.id`, a, b)
}

// except counts the rows that one side has and the other has not, by all
// columns.
func except(a, b string) string {
	return fmt.Sprintf("SELECT (SELECT count(*) FROM (FROM '%s' EXCEPT FROM '%s')), (SELECT count(*) FROM (FROM '%s' EXCEPT FROM '%s'))", a, b, b, a)
}
