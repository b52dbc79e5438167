"""What a person who operates nodes relies on: backups under load, and what the log says."""

import os
import pathlib
import unittest
from random import Random

from client import ServerError
from harness import (PATIENCE, Cluster, Node, Stopwatch, main, report, run_dhrt, seeded,
                     wait_until)
from load import Writer

REFUSED = "writes are refused; their clients are told why"
REFUSED_NO_MORE = "writes are not refused any more"
SLOWED = "writes are slowed down"


class BackupsUnderLoad(unittest.TestCase):
    def test_a_backup_holds_what_was_acknowledged_before_it_and_starts(self):
        random = seeded(self.id())
        with Cluster(1, ("--checkpoint-age", "200ms")) as cluster:
            node = cluster[0]
            writer = Writer(node, b"backup", Random(random.random()), key_count=2000)
            writer.start()
            for turn in range(4):
                target = writer.acknowledged_count + random.randrange(2000, 8000)
                wait_until(lambda t=target: writer.error or writer.acknowledged_count >= t, 30,
                           f"{target} acknowledged writes")
                before = dict(writer.acknowledged)
                node.call("backup", f"turn-{turn}")
                self.check(cluster, node.data_dir / "backups" / f"turn-{turn}", writer, before)
            writer.finish()
            self.assertEqual(writer.violations(node.contents()), [])
            report(f"4 backups among {writer.acknowledged_count} acknowledged writes")

    def check(self, cluster, path, writer, before):
        verified = run_dhrt("verify", path)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        restored = Node(path.name, cluster.folder)
        restored.data_dir = path
        restored.start()
        try:
            found = restored.contents()
        finally:
            restored.stop()
        for key, operation in before.items():
            self.assertIn(found.get(key), writer.values[key][operation:], key)


class HealthInTheLog(unittest.TestCase):
    """Each trouble is told when it begins and when it is over, once, however many it concerns."""

    def lines(self, node, words):
        return [text for text in node.log_path.read_text().splitlines() if words in text]

    def test_writes_that_are_refused(self):
        with Cluster(1, ("--memory", "--memory-limit", "2mb", "--cpu-num", "1")) as cluster:
            node = cluster[0]
            with node.client() as client:
                outcomes = client.pipeline(("set", b"k%d" % n, b"v" * 1000) for n in range(5000))
            refused = [str(outcome) for outcome in outcomes if isinstance(outcome, ServerError)]
            self.assertGreater(len(refused), 1000)
            self.assertIn("--memory-limit", refused[0])
            wait_until(lambda: self.lines(node, REFUSED), 10, "the log to say it")
            self.assertEqual(self.lines(node, REFUSED_NO_MORE), [])
            wait_until(lambda: self.lines(node, REFUSED_NO_MORE), 30, "the log to say it is over")
            self.assertEqual(len(self.lines(node, REFUSED)), 1)
            self.assertEqual(len(self.lines(node, REFUSED_NO_MORE)), 1)
            report(self.lines(node, REFUSED)[0])

    def test_writes_that_are_slowed_down(self):
        flags = ("--unflushed-max", "2mb", "--checkpoint-bytes", "1mb", "--cpu-num", "1")
        with Cluster(1, flags) as cluster:
            node = cluster[0]
            with node.client() as client:
                for turn in range(20):
                    # Some may be refused; what is asked for here is the line in the log.
                    client.pipeline(("set", b"%d-%d" % (turn, n), b"v" * 1500) for n in range(1000))
            wait_until(lambda: self.lines(node, SLOWED), 10, "the log to say it")
            self.assertEqual(len(self.lines(node, SLOWED)), 1)
            self.assertIn("--unflushed-max", self.lines(node, SLOWED)[0])


class Idle(unittest.TestCase):
    """A node that nobody asks anything leaves the processor to others."""

    SECONDS = 2
    SHARE_MAX = 0.03

    def processor_seconds(self, node):
        """Of all threads, in user and system mode, since the process began."""
        stat = pathlib.Path(f"/proc/{node.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def test_four_event_loops_that_wait(self):
        with Cluster(1, ("--cpu-num", "4")) as cluster:
            node = cluster[0]
            self.assertEqual(node.stats()["event_loops"], 4)
            # A start looks at its files, and the first checkpoint comes soon.
            node.call("set", "key", b"value")
            watch, before = Stopwatch(), self.processor_seconds(node)
            wait_until(lambda: watch.seconds() >= self.SECONDS, 2 * self.SECONDS, "time to pass")
            share = (self.processor_seconds(node) - before) / watch.seconds()
        report(f"an idle node takes {share:.2%} of a core")
        # A sanitizer multiplies work, too.
        self.assertLess(share, self.SHARE_MAX * PATIENCE)


if __name__ == "__main__":
    main()
