"""A node under the shim: killed at a chosen call, refused some, and its disk after a power cut.

The shim (shim.cc) keeps two things in a state folder: `control`, which is laid out as in
disk_model.h, and the disk as a power cut would leave it (`disk/` the contents, `journal` the
names). `Disk.cut_power` puts the second in place of the data.

By hand, see `points.py --help`.
"""

import errno
import functools
import mmap
import os
import pathlib
import random
import shutil
import struct
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "nemesis"))

import harness  # noqa: E402  pylint: disable=wrong-import-position
from harness import Node, free_port, run_dhrt  # noqa: E402  pylint: disable=wrong-import-position

SHIM = os.environ.get("KILLPOINTS_SHIM", "")
# A start takes a few hundredths of a second, and there are thousands.
harness.POLL_SECONDS = 0.002

KINDS = ("write", "pwrite", "writev", "pwritev", "fsync", "fdatasync", "msync", "rename", "unlink",
         "truncate", "allocate", "create", "mkdir")
WRITES = ("write", "pwrite", "writev", "pwritev")
SYNCS = ("fsync", "fdatasync", "msync")
# Whatever takes room on a disk.
ALLOCATING = (*WRITES, "truncate", "allocate", "create", "mkdir", "rename")
ANY_KIND = 255
WITHOUT_END = (1 << 64) - 1
MAGIC = 0x315448474E4C494B
HOW = ("before", "middle", "after")
ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS}

# What makes segments roll and checkpoints happen with little data: the first value that the node
# takes. A node that does not know one of them does without.
TINY = (("--log-segment-bytes", ("64kb", "1mb")), ("--checkpoint-bytes", ("128kb", "1mb")),
        ("--checkpoint-age", ("200ms",)), ("--cache-bytes", ("256kb", "1mb")))
LOOPS = "--cpu-num"


@functools.lru_cache
def known_flags():
    return run_dhrt("start", "--help").stdout


def knows(flag):
    return f"\n  {flag} " in known_flags()


def loops_max():
    """1 as long as a node has one event loop whatever it is told."""
    return 1 if "this version runs one" in known_flags() else 2


@functools.lru_cache
def taken(flag, value):
    return run_dhrt("start", "--print-config", flag, value).returncode == 0


def tiny_flags():
    chosen = [(flag, next(filter(functools.partial(taken, flag), values), None))
              for flag, values in TINY if knows(flag)]
    return [word for pair in chosen if pair[1] for word in pair]


def fast_folder(prefix):
    """A new folder, in memory if there is room: nothing here needs a real disk."""
    where = os.environ.get("KILLPOINTS_DIR") or None
    shm = pathlib.Path("/dev/shm")
    if where is None and shm.is_dir() and os.access(shm, os.W_OK):
        if shutil.disk_usage(shm).free > 1 << 30:
            where = shm
    return pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=where))


