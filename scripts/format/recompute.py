#!/usr/bin/env python3
"""Recompute the digests of a snapshot store from its bytes.

A second reader of the format in docs/format.md that shares no code with the
tool: for every manifest of a store in a local directory it checks the SHA-256
of each object, decodes the Parquet parts, computes row digests, indexes, the
Merkle trie, table digests and the snapshot digest anew, and compares. It
follows the chain of the log, folds it, and looks that what refs, checkpoints
and plans of runs name is there and has the digest that they say.

    pip install -r scripts/format/requirements.txt
    python3 scripts/format/recompute.py STORE

Exit code 0: everything agrees; 1: something differs; 2: bad call.
Sealed secrets are not opened: their MACs stand for them, as in the format.
"""

import gzip
import hashlib
import json
import os
import re
import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq

TAGS = {
    "bool": 1, "int": 2, "timestamp": 3, "string": 4, "binary": 5,
    "list<string>": 6, "list<binary>": 7,
    "map<string,list<string>>": 8, "map<string,list<binary>>": 9,
    "secret": 10, "list<secret>": 11, "map<string,list<secret>>": 12,
}
ELEMENT = {6: 4, 7: 5, 8: 4, 9: 5, 11: 10, 12: 10}
NULL, STRING, BINARY, SECRET, LARGE = 0, 4, 5, 10, 0x10
LARGE_BYTES = 64 << 10
KEY_FIELD = 2
LEAF_ROWS = 256
NONE = bytes(16)  # no digest: the row is not there


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


def i64(n):
    return struct.pack(">q", n)


def text(b):
    return u32(len(b)) + b


class Mismatch(Exception):
    """Something in the store is not what the format says."""


def check(ok, message):
    if not ok:
        raise Mismatch(message)


# Canonical encoding of rows


def raw(v):
    return v.encode() if isinstance(v, str) else v


class Row:
    """Encodes one row, given the large values that it leaves out."""

    def __init__(self, large):
        self.large = {x["path"]: (x["sha256"], x["size"]) for x in large or []}

    def value(self, tag, v, path):
        """A string or binary value: tag and payload, for sorting, and bytes."""
        if v is None:
            check(path in self.large, "null without a large value at " + path)
            sha, size = self.large.pop(path)
            return LARGE | tag, sha + u64(size), b""
        b = raw(v)
        check(len(b) <= LARGE_BYTES, "value over 64 KiB in a cell at " + path)
        return tag, b, u32(len(b))

    def element(self, tag, v, path):
        if tag == SECRET:
            return SECRET, v["mac"], b""
        return self.value(tag, v, path)

    def elements(self, tag, values, is_set, path):
        out = [self.element(tag, v, "%s[%d]" % (path, i)) for i, v in enumerate(values)]
        if is_set:
            check(out == sorted(set(out), key=lambda e: e[:2]), "set out of order at " + path)
        return u32(len(out)) + b"".join(bytes([t]) + length + payload for t, payload, length in out)

    def cell(self, column, v):
        tag, name, is_set = TAGS[column["type"]], column["name"], column.get("set", False)
        if v is None and name not in self.large:
            return bytes([NULL])
        if tag == 1:
            return bytes([tag, v])
        if tag in (2, 3):
            return bytes([tag]) + i64(v)
        if tag in (STRING, BINARY):
            t, payload, length = self.value(tag, v, name)
            return bytes([t]) + length + payload
        if tag == SECRET:
            return bytes([tag]) + v["mac"]
        if tag in (6, 7, 11):
            return bytes([tag]) + self.elements(ELEMENT[tag], v, is_set, name)
        out = bytes([tag]) + u32(len(v))
        for key, values in sorted(((raw(k), x) for k, x in v)):
            quoted = key.decode().replace("\\", "\\\\").replace('"', '\\"')
            path = '%s["%s"]' % (name, quoted)
            out += text(key) + self.elements(ELEMENT[tag], values or [], is_set, path)
        return out


