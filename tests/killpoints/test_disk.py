"""Disks that are full, broken, read-only, damaged or gone: what a node says, and what it keeps.

Each class is a fault. In all of them a node never crashes, never serves a value that nobody
wrote, and after the next start has all that it acknowledged.
"""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from killpoints import ALLOCATING, SYNCS, WRITES, fast_folder, run_dhrt, tiny_flags
from watched import VALUE, WatchedTest
import mdbfile
from client import ServerError
from harness import Cluster, Node, free_port, main, report, seeded, wait_until

CANNOT_RUN = 5


class FullDisk(WatchedTest):
    """Nothing that takes room works."""

    def refused_when_full(self, kinds, words, short=False):
        self.begin()
        self.assertEqual(self.write(self.names("before")), [])
        self.disk.control.fail(kinds, "ENOSPC", short=short)
        # What was made ready before may still be used up.
        refused = []
        for turn in range(400):
            refused = self.write(self.names(f"full-{turn}", 5))
            if refused:
                break
        self.assertTrue(refused, "room ran out, and every write was taken")
        for text in filter(None, refused):
            self.assertRegex(text, words)
        self.assert_kept()
        return refused

    def test_no_room_for_more_files_or_longer_ones(self):
        refused = self.refused_when_full(("allocate", "truncate", "create"), "disk full")
        report(refused[0])
        deleted = [where for where in self.kept if where[1].startswith(b"before-1")]
        for where in deleted:
            self.assertEqual(self.node.call("del", *where), 1)
            del self.kept[where]
        self.disk.control.heal()
        wait_until(lambda: not self.write(["again"]), 5, "writes to be taken again")
        self.assert_kept()
        for collection, key in deleted:
            self.assertIsNone(self.node.call("get", collection, key))
        self.assert_all_kept_after_a_start(cut_power=True)

    def test_a_write_that_finds_no_room(self):
        self.refused_when_full(WRITES, "(?i)disk full|no space")
        self.assert_all_kept_after_a_start(cut_power=True)

    def test_a_write_that_is_cut_short(self):
        self.refused_when_full(WRITES, "^ERR ", short=True)
        self.assert_all_kept_after_a_start(cut_power=False)

    def test_each_kind_of_call_alone_never_ends_the_node(self):
        self.begin()
        for kind in ALLOCATING:
            self.disk.control.fail((kind,), "ENOSPC", count=3)
            self.write(self.names(kind), collection=f"of_{kind}")
            self.assertTrue(self.node.alive(), f"{kind}\n{self.node.log_tail()}")
            self.assert_kept()
        self.assert_all_kept_after_a_start(cut_power=True)

    def test_a_start_without_room_says_so(self):
        self.begin()
        self.write(self.names("before"))
        self.node.kill9()
        self.disk.control.fail(ALLOCATING, "ENOSPC")
        result = run_dhrt("start", "--bind", f"127.0.0.1:{free_port()}", "--data-dir",
                          self.node.data_dir, *self.node.flags, env_more=self.disk.environment())
        self.assertEqual(result.returncode, CANNOT_RUN, result.stderr)
        said = result.stderr.splitlines()[-1]
        self.assertRegex(said, "(?i)no space|full")
        report(said)
        self.disk.control.heal()
        self.begin()
        self.assert_kept()


class FailedSync(WatchedTest):
    """Nobody knows what such a disk has: no write is taken any more, until a start looks."""

    def fail(self, error, kinds=SYNCS, cut_power=True):
        self.begin()
        self.assertEqual(self.write(self.names("before")), [])
        self.disk.control.fail(kinds, error)
        refused = self.write(self.names("during", 10))
        self.assertEqual(len(refused), 10, "a write was acknowledged, and nothing was synced")
        self.assert_kept()
        # A disk that says it is well again has forgotten what it was given.
        self.disk.control.heal()
        refused = self.write(self.names("after", 10))
        self.assertEqual(len(refused), 10, "a write was acknowledged after a failed sync")
        report(next(filter(None, refused), "every connection was ended"))
        self.assert_kept()
        self.assert_all_kept_after_a_start(cut_power)

    def test_power_cut_afterwards(self):
        self.fail("EIO")

    def test_kill_afterwards(self):
        self.fail("EIO", cut_power=False)

    def test_a_write_that_fails(self):
        self.fail("EIO", kinds=WRITES)

    def test_a_stop_afterwards_ends_the_process(self):
        self.begin()
        self.write(self.names("before"))
        self.disk.control.fail(SYNCS, "EIO")
        self.write(self.names("during", 3))
        self.assertGreaterEqual(self.node.stop(), 0, self.node.log_tail())
        self.disk.control.heal()
        self.disk.cut_power()
        self.begin(watched=False)
        self.assert_kept()