class Control:
    """The page that test and shim share."""

    FIELDS = ("magic", "calls", "kill_kind", "kill_at", "kill_how", "fail_mask", "fail_skip",
              "fail_count", "fail_errno", "fail_short", "lose_mask", "lose_every", "next_id",
              "killed", "failed", "lost")
    KINDS_AT = len(FIELDS) * 8
    FAIL_PATH_AT = KINDS_AT + 16 * 8
    KILL_PATH_AT = FAIL_PATH_AT + 64
    KILLED_PATH_AT = KILL_PATH_AT + 64
    BYTES = 4096

    def __init__(self, path):
        with open(path, "w+b") as file:
            file.truncate(self.BYTES)
            self.page = mmap.mmap(file.fileno(), self.BYTES)
        self["magic"] = MAGIC

    def __getitem__(self, field):
        return struct.unpack_from("<Q", self.page, self.FIELDS.index(field) * 8)[0]

    def __setitem__(self, field, value):
        struct.pack_into("<Q", self.page, self.FIELDS.index(field) * 8, value)

    def counts(self):
        """Calls so far, by kind."""
        found = struct.unpack_from(f"<{len(KINDS)}Q", self.page, self.KINDS_AT)
        return dict(zip(KINDS, found))

    def put_text(self, at, text):
        self.page[at:at + 64] = text.encode().ljust(64, b"\0")

    def kill_at(self, kind, call, how, path=""):
        """`kind` None: the call among all. With the end of a path: the first on it from there on."""
        self["kill_at"] = 0
        self.put_text(self.KILL_PATH_AT, path)
        self["kill_kind"] = ANY_KIND if kind is None else KINDS.index(kind)
        self["kill_how"] = HOW.index(how)
        self["kill_at"] = call

    def fail(self, kinds, error, skip=0, count=WITHOUT_END, short=False, path=""):
        """Calls of these kinds fail from now on, after `skip` more of them."""
        self["fail_mask"] = 0
        self.put_text(self.FAIL_PATH_AT, path)
        self["fail_errno"] = ERRORS[error]
        self["fail_skip"] = skip
        self["fail_count"] = count
        self["fail_short"] = int(short)
        self["failed"] = 0
        self["fail_mask"] = sum(1 << KINDS.index(kind) for kind in kinds)

    def heal(self):
        self["fail_mask"] = 0

    def lose(self, kinds, every):
        """These calls are left out and say that they were done."""
        self["lose_every"] = every
        self["lose_mask"] = sum(1 << KINDS.index(kind) for kind in kinds)

    def killed(self):
        """Kind and path of the call that ended the process; None if none did."""
        if not self["killed"]:
            return None
        path = self.page[self.KILLED_PATH_AT:self.KILLED_PATH_AT + 512].split(b"\0")[0].decode()
        return f"{KINDS[self['killed'] - 1]} of {path}"


class Disk:
    """What is below `root`, and what of it a power cut would leave."""

    def __init__(self, folder):
        self.root = folder / "root"
        self.state = folder / "state"
        self.root.mkdir()
        (self.state / "disk").mkdir(parents=True)
        self.control = Control(self.state / "control")

    def environment(self):
        return {"LD_PRELOAD": SHIM, "KILLPOINTS_ROOT": str(self.root),
                "KILLPOINTS_STATE": str(self.state)}

    def cut_power(self, choices=None):
        """Leaves below `root` what was synced.

        With a random source some of what was not synced is there, too: blocks of files in any
        choice, names in the order in which they were made.
        """
        names = Names(self.root, self.state / "journal")
        kept = names.durable(choices)
        new = self.root.with_name("root.new")
        new.mkdir()
        for path, file_id in kept:
            target = new / path
            if file_id is None:
                target.mkdir()
            else:
                self._restore(target, file_id, names.live_path(file_id), choices)
        shutil.rmtree(self.root)
        new.rename(self.root)
        self.adopt()

    def _restore(self, target, file_id, live_path, choices):
        shadow = self.state / "disk" / str(file_id)
        content = shadow.read_bytes() if shadow.exists() else b""
        # Of a file that was removed since, only what was synced is known.
        if choices is not None and live_path and live_path.exists():
            live = live_path.read_bytes()
            if live != content:
                content = _mixed(content, live, choices)
        target.write_bytes(content)

    def adopt(self):
        """What is there now is the disk: for a further start under the shim."""
        shutil.rmtree(self.state / "disk")
        (self.state / "disk").mkdir()
        (self.state / "journal").unlink(missing_ok=True)
        lines = []
        for path in sorted(self.root.rglob("*")):
            if path.is_dir():
                lines.append(f"M\t{path}\n")
                continue
            self.control["next_id"] += 1
            file_id = self.control["next_id"]
            lines.append(f"C\t{path.stat().st_ino}\t{file_id}\t{path}\n")
            shutil.copyfile(path, self.state / "disk" / str(file_id))
        folders = [self.root, *(path for path in self.root.rglob("*") if path.is_dir())]
        lines += [f"S\t{folder}\n" for folder in folders]
        (self.state / "journal").write_text("".join(lines))


