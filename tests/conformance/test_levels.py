"""What clients say and see of levels: at the command line, as a line of text, and with HTTP.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_levels.py OfOne
"""

import json
import select
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True

from wire import BINARY, SECONDS, Dhrt, ask_http  # noqa: E402

WRITE_LEVELS = ("one", "quorum", "all", "linear")
READ_LEVELS = ("one", "fanout", "quorum", "linear")
QUICK = ("--write-timeout", "1s", "--read-timeout", "1s")


def say(dhrt, line):
    """The answer to one line, as it comes."""
    with dhrt.connect() as connection:
        connection.send(line.encode() + b"\n")
        return connection.reply().decode()


def bulk(text):
    return f"${len(text)}\r\n{text}\r\n"


def ask(dhrt, method, target, headers=(), body=None):
    """Status and body."""
    return ask_http(dhrt, method, target, headers, body)[:2]


def run(dhrt, *words):
    done = subprocess.run([BINARY, *words, "--host", f"127.0.0.1:{dhrt.port}"],
                          capture_output=True, timeout=SECONDS, text=True)
    return done.returncode, done.stdout, done.stderr


class OfOne(unittest.TestCase):
    """One node is a majority of itself: what is said is what is tested."""

    @classmethod
    def setUpClass(cls):
        cls.dhrt = Dhrt("--memory")
        cls.addClassCleanup(cls.dhrt.stop)

    def test_a_line_takes_every_level_and_no_other_word(self):
        for level in WRITE_LEVELS:
            self.assertEqual(say(self.dhrt, f"set line {level} --ack {level}"), "+OK\r\n")
            for read in READ_LEVELS:
                self.assertEqual(say(self.dhrt, f"get line --read {read}"), bulk(level))
            self.assertEqual(say(self.dhrt, f"del line --ack {level}"), ":1\r\n")
        self.assertIn("--ack is one, quorum, all or linear",
                      say(self.dhrt, "set line v --ack most"))
        self.assertIn("--read is one, fanout, quorum or linear",
                      say(self.dhrt, "get line --read all"))

    def test_the_command_line_takes_them_too(self):
        for level in WRITE_LEVELS:
            self.assertEqual(run(self.dhrt, "set", "shell", level, "--ack", level)[0], 0)
            for read in READ_LEVELS:
                code, out, _ = run(self.dhrt, "get", "shell", "--read", read)
                self.assertEqual((code, out.strip()), (0, level))
        code, _, error = run(self.dhrt, "set", "shell", "v", "--ack", "most")
        self.assertNotEqual(code, 0)
        self.assertIn("--ack", error)

    def test_http_takes_them_as_headers(self):
        for level in WRITE_LEVELS:
            ack = [("X-Dhrt-Ack", level)]
            status, _ = ask(self.dhrt, "PUT", "/header", ack, level.encode())
            self.assertIn(status, (200, 201, 204), level)
            for read in READ_LEVELS:
                status, body = ask(self.dhrt, "GET", "/header", [
                    ("X-Dhrt-Read", read), ("Accept", "application/octet-stream")])
                self.assertEqual((status, body), (200, level.encode()))
            status, _ = ask(self.dhrt, "DELETE", "/header", ack)
            self.assertIn(status, (200, 202, 204))
            self.assertEqual(ask(self.dhrt, "GET", "/header", [("X-Dhrt-Read", "linear")])[0], 404)

    def test_a_level_that_is_not_given_is_refused_and_not_passed_over(self):
        for why, method, target, headers in (
                ("no level", "PUT", "/no", [("X-Dhrt-Ack", "most")]),
                ("one of reads", "PUT", "/no", [("X-Dhrt-Ack", "fanout")]),
                ("one of writes", "GET", "/no", [("X-Dhrt-Read", "all")]),
                ("two of them", "PUT", "/no", [("X-Dhrt-Ack", "one"), ("X-Dhrt-Ack", "all")]),
                ("a path without levels", "GET", "/_/cluster", [("X-Dhrt-Read", "linear")]),
                ("a condition at linear", "PUT", "/no",
                 [("X-Dhrt-Ack", "linear"), ("If-None-Match", "*")])):
            with self.subTest(why):
                status, body = ask(self.dhrt, method, target, headers, b"v")
                self.assertEqual(status, 400, body)
                self.assertIn("error", json.loads(body))
        self.assertEqual(ask(self.dhrt, "GET", "/no")[0], 404)
        # Said twice in the same words, and where there is nothing to give, it is what it is.
        self.assertIn(ask(self.dhrt, "PUT", "/twice",
                          [("X-Dhrt-Ack", "all"), ("X-Dhrt-Ack", "all")], b"v")[0], (200, 201, 204))
        self.assertEqual(ask(self.dhrt, "GET", "/_/cluster", [("X-Dhrt-Ack", "one")])[0], 200)


class OfTwo(unittest.TestCase):
    """Two voters need both. What is not reached is said to be unknown, not to have failed."""

    def test_who_is_alone_of_two_answers_in_time_what_it_cannot_give(self):
        with Dhrt(*QUICK) as first:
            second = Dhrt(*QUICK, joins=first)
            try:
                say(first, "set two 0")
                self.wait_for_vote(second)
                second.process.send_signal(signal.SIGSTOP)
                self.check_alone(first)
            finally:
                second.process.send_signal(signal.SIGCONT)
                second.stop()

    def wait_for_vote(self, dhrt):
        """The cluster stays, as it was written to: who joined comes to vote, and this is shown."""
        deadline = time.monotonic() + SECONDS
        while [node["votes"] for node in self.document(dhrt, "nodes")] != [True, True]:
            self.assertLess(time.monotonic(), deadline, dhrt.log.read_text())
            select.select([], [], [], 0.05)
        self.assertEqual(self.document(dhrt, "stats")["voters"], 2)
        self.assertIn("\ndhrt_voters 2\n", ask(dhrt, "GET", "/metrics")[1].decode())

    def document(self, dhrt, line):
        return json.loads(say(dhrt, line).split("\r\n")[1])

    def check_alone(self, dhrt):
        few = "TIMEOUT applied=1 need=2"
        self.assertIn(few, say(dhrt, "set two 1 --ack quorum"))
        self.assertIn(few, say(dhrt, "get two --read quorum"))
        status, body = ask(dhrt, "PUT", "/two", [("X-Dhrt-Ack", "all")], b"2")
        self.assertEqual((status, json.loads(body)), (504, {"error": few}))
        self.assertEqual(ask(dhrt, "GET", "/two", [("X-Dhrt-Read", "linear")])[0], 504)
        code, _, error = run(dhrt, "set", "two", "3", "--ack", "quorum")
        self.assertEqual(code, 6)
        self.assertIn("not in time: " + few, error)
        # The writes stayed, and level one goes on.
        self.assertEqual(say(dhrt, "get two --read one"), bulk("3"))
        # A delete that is repeated is still not done.
        self.assertIn(few, say(dhrt, "del two --ack quorum"))
        self.assertIn(few, say(dhrt, "del two --ack quorum"))
        self.assertEqual(say(dhrt, "set two 4"), "+OK\r\n")


if __name__ == "__main__":
    unittest.main()
