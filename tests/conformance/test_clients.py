"""Real clients of Redis through a real node.

redis-cli and redis-benchmark come with redis-tools, the libraries with python3-redis and
node-redis.
"""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

import redis

from wire import BINARY, SECONDS, Dhrt, array


def run(*arguments, stdin=b""):
    done = subprocess.run(arguments, input=stdin, capture_output=True, timeout=2 * SECONDS,
                          check=False)
    return done.stdout.decode() + done.stderr.decode()


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.assertTrue(shutil.which("redis-cli"), "redis-tools is not installed")

    def cli(self, dhrt, *words, stdin=b""):
        return run("redis-cli", "-p", str(dhrt.port), *words, stdin=stdin)

    def test_single_commands_in_both_versions(self):
        with Dhrt("--memory") as dhrt:
            self.assertEqual(self.cli(dhrt, "set", "k", "v"), "OK\n")
            self.assertEqual(self.cli(dhrt, "get", "k"), "v\n")
            self.assertEqual(self.cli(dhrt, "-3", "get", "k"), "v\n")
            self.assertEqual(self.cli(dhrt, "-3", "get", "missing"), "\n")
            self.assertEqual(self.cli(dhrt, "-n", "1", "get", "k"), "\n")
            self.assertIn("AUTH failed", self.cli(dhrt, "-a", "secret", "get", "k"))
            self.assertEqual(self.cli(dhrt, stdin=b"incr n\nincr n\nget n\n"), "1\n2\n2\n")

    def test_a_stream_of_lines_and_arrays(self):
        with Dhrt("--memory") as dhrt:
            lines = b"".join(b"SET key:%d value\r\n" % number for number in range(500))
            arrays = b"".join(array([b"SET", b"k%d" % number, b"v"]) for number in range(500))
            said = self.cli(dhrt, "--pipe", stdin=lines + arrays)
            self.assertIn("errors: 0, replies: 1000", said)
            self.assertEqual(self.cli(dhrt, "dbsize"), "1000\n")

    def test_looking_around(self):
        with Dhrt("--memory") as dhrt:
            self.cli(dhrt, "set", "small", "v")
            self.cli(dhrt, "set", "large", "v" * 1000)
            found = self.cli(dhrt, "--bigkeys")
            self.assertRegex(found, r'Biggest string found .*large.* has 1000 bytes')
            self.assertIn("Sampled 2 keys", found)
            self.assertIn("large", self.cli(dhrt, "--memkeys"))
            self.assertEqual(self.cli(dhrt, "--scan", "--pattern", "sm*"), "small\n")
            self.assertIn("redis_version:7", self.cli(dhrt, "info"))


class OwnCommandLine(unittest.TestCase):
    def test_what_a_node_suggests_at_its_start_works(self):
        with Dhrt() as dhrt:
            suggested = re.search(r"^ +try +dhrt (.+)$", dhrt.log.read_text(), re.MULTILINE)
            done = subprocess.run([BINARY, *suggested.group(1).split()], capture_output=True,
                                  text=True, timeout=SECONDS)
            self.assertEqual(done.returncode, 0, done.stderr)
            with dhrt.connect() as connection:
                self.assertEqual(connection.ask("get", "hello"), b"$5\r\nworld\r\n")


class Benchmark(unittest.TestCase):
    def benchmark(self, *flags):
        self.assertTrue(shutil.which("redis-benchmark"), "redis-tools is not installed")
        with Dhrt("--memory") as dhrt:
            return run("redis-benchmark", "-p", str(dhrt.port), "-t",
                       "ping_inline,ping_mbulk,set,get,incr,mset", "-n", "2000", "-c", "10", "--csv",
                       *flags)

    def test_the_usual_tests_run_without_an_error(self):
        for flags in ((), ("-P", "16"), ("-P", "64", "-r", "1000"), ("-3", "-P", "16")):
            with self.subTest(flags=flags):
                said = self.benchmark(*flags)
                self.assertNotRegex(said, r"(?i)\berr|warning")
                for test in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"):
                    # What takes less than its clock sees is "inf" to redis-benchmark.
                    self.assertRegex(said, rf'"{re.escape(test)}","([1-9]|inf")')


