"""Power cuts around what a start takes over, and in the middle of a checkpoint.

What a node shows it has promised: whoever saw it must find it after the next cut.
"""

from killpoints import SYNCS, WRITES, free_port, run_dhrt
from watched import VALUE, WatchedTest
from client import ServerError
from harness import main, report, seeded, wait_until

CANNOT_RUN = 5
# What is in the log stays in the log alone.
NO_CHECKPOINT = ("--checkpoint-bytes", "256mb", "--checkpoint-age", "1h", "--cpu-num", "1")


class KilledThenPowerCut(WatchedTest):
    """What a killed process left in the page cache is seen by the next start, and on no disk yet.

    That start must not take it for safe: it lets go of the logs that also have it.
    """

    def write_until_it_dies(self):
        # All of it before the checkpoint begins: what comes later would be written to the file, and
        # synced with it, by the next life.
        try:
            for name in self.names("value", 20):
                key, value = name.encode(), name.encode() + VALUE
                self.node.call("set", "default", key, value)
                self.kept[("default", key)] = value
            wait_until(lambda: not self.node.alive(), 5, "the node to die at its checkpoint")
        except OSError:
            wait_until(lambda: not self.node.alive(), 5, "the node to die, for it hung up")

    def die_twice(self, kind, after, how, path=""):
        """The process dies at such a call of the checkpoint; the power after another whole life."""
        self.setUp()
        self.begin()
        self.disk.control.kill_at(kind, self.disk.control.counts()[kind] + after, how, path)
        self.write_until_it_dies()
        killed = self.disk.control.killed()
        self.node.clean_up()
        self.disk.control["kill_at"] = 0
        self.begin()
        self.assertEqual(self.node.stop(), 0, self.node.log_tail())
        self.disk.cut_power()
        self.begin(watched=False)
        self.assert_kept()
        return killed

    def die_at_each(self, kind, how, calls, path):
        for call in range(1, calls + 1):
            with self.subTest(kind=kind, call=call):
                self.die_twice(kind, call, how)
        # Which calls there are before those of the file in question is the node's business.
        death = self.die_twice(kind, 1, how, path)
        self.assertTrue(death.startswith(kind) and death.endswith(path), death)

    def test_a_file_that_got_its_name(self):
        self.die_at_each("rename", "after", 3, "/default.mdb")

    def test_a_file_that_was_written_to(self):
        self.die_at_each("msync", "before", 8, "/default.mdb")


class StartAfterFailedSync(WatchedTest):
    """The log holds what was refused, in the page cache alone, which the kernel calls clean.

    The next start shows it, so it writes it again before, and syncs that.
    """

    small = NO_CHECKPOINT

    def die_with_a_failed_sync(self):
        """Frames that were written, and whose sync failed: {key: value} of them."""
        self.begin()
        self.assertEqual(self.write(self.names("before")), [])
        unsure = {name.encode(): VALUE[:99] for name in self.names("unsure")}
        self.disk.control.fail(SYNCS, "EIO")
        with self.node.client() as client, self.assertRaises(OSError):
            # In one turn of the loop, for it is one packet: a refusal, or the connection ends.
            client.send_all([("set", key, value) for key, value in unsure.items()])
            while isinstance(client.outcome(), ServerError):
                pass
        self.assertGreater(self.disk.control["failed"], 0)
        self.node.kill9()
        self.disk.control.heal()
        return unsure

    def show_and_cut(self, lose=()):
        """What a further start shows, and what a start after a power cut has of it."""
        unsure = self.die_with_a_failed_sync()
        self.disk.control.lose(lose, 1)
        self.begin()
        shown = self.node.contents()
        self.assertTrue(unsure.items() <= shown.items(), "what was written is in the log")
        self.assertEqual(len(shown), len(self.kept) + len(unsure))
        self.node.kill9()
        self.disk.cut_power()
        self.begin(watched=False)
        return shown, self.node.contents()

    def test_what_it_shows_survives_a_power_cut(self):
        shown, left = self.show_and_cut()
        self.assertEqual(left, shown)
        self.assertEqual(self.node.stop(), 0)

    def test_a_disk_that_does_not_sync_then_is_noticed(self):
        # The test of the test above.
        shown, left = self.show_and_cut(lose=SYNCS)
        self.assertLess(len(left), len(shown))
        self.assert_kept()

    def test_it_writes_again_what_the_kernel_may_have_forgotten(self):
        # Seen by a disk that does not let it: the start is refused, and loses nothing.
        unsure = self.die_with_a_failed_sync()
        holders = [path for path in (self.node.data_dir / "log").glob("*.log")
                   if b"unsure-0" in path.read_bytes()]
        self.assertEqual(len(holders), 1)
        self.disk.control.fail(WRITES, "EIO", path=f"/log/{holders[0].name}")
        result = run_dhrt("start", "--bind", f"127.0.0.1:{free_port()}", "--data-dir",
                          self.node.data_dir, *self.node.flags, env_more=self.disk.environment())
        self.assertGreater(self.disk.control["failed"], 0, "nothing was written again")
        self.assertEqual(result.returncode, CANNOT_RUN, result.stderr)
        self.assertIn(holders[0].name, result.stderr)
        report(result.stderr.splitlines()[-1])
        self.disk.control.heal()
        self.begin()
        self.assertTrue(unsure.items() <= self.node.contents().items())
        self.assert_kept()


