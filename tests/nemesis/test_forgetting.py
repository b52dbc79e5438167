"""Deletes on real processes: forgotten when all nodes have them, never undone by one that was away."""

import unittest

from client import ServerError
from harness import Cluster, Stopwatch, main, report, run_dhrt, wait_until

FORGOTTEN_SECONDS_MAX = 60


def wait_forgotten(nodes):
    for node in nodes:
        wait_until(lambda n=node: n.stats()["tombstones"] == 0, FORGOTTEN_SECONDS_MAX,
                   f"no tombstone on {node.name}")


def evict(node, name):
    return run_dhrt("evict", name, "--host", "%s:%d" % node.address)


class Forgetting(unittest.TestCase):
    def test_deletes_are_forgotten_when_all_have_them_and_wait_for_who_is_away(self):
        with Cluster(3, ("--fast", "--remember-deletes", "0s")) as cluster:
            first, second, third = cluster
            with first.client() as client:
                client.pipeline([("set", b"k%d" % n, b"v") for n in range(1000)])
            cluster.wait_same()
            watch = Stopwatch()
            with second.client() as client:
                self.assertEqual(client.pipeline([("del", b"k%d" % n) for n in range(900)]),
                                 [1] * 900)
            wait_forgotten(cluster)
            report(f"900 deletes are forgotten on 3 nodes after {watch.seconds():.2f} s")
            expected = {b"k%d" % n: b"v" for n in range(900, 1000)}
            cluster.wait_same(expected=expected)
            # All are killed: what is forgotten does not come out of a log.
            for node in cluster:
                node.kill9()
            for node in cluster:
                node.launch()
            for node in cluster:
                wait_until(node.answers, 30, f"{node.name} to answer again")
            cluster.wait_healthy()
            cluster.wait_same(expected=expected)

            third.kill9()
            with first.client() as client:
                client.pipeline([("del", b"k%d" % n) for n in range(900, 950)])
            wait_until(lambda: second.states()["node3"] == "dead", 30, "node3 to be dead")
            wait_until(lambda: second.call("count") == 50, 30, "the deletes to be on node2")
            for node in (first, second):
                self.assertEqual(node.stats()["tombstones"], 50, node.name)
            third.restart()
            cluster.wait_healthy()
            wait_forgotten(cluster)
            cluster.wait_same(expected={b"k%d" % n: b"v" for n in range(950, 1000)})


class Evicted(unittest.TestCase):
    def test_what_was_deleted_without_it_stays_deleted_and_what_it_alone_has_is_kept(self):
        with Cluster(3, ("--fast", "--remember-deletes", "0s")) as cluster:
            first, second, third = cluster
            with first.client() as client:
                client.pipeline([("set", b"k%d" % n, b"v") for n in range(200)])
            cluster.wait_same()
            self.refuses(first)
            # It writes something while it is alone, and dies.
            first.kill9()
            second.kill9()
            third.call("set", "alone", "kept")
            third.call("set", "k0", "newer")
            third.kill9()
            for node in (first, second):
                node.launch()
            for node in (first, second):
                wait_until(node.answers, 30, f"{node.name} to answer again")
            cluster.wait_healthy()
            with first.client() as client:
                client.pipeline([("del", b"k%d" % n) for n in range(1, 150)])
            wait_until(lambda: first.states()["node3"] == "dead", 30, "node3 to be dead")
            given_up = evict(first, "node3")
            self.assertEqual((given_up.returncode, given_up.stderr), (0, ""))
            for node in (first, second):
                wait_until(lambda n=node: "node3" not in n.states(), 30,
                           f"node3 to be given up on {node.name}")
            self.assertEqual(evict(second, "node3").returncode, 0, "once more is no mistake")
            wait_forgotten((first, second))

            third.restart()
            cluster.wait_healthy()
            expected = {b"k%d" % n: b"v" for n in range(150, 200)}
            cluster.wait_same(expected={**expected, b"alone": b"kept", b"k0": b"newer"})
            wait_forgotten(cluster)
            cluster.wait_same(expected={**expected, b"alone": b"kept", b"k0": b"newer"})

    def refuses(self, node):
        for name, says in (("nobody", "no node is called 'nobody'"),
                           ("node3", "node 'node3' is healthy"),
                           (node.name, f"node '{node.name}' is healthy")):
            refused = evict(node, name)
            self.assertNotEqual(refused.returncode, 0, name)
            self.assertIn(says, refused.stderr)
            with self.assertRaisesRegex(ServerError, says):
                node.call("evict", name)


if __name__ == "__main__":
    main()
