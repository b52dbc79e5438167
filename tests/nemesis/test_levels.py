"""Levels above one: what a majority acknowledged survives, who is alone says so, and a register
stays one register while the network is cut."""

import http.client
import json
import shutil
import tempfile
import threading
import time
import unittest

from client import ProtocolError, ServerError
from harness import Cluster, SharedClusterTest, main, report, seeded, wait_until
from register import Operation, explain
from wires import Wires

QUICK = ("--write-timeout", "1s", "--read-timeout", "1s")


def wait_for_votes(founder, others):
    """From the first write on those who joined are let in, by the founder, then by each other."""
    wait_until(lambda: founder.call("set", "votes", "1") == "OK", 30, "a write")
    for node in others:
        wait_until(lambda n=node: n.log_has(("this node votes",)), 60, f"{node.name} to vote")
    wait_until(lambda: founder.call("set", "votes", "1", "--ack", "all") == "OK", 30,
               "all nodes to have a write")


def check_votes(cluster):
    """Any two of three nodes are a majority, also without the founder."""
    first, *others = cluster
    wait_for_votes(first, others)
    first.pause()
    try:
        for node in others:
            wait_until(lambda n=node: n.call("get", "votes", "--read", "quorum") == b"1", 30,
                       "two nodes to be a majority without the founder")
    finally:
        first.resume()
    cluster.wait_healthy()


class LosesItsCoordinator(unittest.TestCase):
    """The node that took the writes is killed, and its disk wiped."""

    def test_what_was_acknowledged_at_quorum_is_read_at_quorum_from_who_had_nothing(self):
        keys = [b"kept-%d" % n for n in range(200)]
        with Cluster(3) as cluster:
            first, second, third = cluster
            check_votes(cluster)
            first.call("set", "before", "1", "--ack", "all")
            third.pause()
            with first.client() as client:
                client.write_all([("set", key, b"v", "--ack", "quorum") for key in keys])
            first.kill9()
            shutil.rmtree(first.data_dir)
            third.resume()
            with third.client() as client:
                wait_until(lambda: client.call("get", b"before", "--read", "quorum") == b"1", 30,
                           "two of three nodes to answer")
                for key in keys:
                    self.assertEqual(client.call("get", key, "--read", "quorum"), b"v")
                    self.assertEqual(client.call("get", key, "--read", "linear"), b"v")
                # Two of three voters are enough for writes, too; all of them are not there.
                self.assertEqual(client.call("set", "after", "1", "--ack", "quorum"), "OK")
            self.assertEqual(second.call("get", "after", "--read", "linear"), b"1")