def row_digest(columns, key, cells, large):
    row = Row(large)
    fields = [(KEY_FIELD, b"\x04" + text(key.encode()) if key else bytes([NULL]))]
    for c in columns:
        fields.append((c["id"], row.cell(c, cells[c["name"]])))
    check(not row.large, "large values without a place: %s" % sorted(row.large))
    b = b"PRr1" + u32(len(fields))
    for field_id, cell in sorted(fields, key=lambda f: f[0]):
        b += u32(field_id) + cell
    return hashlib.sha256(b).digest()[:16], len(b)


# Merkle trie


def trie(entries, depth=0):
    h = hashlib.sha256()
    if len(entries) <= LEAF_ROWS:
        h.update(b"PRl1")
        for row_id, digest in entries:
            h.update(row_id + digest)
        return h.digest()
    children = [[] for _ in range(16)]
    for e in entries:
        byte = e[0][depth // 2]
        children[byte >> 4 if depth % 2 == 0 else byte & 15].append(e)
    h.update(b"PRn1")
    for child in children:
        h.update(trie(child, depth + 1) if child else bytes(32))
    return h.digest()


def table_digest(entries):
    return hashlib.sha256(b"PRt1" + u64(len(entries)) + trie(entries)).digest()


def snapshot_digest(tables):
    b = b"PRs1" + u32(len(tables))
    for t in sorted(tables, key=lambda t: t["name"].encode()):
        b += text(t["name"].encode()) + u32(len(t["columns"]))
        for c in sorted(t["columns"], key=lambda c: c["id"]):
            b += u32(c["id"]) + text(c["name"].encode()) + bytes([TAGS[c["type"]], bool(c.get("set"))])
        b += bytes.fromhex(t["digest"])
    return hashlib.sha256(b).digest()


# Lists: indexes, and the objects of large values


def crc32c(data, _table=[]):
    if not _table:
        for n in range(256):
            for _ in range(8):
                n = n >> 1 ^ 0x82F63B78 if n & 1 else n >> 1
            _table.append(n)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def read_list(data, magic, size):
    check(data[:8] == magic, "no list of kind %s" % magic.decode())
    entry, per_block, rows, crc = struct.unpack(">IIQI", data[8:28])
    check(crc == crc32c(data[:24]) and entry == size, "damaged header")
    out, at = read_blocks(data, 28, rows, per_block, size)
    check(at == len(data), "bytes after the last block")
    return out


def read_index(data):
    """Entries of the index of a part of a whole layer: heads and tails, or whole ones as older stores have them."""
    if data[:8] == b"PRindex1":
        return read_list(data, b"PRindex1", 32)
    check(data[:8] == b"PRindex2", "no index")
    entry, per_block, rows, crc = struct.unpack(">IIQI", data[8:28])
    check(crc == crc32c(data[:24]) and entry == 16, "damaged header")
    heads, at = read_blocks(data, 28, rows, per_block, 16)
    tails, at = read_blocks(data, at, rows, per_block, 16)
    check(at == len(data), "bytes after the last block")
    return [h[:8] + t[:8] + h[8:] + t[8:] for h, t in zip(heads, tails)]


def read_blocks(data, at, rows, per_block, size):
    """So many entries of blocks, and where they end."""
    out = []
    while len(out) < rows:
        n = min(per_block, rows - len(out))
        block = data[at:at + n * size]
        at += n * size + 4
        check(struct.unpack(">I", data[at - 4:at])[0] == crc32c(block), "damaged block")
        out += [block[i:i + size] for i in range(0, len(block), size)]
    return out, at


# The store


class Store:
    def __init__(self, root):
        self.root = root
        self.checked = {}  # files by the SHA-256 that they were found to have
        self.given_up = {}  # how many names of a content the log gave up
        self.entries = 0
        self.snapshots = {}  # manifest by snapshot
        self.dropped = set()  # runs
        self.refs = {}
        self.checkpoints = {}
        self.trouble = []
        log = os.path.join(root, "log")
        if os.path.isdir(log):
            self.read_log(log)

    def read_log(self, log):
        with open(os.path.join(self.root, "format.json"), "rb") as f:
            before = f.read()
        rules = json.loads(before)
        want = {"version": 1, "hash": "sha256", "row_ids": "sha256-128", "canonical": 1}
        check({k: rules.get(k) for k in want} == want, "format.json: a format that this reader does not know")
        for name in sorted(os.listdir(log)):
            self.entries += 1
            with open(os.path.join(log, name), "rb") as f:
                data = f.read()
            entry = json.loads(data)
            if name != "%020d.json" % self.entries or entry["n"] != self.entries:
                self.trouble.append("log/%s: entry %d is expected here" % (name, self.entries))
            if entry["prev"] != hashlib.sha256(before).hexdigest():
                self.trouble.append("log/%s: it does not follow upon the entry before" % name)
            for a in entry["actions"]:
                self.fold(a)
            before = data
        self.read_packs(log, os.path.join(self.root, "logpacks"))

    def read_packs(self, log, folder):
        """Packs are copies of the entries, one behind the other."""
        first = 1
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            last = int(name.removesuffix(".json.gz"))
            want = b""
            for n in range(first, last + 1):
                with open(os.path.join(log, "%020d.json" % n), "rb") as f:
                    want += f.read()
            with gzip.open(os.path.join(folder, name)) as f:
                if f.read() != want:
                    self.trouble.append("logpacks/%s: it does not hold entries %d to %d" % (name, first, last))
            first = last + 1

    def fold(self, a):
        kind = a["kind"]
        if a["version"] != 1:
            print("    action %s of version %s: a newer program wrote it" % (kind, a["version"]))
        elif kind in ("snapshot", "manifest"):
            self.snapshots[a["digest"]] = a["manifest"]
        elif kind == "ref":
            self.refs[a["name"]] = a["digest"]
            if not a["digest"].strip("0"):
                del self.refs[a["name"]]
        elif kind == "checkpoint":
            self.checkpoints[a["name"]] = a
            if a.get("drop"):
                del self.checkpoints[a["name"]]
        elif kind == "drop":
            for digest in a.get("snapshots") or []:
                del self.snapshots[digest]
            self.dropped.update(a.get("runs") or [])
        elif kind == "garbage":
            for place in ("objects", "manifests"):
                for sha in a.get(place) or []:
                    self.given_up[place, sha] = self.given_up.get((place, sha), 0) + 1
        elif kind not in ("lease", "namespace", "wave", "end-epoch"):
            print("    action %s: a newer program wrote it" % kind)

    def named(self, place, sha):
        """The current name of a content: its SHA-256, with -2, -3 once that was given up."""
        n = self.given_up.get((place, sha), 0)
        return "%s-%d" % (sha, n + 1) if n else sha

    def path(self, o):
        """The file of an object, its bytes compared with their SHA-256."""
        name = o["sha256"]
        path = self.checked.get(name) or self.sound(name, "objects", "sha256", name[:2], name[2:4])
        check(path, "object %s does not have its SHA-256" % name)
        self.checked[name] = path
        check(os.path.getsize(path) == o["bytes"], "object %s has another size" % name)
        return path

    def sound(self, sha256, place, *folders, end=""):
        """The first copy of a file that has a SHA-256: under its current name, or the one below repaired/."""
        for path in (os.path.join(self.root, place, *folders, self.named(place, sha256) + end),
                     os.path.join(self.root, "repaired", place, *folders, sha256 + end)):
            if not os.path.exists(path):
                continue
            h = hashlib.sha256()
            with open(path, "rb") as f:
                while chunk := f.read(1 << 20):
                    h.update(chunk)
            if h.hexdigest() == sha256:
                return path
        return None

    def data(self, o):
        with open(self.path(o), "rb") as f:
            return f.read()


def plain(column):
    """Cells as Python values, timestamps as microseconds."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return column.to_pylist()


def box_epochs(v):
    """The key epochs that the boxes in a cell need; None among them: a box that does not say."""
    if isinstance(v, dict) and "box" in v:
        box = v["box"]
        return {struct.unpack(">I", box[1:5])[0] if len(box) >= 45 and box[0] == 1 else None}
    inner = [x[1] if isinstance(x, tuple) else x for x in v or []] if isinstance(v, list) else []
    return set().union(*map(box_epochs, inner))


def read_part(store, table, part):
    """Entries of a part, after comparing its rows with their digests."""
    names = ["row_id", "legacy_key", "row_digest"] + [c["name"] for c in table["columns"]] + ["_large"]
    f = pq.ParquetFile(store.path(part["object"]))
    check(f.schema_arrow.names == names, "columns are %s" % f.schema_arrow.names)
    entries, large, epochs = [], {}, set()
    secrets = [c["name"] for c in table["columns"] if "secret" in c["type"]]
    for batch in f.iter_batches():
        cols = {n: plain(batch.column(i)) for i, n in enumerate(names)}
        epochs.update(*(box_epochs(v) for n in secrets for v in cols[n]))
        for i, row_id in enumerate(cols["row_id"]):
            digest, _ = row_digest(table["columns"], cols["legacy_key"][i], {n: c[i] for n, c in cols.items()}, cols["_large"][i])
            check(digest == cols["row_digest"][i], "row %s does not have its digest" % row_id.hex())
            check(row_id.hex().startswith(part["prefix"]), "row %s is outside of its part" % row_id.hex())
            entries.append((row_id, digest))
            for x in cols["_large"][i] or []:
                large[x["sha256"]] = x["size"]
    check(len(entries) == part["rows"], "%d rows, the manifest says %d" % (len(entries), part["rows"]))
    if part.get("epochs") is not None:
        check(None not in epochs, "it holds a box of another form, and says its key epochs")
        check(part["epochs"] == sorted(epochs), "its boxes need the key epochs %s" % sorted(epochs))
    check_large(store, part, large)
    return entries


def read_whole(store, table, part):
    """Entries of a part of a whole layer."""
    entries = read_part(store, table, part)
    check(read_index(store.data(part["index"])) == [a + b for a, b in entries], "index is not that of the rows")
    return entries


def read_change(store, table, part):
    """Changes of a part of a change layer: row id, new digest, old digest."""
    rows = dict(read_part(store, table, part))
    index = read_list(store.data(part["index"]), b"PRchang1", 48)
    changes = [(e[:16], e[16:32], e[32:]) for e in index]
    check({i: new for i, new, _ in changes if new != NONE} == rows, "index is not that of the rows")
    check(len(changes) == part["rows"] + part.get("deleted", 0), "%d changes, the manifest says otherwise" % len(changes))
    for row_id, new, old in changes:
        check(row_id.hex().startswith(part["prefix"]), "row %s is outside of its part" % row_id.hex())
        check(new != NONE or old != NONE, "row %s is deleted and was not there" % row_id.hex())
    return changes


def check_large(store, part, large):
    listed = []
    if part.get("large"):
        listed = read_list(store.data(part["large"]), b"PRlarge1", 40)
    check(listed == [sha + u64(large[sha]) for sha in sorted(large)], "list of large objects is not that of the rows")
    for sha, size in large.items():
        store.path({"sha256": sha.hex(), "bytes": size})


def read_parts(store, table, layer, read):
    out = []
    for part in layer["parts"]:
        try:
            out += read(store, table, part)
        except Mismatch as e:
            raise Mismatch("part %r: %s" % (part["prefix"], e)) from None
    check(all(a[0] < b[0] for a, b in zip(out, out[1:])), "row ids do not ascend")
    return out


def read_table(store, table):
    kinds = [layer["kind"] for layer in table["layers"]]
    check(kinds == ["whole"] + ["change"] * (len(kinds) - 1), "layers are %s" % kinds)
    rows = dict(read_parts(store, table, table["layers"][0], read_whole))
    for layer in table["layers"][1:]:
        for row_id, new, old in read_parts(store, table, layer, read_change):
            check(rows.get(row_id, NONE) == old, "row %s is not what the layer above changes" % row_id.hex())
            if new == NONE:
                del rows[row_id]
            else:
                rows[row_id] = new
    entries = sorted(rows.items())
    check(len(entries) == table["rows"], "%d rows, the manifest says %d" % (len(entries), table["rows"]))
    check(table_digest(entries).hex() == table["digest"], "digest differs")
    return len(entries)


def read_manifest(store, path):
    name = os.path.basename(path)
    sound = store.sound(name[:64], "manifests", end=".json")
    check(sound, "name is not the SHA-256 of its bytes")
    with open(sound, "rb") as f:
        m = json.load(f)
    check(m["version"] in (1, 2), "manifest of version %s" % m["version"])
    for table in m["tables"]:
        try:
            rows = read_table(store, table)
        except (Mismatch, OSError, pa.ArrowException) as e:
            raise Mismatch("table %s: %s" % (table["name"], e)) from None
        print("ok  table %-24s %9d rows  %s" % (table["name"], rows, table["digest"]))
    check(snapshot_digest(m["tables"]).hex() == m["snapshot"], "snapshot digest differs")
    print("ok  snapshot %s" % m["snapshot"])


def sound_manifests(store, names):
    """What snapshots the manifests of these names hold."""
    out = {}
    for name in names:
        sound = store.sound(name[:64], "manifests", end=".json")
        if sound:
            with open(sound, "rb") as f:
                out[name[:64]] = json.load(f)["snapshot"]
    return out


def read_state(store, names):
    """What the log says is so, against what is there."""
    held = sound_manifests(store, names)
    for digest, manifest in sorted(store.snapshots.items()):
        check(held.get(manifest) == digest, "snapshot %s: manifest %s does not hold it" % (digest, manifest))
    for name, digest in sorted(store.refs.items()):
        check(digest in store.snapshots, "ref %s names a snapshot that is not known" % name)
    for name, c in sorted(store.checkpoints.items()):
        for role, digest in (c.get("snapshots") or {}).items():
            check(digest in store.snapshots, "checkpoint %s: its %s is not known" % (name, role))
        for f in c.get("inputs") or []:
            store.path({"sha256": f["sha256"], "bytes": f["size"]})


def compact(text):
    """JSON without the white space between its values."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda m: m.group(1) or "", text)


def read_plan(folder):
    with open(os.path.join(folder, "plan.json"), encoding="utf-8") as f:
        text = f.read()
    plan = json.loads(text)
    bare = compact(text).replace('"digest":"%s"' % plan["digest"], '"digest":"%s"' % ("0" * 64))
    check(hashlib.sha256(bare.encode()).hexdigest() == plan["digest"], "plan.json does not have its digest")
    files = list(plan.get("ranges") or [])
    for listed in (plan.get("lists") or {}).values():
        files += listed
    access = plan.get("access") or {}
    files += access.get("changes") or []
    files += access.get("new") or []
    files += [access["roles"]] if access.get("roles", {}).get("file") else []
    for x in files:
        with open(os.path.join(folder, x["file"]), "rb") as f:
            data = f.read()
        check(hashlib.sha256(data).hexdigest() == x["sha256"], "%s does not have its digest" % x["file"])
        check(data.count(b"\n") == x["lines"], "%s does not have %d lines" % (x["file"], x["lines"]))
    return len(files)


def main(args):
    if len(args) != 1 or not os.path.isdir(os.path.join(args[0], "manifests")):
        print(__doc__, file=sys.stderr)
        return 2
    bad = []

    def attempt(what, read, *args):
        try:
            return read(*args)
        except (Mismatch, OSError, ValueError, KeyError) as e:
            bad.append(what)
            print("BAD %s: %s" % (what, e))

    store = attempt("log", Store, args[0])
    if store is None:
        return 1
    for trouble in store.trouble:
        bad.append("log")
        print("BAD %s" % trouble)
    folder = os.path.join(args[0], "manifests")
    # What lies under a name that was given up is garbage, and may be half gone.
    names = sorted(n for n in os.listdir(folder) if n.endswith(".json") and n[:-5] == store.named("manifests", n[:64]))
    for name in names:
        print("manifest %s" % name[:-5])
        attempt("manifest", read_manifest, store, os.path.join(folder, name))
    attempt("state", read_state, store, names)
    print("ok  log of %d entries: %d snapshots, %d refs, %d checkpoints" % (store.entries, len(store.snapshots), len(store.refs), len(store.checkpoints)))
    runs = os.path.join(args[0], "runs")
    for run in sorted(os.listdir(runs)) if os.path.isdir(runs) else []:
        plan = os.path.join(runs, run, "plan")
        if run not in store.dropped and os.path.exists(os.path.join(plan, "plan.json")):
            files = attempt("plan of run " + run, read_plan, plan)
            print("ok  plan of run %s: %s files" % (run, files) if files is not None else "")
    print("%d manifests, %d bad" % (len(names), len(bad)))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
