"""What `snapshots diff EMPTY SNAPSHOT --rows --json` prints of a table's rows, and rows that
another program read, in the same words."""

import base64
import datetime
import json

AROUND = ("row_id", "legacy_key", "row_digest", "_large")


def expected(path, table):
    """Rows by id as the tool printed them: key and values, secrets as SECRET."""
    rows = {}
    with open(path, encoding="utf-8") as f:
        for line in map(json.loads, f):
            if line["type"] == "row" and line["table"] == table:
                assert line["kind"] == "insert", line
                values = {x["column"]: x["secret"] if "secret" in x else x["new"] for x in line["fields"]}
                rows[line["id"]] = (line.get("key"), {c: v for c, v in values.items() if v is not None})
    return rows


def value(v, path, large):
    if v is None:
        return {"bytes": large.pop(path)} if path in large else None
    if isinstance(v, (bytes, bytearray)):
        try:
            return bytes(v).decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(v).decode()}
    if isinstance(v, datetime.datetime):
        text = v.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
        return text + "Z"
    if isinstance(v, list) and v and isinstance(v[0], tuple):  # a map, as Arrow has it
        v = dict(v)
    if isinstance(v, dict):
        assert set(v) != {"mac", "box"}
        return {k: value(x, '%s["%s"]' % (path, k), large) for k, x in v.items()}
    if isinstance(v, list):
        return [value(x, "%s[%d]" % (path, i), large) for i, x in enumerate(v)]
    return v


def sealed(v, clear):
    """How many sealed values there are; none of them may hold what it seals."""
    if isinstance(v, dict) and set(v) == {"mac", "box"}:
        assert len(v["mac"]) == 16 and len(v["box"]) > 45, v
        assert clear not in v["box"] and clear not in v["mac"]
        return 1
    inner = [x for _, x in v] if isinstance(v, list) and v and isinstance(v[0], tuple) else v
    inner = list(inner.values()) if isinstance(inner, dict) else inner
    return sum(sealed(x, clear) for x in inner) if isinstance(inner, list) else 0


def printed(rows, secrets, maps, clear):
    """Rows by id in the tool's words. maps are the columns of maps: an empty one is no list."""
    out, boxes = {}, 0
    for row in rows:
        large = {x["path"]: x["size"] for x in row["_large"] or []}
        assert len(row["row_digest"]) == 16
        values = {}
        for column, v in row.items():
            if column in AROUND:
                continue
            if column in secrets:
                boxes += sealed(v, clear)
                v = None if v is None else "present"
            elif column in maps and v is not None:
                v = value(dict(v), column, large)
            else:
                v = value(v, column, large)
            if v is not None:
                values[column] = v
        assert not large, large
        out[row["row_id"].hex()] = (row["legacy_key"], values)
    return out, boxes


def same(got, want):
    for row_id in sorted(set(got) | set(want)):
        g, w = got.get(row_id), want.get(row_id)
        assert g == w, "row %s:\n  got  %s\n  want %s" % (row_id, str(g)[:2000], str(w)[:2000])
