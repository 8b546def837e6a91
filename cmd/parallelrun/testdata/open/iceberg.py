"""Read an exported Iceberg table with PyIceberg, and with DuckDB's own reader, and compare its rows
with what the tool prints.

    iceberg.py FOLDER                                 print the schema, the history and the tags
    iceberg.py FOLDER TABLE {VERSION ROWS.jsonl}...   compare; a VERSION is a tag, or main"""

import os
import sys

from pyiceberg.expressions import EqualTo
from pyiceberg.table import StaticTable

from engine import connect
from printed import expected, printed, same

SECRETS, MAPS, CLEAR = {"password", "tokens", "other_sealed"}, {"labels", "other"}, b"correct horse"


def current(folder):
    """The table of the metadata file that the hint names, as every reader finds it."""
    with open(os.path.join(folder, "metadata", "version-hint.text"), encoding="utf-8") as f:
        path = os.path.join(folder, "metadata", "v%s.metadata.json" % f.read().strip())
    return StaticTable.from_metadata(path, {"s3.endpoint": os.environ.get("AWS_ENDPOINT_URL", "")})


def by_duckdb(folder, at):
    return connect().execute("select * from iceberg_scan(?%s)" % at, [folder]).to_arrow_table().to_pylist()


def compare(folder, table, version, jsonl):
    t = current(folder)
    assert t.properties["gc.enabled"] == "false"
    snapshot = t.snapshot_by_name(version)
    want = expected(jsonl, table)
    assert snapshot.summary["total-records"] == str(len(want)), snapshot.summary
    scan = t.scan(snapshot_id=snapshot.snapshot_id)
    assert sum(task.file.record_count for task in scan.plan_files()) == len(want)
    rows = scan.to_arrow().to_pylist()
    for row in rows:  # PyIceberg 0.12 makes a list of structs that is null an empty one; DuckDB tells them apart
        row.update({c: None for c in ("tokens", "_large") if row[c] == []})
    at = "" if version == "main" else ", snapshot_from_id => %d" % snapshot.snapshot_id
    for name, rows in (("pyiceberg", rows), ("duckdb", by_duckdb(folder, at))):
        got, boxes = printed(rows, SECRETS, MAPS, CLEAR)
        same(got, want)
        print("%s of %s: %d rows, %d sealed" % (name, version, len(got), boxes))
    bounds(t, snapshot, want)


def bounds(t, snapshot, want):
    """The bounds of row ids leave out every file but the row's own, and never that one."""
    files = len(list(t.scan(snapshot_id=snapshot.snapshot_id).plan_files()))
    for row_id in sorted(want)[::7]:
        scan = t.scan(EqualTo("row_id", bytes.fromhex(row_id)), snapshot_id=snapshot.snapshot_id)
        assert len(list(scan.plan_files())) == 1, row_id
        assert [r["legacy_key"] for r in scan.to_arrow().to_pylist()] == [want[row_id][0]]
    print("bounds of %d files hold" % files)


def show(folder):
    t = current(folder)
    print("metadata files before: %d" % len(t.metadata.metadata_log))
    for field in t.schema().fields:
        print("%d %s: %s" % (field.field_id, field.name, field.field_type))
    print("identifier %s" % t.schema().identifier_field_ids)
    for field in t.sort_order().fields:
        print("sorted by %s" % field)
    for s in t.snapshots():
        print("snapshot %d of %s, schema %s, %s: %s files, %s rows" % (s.snapshot_id, s.parent_snapshot_id, s.schema_id,
              s.summary.operation.value, s.summary["total-data-files"], s.summary["total-records"]))
    for name, r in sorted(t.metadata.refs.items()):
        print("%s %s: %d" % (r.snapshot_ref_type.value, name, r.snapshot_id))


if len(sys.argv) == 2:
    show(sys.argv[1])
else:
    folder, table, *versions = sys.argv[1:]
    for version, rows in zip(versions[::2], versions[1::2]):
        compare(folder, table, version, rows)
