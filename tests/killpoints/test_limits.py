"""Loads that must stay bounded: in memory, in file size, and in what others have to wait.

Figures are printed; what is asserted is generous, since benches judge speed. `--long` in front
of the names of tests takes the full sizes.
"""

import resource
import select
import shutil
import sys
import threading
import time
import unittest

from killpoints import fast_folder, knows, loops_max
from client import Client, ServerError
from harness import Node, main, report, wait_until

LONG = "--long" in sys.argv
if LONG:
    sys.argv.remove("--long")
MIB = 1 << 20
# Nobody waits longer for a ping while keys expire, even on a machine that others use as well.
EXPIRY_PAUSE_SECONDS_MAX = 0.25
# While megabytes are copied and synced for somebody else.
PAUSE_SECONDS_MAX = 2
# One that is overwritten: the old and the new one, what clients send and are sent, the checkpoint.
LARGE_VALUES_RESIDENT_MAX = 12
CHECKPOINT_BYTES = (256 if LONG else 64) * MIB
# Twice of what was measured, pages of their mapped files included.
COLLECTION_RESIDENT_BYTES_MAX = 172_000


class LimitTest(unittest.TestCase):
    flags = ()

    def setUp(self):
        self.folder = fast_folder("dhrt-limits-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.node = Node("data", self.folder, ["--log-level", "warning", *self.flags])
        self.addCleanup(self.node.clean_up)
        self.node.start()

    def file_bytes(self):
        return sum(path.stat().st_blocks * 512 for path in self.node.data_dir.rglob("*")
                   if path.is_file())

    def write(self, count, words, window=2000):
        """`words(n)`: the bytes of line n. All must be done."""
        with Client(self.node.address, seconds=120) as client:
            for begin in range(0, count, window):
                end = min(count, begin + window)
                client.socket.sendall(b"".join(words(number) for number in range(begin, end)))
                for _ in range(begin, end):
                    client.receive()


class Pinger(threading.Thread):
    """Asks for a ping again and again, and remembers how long it took at most."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.worst, self.count, self.error = node, 0.0, 0, None
        self._over = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()

    def run(self):
        try:
            with Client(self.node.address) as client:
                while not self._over.is_set():
                    began = time.monotonic()
                    client.call("ping")
                    self.worst = max(self.worst, time.monotonic() - began)
                    self.count += 1
                    self._over.wait(0.001)  # The machine has other things to do.
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def check(self, test, what, pause_max=PAUSE_SECONDS_MAX):
        test.assertIsNone(self.error)
        test.assertGreater(self.count, 10, "the pings made no progress")
        report(f"{what}: the longest of {self.count} pings took {self.worst * 1000:.1f} ms")
        test.assertLess(self.worst, pause_max)


class ExpiryTest(LimitTest):
    def expire_at_once(self, count):
        # Deadlines are relative: those of later keys are made as much shorter.
        begun = time.monotonic()
        life_ms = 3_000 + count // 25

        def words(number):
            left = life_ms - int((time.monotonic() - begun) * 1000)
            return b"set e key-%08d v --ttl %dms\n" % (number, max(left, 1))

        self.write(count, words)
        before = self.node.call("count", "e")
        report(f"{count} keys written, {before} alive, {self.node.resident_bytes() // MIB} MiB")
        with Pinger(self.node) as pinger:
            wait_until(lambda: self.node.call("count", "e") == 0, life_ms / 1000 + 120,
                       "all keys to be swept")
        pinger.check(self, f"{count} keys expired", EXPIRY_PAUSE_SECONDS_MAX)
        self.assertEqual(self.node.call("keys", "e"), [])
        self.assertEqual(self.node.call("set", "e", b"new", b"value"), "OK")


class Expiry(ExpiryTest):
    def test_keys_that_expire_in_one_instant(self):
        self.expire_at_once(1_000_000 if LONG else 50_000)


class ExpiryInMemory(ExpiryTest):
    flags = ("--memory",)

    def test_keys_that_expire_in_one_instant(self):
        self.expire_at_once(1_000_000 if LONG else 100_000)


class Memory(LimitTest):
    flags = ("--memory",)

    def setUp(self):
        self.limit = (1024 if LONG else 64) * MIB
        if knows("--memory-limit"):
            self.flags = ("--memory", "--memory-limit", f"{self.limit // MIB}mb")
        super().setUp()

    def test_more_than_the_limit(self):
        self.assertTrue(knows("--memory-limit"), "this dhrt has no limit of memory")
        empty, refused = self.node.resident_bytes(), []
        count = 10_000_000 if LONG else 700_000
        with Client(self.node.address, seconds=120) as client, Pinger(self.node) as pinger:
            for begin in range(0, count, 2000):
                lines = [b"set key-%010d %0100d\n" % (number, number)
                         for number in range(begin, begin + 2000)]
                client.socket.sendall(b"".join(lines))
                replies = [client.outcome() for _ in lines]
                refused += [reply for reply in replies if isinstance(reply, ServerError)][:1]
                if len(refused) > 3:
                    break
        grown = self.node.resident_bytes() - empty
        report(f"{grown // MIB} MiB for {self.node.call('count')} keys: {refused[:1]}")
        self.assertTrue(refused, "more was taken than the limit allows")
        self.assertIn("memory limit", str(refused[0]))
        self.assertLess(grown, 1.3 * self.limit + 32 * MIB)
        self.assertEqual(self.node.call("get", "key-0000000001"), b"%0100d" % 1)
        for number in range(5000):
            self.node.call("del", "key-%010d" % number)
        wait_until(lambda: self.node.call("set", "again", b"1") == "OK", 5,
                   "a write to be taken after deletes")
        pinger.check(self, "memory full")


class EvictionTest(LimitTest):
    """At the limit of memory old keys go, and no write is refused."""

    def fill(self, policy):
        limit, count = (1024 if LONG else 64) * MIB, 10_000_000 if LONG else 700_000
        self.node.stop()
        self.node.flags += ["--memory", "--memory-limit", f"{limit // MIB}mb", "--evict", policy]
        self.node.restart()
        empty, peak = self.node.resident_bytes(), 0
        with Client(self.node.address, seconds=120) as client, Pinger(self.node) as pinger:
            for begin in range(0, count, 2000):
                client.socket.sendall(b"".join(b"set key-%010d %0100d\n" % (number, number)
                                               for number in range(begin, begin + 2000)))
                for _ in range(2000):
                    self.assertEqual(client.receive(), "OK")
                if begin % 50_000 == 0:
                    peak = max(peak, self.node.resident_bytes())
            # The last one is there, and its value is its own.
            newest = count - 1
            self.assertEqual(client.call("get", b"key-%010d" % newest), b"%0100d" % newest)
            left = client.call("count")
        peak = max(peak, self.node.resident_bytes())
        stats = self.node.stats()
        report(f"{policy}: {left} of {count} keys left, at most {(peak - empty) // MIB} MiB")
        self.assertEqual(stats["writes_refused"], 0)
        self.assertLess(peak - empty, 1.3 * limit + 32 * MIB)
        # Not more goes than has to: a record takes 165 bytes.
        self.assertLess(left, count)
        self.assertGreater(left * 165, limit * 0.7)
        pinger.check(self, f"memory full, {policy}")


class EvictionByLru(EvictionTest):
    def test_more_than_the_limit(self):
        self.fill("lru")


class EvictionByS3Fifo(EvictionTest):
    def test_more_than_the_limit(self):
        self.fill("s3fifo")


class LargeValues(LimitTest):
    def test_set_get_overwrite_delete(self):
        key, most = b"large", 16 * MIB
        peak = 0
        with Client(self.node.address, seconds=60) as client, Pinger(self.node) as pinger:
            for turn in range(6):
                value = bytes([65 + turn]) * (most - turn)
                self.assertEqual(client.call("set", key, value), "OK")
                self.assertEqual(client.call("get", key), value)
                peak = max(peak, self.node.resident_bytes())
            with self.assertRaises(ServerError) as refused:
                client.call("set", key, b"x" * (most + 1))
            self.assertIn("--max-value-bytes", str(refused.exception))
        report(f"at most {peak // MIB} MiB resident, {self.file_bytes() // MIB} MiB of files")
        self.assertLess(peak, LARGE_VALUES_RESIDENT_MAX * most)
        self.node.kill9()
        self.node.restart()
        self.assertEqual(self.node.call("get", key), value)
        self.assertEqual(self.node.call("del", key), 1)
        self.assertIsNone(self.node.call("get", key))
        self.assertEqual(self.node.stop(), 0)
        self.assertLess(self.file_bytes(), 10 * most)
        report(f"{self.file_bytes() // MIB} MiB of files after the delete and a stop")
        pinger.check(self, "values of 16 MiB")


class ManyCollections(LimitTest):
    def test_asking_for_more_than_the_limit(self):
        self.node.stop()
        self.node.flags += ["--max-collections", "200"]
        self.node.restart()
        asked, refused = (1_000_000 if LONG else 20_000), []
        before = None
        with Client(self.node.address, seconds=60) as client:
            for begin in range(0, asked, 1000):
                replies = client.pipeline([("set", f"c{number}", b"key", b"value")
                                           for number in range(begin, begin + 1000)])
                refused += [reply for reply in replies if isinstance(reply, ServerError)]
                before = before or self.node.resident_bytes()
        report(f"{len(refused)} refused: {refused[0]}")
        self.assertGreaterEqual(len(refused), asked - 200)
        self.assertIn("--max-collections", str(refused[0]))
        self.assertLess(self.node.resident_bytes() - before, 32 * MIB)
        self.assertEqual(self.node.call("get", "c1", b"key"), b"value")

    def test_a_thousand_in_use(self):
        count = 1000
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        report(f"{files} files may be open")
        empty = self.node.resident_bytes()
        with Pinger(self.node) as pinger:
            for turn in range(2):
                with Client(self.node.address, seconds=120) as client:
                    client.write_all([("set", f"c{number}", b"key", b"%d-%d" % (turn, number))
                                      for number in range(count)])
            written = self.node.resident_bytes() - empty
            wait_until(lambda: self.node.stats()["checkpoint"]["unflushed_records"] == 0, 60,
                       "the checkpoint")
        each = (self.node.resident_bytes() - empty) // count
        report(f"{written // count} bytes resident for each collection, {each} after a checkpoint; "
               f"{self.file_bytes() // MIB} MiB of files")
        self.assertLess(max(each, written // count), COLLECTION_RESIDENT_BYTES_MAX)
        pinger.check(self, "a thousand collections")
        self.node.kill9()
        self.node.restart()
        for number in range(0, count, 7):
            self.assertEqual(self.node.call("get", f"c{number}", b"key"), b"1-%d" % number)
        self.assertEqual(self.node.stop(seconds=60), 0)
        self.node.restart()
        self.assertEqual(len([n for n in self.node.collections() if n.startswith("c")]), count)


class Scans(LimitTest):
    # Files of the log that are small beside what may be in it, and writes that are slowed down
    # rather than let it grow beyond two checkpoints.
    flags = ("--checkpoint-bytes", f"{CHECKPOINT_BYTES // MIB}mb",
             "--unflushed-max", f"{2 * CHECKPOINT_BYTES // MIB}mb",
             "--log-segment-bytes", "64mb" if LONG else "8mb",
             *(("--cpu-num", "2") if loops_max() > 1 else ()))

    def test_a_reader_of_everything_while_writes_go_on(self):
        count = 10_000_000 if LONG else 200_000
        self.write(count, lambda n: b"set s key-%09d %0100d\n" % (n, n))
        files, memory = self.file_bytes(), self.node.memory_bytes()
        over, written = threading.Event(), []

        def overwrite():
            with Client(self.node.address, seconds=60) as client:
                while not over.is_set():
                    numbers = [(len(written) * 7919 + n) % count for n in range(500)]
                    client.socket.sendall(b"".join(b"set s key-%09d %0100d\n" % (n, n)
                                                   for n in numbers))
                    for _ in numbers:
                        client.receive()
                    written.append(len(numbers))

        writer = threading.Thread(target=overwrite, daemon=True)
        writer.start()
        seen, peak = 0, 0
        try:
            # A reader that takes its time, and one request of which nothing is read for long.
            with Client(self.node.address, seconds=120) as idle, Pinger(self.node) as pinger:
                idle.send("keys", "s")
                select.select([idle.socket], [], [], 10)
                for _ in range(1 if LONG else 2):
                    seen = self.scan("s")
                    peak = max(peak, self.node.memory_bytes())
        finally:
            over.set()
            writer.join()
        self.assertEqual(seen, count, "every key is seen once")
        grown = self.file_bytes() - files
        report(f"{sum(written)} overwrites meanwhile; files {files // MIB} MiB, grew by "
               f"{grown // MIB}; memory {memory // MIB} MiB, at most {peak // MIB}")
        # A log of two checkpoints, and free pages of the tree.
        self.assertLess(grown, files / 2 + 2 * CHECKPOINT_BYTES)
        pinger.check(self, f"a scan of {count} keys")
        self.assertLess(peak - memory, 512 * MIB)

    def scan(self, collection):
        seen, start, last = 0, b"", b""
        with Client(self.node.address, seconds=60) as client:
            while True:
                start, entries = client.call("scan", collection, "--from", start, "--limit",
                                             "5000")
                keys = entries[::2]
                self.assertEqual(keys, sorted(keys))
                self.assertTrue(not keys or keys[0] > last)
                last = keys[-1] if keys else last
                seen += len(keys)
                if not start:
                    return seen


if __name__ == "__main__":
    main()
