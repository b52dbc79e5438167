"""Nodes whose wall clocks are wrong: real processes, and a shim that sets the clock of one of them.

By hand:  DHRT_BINARY=build/dev/dhrt CLOCK_SHIM=build/dev/tests/nemesis/clock_shim.so \\
              python3 -B tests/nemesis/test_clocks.py
"""

import http.client
import json
import os
import pathlib
import re
import struct
import unittest

from client import Client, ServerError, exchange
from harness import Cluster, Node, main, wait_until
from test_connections import LISTENERS, addresses

SHIM = os.environ.get("CLOCK_SHIM", "")
HOUR = 3_600_000
CENTURY = 36_525 * 24 * HOUR
FAST = ["--fast", "--cpu-num", "2", *LISTENERS]


class WrongClocks(Cluster):
    """Every node is started under a clock of its own, which is right at first."""

    def add(self):
        node = Node(f"node{len(self.nodes) + 1}", self.folder, self.flags)
        self.clock_file(node).write_bytes(struct.pack("<q", 0))
        node.environment = {"CLOCK_SHIM_FILE": str(self.clock_file(node)), "LD_PRELOAD": SHIM}
        self.nodes.append(node)
        return node.start(self.nodes[0] if len(self.nodes) > 1 else None)

    def clock_file(self, node):
        return pathlib.Path(self.folder) / f"{node.name}.clock"

    def set_clock(self, node, ahead_milliseconds):
        with open(self.clock_file(node), "r+b") as file:
            file.write(struct.pack("<q", ahead_milliseconds))


def http_request(node, method, path, body=None):
    """(status, headers, body)"""
    connection = http.client.HTTPConnection(*node.address, timeout=20)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read().decode()
    finally:
        connection.close()


def metric(node, name):
    text = http_request(node, "GET", "/metrics")[2]
    return next(float(line.split()[1]) for line in text.splitlines()
                if line.startswith(f"dhrt_{name} "))


def wall_of(node, key):
    """The milliseconds in the version of a key."""
    status, headers, _ = http_request(node, "GET", f"/default/{key}")
    if status != 200:
        raise ServerError(f"GET {key}: {status}")
    return int(headers["ETag"].strip('"').split("-")[0]) >> 16


def resp(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class ClockSkew(unittest.TestCase):
    def setUp(self):
        self.assertTrue(os.path.exists(SHIM), f"CLOCK_SHIM is '{SHIM}', which is no shim")

    def test_a_node_off_the_majority_takes_no_writes_until_its_clock_is_right(self):
        with WrongClocks(3, FAST) as cluster:
            for node in cluster:
                wait_until(lambda: len([one for one in json.loads(node.call("nodes"))
                                        if "clock_offset_ms" in one]) == 3, 20,
                           "all clocks to be known")
            wrong, right = cluster[2], cluster[0]
            wrong.call("set", "k", b"before")
            cluster.wait_same()
            cluster.set_clock(wrong, HOUR)
            wait_until(lambda: metric(wrong, "clock_fenced") == 1, 20, "the fence")
            self.assertAlmostEqual(metric(wrong, "clock_offset_milliseconds"), HOUR, delta=5000)
            self.refuses_in_every_dialect(wrong)
            self.assertEqual(wrong.call("get", "k"), b"before")
            self.assertEqual(http_request(wrong, "GET", "/_/health/ready")[0], 503)
            self.assertIn("clock_fenced:1", exchange(wrong.address, resp(b"INFO", b"cluster"))
                          .decode())
            with self.subTest("it goes on replicating"):
                right.call("set", "k", b"meanwhile")
                wait_until(lambda: wrong.call("get", "k") == b"meanwhile", 20, "the write")
            with self.subTest("the others are told, and go on"):
                wait_until(lambda: [one["clock_fenced"] for one in json.loads(right.call("nodes"))
                                    if one["name"] == wrong.name] == [True], 20, "the news")
                self.assertEqual(metric(right, "clock_fenced"), 0)
            cluster.set_clock(wrong, 0)
            wait_until(lambda: wrong.call("set", "k", b"after"), 20, "the end of the fence")
            wait_until(lambda: right.call("get", "k") == b"after", 20, "the write")
            log = wrong.log_path.read_text()
            self.assertEqual(log.count("CLOCK_SKEW"), 1, log)
            self.assertEqual(log.count("writes are taken from clients again"), 1, log)

    def refuses_in_every_dialect(self, node):
        where = addresses(node)
        for command in (("set", "k", b"v"), ("del", "k"), ("create", "new"), ("flush", "default"),
                        ("set", "new", "k", b"v")):
            with self.subTest(command), self.assertRaises(ServerError) as refused:
                node.call(*command)
            told = re.match(r"CLOCK_SKEW the clock of this node is (\d+) ms ahead of .*"
                            r"--max-clock-offset", str(refused.exception))
            self.assertTrue(told, refused.exception)
            self.assertAlmostEqual(int(told.group(1)), HOUR, delta=5000)
        for words in ((b"SET", b"k", b"v"), (b"INCR", b"n"), (b"MSET", b"a", b"1"), (b"DEL", b"k"),
                      (b"FLUSHDB",), (b"EXPIRE", b"k", b"10")):
            with self.subTest(words):
                self.assertTrue(exchange(node.address, resp(*words)).startswith(b"-CLOCK_SKEW "))
        for method, path, body in (("PUT", "/default/k", "v"), ("DELETE", "/default/k", None)):
            with self.subTest(method):
                status, _, text = http_request(node, method, path, body)
                self.assertEqual(status, 503)
                self.assertTrue(json.loads(text)["error"].startswith("CLOCK_SKEW "), text)
        call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "Storage.Set", "params":
                           {"type": "memory", "key": "k", "value": "v", "ttl": "0"}})
        self.assertIn("CLOCK_SKEW ", http_request(node, "POST", "/rpc", call)[2])
        hati = exchange(where["hati"], b"SET memory 0 k v\n")
        self.assertTrue(hati.startswith(b"+ERR\n"), hati)
        hermod = exchange(where["hermod"], b"auth: any\nset k in _basedb to v\x04")
        self.assertRegex(hermod, rb" 500\}\x04$")

    def test_records_from_the_far_future_are_overwritten_and_spread_to_no_other_key(self):
        """With two clocks nobody can tell which is wrong: the node writes, and it is told."""
        with WrongClocks(2, FAST) as cluster:
            good, bad = cluster[0], cluster[1]
            cluster.set_clock(bad, CENTURY)
            wait_until(lambda: metric(bad, "clock_apart") == 1, 20, "the difference to be noticed")
            self.assertIn("no majority says", bad.log_path.read_text())
            bad.call("set", "poison", b"theirs")
            wait_until(lambda: good.call("get", "poison") == b"theirs", 20, "the poison")
            poison = wall_of(good, "poison")
            good.call("set", "other", b"ours")
            now = wall_of(good, "other")
            self.assertGreater(poison - now, CENTURY - HOUR)
            good.call("set", "poison", b"ours")
            good.call("set", "third", b"ours")
            self.assertLess(wall_of(good, "third") - now, HOUR)
            wait_until(lambda: bad.call("get", "poison") == b"ours", 20, "the poison overwritten")
            good.stop()
            good.restart()
            wait_until(lambda: good.call("set", "fourth", b"ours"), 20, "a write after the restart")
            self.assertLess(wall_of(good, "fourth") - now, HOUR)
            cluster.wait_healthy()
            cluster.wait_same()


if __name__ == "__main__":
    main()