class FailedGrowth(WatchedTest):
    """A file that cannot be made longer, at any of the calls that do so, never ends the node."""

    def test_each_call(self):
        for skip in range(4):
            with self.subTest(skip=skip):
                self.setUp()
                self.begin()
                self.assertEqual(self.write(self.names("before")), [])
                self.disk.control.fail(("truncate",), "EIO", skip=skip, count=1)
                self.write(self.names("during", 300))
                self.assertTrue(self.node.alive(), self.node.log_tail())
                self.assertGreaterEqual(self.node.stop(), 0, self.node.log_tail())
                self.disk.control.heal()
                self.begin(watched=False)
                self.assert_kept()
                self.assertEqual(self.node.stop(), 0, self.node.log_tail())


class NewFolder(WatchedTest):
    """The data directory is made by the first start, and its name is a change like any other."""

    def test_a_data_directory_and_its_parents_are_there_after_a_power_cut(self):
        self.node.data_dir.rmdir()
        self.disk.adopt()
        self.node.data_dir = self.node.data_dir / "below" / "it"
        self.begin()
        self.assertEqual(self.write(["first"]), [])
        self.node.kill9()
        self.disk.cut_power()
        self.begin(watched=False)
        self.assert_kept()


class SmallDisk(unittest.TestCase):
    """A file system that is really full: mapped files must not end the process, either."""

    MIB = 1 << 20

    def setUp(self):
        self.mount = pathlib.Path(tempfile.mkdtemp(prefix="dhrt-small-"))
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", self.mount],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, f"this test mounts a tmpfs, as root: {done.stderr}")
        self.addCleanup(self.mount.rmdir)
        self.addCleanup(subprocess.run, ["umount", self.mount], check=True)
        self.logs = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.node = Node("data", self.mount, tiny_flags())
        self.node.log_path = self.logs / "node.log"
        self.addCleanup(self.node.clean_up)

    def fill(self, kept):
        for number in range(10_000):
            key = b"fill-%05d" % number
            value = key + VALUE * 8
            try:
                self.node.call("set", key, value)
                kept[key] = value
            except ServerError as error:
                return str(error)
            except OSError:
                self.assertTrue(self.node.alive(), self.node.log_tail())
        raise AssertionError("the disk never got full")

    def assert_kept(self, kept):
        with self.node.client() as client:
            for key, value in kept.items():
                self.assertEqual(client.call("get", key), value)

    def test_full_then_room_again(self):
        ballast = self.mount / "ballast"
        ballast.write_bytes(bytes(4 * self.MIB))
        kept = {}
        self.node.start()
        refusal = self.fill(kept)
        self.assertIn("disk full", refusal)
        report(f"after {len(kept)} values: {refusal}")
        self.assert_kept(kept)
        for key in sorted(kept)[:20]:
            self.assertEqual(self.node.call("del", key), 1)
            del kept[key]
        ballast.unlink()
        wait_until(lambda: self.node.call("set", "again", b"value") == "OK", 10,
                   "a write to be taken after room was made")
        self.assert_kept(kept)
        self.node.kill9()
        self.node.restart()
        self.assert_kept(kept)
        self.assertEqual(self.node.call("get", "again"), b"value")

    def test_full_then_kill_and_start(self):
        kept = {}
        self.node.start()
        self.fill(kept)
        self.node.kill9()
        try:
            self.node.restart()
        except AssertionError:
            # Refused with words, if there is not even room to look.
            self.assertEqual(self.node.process.returncode, CANNOT_RUN, self.node.log_tail())
            self.assertRegex(self.node.log_tail(), "(?i)no space|full")
            subprocess.run(["mount", "-o", "remount,size=48m", self.mount], check=True)
            self.node.restart()
        self.assert_kept(kept)

    def test_read_only(self):
        self.node.start()
        self.node.call("set", "key", b"value")
        self.assertEqual(self.node.stop(), 0)
        subprocess.run(["mount", "-o", "remount,ro", self.mount], check=True)
        result = run_dhrt("start", "--bind", f"127.0.0.1:{free_port()}", "--data-dir",
                          self.node.data_dir)
        self.assertEqual(result.returncode, CANNOT_RUN, result.stderr)
        self.assertIn(str(self.node.data_dir), result.stderr)
        self.assertRegex(result.stderr, "(?i)read-only")
        report(result.stderr.strip())
        subprocess.run(["mount", "-o", "remount,rw", self.mount], check=True)
        self.assertEqual(self.node.restart().call("get", "key"), b"value")


