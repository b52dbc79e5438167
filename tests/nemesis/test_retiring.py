"""Nodes that go for good: their votes go with them, so that majorities are of those who are left."""

import json
import shutil
import unittest

from client import ServerError
from harness import Cluster, Stopwatch, main, report, run_dhrt, wait_until
from test_levels import wait_for_votes

QUICK = ("--fast", "--write-timeout", "1s", "--read-timeout", "1s")


def ask(node, *words):
    return run_dhrt(*words, "--host", "%s:%d" % node.address)


def voters(node):
    return sorted(entry["name"] for entry in json.loads(node.call("nodes")) if entry["votes"])


def wait_voters(nodes, names):
    for node in nodes:
        wait_until(lambda n=node: n.stats()["voters"] == len(names) and voters(n) == names, 60,
                   f"{names} to vote, as {node.name} knows")


def wait_dead(nodes, name):
    for node in nodes:
        wait_until(lambda n=node: n.states().get(name) == "dead", 60,
                   f"{name} to be dead for {node.name}")


class Replaced(unittest.TestCase):
    def test_a_lost_node_is_replaced_and_what_a_majority_had_is_read_by_the_new_one(self):
        keys = [b"kept-%d" % n for n in range(200)]
        with Cluster(3, QUICK) as cluster:
            first, second, third = cluster
            wait_for_votes(first, [second, third])
            # What these two acknowledge without the second is on the one that is left only.
            second.pause()
            wait_dead([first], "node2")
            with first.client() as client:
                client.write_all([("set", key, b"v", "--ack", "quorum") for key in keys])
            third.kill9()
            shutil.rmtree(third.data_dir)
            second.resume()
            wait_dead([first, second], "node3")
            cluster.wait_healthy()
            watch = Stopwatch()
            cluster.flags = (*QUICK, "--replace", "node3")
            fourth = cluster.add()
            wait_until(lambda: fourth.log_has(("taken the place of another",)), 60,
                       "node4 to take the place of node3")
            report(f"a lost node is replaced, vote and all, in {watch.seconds():.2f} s")
            wait_voters([first, second, fourth], ["node1", "node2", "node4"])
            self.assertNotIn("node3", first.states())
            # Two of four would be no majority; two of three are, without the one that had it.
            first.pause()
            with fourth.client() as client:
                wait_until(lambda: client.call("get", b"votes", "--read", "quorum") == b"1", 30,
                           "two of three to answer")
                for key in keys:
                    self.assertEqual(client.call("get", key, "--read", "linear"), b"v")
                self.assertEqual(client.call("set", "after", "1", "--ack", "quorum"), "OK")
            first.resume()
            self.is_not_done_twice(cluster)
            self.assertEqual(ask(first, "evict", "node3").returncode, 0, "once more is no mistake")

    def is_not_done_twice(self, cluster):
        """The flag stays where it is, and its name is given to another node."""
        first, second, third, fourth = cluster
        third.restart()
        cluster.wait_healthy()
        wait_voters(cluster, ["node1", "node2", "node3", "node4"])
        self.assertEqual(third.stop(), 0)
        fourth.kill9()
        fourth.restart()
        cluster.wait_healthy()
        self.assertFalse(fourth.log_has(("cannot be replaced",)))
        self.assertEqual(first.stats()["voters"], 4)
        third.restart()
        cluster.wait_healthy()
        wait_voters(cluster, ["node1", "node2", "node3", "node4"])
        third.kill9()
        wait_dead([first, second, fourth], "node3")


class Leaves(unittest.TestCase):
    def test_who_leaves_for_good_takes_its_vote_along_and_may_come_back_without(self):
        with Cluster(3, QUICK) as cluster:
            first, second, third = cluster
            wait_for_votes(first, [second, third])
            left = ask(third, "leave")
            self.assertEqual((left.returncode, left.stderr), (0, ""))
            self.assertEqual(third.process.wait(30), 0)
            wait_voters([first, second], ["node1", "node2"])
            for node in (first, second):
                wait_until(lambda n=node: "node3" not in n.states(), 30,
                           f"{node.name} to know that node3 has left")
            self.assertEqual(first.call("set", "votes", "2", "--ack", "all"), "OK")
            third.restart()
            cluster.wait_healthy()
            cluster.wait_same(expected={b"votes": b"2"})
            wait_voters(cluster, ["node1", "node2"])
            self.assertEqual(third.call("get", "votes", "--read", "linear"), b"2")
            # Down to one; that one stays.
            self.assertEqual(ask(first, "leave").returncode, 0)
            self.assertEqual(first.process.wait(30), 0)
            wait_voters([second, third], ["node2"])
            refused = ask(second, "leave")
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("it is the only voter", refused.stderr)
            self.assertEqual(second.call("set", "votes", "3", "--ack", "all"), "OK")


class NoMajority(unittest.TestCase):
    def test_a_vote_is_not_taken_without_a_majority_and_is_when_it_is_there(self):
        with Cluster(3, QUICK) as cluster:
            first, second, third = cluster
            wait_for_votes(first, [second, third])
            second.kill9()
            third.kill9()
            wait_dead([first], "node2")
            wait_dead([first], "node3")
            with self.assertRaisesRegex(ServerError, "TIMEOUT its vote is not taken yet"):
                first.call("evict", "node3")
            self.assertEqual(first.stats()["voters"], 3)
            self.assertEqual(voters(first), ["node1", "node2"])  # Who is given up is not listed.
            second.restart()
            wait_voters([first, second], ["node1", "node2"])
            self.assertEqual(first.call("evict", "node3"), "OK")
            self.assertEqual(first.call("set", "votes", "2", "--ack", "all"), "OK")


class OfTwo(unittest.TestCase):
    def test_the_first_goes_on_without_the_second_and_not_the_other_way_round(self):
        with Cluster(2, QUICK) as cluster:
            first, second = cluster
            wait_for_votes(first, [second])
            first.kill9()
            wait_dead([second], "node1")
            with self.assertRaisesRegex(ServerError, "TIMEOUT its vote is not taken yet"):
                second.call("evict", "node1")
            self.assertEqual(second.stats()["voters"], 2)
            first.restart()
            cluster.wait_healthy()
            second.kill9()
            wait_dead([first], "node2")
            with self.assertRaisesRegex(ServerError, "NOTREACHED|TIMEOUT"):
                first.call("set", "votes", "2", "--ack", "quorum")
            self.assertEqual(first.call("evict", "node2"), "OK")
            self.assertEqual(first.call("set", "votes", "3", "--ack", "all"), "OK")
            second.restart()
            cluster.wait_healthy()
            cluster.wait_same(expected={b"votes": b"3"})
            wait_voters(cluster, ["node1"])


if __name__ == "__main__":
    main()
