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

// changedRows writes what differs, the new rows in full and the row hashes of
// the old ones. Finding them by id and hash alone first, and then fetching the
// rest of their columns, is the faster of the ways to say it.
func changedRows(a, b, out string) []string {
	own := "b." + strings.Join(columns[1:], ", b.")
	return []string{
		fmt.Sprintf(`CREATE TEMP TABLE changed AS SELECT coalesce(b.id, a.id) AS id, CASE WHEN a.id IS NULL THEN 'insert' WHEN b.id IS NULL THEN 'delete' ELSE 'update' END AS change,
a.row_hash AS old_hash, b.row_hash AS new_hash FROM (SELECT id, row_hash FROM '%s') a FULL OUTER JOIN (SELECT id, row_hash FROM '%s') b ON a.id = b.id WHERE a.row_hash IS DISTINCT FROM b.row_hash`, a, b),
		fmt.Sprintf("COPY (SELECT changed.*, %s FROM changed LEFT JOIN '%s' b ON b.id = changed.id) TO '%s' (FORMAT parquet, COMPRESSION zstd)", own, b, out),
	}
}

// sameRows counts the kinds of changes in a file of the tool's, and its rows that
// stand in one of DuckDB's with all their columns.
func sameRows(tool, duck string) string {
	var same []string
	for _, c := range columns[1:] {
		same = append(same, fmt.Sprintf("t.%s = d.%s", c, c))
	}
	return fmt.Sprintf(`SELECT count(*) FILTER (t.change = 'update' AND old_digest IS NOT NULL AND new_digest IS NOT NULL), count(*) FILTER (t.change = 'delete' AND new_digest IS NULL),
count(*) FILTER (t.change = 'insert' AND old_digest IS NULL), count(*) FILTER (t.change = d.change AND %s) FROM '%s' t LEFT JOIN '%s' d ON t.legacy_key = d.id`, strings.Join(same, " AND "), tool, duck)
}
