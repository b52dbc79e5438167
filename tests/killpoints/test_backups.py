"""Backups and exports that are cut off: whatever looks finished is whole, and the next one works.

A backup is killed at calls all over its way, with and without a power cut; an export is killed
while its node is kept from answering.
"""

import hashlib
import pathlib
import shutil
import signal
import subprocess
import unittest

from killpoints import Disk, WatchedNode, fast_folder, run_dhrt, tiny_flags
from client import ServerError
from harness import BINARY, Node, Stopwatch, environment, main, report, seeded, wait_until

PARTIAL = ".partial"
COLLECTIONS = ("default", "users", "orders")


def finished(folder):
    """What a person would take for backups."""
    if not folder.exists():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.endswith(PARTIAL))


def digest(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


class KilledBackups(unittest.TestCase):
    def setUp(self):
        self.folder = fast_folder("dhrt-backup-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.disk = Disk(self.folder)
        self.node = WatchedNode(self.disk, tiny_flags())
        self.addCleanup(self.node.clean_up)
        self.kept = {}

    def begin(self, watched=True):
        self.assertTrue(self.node.begin(watched=watched), self.node.log_tail())

    def write(self, prefix, count=60):
        with self.node.client() as client:
            for collection in COLLECTIONS:
                pairs = {b"%s-%d" % (prefix.encode(), n): prefix.encode() * 300
                         for n in range(count)}
                client.write_all([("set", collection, k, v) for k, v in pairs.items()])
                self.kept.setdefault(collection, {}).update(pairs)

    def backups(self):
        return self.node.data_dir / "backups"

    def check_whole(self, path):
        """It is sound, and a node starts on it that has what the backup was asked for."""
        result = run_dhrt("verify", path)
        self.assertEqual(result.returncode, 0, f"{path}\n{result.stdout}{result.stderr}")
        copy = self.folder / "restored"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(path, copy)
        restored = Node("restored", self.folder, tiny_flags())
        self.addCleanup(restored.clean_up)
        restored.start()
        for collection, pairs in self.kept.items():
            self.assertEqual(restored.contents(collection), pairs, path)
        self.assertEqual(restored.stop(), 0)

    def kill_at_a_call(self, kind, at, how):
        """Kills the node at a call of its backup `monday`; what it died at, None if it did not."""
        control = self.disk.control
        control["killed"] = 0
        control.kill_at(kind, (control.counts()[kind] if kind else control["calls"]) + at, how)
        try:
            self.node.call("backup", "monday")
        except OSError:
            self.node.process.wait()
        control["kill_at"] = 0
        if self.node.alive():
            self.node.kill9()
        return control.killed()

    def calls_of_a_backup(self):
        before = self.disk.control["calls"]
        self.node.call("backup", "monday")
        calls = self.disk.control["calls"] - before
        self.node.kill9()
        self.forget_monday()
        self.begin()
        return calls

    def forget_monday(self):
        """With the node down: what the shim knows of the disk changes, too."""
        shutil.rmtree(self.backups() / "monday", ignore_errors=True)
        self.disk.adopt()

    def cut_off(self, power):
        random = seeded(self.id())
        self.begin()
        self.write("first")
        self.node.call("backup", "whole")
        calls = self.calls_of_a_backup()
        # What gives names, then calls all over.
        points = [(kind, 1, how) for kind in ("rename", "mkdir") for how in ("before", "after")]
        points += [("mkdir", 2, "after"), ("fsync", 2, "before")]
        points += [(None, random.randint(1, calls), random.choice(("before", "middle", "after")))
                   for _ in range(8)]
        killed = 0
        for turn, point in enumerate(points):
            died = self.kill_at_a_call(*point)
            killed += died is not None
            if power:
                self.disk.cut_power(random if turn % 2 else None)
            for path in finished(self.backups()):
                with self.subTest(died=died, point=point):
                    self.check_whole(path)
            self.forget_monday()
            self.begin()
            # The same name once more, beside what the killed one left behind.
            self.node.call("backup", "monday")
            self.assertEqual([path.name for path in finished(self.backups())], ["monday", "whole"])
            self.assertFalse((self.backups() / ("monday" + PARTIAL)).exists())
            self.node.kill9()
            self.check_whole(self.backups() / "monday")
            self.forget_monday()
            self.begin()
        self.assertGreater(killed, 7)
        report(f"{killed} backups of {calls} calls were killed, all others are whole")

    def test_a_backup_that_is_killed_leaves_nothing_that_looks_finished(self):
        self.cut_off(power=False)

    def test_nor_does_a_power_cut(self):
        self.cut_off(power=True)

    def test_a_backup_that_was_answered_outlasts_a_power_cut(self):
        self.begin()
        self.write("first")
        self.node.call("backup", "monday")
        self.node.kill9()
        self.disk.cut_power()
        self.check_whole(self.backups() / "monday")


class NamesOfBackups(unittest.TestCase):
    def setUp(self):
        self.folder = fast_folder("dhrt-backup-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, *flags):
        node = Node("data", self.folder, flags)
        self.addCleanup(node.clean_up)
        node.start()
        node.call("set", b"key", b"value")
        return node

    def refused(self, node, name):
        with self.assertRaises(ServerError, msg=repr(name)) as caught:
            node.call("backup", name)
        return str(caught.exception)

    def test_a_name_that_is_a_path_is_refused_and_nothing_is_made(self):
        node = self.start()
        before = set(self.folder.rglob("*"))
        for name in (b"../out", b"/tmp/out", b"a/b", b"..", b".", b".hidden", b"", b"a b", b"a\\b",
                     b"a\0b", b"n" * 101, b"half" + PARTIAL.encode()):
            self.assertIn("a backup is named by letters", self.refused(node, name))
        # The engine's own files come and go in its log meanwhile.
        log = node.data_dir / "log"
        made = set(self.folder.rglob("*")) - before
        self.assertEqual([path for path in made if path.parent != log], [])

    def test_a_backup_is_never_overwritten(self):
        node = self.start()
        path = pathlib.Path(self.folder) / "data" / "backups" / "monday"
        node.call("backup", "monday")
        before = digest(path)
        self.assertTrue(before)
        node.call("set", b"key", b"another value")
        self.assertIn("is there already", self.refused(node, "monday"))
        self.assertEqual(digest(path), before)
        # Whatever it is that has the name.
        path.with_name("file").write_text("mine")
        self.assertIn("is there already", self.refused(node, "file"))
        path.with_name("link").symlink_to(self.folder / "nowhere")
        self.assertIn("is there already", self.refused(node, "link"))
        self.assertEqual(path.with_name("file").read_text(), "mine")

    def test_backups_are_made_below_the_folder_that_was_named(self):
        elsewhere = self.folder / "mnt" / "backups"
        node = self.start("--backup-dir", str(elsewhere))
        node.call("backup", "monday")
        self.assertEqual([path.name for path in finished(elsewhere)], ["monday"])
        self.assertFalse((node.data_dir / "backups").exists())
        self.assertEqual(run_dhrt("verify", elsewhere / "monday").returncode, 0)

    def test_a_folder_that_cannot_be_written_to_is_told(self):
        (self.folder / "file").write_text("in the way")
        node = self.start("--backup-dir", str(self.folder / "file" / "backups"))
        said = self.refused(node, "monday")
        self.assertIn(str(self.folder / "file" / "backups"), said)
        self.assertEqual(node.call("get", b"key"), b"value")
        report(said)


class KilledExports(unittest.TestCase):
    def setUp(self):
        self.folder = fast_folder("dhrt-export-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.node = Node("data", self.folder, ("--memory",))
        self.addCleanup(self.node.clean_up)
        self.node.start()
        random = seeded(self.id())
        self.pairs = {b"key-%05d" % n: random.randbytes(10_000) for n in range(6000)}
        with self.node.client() as client:
            client.write_all([("set", k, v) for k, v in self.pairs.items()], window=500)

    def export(self, file, *flags):
        return run_dhrt("export", file, "--host", f"127.0.0.1:{self.node.port}", *flags)

    def cut_off(self, file):
        """Kills an export somewhere on its way; False if it was done before."""
        process = subprocess.Popen(
            [BINARY, "export", str(file), "--host", f"127.0.0.1:{self.node.port}"],
            env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        partial = file.with_name(file.name + PARTIAL)
        watch = Stopwatch()
        while process.poll() is None and watch.seconds() < 30:
            if partial.exists() and partial.stat().st_size > 0:
                break
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL

    def test_an_export_that_is_killed_does_not_look_finished_and_is_gone_on_with(self):
        for name in ("all.zst", "all.jsonl"):
            file = self.folder / name
            self.assertTrue(self.cut_off(file), "it was done before it was killed")
            self.assertFalse(file.exists())
            again = self.export(file)
            self.assertNotEqual(again.returncode, 0)
            self.assertIn("--resume", again.stderr)
            self.assertFalse(file.exists())
            resumed = self.export(file, "--resume")
            self.assertEqual(resumed.returncode, 0, resumed.stderr)
            self.assertFalse(file.with_name(name + PARTIAL).exists())
            before = hashlib.sha256(file.read_bytes()).digest()
            refused = self.export(file)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("is there already", refused.stderr)
            self.assertEqual(hashlib.sha256(file.read_bytes()).digest(), before)
            self.check_import(file)

    def check_import(self, file):
        other = Node("other" + file.suffix, self.folder, ("--memory",))
        self.addCleanup(other.clean_up)
        other.start()
        result = run_dhrt("import", file, "--host", f"127.0.0.1:{other.port}")
        self.assertEqual(result.returncode, 0, result.stderr)
        wait_until(lambda: other.call("count") == len(self.pairs), 20, "all to be imported")
        self.assertEqual(other.contents(), self.pairs)
        other.stop()


if __name__ == "__main__":
    main()
