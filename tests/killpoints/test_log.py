"""The write-ahead log of a node that was killed, damaged in every way that a disk knows.

What nobody was promised may go, with a line that says so. Damage to what was promised stops the
start, with the file, the offset and the cure.
"""

import struct
import unittest

from killpoints import fast_folder, knows, run_dhrt
from client import ServerError
from harness import Node, free_port, main, report, seeded

import shutil

CANNOT_RUN = 5
HEADER_BYTES = 64
HEAD = struct.Struct("<IIIHHQQQQQQ")  # storage/log_format.h: frame
# Many segments, and nothing leaves the log.
FLAGS = ("--log-segment-bytes", "64kb", "--checkpoint-bytes", "400mb", "--checkpoint-age", "1h",
         "--cpu-num", "1")


class Frame:
    def __init__(self, path, offset, fields):
        self.path, self.offset = path, offset
        self.magic, body, self.run, self.loop, _, self.segment, _, self.position, \
            _, self.synced_upto, _ = fields
        self.end = offset + HEAD.size + body


def frames_of(path):
    """The frames at the beginning of a segment, up to what is none of its own."""
    data, found, at = path.read_bytes(), [], HEADER_BYTES
    while at + HEAD.size <= len(data):
        frame = Frame(path, at, HEAD.unpack_from(data, at))
        own = not found or (frame.magic, frame.run, frame.loop, frame.segment) == (
            found[0].magic, found[0].run, found[0].loop, found[0].segment)
        if frame.magic == 0 or not own or frame.end > len(data):
            break
        found.append(frame)
        at = frame.end
    return found


class DamagedLogTest(unittest.TestCase):
    def setUp(self):
        self.assertTrue(knows("--log-segment-bytes"), "this dhrt has no log")
        self.folder = fast_folder("dhrt-log-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.node = Node("data", self.folder, FLAGS)
        self.addCleanup(self.node.clean_up)
        self.kept = {}
        self.node.start()
        with self.node.client() as client:
            for number in range(600):
                key, value = b"key-%04d" % number, b"%04d:" % number * (1 + number % 200)
                self.assertEqual(client.call("set", key, value), "OK")
                self.kept[key] = value
        self.node.kill9()
        self.copy = self.folder / "copy"
        shutil.copytree(self.node.data_dir, self.copy)
        self.frames = sorted((frame for path in self.segments() for frame in frames_of(path)),
                             key=lambda frame: frame.position)
        self.assertGreater(len(self.frames), 500, "one frame for each write")
        self.assertGreater(len({frame.path for frame in self.frames}), 3, "several segments")

    def segments(self):
        return sorted((self.node.data_dir / "log").glob("*.log"))

    def undo(self):
        self.node.clean_up()
        shutil.rmtree(self.node.data_dir)
        shutil.copytree(self.copy, self.node.data_dir)

    def change(self, path, offset, data):
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def flip(self, path, offset, bit=0):
        byte = path.read_bytes()[offset]
        self.change(path, offset, bytes([byte ^ (1 << bit)]))

    def refused(self, *words):
        result = run_dhrt("start", "--bind", f"127.0.0.1:{free_port()}", "--data-dir",
                          self.node.data_dir, *FLAGS)
        self.assertEqual(result.returncode, CANNOT_RUN, result.stderr)
        for word in words:
            self.assertIn(str(word), result.stderr)
        return result.stderr.splitlines()[-1]

    def starts_without_the_last(self, lost=1):
        """Everything is there but, at most, what the last `lost` frames brought."""
        log = self.node.log_path.read_text()
        self.node.restart()
        said = [text for text in self.node.log_path.read_text()[len(log):].splitlines()
                if "cut" in text or "torn" in text]
        keys = sorted(self.kept)
        for index, key in enumerate(keys):
            found = self.node.call("get", key)
            may_be_lost = index >= len(keys) - lost
            self.assertIn(found, (self.kept[key], None) if may_be_lost else (self.kept[key],), key)
        self.assertEqual(self.node.call("set", "afterwards", b"1"), "OK")
        self.assertEqual(self.node.stop(), 0)
        self.assertEqual(self.node.restart().call("get", "afterwards"), b"1")
        return said


class TornLog(DamagedLogTest):
    def test_the_last_frame_is_not_all_there(self):
        last = self.frames[-1]
        whole = last.path.read_bytes()
        for what, offset, data in (
                ("its head is half", last.offset + 40, bytes(last.end - last.offset - 40)),
                ("its body is half", (last.offset + last.end) // 2,
                 bytes(last.end - (last.offset + last.end) // 2)),
                ("nothing of it", last.offset, bytes(last.end - last.offset)),
                ("one bit of its body", last.end - 1, bytes([whole[last.end - 1] ^ 1])),
                ("rubbish", last.offset, b"\xa5" * (last.end - last.offset))):
            with self.subTest(what=what):
                self.change(last.path, offset, data)
                said = self.starts_without_the_last()
                # What does not even begin like a frame may be what was there before.
                if what not in ("nothing of it", "rubbish"):
                    self.assertTrue(said, "a cut is said")
                    report(f"{what}: {said[0]}")
            self.undo()

    def test_the_file_ends_within_the_last_frame(self):
        last = self.frames[-1]
        with open(last.path, "r+b") as file:
            file.truncate((last.offset + last.end) // 2)
        self.assertTrue(self.starts_without_the_last(), "a cut is said")

    def test_rubbish_behind_the_last_frame(self):
        last = self.frames[-1]
        room = last.path.stat().st_size - last.end
        self.change(last.path, last.end, b"\x5a" * min(room, 3000))
        self.starts_without_the_last(lost=0)


class DamagedLog(DamagedLogTest):
    def test_a_bit_below_what_was_synced(self):
        random = seeded(self.id())
        for frame in random.sample(self.frames[:-2], 12):
            offset = random.randrange(frame.offset, frame.end)
            self.flip(frame.path, offset, random.randrange(8))
            with self.subTest(position=frame.position, offset=offset - frame.offset):
                said = self.refused(frame.path.name)
                self.assertRegex(said, r"\b%d\b" % frame.offset, "the offset is named")
            self.undo()
        report(said)

    def test_a_bit_in_the_header_of_a_segment(self):
        for path in {frame.path for frame in self.frames}:
            self.flip(path, 17)
            with self.subTest(path=path.name):
                report(self.refused("log"))
            self.undo()

    def test_a_segment_that_is_missing(self):
        paths = sorted({frame.path for frame in self.frames})
        for path in (paths[0], paths[len(paths) // 2]):
            path.unlink()
            with self.subTest(path=path.name):
                report(self.refused("log"))
            self.undo()
        self.node.restart()
        self.assertEqual(self.node.contents(), self.kept)

    def test_bits_anywhere_never_give_a_wrong_value(self):
        random = seeded(self.id())
        outcomes = []
        for _ in range(40):
            path = random.choice(self.segments())
            self.flip(path, random.randrange(path.stat().st_size), random.randrange(8))
            outcomes.append(self.look())
            self.undo()
        report(f"40 flips: { {word: outcomes.count(word) for word in outcomes} }")

    def look(self):
        try:
            self.node.restart()
        except AssertionError:
            self.assertEqual(self.node.process.returncode, CANNOT_RUN, self.node.log_tail())
            return "refused"
        missing = 0
        for key, value in self.kept.items():
            try:
                found = self.node.call("get", key)
            except ServerError:
                continue
            missing += found is None
            self.assertIn(found, (value, None), key)
        self.assertLessEqual(missing, 1, "more than the torn end is gone")
        return "all there" if missing == 0 else "the end is cut"


if __name__ == "__main__":
    main()
