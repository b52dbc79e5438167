"""Who watches a collection of a cluster misses nothing, whichever node dies, and costs a bounded
amount of memory, however slowly it reads.
"""

import json
import pathlib
import random
import signal
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1] / "conformance"))

import watches  # noqa: E402
from client import connect  # noqa: E402
from harness import (BINARY, PATIENCE, Cluster, SharedClusterTest, environment, main, seeded,
                     wait_until)  # noqa: E402

MEGABYTE = 1 << 20
SECONDS = 60 * PATIENCE


class Watch(watches.Watch):
    """A connection that watches, and what somebody would hold who believes it."""

    def __init__(self, node, *words, held=None, since=None):
        super().__init__(node.address, " ".join(("watch", *words)), since, SECONDS)
        self.node = node
        self.held = {} if held is None else held
        self.seen = set()  # Of (key, value).
        self.events = 0

    def push(self):
        push = super().push()
        if isinstance(push, bytes):
            raise EOFError(f"no push but {push}")
        event, key, value = push
        if event == b"set":
            self.held[key] = value
            self.seen.add((key, value))
        elif event == b"reset":
            self.held.clear()
        elif event != b"token":
            self.held.pop(key, None)
        self.events += event != b"token"
        return push

    def begin(self):
        self.begun()
        return self

    def until(self, expected):
        while self.held != expected:
            self.push()


class Follower(threading.Thread):
    """Watches nodes of a cluster, the next one whenever the connection is lost."""

    def __init__(self, nodes, collection):
        super().__init__(daemon=True)
        self.nodes = list(nodes)
        self.collection = collection
        self.watch = Watch(self.nodes[0], collection).begin()
        self.held, self.seen, self.moves = self.watch.held, set(), 0
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.is_set():
            try:
                self.watch.push()
            except (OSError, EOFError, ValueError):
                self.go_on()

    def go_on(self):
        """With the token, and what is held, at another node."""
        self.seen |= self.watch.seen
        self.watch.close()
        while not self.is_over.is_set():
            node = random.choice(self.nodes)
            try:
                self.watch = Watch(node, self.collection, held=self.held, since=self.watch.token)
                self.moves += 1
                return
            except OSError:
                continue

    def finish(self):
        self.is_over.set()
        self.watch.connection.socket.shutdown(2)
        self.join()
        self.watch.close()
        return self.seen | self.watch.seen


def ask(node, *lines):
    with node.client() as client:
        for words in lines:
            client.call(*words)


class AnyNode(SharedClusterTest):
    cluster_size = 3

    def test_what_is_written_at_any_node_is_told_at_each(self):
        watches = [Watch(node, "c").begin() for node in self.cluster]
        for number, node in enumerate(self.cluster):
            ask(node, ("set", "c", b"k%d" % number, b"%d" % number),
                ("set", "c", b"all", node.name))
        expected = self.cluster.wait_same("c")
        for watch in watches:
            with watch:
                watch.until(expected)

    def test_a_token_is_good_at_every_node(self):
        first, second, third = self.cluster
        with Watch(first, "t").begin() as watch:
            ask(second, ("set", "t", b"a", b"1"))
            watch.until({b"a": b"1"})
            held, token = dict(watch.held), watch.token
        ask(third, ("set", "t", b"b", b"2"), ("del", "t", b"a"))
        self.cluster.wait_same("t")
        with Watch(second, "t", held=held, since=token).begin() as watch:
            self.assertEqual(watch.held, {b"b": b"2"})

    def test_a_flush_elsewhere_is_a_reset(self):
        with Watch(self.cluster[0], "f").begin() as watch:
            ask(self.cluster[1], ("set", "f", b"a", b"1"))
            watch.until({b"a": b"1"})
            ask(self.cluster[2], ("flush", "f"), ("set", "f", b"b", b"1"))
            watch.until({b"b": b"1"})

    def test_the_command_line_goes_on_when_its_node_is_back(self):
        node = self.cluster[2]
        process = subprocess.Popen([BINARY, "watch", "w", "--json", "--timeout", f"{int(SECONDS)}s",
                                    "--host", "%s:%d" % node.address], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True, env=environment())
        try:
            self.assertEqual(json.loads(process.stdout.readline())["event"], "token")
            node.kill9()
            ask(self.cluster[0], ("set", "w", b"meanwhile", b"1"))
            node.restart()
            told = {"event": "token"}
            while told["event"] == "token":
                told = json.loads(process.stdout.readline())
            self.assertEqual((told["event"], told["key"]), ("set", "meanwhile"))
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(SECONDS), 130)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        self.cluster.wait_healthy()


class WatchedNodeDies(unittest.TestCase):
    """Clients write to two nodes while the third, which is watched, is killed again and again."""

    def test_every_final_value_of_each_key_is_told(self):
        chance = seeded("watched node dies")
        with Cluster(3) as cluster:
            follower = Follower(cluster, "c")
            follower.start()
            number = 0
            for _ in range(4):
                for node in cluster:
                    with node.client() as client:
                        for _ in range(300):
                            number += 1
                            key = b"k%d" % chance.randrange(200)
                            if chance.random() < 0.2:
                                client.call("del", "c", key)
                            else:
                                client.call("set", "c", key, b"%d" % number)
                watched = follower.watch.node
                watched.kill9()
                with cluster.living()[0].client() as client:
                    for _ in range(300):
                        number += 1
                        client.call("set", "c", b"k%d" % chance.randrange(200), b"%d" % number)
                watched.restart()
                cluster.wait_healthy()
            expected = cluster.wait_same("c")
            wait_until(lambda: follower.held == expected, SECONDS, "all to be told")
            seen = follower.finish()
            self.assertGreaterEqual(follower.moves, 4)
            self.assertLessEqual(set(expected.items()), seen)


class SlowWatchers(unittest.TestCase):
    def test_one_that_does_not_read_costs_little_and_then_gets_what_is_left(self):
        with Cluster(1, ["--memory"]) as cluster:
            node = cluster[0]
            value = b"x" * 10000
            slow = [Watch(node, "c").begin() for _ in range(20)]
            write(node, 2000, value)
            before = node.memory_bytes()
            for _ in range(10):  # 200 MB for each of them.
                write(node, 2000, value)
            self.assertLess(node.memory_bytes() - before, 100 * MEGABYTE)
            write(node, 2000, b"last")
            expected = {b"k%d" % i: b"last" for i in range(2000)}
            for watch in slow:
                with watch:
                    watch.until(expected)
                    self.assertLess(watch.events, 12 * 2000)


def write(node, count, value):
    with connect(node.address, seconds=SECONDS) as connection:
        connection.sendall(b"".join(b"set c k%d %s\n" % (i, value) for i in range(count)))
        left = count * len(b"+OK\r\n")
        while left > 0:
            left -= len(connection.recv(min(left, 1 << 16)))


if __name__ == "__main__":
    main()