def _mixed(content, live, choices):
    """Blocks of `content` (synced), some of them replaced by those of `live`."""
    block = choices.choice((512, 4096, 4096))
    share = choices.choice((0.1, 0.5, 0.9))
    size = choices.choice((len(content), len(live), max(len(content), len(live))))
    mixed = bytearray(content[:size].ljust(size, b"\0"))
    for at in range(0, size, block):
        if live[at:at + block] != mixed[at:at + block] and choices.random() < share:
            piece = live[at:at + block]
            mixed[at:at + len(piece)] = piece
    return bytes(mixed)


class Names:
    """Which names were made and removed, and which of these changes their folder was synced for."""

    def __init__(self, root, journal):
        self.root = root
        self.now = {}     # Path: id, None for a folder.
        self.changes = {}  # Folder: changes in order, (name, id or None for a folder, there?).
        self.synced = {}  # Folder: how many of them.
        if journal.exists():
            for text in journal.read_text().splitlines():
                self._read(text.split("\t"))

    def _read(self, words):
        paths = [pathlib.Path(word) for word in words[-2:]]
        if words[0] == "C":
            self._change(paths[1], int(words[2]), True)
        elif words[0] == "M":
            self._change(paths[1], None, True)
        elif words[0] == "U":
            self._change(paths[1], self.now.get(paths[1]), False)
        elif words[0] == "R":
            file_id = self.now.get(paths[0])
            if paths[0] in self.now and file_id is None:
                self._move_folder(*paths)
            self._change(paths[0], file_id, False)
            self._change(paths[1], file_id, True)
        elif words[0] == "S":
            self.synced[paths[1]] = len(self.changes.get(paths[1], ()))

    def _move_folder(self, old, new):
        """What is in it, and what was synced of that, goes along."""
        def moved(path):
            return new / path.relative_to(old) if path.is_relative_to(old) else path

        self.now = {path if path == old else moved(path): found
                    for path, found in self.now.items()}
        self.changes = {moved(path): found for path, found in self.changes.items()}
        self.synced = {moved(path): found for path, found in self.synced.items()}

    def _change(self, path, file_id, there):
        if there:
            self.now[path] = file_id
        else:
            self.now.pop(path, None)
        self.changes.setdefault(path.parent, []).append((path.name, file_id, there))

    def live_path(self, file_id):
        for path, found in self.now.items():
            if found == file_id:
                return path
        return None

    def durable(self, choices):
        """(Path below the root, id or None) of everything, folders before what is in them."""
        found, folders = [], [self.root]
        while folders:
            folder = folders.pop()
            changes = self.changes.get(folder, [])
            count = self.synced.get(folder, 0)
            if choices is not None:
                count = choices.randint(count, len(changes))
            entries = {}
            for name, file_id, there in changes[:count]:
                if there:
                    entries[name] = file_id
                else:
                    entries.pop(name, None)
            for name, file_id in entries.items():
                path = folder / name
                found.append((path.relative_to(self.root), file_id))
                if file_id is None:
                    folders.append(path)
        return found


class WatchedNode(Node):
    """One node whose data are below the root of a disk; with the shim or without."""

    def __init__(self, disk, flags=()):
        super().__init__("data", disk.root, flags)
        self.disk = disk
        self.log_path = disk.state.parent / "node.log"
        self.log_path.write_bytes(b"")
        # What becomes of the folder's own name is a test of its own.
        self.data_dir.mkdir()
        disk.adopt()

    def begin(self, watched=True):
        """Starts and waits; False if the process was killed meanwhile."""
        self.environment = self.disk.environment() if watched else {}
        for _ in range(5):
            self.port = self.port or free_port()
            self.launch()
            harness.wait_until(lambda: not self.alive() or self.answers(),
                               harness.START_SECONDS_MAX, "the node to answer")
            if self.alive():
                return True
            if self.process.returncode < 0:
                return False
            if "in use" not in self.log_tail():
                break
            self.port = None
        raise AssertionError(f"the node ended with {self.process.returncode}\n{self.log_tail()}")


def seeded_choices(seed):
    return random.Random(seed)
