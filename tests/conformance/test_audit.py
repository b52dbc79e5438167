"""Whatever is refused to who asked is counted and, twenty times a second, a line of the log.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_audit.py Refusals
"""

import json
import re
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

from exchanges import Client  # noqa: E402
from test_access import NOAUTH, Guarded  # noqa: E402
from wire import Dhrt, array  # noqa: E402

LONG = b"x" * 100_000


class Refusals(unittest.TestCase):
    def check(self, dhrt, refused):
        """Each of them, (what, bytes to an address, end of the reply, refusals)."""
        total = self.total(dhrt)
        for what, address, sent, expected, count in refused:
            with Client(address) as client:
                client.send(sent)
                client.end_sending()
                self.assertIn(expected, client.rest(), what)
            before, total = total, self.total(dhrt)
            self.assertEqual(total - before, count, what)
        self.assertLessEqual(total, 20, "or lines are left out")
        log = dhrt.log.read_text()
        self.assertEqual(len(re.findall(r"warning\s+refused client=127\.0\.0\.1 token=", log)), total)

    def total(self, dhrt):
        with dhrt.connect() as client:
            client.send(b"auth t-admin\nstats\n")
            client.reply()
            return json.loads(client.reply().split(b"\r\n", 1)[1])["requests_refused_total"]

    def test_with_tokens_behind_every_dialect(self):
        with Guarded("--cpu-num", "1", "--tcp", "--tcp-port", "0", "--rpc", "--rpc-port", "0",
                     "--hermod", "--hermod-port", "0", "--resp", "--resp-port", "0") as dhrt:
            hermod = dhrt.listener("hermod")
            long_body = (b"PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
            self.check(dhrt, [
                ("Hermod, get", hermod, b"\n\x04get k from _basedb\x04", b" 405}", 1),
                ("del", hermod, b"\n\x04del k from _basedb\x04", b" 405}", 1),
                ("sup", hermod, b"\n\x04sup gettab\x04sup getlen x\x04", b" 403}", 2),
                ("long", hermod, b"\n\x04set k in t to " + LONG * 2 + b"\x04", b" 405}", 1),
                ("Hati", dhrt.listener("hati"), b"GET memory k\n", b"+ERR", 1),
                ("a long value", dhrt.listener("hati"), b"SET memory 0 k " + LONG + b"\n",
                 b"+ERR", 1),
                ("Redis", dhrt.listener("resp"), array([b"SET", b"k", LONG]), NOAUTH, 1),
                ("the same port for all", dhrt.address, array([b"SET", b"k", LONG]), NOAUTH, 1),
                ("HELLO", dhrt.address, array([b"HELLO", b"3"]), b"-NOAUTH", 1),
                ("another name", dhrt.address, array([b"AUTH", b"boss", b"t-read"]), b"-WRONGPASS", 1),
                ("text", dhrt.address, b"set k " + LONG * 2 + b"\n", NOAUTH, 1),
                ("HTTP", dhrt.address, long_body, b"HTTP/1.1 401", 1),
                ("JSON-RPC", dhrt.listener("rpc"), long_body, b"HTTP/1.1 401", 1),
                ("a page", dhrt.address, b"GET / HTTP/1.1\r\nHost: localhost\r\n"
                 b"Origin: http://evil\r\nConnection: close\r\n\r\n", b"HTTP/1.1 403", 1)])

    def test_without_tokens_what_pages_and_hermods_strangers_ask(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"token": "t-own"}')
            file.flush()
            with Dhrt("--memory", "--cpu-num", "1", "--tcp", "--tcp-port", "0", "--hermod",
                      "--hermod-port", "0", "--hermod-config", file.name, "--resp", "--resp-port",
                      "0") as dhrt:
                hermod = dhrt.listener("hermod")
                page = b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"
                self.check(dhrt, [
                    ("add", hermod, b"\n\x04set k in _basedb to v\x04set k in _basedb to w\x04",
                     b" 405}", 1),
                    ("del", hermod, b"\n\x04del k from _basedb\x04", b" 405}", 1),
                    ("HTTP to Hermod", hermod, page, b"looks like HTTP", 1),
                    ("to Hati", dhrt.listener("hati"), page, b"+ERR\n\n", 1),
                    ("to Redis", dhrt.listener("resp"), page, b"looks like HTTP", 1),
                    ("another host", dhrt.address, b"GET / HTTP/1.1\r\nHost: evil.example\r\n"
                     b"Connection: close\r\n\r\n", b"HTTP/1.1 403", 1)])


if __name__ == "__main__":
    unittest.main()