class PlainTest(unittest.TestCase):
    def setUp(self):
        self.folder = fast_folder("dhrt-disk-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.node = Node("data", self.folder, tiny_flags())
        self.addCleanup(self.node.clean_up)

    def start_refused(self, *words):
        result = run_dhrt("start", "--bind", f"127.0.0.1:{free_port()}", "--data-dir",
                          self.node.data_dir, *self.node.flags)
        self.assertEqual(result.returncode, CANNOT_RUN, result.stderr)
        for word in words:
            self.assertIn(str(word), result.stderr)
        return result.stderr.splitlines()[-1]

    def fill(self, count=400):
        kept = {b"key-%04d" % n: b"%04d:" % n + VALUE[:n % 900] for n in range(count)}
        with self.node.client() as client:
            client.write_all([("set", key, value) for key, value in kept.items()])
        return kept


class Directory(PlainTest):
    def test_two_nodes_even_by_another_path(self):
        self.node.start()
        other = self.folder / "link"
        other.symlink_to(self.node.data_dir)
        result = run_dhrt("start", "--bind", f"127.0.0.1:{free_port()}", "--data-dir", other)
        self.assertEqual(result.returncode, CANNOT_RUN, result.stderr)
        self.assertIn("in use", result.stderr)
        self.assertEqual(self.node.call("ping"), "PONG")

    def test_an_identity_of_a_newer_version(self):
        self.node.start()
        self.assertEqual(self.node.stop(), 0)
        path = self.node.data_dir / "identity.json"
        whole = path.read_text()
        path.write_text(whole.replace('"format":1', '"format":99', 1))
        report(self.start_refused(path, "another version"))
        path.write_text(whole)
        self.node.restart()

    def test_a_collection_of_a_newer_version(self):
        self.node.start()
        kept = self.fill(10)
        self.assertEqual(self.node.stop(), 0)
        path = self.node.data_dir / "collections" / "default.mdb"
        whole = path.read_bytes()
        # The entry of the table of meta: its key, then the format.
        newer, found = re.subn(b"format[\x01-\x09]\\0\\0\\0", b"format\x63\\0\\0\\0", whole)
        self.assertTrue(found, "the file says its format")
        path.write_bytes(newer)
        report(self.start_refused(path, "99"))
        path.write_bytes(whole)
        self.node.restart()
        self.assertEqual(self.node.contents(), kept)

    def test_removed_under_a_running_node(self):
        self.node.start()
        kept = self.fill()
        wait_until(self.folder_is_gone, 20, "the folder is removed")
        self.use_without_folder(kept)

    def test_replaced_under_a_running_node(self):
        self.node.start()
        kept = self.fill()
        self.node.data_dir.rename(self.folder / "elsewhere")
        (self.node.data_dir / "collections").mkdir(parents=True)
        (self.node.data_dir / "log").mkdir()
        self.use_without_folder(kept)

    def folder_is_gone(self):
        """Once more if the node made a file between two steps of the removal."""
        shutil.rmtree(self.node.data_dir, ignore_errors=True)
        return not self.node.data_dir.exists()

    def use_without_folder(self, kept):
        """Whatever it answers, it answers, and no value is made up."""
        for number in range(300):
            try:
                self.node.call("set", f"late{number % 3}", b"k%d" % number, VALUE)
            except (ServerError, OSError):
                self.assertTrue(self.node.alive(), self.node.log_tail())
        for key, value in list(kept.items())[::20]:
            self.assertIn(self.node.call("get", key), (value, None))
        self.assertGreaterEqual(self.node.stop(), 0, self.node.log_tail())


class DamagedFile(PlainTest):
    """A collection's file that is not what was written: said, and never served."""

    def stopped(self):
        self.node.start()
        kept = self.fill()
        self.assertEqual(self.node.stop(), 0)
        return kept, self.node.data_dir / "collections" / "default.mdb"

    def look(self, kept):
        """What became of a node with a damaged file, in a word."""
        try:
            self.node.restart()
        except AssertionError:
            self.assertEqual(self.node.process.returncode, CANNOT_RUN, self.node.log_tail())
            self.assertIn("default.mdb", self.node.log_tail())
            return "refused"
        outcomes = set()
        for key, value in kept.items():
            try:
                found = self.node.call("get", key)
                self.assertIn(found, (value, None), f"{key} has a value that nobody wrote")
                outcomes.add("served" if found == value else "absent")
            except ServerError:
                outcomes.add("reported")
            except OSError:
                self.assertTrue(self.node.alive(), self.node.log_tail())
        self.assertGreaterEqual(self.node.stop(), 0, self.node.log_tail())
        return "+".join(sorted(outcomes))

    def test_bits_that_flip_in_values(self):
        random = seeded(self.id())
        kept, path = self.stopped()
        whole = path.read_bytes()
        outcomes = []
        for key in random.sample(sorted(k for k in kept if len(kept[k]) > 60), 12):
            damaged = bytearray(kept[key])
            damaged[random.randrange(5, len(damaged))] ^= 1 << random.randrange(8)
            # Pages that are free hold it as well.
            path.write_bytes(whole.replace(kept[key], bytes(damaged)))
            outcomes.append(self.look(kept))
            path.write_bytes(whole)
        report(f"12 flips in values: { {word: outcomes.count(word) for word in outcomes} }")
        self.assertNotIn("served", outcomes, "a damaged value went unnoticed")

    def flip(self, places, flips):
        """`places`: offsets in the file, or None for all of it."""
        random = seeded(self.id())
        kept, path = self.stopped()
        whole = path.read_bytes()
        places = places(path) if places else range(len(whole))
        outcomes = []
        for _ in range(flips):
            damaged = bytearray(whole)
            damaged[random.choice(places)] ^= 1 << random.randrange(8)
            path.write_bytes(damaged)
            outcomes.append(self.look(kept))
            path.write_bytes(whole)
        report(f"{flips} flips: { {word: outcomes.count(word) for word in outcomes} }")
        return outcomes

    def test_bits_that_flip_in_the_first_pages(self):
        self.flip(lambda _: range(2 * mdbfile.PAGE_BYTES), 30)

    def test_bits_that_flip_anywhere(self):
        self.flip(None, 30)

    def test_bits_that_flip_in_the_heads_of_pages(self):
        outcomes = self.flip(
            lambda path: [page * mdbfile.PAGE_BYTES + at
                          for page in mdbfile.tree_pages(path) for at in range(64)], 30)
        self.assertIn("refused", outcomes)

    def test_verify_names_the_page(self):
        _, path = self.stopped()
        page = mdbfile.damage_root(path)
        result = run_dhrt("verify", self.node.data_dir)
        self.assertEqual(result.returncode, CANNOT_RUN, result.stdout + result.stderr)
        self.assertIn(f"{path} is damaged in page {page}", result.stdout + result.stderr)
        report(self.start_refused(path, f"page {page}", "restore the file from a backup"))

    def test_a_file_that_is_too_short(self):
        kept, path = self.stopped()
        whole = path.read_bytes()
        for size in (0, 100, 4096, 8192, len(whole) // 2, len(whole) - 4096):
            path.write_bytes(whole[:size])
            with self.subTest(size=size):
                report(f"{size} of {len(whole)} bytes: {self.look(kept)}")

    def test_a_file_that_is_something_else(self):
        _, path = self.stopped()
        path.write_bytes(b"This is no database.\n" * 1000)
        report(self.start_refused(path))


class DamagedFileOfOneOfTwo(unittest.TestCase):
    """The other node has everything: the damaged file is set aside and filled anew."""

    def test_the_other_node_fills_a_new_file(self):
        random = seeded(self.id())
        with Cluster(2, tiny_flags()) as cluster:
            ours, other = cluster
            path = ours.data_dir / "collections" / "default.mdb"
            kept = {b"key-%04d" % n: VALUE[:n % 900] for n in range(400)}
            with other.client() as client:
                client.write_all([("set", key, value) for key, value in kept.items()])
            cluster.wait_same(expected=kept)
            for turn, stop in enumerate((ours.stop, ours.kill9)):
                wait_until(path.exists, 20, "the file to be made")
                stop()
                report(f"page {mdbfile.damage_root(path)} of {path.name} is damaged")
                ours.restart()
                self.assertTrue(ours.log_has("and the other nodes fill a new one"), ours.log_tail())
                aside = path.with_name("default.mdb.damaged" + ("-2" if turn else ""))
                self.assertTrue(aside.exists())
                cluster.wait_healthy()
                cluster.wait_same(expected=kept)
                key = b"key-%04d" % random.randrange(400)
                kept[key] = b"written to the new file"
                ours.call("set", key, kept[key])
                cluster.wait_same(expected=kept)


if __name__ == "__main__":
    main()
