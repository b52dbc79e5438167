"""Real clients through the nodes of a cluster: what one writes on a node is read back on another.

By hand:  tests/conformance/npm_packages.py build/npm
          DHRT_BINARY=build/release/dhrt /usr/bin/python3 -B tests/conformance/test_cluster_clients.py
"""

import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time
import unittest

import redis

from wire import PATIENCE, SECONDS, Dhrt, array

HERE = pathlib.Path(__file__).parent
# Where deploy/install-dependencies puts what comes from npm.
NPM = HERE.parents[1] / "build/npm"


def run(*arguments, stdin=b"", environment=None):
    done = subprocess.run(arguments, input=stdin, capture_output=True, timeout=4 * SECONDS,
                          check=False, env=os.environ | (environment or {}))
    said = done.stdout + done.stderr
    if done.returncode != 0:
        raise AssertionError(f"{arguments} ended with {done.returncode}:\n{said.decode()}")
    return done.stdout.decode()


def eventually(what, ask, wanted):
    """Asks until the answer is the wanted one: what one node has stored, others have soon."""
    deadline = time.monotonic() + SECONDS
    while (answer := ask()) != wanted:
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: wanted {wanted!r}, last seen {answer!r}")


class ThreeNodes(unittest.TestCase):
    """The frame of every class below."""

    flags = ["--memory"]

    @classmethod
    def setUpClass(cls):
        first = cls.enterClassContext(Dhrt(*cls.flags))
        others = [cls.enterClassContext(Dhrt(*cls.flags, joins=first)) for _ in range(2)]
        cls.nodes = [first, *others]
        for node in cls.nodes:
            eventually("nodes that know each other", lambda n=node: cls.healthy_count(n), 3)
        cls.ports = [node.port for node in cls.nodes]

    @staticmethod
    def healthy_count(node):
        with node.connect() as connection:
            connection.send(b"nodes\n")
            reply = connection.reply()
        if reply.startswith(b"-"):
            return reply
        return [one["state"] for one in json.loads(reply.partition(b"\r\n")[2])].count("healthy")

    def setUp(self):
        self.flush()

    def flush(self):
        """Everywhere: a write that comes to a node later than its flush stays."""
        for at in range(3):
            self.client(at).flushall()
        for at in range(3):
            eventually("nothing stored", self.client(at).dbsize, 0)

    def client(self, at):
        client = redis.Redis(port=self.ports[at], socket_timeout=SECONDS)
        self.addCleanup(client.close)
        return client

    def pairs(self):
        """Each node with one that is asked what the first was told."""
        return [(at, (at + 1) % 3) for at in range(3)]


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, *arguments):
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs,
                                        start_new_session=True,
                                        env=os.environ | {"TERM": "dumb", "HOME": "/nonexistent"})
        os.close(theirs)
        self.seen = ""

    def type(self, text):
        os.write(self.ours, text.encode())

    def expect(self, pattern):
        """Waits for it in what comes, and gives all up to its end."""
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.seen)):
            if not select.select([self.ours], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise AssertionError(f"{pattern} did not come; seen: {self.seen!r}")
            try:
                self.seen += os.read(self.ours, 4096).decode()
            except OSError as error:
                raise AssertionError(f"the program ended before {pattern}: {self.seen!r}") from error
        said, self.seen = self.seen[:found.end()], self.seen[found.end():]
        return said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


class RedisCli(ThreeNodes):
    def cli(self, at, *words, stdin=b""):
        self.assertTrue(shutil.which("redis-cli"), "redis-tools is not installed")
        return run("redis-cli", "-p", str(self.ports[at]), *words, stdin=stdin)

    def test_words_at_its_prompt(self):
        for at, other in self.pairs():
            for flags in ((), ("-3",)):
                prompt = rf"127\.0\.0\.1:{self.ports[at]}(\[\d\])?(\(TX\))?> "
                with self.subTest(node=at, flags=flags), \
                        Terminal("redis-cli", "-p", str(self.ports[at]), *flags) as terminal:
                    for typed, answer in (
                            (f"set at-prompt:{at} 'a b'", "OK"), (f"get at-prompt:{at}", '"a b"'),
                            ("get missing", r"\(nil\)"), ("incr counter", r"\(integer\) 1"),
                            ("nonsense", r"\(error\) ERR unknown command"), ("select 1", "OK"),
                            (f"exists at-prompt:{at}", r"\(integer\) 0"), ("select 0", "OK"),
                            ("multi", "OK"), ("incr counter", "QUEUED"),
                            ("exec", r"1\) \(integer\) 2"), ("help get", "summary")):
                        terminal.expect(prompt)
                        terminal.type(typed + "\n")
                        terminal.expect(rf"(?s){re.escape(typed)}.*?\n.*?{answer}")
                    terminal.expect(prompt)
                    terminal.type("quit\n")
                    self.assertEqual(terminal.process.wait(SECONDS), 0)
                eventually("what was typed", lambda o=other, a=at: self.cli(o, "get",
                           f"at-prompt:{a}"), "a b\n")
                self.cli(at, "del", "counter")

    def test_a_stream_of_writes(self):
        for at, other in self.pairs():
            writes = b"".join(array([b"SET", b"pipe:%d:%d" % (at, number), b"\0\r\n%d" % number])
                              for number in range(2000))
            self.assertIn("errors: 0, replies: 2000", self.cli(at, "--pipe", stdin=writes))
            keys = [f"pipe:{at}:{number}" for number in range(2000)]
            eventually("the stream on another node", lambda o=other: self.client(o).mget(keys),
                       [b"\0\r\n%d" % number for number in range(2000)])

    def test_looking_around(self):
        for at, other in self.pairs():
            for name, length in (("small", 1), ("large", 1000)):
                self.cli(at, "set", f"{name}:{at}", "v" * length)
            eventually("both", lambda o=other, a=at: self.cli(o, "exists", f"small:{a}",
                                                              f"large:{a}"), "2\n")
            for flags in ((), ("-3",)):
                found = self.cli(other, *flags, "--scan", "--pattern", f"*:{at}").split()
                self.assertEqual(sorted(found), [f"large:{at}", f"small:{at}"])
                found = self.cli(other, *flags, "--bigkeys")
                self.assertRegex(found, r"Biggest string found .*large:\d.* has 1000 bytes")
                self.assertIn(f"Sampled {2 * at + 2} keys", found)
                self.assertRegex(self.cli(other, *flags, "--memkeys"),
                                 r"Biggest string found .*large:\d.* has \d+ bytes")

    def test_latency(self):
        for at in range(3):
            for flags in ((), ("-3",)):
                said = self.cli(at, *flags, "--latency", "-i", "0.2")
                self.assertRegex(said, r"^\d+ \d+ \d+\.\d+ [1-9]\d*\n$")


class RedisBenchmark(ThreeNodes):
    def benchmark(self, at, *flags):
        self.assertTrue(shutil.which("redis-benchmark"), "redis-tools is not installed")
        return run("redis-benchmark", "-p", str(self.ports[at]), "-c", "10", *flags)

    def test_what_it_counts_and_stores_is_on_another_node(self):
        """The counts are exact: nothing is lost, nothing done twice."""
        for at, other in self.pairs():
            for flags in ((), ("-P", "16"), ("-3", "-P", "16")):
                with self.subTest(node=at, flags=flags):
                    self.flush()
                    said = self.benchmark(at, "-n", "2000", "--csv", "-t", "set,incr,mset,get",
                                          "-d", "8", *flags)
                    self.assertNotRegex(said, r"(?i)\berr")
                    for test in ("SET", "GET", "INCR", "MSET (10 keys)"):
                        # What takes less than its clock sees is "inf" to redis-benchmark.
                        self.assertRegex(said, rf'"{re.escape(test)}","([1-9]|inf")')
                    reader = self.client(other)
                    eventually("the count", lambda r=reader: r.get("counter:__rand_int__"),
                               b"2000")
                    eventually("the value", lambda r=reader: len(r.get("key:__rand_int__") or b""),
                               8)

    def test_random_keys(self):
        for at, other in self.pairs():
            self.flush()
            # A multiple of what is sent at a time: it rounds up.
            self.benchmark(at, "-n", "4800", "-r", "100", "-P", "32", "-q", "-t", "set,incr")
            writer, reader = self.client(at), self.client(other)
            counters = sorted(writer.scan_iter(match="counter:*", count=1000))
            values = writer.mget(counters)
            self.assertEqual(sum(map(int, values)), 4800)
            eventually("the counts", lambda r=reader, c=counters: r.mget(c), values)
            eventually("all keys", lambda r=reader: sorted(r.scan_iter(count=1000)),
                       sorted(writer.scan_iter(count=1000)))


class Libraries(ThreeNodes):
    def test_python(self):
        for at, other in self.pairs():
            for version in (2, 3) if redis.VERSION >= (5,) else (2,):
                more = {"protocol": version} if version == 3 else {}
                with self.subTest(node=at, version=version), contextlib.closing(
                        redis.Redis(port=self.ports[at], socket_timeout=SECONDS, **more)) as writer:
                    pipeline = writer.pipeline(transaction=False)
                    for number in range(500):
                        pipeline.set(f"py:{number}", b"\xff%d" % (number + at))
                    pipeline.incr(f"py:count:{at}:{version}", 7)
                    self.assertEqual(pipeline.execute(), [True] * 500 + [7])
                    keys = [f"py:{number}" for number in range(500)]
                    eventually("the values", lambda o=other, k=keys: self.client(o).mget(k),
                               [b"\xff%d" % (number + at) for number in range(500)])
                    self.hears(self.client(other).pubsub(ignore_subscribe_messages=True), writer)

    def hears(self, listener, speaker):
        listener.subscribe("news")

        def word():
            speaker.publish("news", "word")
            return (listener.get_message(timeout=0.1) or {}).get("data")

        eventually("what was said on another node", word, b"word")
        listener.close()

    def javascript(self, program, path):
        self.assertTrue(shutil.which("node"), "nodejs is not installed")
        run("node", str(HERE / program), *map(str, self.ports),
            environment={"NODE_PATH": str(path), "DHRT_PATIENCE": str(PATIENCE)})

    def npm(self, program):
        self.assertTrue((NPM / "installed").is_file(),
                        f"{NPM} has no packages; call deploy/install-dependencies")
        self.javascript(program, NPM / "node_modules")

    def test_ioredis(self):
        self.npm("ioredis.js")

    def test_node_redis_in_both_versions(self):
        self.npm("node_redis.js")

    def test_node_redis_of_debian(self):
        """It empties what it finds on its node, so the nodes have their turns."""
        for port in self.ports:
            self.flush()
            run("node", str(HERE / "client.js"), str(port),
                environment={"NODE_PATH": "/usr/share/nodejs"})

    def test_jayson_in_json_rpc_1_and_2(self):
        self.npm("jayson.js")


class Curl(ThreeNodes):
    def curl(self, at, path, *arguments, stdin=b""):
        return run("curl", "-sS", "--fail", "--max-time", str(SECONDS), *arguments,
                   f"http://127.0.0.1:{self.ports[at]}{path}", stdin=stdin)

    def test_what_it_puts_is_got_and_listed_on_another_node(self):
        for at, other in self.pairs():
            value = f"value of {at}"
            self.curl(at, f"/c/k{at}", "-X", "PUT", "--data-binary", "@-", stdin=value.encode())
            raw = ("-H", "Accept: application/octet-stream")

            def read(o=other, a=at):
                with contextlib.suppress(AssertionError):
                    return self.curl(o, f"/c/k{a}", *raw)
                return None

            eventually("the value", read, value)
            # Two requests on one connection.
            said = self.curl(other, f"/c/k{at}", *raw, "--next", "-sS", *raw,
                             f"http://127.0.0.1:{self.ports[other]}/c/k{at}")
            self.assertEqual(said, 2 * value)
            self.curl(other, f"/c/k{at}", "-X", "DELETE")
            eventually("nothing", lambda a=at, r=read: r(a, a), None)


if __name__ == "__main__":
    unittest.main()