class Minority(SharedClusterTest):
    cluster_size = 3
    cluster_flags = QUICK

    def setUp(self):
        self.cluster.wait_healthy()
        wait_for_votes(self.cluster[0], [self.cluster[1], self.cluster[2]])

    def refused(self, node, *words):
        with self.assertRaises(ServerError) as caught:
            node.call(*words)
        return str(caught.exception)

    def http(self, node, method, path, **headers):
        connection = http.client.HTTPConnection(*node.address, timeout=20)
        connection.request(method, path, headers={k.replace("_", "-"): v
                                                  for k, v in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def test_a_node_that_is_alone_says_that_it_is(self):
        alone, *others = self.cluster
        for node in others:
            node.pause()
        try:
            self.assertEqual(self.refused(alone, "set", "few", "1", "--ack", "quorum"),
                             "TIMEOUT applied=1 need=2")
            self.assertEqual(self.refused(alone, "set", "few", "2", "--ack", "all"),
                             "TIMEOUT applied=1 need=3")
            # Nothing was written by this one: its first half, the question, had no answer.
            self.assertEqual(self.refused(alone, "set", "few", "3", "--ack", "linear"),
                             "TIMEOUT applied=1 need=2")
            self.assertEqual(self.refused(alone, "get", "few", "--read", "quorum"),
                             "TIMEOUT applied=1 need=2")
            self.assertEqual(self.refused(alone, "del", "few", "--ack", "linear"),
                             "TIMEOUT applied=1 need=2")
            status, body = self.http(alone, "POST", "/few/4", X_Dhrt_Ack="quorum")
            self.assertEqual((status, json.loads(body)),
                             (504, {"error": "TIMEOUT applied=1 need=2"}))
            status, _ = self.http(alone, "GET", "/few", X_Dhrt_Read="linear")
            self.assertEqual(status, 504)
            # The writes stayed, and level one goes on.
            self.assertEqual(alone.call("get", "few", "--read", "one"), b"4")
            self.assertEqual(alone.call("set", "few", "5"), "OK")
        finally:
            for node in others:
                node.resume()
        for node in others:
            wait_until(lambda n=node: n.call("get", "few", "--read", "one") == b"5", 30,
                       "the write to spread")

    def test_two_of_three_are_a_quorum_and_not_all(self):
        first, second, third = self.cluster
        third.pause()
        try:
            for level in ("quorum", "linear"):
                self.assertEqual(first.call("set", "most", level, "--ack", level), "OK")
                for node in (first, second):
                    self.assertEqual(node.call("get", "most", "--read", "linear"), level.encode())
            self.assertEqual(self.refused(second, "set", "most", "2", "--ack", "all"),
                             "TIMEOUT applied=2 need=3")
        finally:
            third.resume()
        wait_until(lambda: third.call("get", "most", "--read", "one") == b"2", 30,
                   "the write to reach the third node")
        wait_until(lambda: second.call("set", "most", "3", "--ack", "all") == "OK", 30,
                   "all three nodes to have a write")

    def test_a_node_that_stopped_in_order_stays_in_the_denominator(self):
        first, second, third = self.cluster
        check_votes(self.cluster)
        second.stop()
        third.stop()
        self.assertEqual(self.refused(first, "set", "left", "1", "--ack", "quorum"),
                         "TIMEOUT applied=1 need=2")
        second.restart()
        wait_until(lambda: first.call("set", "left", "2", "--ack", "quorum") == "OK", 30,
                   "two of three nodes to have a write")
        third.restart()
        self.cluster.wait_healthy()


class RegisterClient(threading.Thread):
    """Sets and reads registers at level linear through one node, and remembers what it saw."""

    def __init__(self, node, keys, random, until):
        super().__init__(daemon=True)
        self.node, self.keys, self.random, self.until = node, keys, random, until
        self.histories = {key: [] for key in keys}
        self.done = 0
        self.failed = None

    def run(self):
        try:
            count = 0
            while not self.until.is_set():
                count += 1
                self.operate(count)
        except BaseException as error:  # Shown by the test.
            self.failed = error

    def operate(self, count):
        key = self.random.choice(self.keys)
        sets = self.random.random() < 0.4
        value = f"{self.name}.{count}".encode() if sets else None  # Of this client alone.
        words = ["set", key, value, "--ack", "linear"] if sets else ["get", key, "--read", "linear"]
        operation = Operation(sets, value, time.monotonic())
        try:
            answer = self.node.call(*words)
        except (OSError, ProtocolError):
            self.histories[key].append(operation)  # Its node was killed.
            return
        except ServerError as error:
            if not any(word in str(error) for word in ("TIMEOUT", "cluster", "CLOCK_SKEW")):
                raise
            self.histories[key].append(operation)
            return
        operation.end = time.monotonic()
        operation.value = value if sets else answer
        self.histories[key].append(operation)
        self.done += 1


class Registers(unittest.TestCase):
    def test_the_checker_knows_what_one_copy_can_answer(self):
        for why, history, possible in (
                ("in order", [(1, 1, 0, 1), (0, 1, 2, 3)], True),
                ("an older value", [(1, 1, 0, 1), (1, 2, 2, 3), (0, 1, 4, 5)], False),
                ("new, then old, during the set",
                 [(1, 1, 0, 1), (1, 2, 2, 9), (0, 2, 3, 4), (0, 1, 5, 6)], False),
                ("a set without an answer, seen late",
                 [(1, 1, 0, None), (0, None, 1, 2), (0, 1, 3, 4)], True),
                ("but not undone", [(1, 1, 0, None), (0, 1, 1, 2), (0, None, 3, 4)], False),
                ("in two orders", [(1, 1, 0, 9), (1, 2, 0, 9), (0, 2, 10, 11), (0, 1, 12, 13)],
                 False),
                ("a value that nobody set", [(0, 7, 1, 2)], False),
                ("one before it was set", [(0, 1, 1, 2), (1, 1, 3, 4)], False),
                ("another one in between",
                 [(1, 1, 0, 1), (1, 2, 2, 3), (0, 1, 4, 5)], False)):
            with self.subTest(why):
                found = explain([Operation(bool(sets), value, begin, end)
                                 for sets, value, begin, end in history])
                self.assertEqual(found is None, possible)

    def test_a_register_stays_one_while_the_network_is_cut_and_nodes_are_killed(self):
        random = seeded(self.id())
        folder = tempfile.mkdtemp(prefix="dhrt-nemesis-")
        wires = Wires()
        flags = ("--write-timeout", "500ms", "--read-timeout", "500ms")
        nodes = [wires.node(f"node{n}", folder, flags) for n in (1, 2, 3)]
        try:
            for node in nodes:
                node.start(None if node is nodes[0] else wires.seed_of(nodes[0]))
            self.wait_whole(nodes)
            until = threading.Event()
            keys = [b"one", b"two"]
            clients = [RegisterClient(node, keys, type(random)(random.random()), until)
                       for node in nodes for _ in range(2)]
            for client in clients:
                client.start()
            for round_ in range(8):
                before = sum(client.done for client in clients)
                if round_ == 5:
                    killed = random.choice(nodes)
                    killed.kill9()
                else:
                    killed = None
                    wires.cut(self.partition(random))
                # A majority is left on one side, so somebody gets on.
                wait_until(lambda b=before: sum(client.done for client in clients) > b + 30, 60,
                           "operations during the fault")
                wires.heal()
                if killed is not None:
                    killed.restart()
                before = sum(client.done for client in clients)
                wait_until(lambda b=before: sum(client.done for client in clients) > b + 60, 60,
                           "operations after the fault")
            until.set()
            for client in clients:
                client.join(60)
                if client.failed is not None:
                    raise client.failed
            self.wait_whole(nodes)
            self.check(clients, keys)
        except BaseException:
            for node in nodes:
                print(node.log_tail())
            raise
        finally:
            for node in nodes:
                node.clean_up()
            wires.close()
            shutil.rmtree(folder, ignore_errors=True)

    def wait_whole(self, nodes):
        names = {node.name for node in nodes}
        wait_until(lambda: all({name for name, state in node.states().items()
                                if state == "healthy"} == names for node in nodes), 60,
                   "all nodes to be healthy everywhere")
        wait_for_votes(nodes[0], nodes[1:])

    def partition(self, random):
        """One node apart: for both directions, or for one."""
        lonely = random.randrange(3)
        others = [n for n in range(3) if n != lonely]
        ways = random.choice(("both", "out", "in"))
        pairs = [(lonely, other) for other in others] if ways != "in" else []
        return pairs + ([(other, lonely) for other in others] if ways != "out" else [])

    def check(self, clients, keys):
        done = unknown = 0
        for key in keys:
            history = [o for client in clients for o in client.histories[key]]
            done += sum(o.end is not None for o in history)
            unknown += sum(o.end is None and o.sets for o in history)
            wrong = explain(history)
            self.assertIsNone(wrong, f"{key}: no order explains these:\n" + "\n".join(
                map(str, sorted(wrong or [], key=lambda o: o.begin)[-20:])))
        report(f"{done} operations on {len(keys)} registers, {unknown} sets of unknown outcome")


if __name__ == "__main__":
    main()
