"""Run the script that `snapshots export --duckdb` printed, in DuckDB, and compare a view's rows with
what the tool prints: views.py SCRIPT VIEW ROWS.jsonl TABLE"""

import sys

from engine import connect
from printed import expected, printed, same

SECRETS, MAPS, CLEAR = {"password", "tokens", "other_sealed"}, {"labels", "other"}, b"correct horse"


def main(script, view, jsonl, table):
    connection = connect()
    with open(script, encoding="utf-8") as f:
        connection.execute(f.read())
    rows = connection.execute("select * from " + view).to_arrow_table().to_pylist()
    got, boxes = printed(rows, SECRETS, MAPS, CLEAR)
    same(got, expected(jsonl, table))
    print("%d rows, %d sealed" % (len(rows), boxes), file=sys.stderr)
    for name, kind, *_ in connection.execute("describe " + view).fetchall():
        print("%s: %s" % (name, kind))


main(*sys.argv[1:])
