"""What is in a collection's file, read without dhrt: mdb_dump and the layout of a record.

storage/lmdb_format.h and storage/record_codec.h describe the bytes, storage/lmdb_layout.h pages.
"""

import subprocess

DELETED, VERSION_NODE, DEADLINE, CREATED, PREVIOUS, ATTRIBUTES, DAMAGED = (
    1 << bit for bit in range(7))


PAGE_BYTES = 4096
BRANCH, LEAF, OVERFLOW = 1, 2, 4
FLAGS_AT = 10  # Within a page.


def pages(path):
    whole = path.read_bytes()
    return [whole[at:at + PAGE_BYTES] for at in range(0, len(whole), PAGE_BYTES)]


def tree_pages(path):
    """Numbers of pages that are of a tree, or were before they were freed."""
    return [number for number, page in enumerate(pages(path))
            if number == int.from_bytes(page[:8], "little") and page[FLAGS_AT] in (
                BRANCH, LEAF, OVERFLOW)]


def damage_root(path):
    """Makes the first page of the table of tables something else; its number."""
    metas = pages(path)[:2]
    newest = max(metas, key=lambda page: int.from_bytes(page[144:152], "little"))
    root = int.from_bytes(newest[128:136], "little")
    with path.open("r+b") as file:
        file.seek(root * PAGE_BYTES + FLAGS_AT)
        file.write(bytes([BRANCH]))
    return root


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def number(self, width):
        self.at += width
        return int.from_bytes(self.data[self.at - width:self.at], "little")

    def varint(self):
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def rest(self, tail):
        return self.data[self.at:len(self.data) - tail]


def dump(path, table):
    """{key: value} of one table."""
    done = subprocess.run(["mdb_dump", "-n", "-s", table, str(path)], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"mdb_dump {path}: {done.stderr}")
    body = done.stdout.split("HEADER=END\n", 1)[1].split("DATA=END", 1)[0].split()
    return {bytes.fromhex(key): bytes.fromhex(value)
            for key, value in zip(body[::2], body[1::2])}


def origins(encoded):
    """By alias: (node, epoch, loop)."""
    reader = Reader(encoded)
    return [(reader.number(8), reader.number(4), reader.number(2))
            for _ in range(reader.varint())]


def context(encoded):
    """{origin: [(first, last)]}."""
    reader, found = Reader(encoded), {}
    for _ in range(reader.varint()):
        origin = (reader.number(8), reader.number(4), reader.number(2))
        end, intervals = 0, []
        for _ in range(reader.varint()):
            first = end + reader.varint()
            end = first + reader.varint()
            intervals.append((first, end))
        found[origin] = intervals
    return found


def live_records(path, now_ms):
    """{key: value} of what the file says is there: no tombstones, nothing expired or flushed."""
    meta = dump(path, "meta")
    by_alias = origins(meta.get(b"orig", b"\0"))
    flushed = context(meta.get(b"flushed", b"\0"))
    found = {}
    for key, encoded in dump(path, "data").items():
        reader = Reader(encoded)
        assert reader.number(1) == 1, f"format of {key} in {path}"
        flags = reader.number(1)
        reader.number(8)
        origin, sequence = by_alias[reader.number(2)], reader.varint()
        if flags & VERSION_NODE:
            reader.number(8)
        deadline = reader.number(8) if flags & DEADLINE else 0
        if flags & CREATED:
            reader.varint()
        assert not flags & PREVIOUS, f"{key} in {path} says what it replaced"
        if flags & ATTRIBUTES:
            reader.at += reader.varint()
        gone = any(first <= sequence <= last for first, last in flushed.get(origin, ()))
        if flags & DELETED or gone or (deadline and deadline <= now_ms):
            continue
        assert not flags & DAMAGED, f"{key} in {path} is damaged"
        found[key] = reader.rest(4)
    return found