class CutWithinACheckpointTest(WatchedTest):
    """The power goes right behind, or right before, each sync of one checkpoint."""

    small = ("--checkpoint-bytes", "128kb", "--checkpoint-age", "1h", "--log-segment-bytes", "64kb",
             "--cpu-num", "1")
    last = ("default", b"last")
    # Among others, which are the node's business.
    synced = (("fsync", "/collections"), ("fdatasync", "/released"), ("msync", "/default.mdb"))

    def put(self, count, value):
        with self.node.client() as client:
            # In small frames, so that the log has several files: only then it says what it let go.
            client.write_all([("set", "default", b"key-%04d" % n, value) for n in range(count)],
                             window=20)
        self.kept.update({("default", b"key-%04d" % n): value for n in range(count)})

    def load(self, count, size):
        """Somewhat less than starts a checkpoint."""
        self.put(count, VALUE[:size])

    def begin_checkpoint(self):
        value = VALUE * 16
        self.node.call("set", *self.last, value)
        self.kept[self.last] = value

    def dead_or_done(self):
        """Done: the logs are let go as well, but for the last file."""
        if not self.node.alive():
            return True
        stats = self.node.stats()
        return stats["checkpoint"]["count"] > 0 and \
            stats["log"]["bytes_unreleased"] < 17 * len(VALUE)

    def cut(self, kind, call, how, count, size, path=""):
        """The path of the sync of the checkpoint that was the last; None if there is none such."""
        self.setUp()
        self.begin()
        self.load(count, size)
        self.disk.control.kill_at(kind, self.disk.control.counts()[kind] + call, how, path)
        try:
            self.begin_checkpoint()
        except OSError:
            pass  # It was not acknowledged.
        wait_until(self.dead_or_done, 10, "the checkpoint, or the death in it")
        killed = self.disk.control.killed()
        self.node.clean_up()
        # Before a sync, a disk may have some of what it was not told to sync yet.
        self.disk.cut_power(self.random if how == "before" else None)
        self.begin(watched=False)
        self.assert_kept()
        self.assertEqual(self.node.stop(), 0, self.node.log_tail())
        self.doCleanups()
        return killed

    def cut_at_each(self, count, size):
        self.random = seeded(self.id())
        for how in ("after", "before"):
            deaths = []
            for kind in SYNCS:
                missed = 0
                for call in range(1, 100):
                    killed = None
                    with self.subTest(kind=kind, call=call, how=how):
                        killed = self.cut(kind, call, how, count, size)
                    # How many there are is not quite the same in each run.
                    missed += killed is None
                    if missed == 2:
                        break
                    deaths += [killed] if killed else []
            report(f"cut {how} each of {len(deaths)} syncs, the last of them {deaths[-1]}")
            # The calls above may miss one of these, if there were fewer before it another time.
            for kind, path in self.synced:
                with self.subTest(kind=kind, path=path, how=how):
                    killed = self.cut(kind, 1, how, count, size, path)
                    self.assertIsNotNone(killed, "the checkpoint does not sync it")
                    self.assertTrue(killed.startswith(kind) and killed.endswith(path), killed)

    def few_records(self):
        self.cut_at_each(25, 3000)

    def large_write(self):
        """Of more than 64 records, which the file finds by its table `recent` at first."""
        self.cut_at_each(400, 200)


class CutWithinTheFirstCheckpoint(CutWithinACheckpointTest):
    def test_a_few_records(self):
        self.few_records()

    def test_a_large_write(self):
        self.large_write()


class CutWithinALaterCheckpoint(CutWithinACheckpointTest):
    """All that it writes has an older version in the file, which has its name already."""

    synced = CutWithinACheckpointTest.synced[2:]

    def load(self, count, size):
        self.put(count, VALUE[1:size])
        self.assertEqual(self.node.stop(), 0)
        self.begin()
        super().load(count, size)

    def test_a_few_records(self):
        self.few_records()

    def test_a_large_write(self):
        self.large_write()


if __name__ == "__main__":
    main()