class PythonLibrary(unittest.TestCase):
    def setUp(self):
        self.dhrt = Dhrt("--memory")
        self.client = redis.Redis(port=self.dhrt.port, socket_timeout=SECONDS)

    def tearDown(self):
        self.client.close()
        self.dhrt.stop()

    def test_strings(self):
        client = self.client
        self.assertTrue(client.set("k", b"\x00\xff"))
        self.assertEqual(client.get("k"), b"\x00\xff")
        self.assertIsNone(client.set("k", "w", nx=True))
        self.assertEqual(client.set("k", "1", get=True), b"\x00\xff")
        self.assertEqual(client.incr("k", 41), 42)
        self.assertEqual(client.incrbyfloat("k", 0.5), 42.5)
        self.assertTrue(client.mset({"a": 1, "b": 2}))
        self.assertEqual(client.mget("a", "missing", "b"), [b"1", None, b"2"])
        self.assertEqual(client.append("a", "23"), 3)
        self.assertEqual(client.getrange("a", 1, -1), b"23")
        self.assertEqual(client.bitcount("a"), 10)
        self.assertEqual(client.delete("a", "b", "c"), 2)

    def test_deadlines(self):
        client = self.client
        client.set("k", "v", ex=100)
        self.assertIn(client.ttl("k"), (99, 100))
        self.assertTrue(client.expire("k", 200, gt=True))
        self.assertTrue(client.persist("k"))
        self.assertEqual(client.ttl("k"), -1)
        self.assertEqual(client.ttl("missing"), -2)
        self.assertEqual(client.getex("k", px=100000), b"v")
        self.assertTrue(99000 < client.pttl("k") <= 100000)

    def test_pipelines_without_a_transaction(self):
        pipeline = self.client.pipeline(transaction=False)
        for number in range(1000):
            pipeline.set(f"key:{number}", number)
        self.assertEqual(pipeline.execute(), [True] * 1000)
        self.assertEqual(self.client.dbsize(), 1000)
        self.assertEqual(len(set(self.client.scan_iter(match="key:*", count=50))), 1000)
        self.assertEqual(len(self.client.keys("key:1??")), 100)

    def test_transactions(self):
        pipeline = self.client.pipeline()
        pipeline.set("k", 1).incr("k").get("k")
        self.assertEqual(pipeline.execute(), [True, 2, b"2"])
        pipeline.watch("k")
        self.client.set("k", "changed")
        pipeline.multi()
        pipeline.set("k", "mine")
        with self.assertRaises(redis.WatchError):
            pipeline.execute()
        self.assertEqual(self.client.get("k"), b"changed")
        self.client.transaction(lambda one: one.multi() or one.set("k", "done"), "k")
        self.assertEqual(self.client.get("k"), b"done")

    def test_large_values(self):
        value = bytes(range(256)) * 40000
        self.client.set("large", value)
        self.assertEqual(self.client.get("large"), value)

    def test_what_a_node_says_about_itself(self):
        info = self.client.info()
        self.assertEqual(info["redis_version"][:2], "7.")
        self.assertEqual(info["loading"], 0)
        self.assertEqual(info["tcp_port"], self.dhrt.port)
        self.assertGreaterEqual(info["connected_clients"], 1)
        self.client.set("k", "v")
        self.assertEqual(self.client.info("keyspace")["db0"]["keys"], 1)
        self.assertEqual(self.client.config_get("save"), {"save": ""})
        commands = self.client.command()
        self.assertEqual(commands["get"]["first_key_pos"], 1)
        self.assertEqual(self.client.command_count(), len(commands))
        self.assertGreater(self.client.client_id(), 0)
        seconds, microseconds = self.client.time()
        self.assertGreater(seconds, 1_600_000_000)
        self.assertLess(microseconds, 1_000_000)

    def test_databases(self):
        other = redis.Redis(port=self.dhrt.port, db=3, socket_timeout=SECONDS)
        other.set("k", "three")
        self.assertIsNone(self.client.get("k"))
        self.assertEqual(other.get("k"), b"three")
        self.client.flushall()
        self.assertIsNone(other.get("k"))
        other.close()

    def test_an_error_is_an_exception_and_the_connection_goes_on(self):
        self.client.set("k", "abc")
        with self.assertRaisesRegex(redis.ResponseError, "not an integer"):
            self.client.incr("k")
        with self.assertRaisesRegex(redis.ResponseError, "unknown command"):
            self.client.lpush("k", 1)
        self.assertEqual(self.client.get("k"), b"abc")


class JavaScriptLibrary(unittest.TestCase):
    def test_a_program_runs_as_it_does_with_redis(self):
        program = pathlib.Path(__file__).with_name("client.js")
        with Dhrt("--memory") as dhrt:
            done = subprocess.run(["node", str(program), str(dhrt.port)], capture_output=True,
                                  text=True, timeout=2 * SECONDS, check=False,
                                  env=os.environ | {"NODE_PATH": "/usr/share/nodejs"})
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
