"""What is told of requests: the log of them, and figures by dialect.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_requests.py Log
"""

import http.client
import json
import os
import pathlib
import re
import select
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True

from exchanges import Client  # noqa: E402
from wire import BINARY, SECONDS, Dhrt, array  # noqa: E402

LISTENERS = ("--tcp", "--tcp-port", "0", "--rpc", "--rpc-port", "0", "--hermod", "--hermod-port",
             "0", "--resp", "--resp-port", "0", "--http", "--http-port", "0")
SECRET = "s3cret"


def exchange(address, data):
    with Client(address) as client:
        client.send(data)
        client.end_sending()
        return client.rest()


def ask_http(address, method, target, body=None, headers=None):
    connection = http.client.HTTPConnection(*address, timeout=SECONDS)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Logging(Dhrt):
    """A node that writes its requests down as JSON."""

    def __init__(self, *flags):
        self.folder = tempfile.TemporaryDirectory(prefix="dhrt-requests-")
        self.path = pathlib.Path(self.folder.name) / "requests"
        super().__init__("--memory", "--log-requests", str(self.path), "--log-requests-format",
                         "json", *flags)

    def stop(self):
        super().stop()
        self.folder.cleanup()

    def lines(self):
        whole = self.path.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def wait_for(self, count):
        """So many lines; they are written behind the replies."""
        deadline = time.monotonic() + SECONDS
        while len(self.lines()) < count:
            assert time.monotonic() < deadline, self.path.read_text()
        return self.lines()


class Log(unittest.TestCase):
    def check(self, dhrt, ask, expected):
        """Each: dialect, request, outcome, error."""
        before = len(dhrt.lines())
        ask()
        lines = dhrt.wait_for(before + len(expected))[before:]
        # A line is written behind its reply: those of connections on two loops may come either way.
        self.assertEqual(sorted((line["dialect"], line["request"], line["outcome"], line["error"])
                                for line in lines), sorted(expected))
        for line in lines:
            self.assertRegex(line["client"], r"^127\.0\.0\.1:\d+$")
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertLessEqual(0, line["complete_us"])
            self.assertLessEqual(line["complete_us"], line["end_us"])

    def test_every_dialect(self):
        with Logging("--cpu-num", "2", *LISTENERS) as dhrt:
            own = dhrt.address
            self.check(dhrt, lambda: exchange(own, b"set k v\nget k\nget\nnonsense x\n"),
                       [("text", "set", "ok", ""), ("text", "get", "ok", ""),
                        ("text", "get", "error", "ERR"), ("text", "?", "error", "ERR")])
            commands = [[b"SET", b"k", b"v"], [b"get", b"k"], [b"INCR", b"k"], [b"NOPE"],
                        [b"CLIENT", b"GETNAME"], [b"MULTI"], [b"GET", b"k"], [b"EXEC"]]
            expected = [("set", "ok", ""), ("get", "ok", ""), ("incr", "error", "ERR"),
                        ("?", "error", "ERR"), ("client", "ok", ""), ("multi", "ok", ""),
                        ("get", "ok", ""), ("exec", "ok", "")]
            for address in (own, dhrt.listener("resp")):
                self.check(dhrt, lambda to=address: exchange(to, b"".join(map(array, commands))),
                           [("resp", *one) for one in expected])
            for address in (own, dhrt.listener("http")):
                self.check(dhrt, lambda to=address: [
                    ask_http(to, "PUT", "/files/note", b"bytes"),
                    ask_http(to, "GET", "/files/note?ttl=1"),
                    ask_http(to, "GET", "/files/none"), ask_http(to, "GET", "/files"),
                    ask_http(to, "POST", "/colour/blue"),
                    ask_http(to, "GET", "/set?k=a&v=1")],
                    [("http", "PUT /files/note", "ok", ""), ("http", "GET /files/note", "ok", ""),
                     ("http", "GET /files/none", "error", "404"), ("http", "GET /files", "ok", ""),
                     ("http", "POST /colour/*", "ok", ""), ("http", "GET /set", "ok", "")])
            self.check(dhrt, lambda: exchange(dhrt.listener("hati"),
                                              b"SET memory 0 k v\nGET memory k\nWHAT\n"),
                       [("hati", "SET", "ok", ""), ("hati", "GET", "ok", ""),
                        ("hati", "?", "error", "ERR")])
            self.check(dhrt, lambda: exchange(
                dhrt.listener("hermod"), b"\nset k in _basedb to v\x04get none from _basedb\x04"),
                [("hermod", "set", "ok", ""), ("hermod", "get", "error", "404")])

            def call(address, *methods):
                calls = [{"jsonrpc": "2.0", "method": method, "params": {"type": "hdd"}, "id": 1}
                         for method in methods]
                ask_http(address, "POST", "/rpc", json.dumps(calls))

            for address, dialect in ((own, "http"), (dhrt.listener("rpc"), "rpc")):
                self.check(dhrt, lambda to=address: [call(to, "Storage.Count"),
                                                     call(to, SECRET, "Storage.Count")],
                           [(dialect, "POST /rpc Storage.Count", "ok", ""),
                            (dialect, "POST /rpc ?, 2 calls", "error", "-32601")])
            self.assertNotIn(SECRET, dhrt.path.read_text())

    def test_what_is_no_request_at_all(self):
        with Logging() as dhrt:
            self.check(dhrt, lambda: exchange(dhrt.address, b"*1\r\n!\r\n"),
                       [("resp", "?", "error", "ERR")])
            self.check(dhrt, lambda: exchange(dhrt.address, b"GET / HTTP/1.1\r\n\r\n"),
                       [("http", "?", "error", "400")])
            # Half a request is none.
            exchange(dhrt.address, b"*2\r\n$3\r\nGET\r\n$1")
            self.check(dhrt, lambda: exchange(dhrt.address, b"ping\n"),
                       [("text", "ping", "ok", "")])

    def test_pipelines_and_large_replies(self):
        with Logging() as dhrt:
            value = b"v" * 300_000
            exchange(dhrt.address, array([b"SET", b"k", value]) + array([b"GET", b"k"]) * 200)
            lines = dhrt.wait_for(201)
            self.assertEqual([line["request"] for line in lines], ["set"] + ["get"] * 200)
            self.assertEqual({line["outcome"] for line in lines}, {"ok"})

    def test_who_leaves_does_not_get_its_reply(self):
        # On one loop, which takes them in this order.
        with Logging("--cpu-num", "1") as dhrt:
            with Client(dhrt.address) as client:
                client.send(array([b"DEBUG", b"SLEEP", b"600"]))
                self.assertEqual(exchange(dhrt.address, b"ping\n"), b"+PONG\r\n")
                with Client(dhrt.address) as other:
                    other.send(array([b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes"]))
                    self.assertEqual(other.receive(4), b":1\r\n")
            lost = [line for line in dhrt.wait_for(3) if line["outcome"] == "lost"]
            self.assertEqual([line["request"] for line in lost], ["debug"])

    def test_neither_values_nor_tokens_nor_lines_of_a_client(self):
        with tempfile.TemporaryDirectory() as folder:
            token = pathlib.Path(folder) / "token"
            token.write_text(SECRET + "-token-of-the-node")
            with Logging("--token-file", str(token), *LISTENERS) as dhrt:
                good = token.read_text()
                key = {"type": "hdd", "key": "k", "value": SECRET}
                bearer = {"Authorization": "Bearer " + good}
                exchange(dhrt.address, f"auth {good}\nset k {SECRET}\n{SECRET}\n".encode())
                exchange(dhrt.address, array([b"AUTH", good.encode()]) +
                         array([b"SET", b"k", SECRET.encode()]) + array([SECRET.encode()]) +
                         array([b"CLIENT", SECRET.encode() + b"!"]))
                ask_http(dhrt.address, "POST", f"/colour/{SECRET}", None, bearer)
                ask_http(dhrt.address, "POST", f"/c/colour/{SECRET}", None, bearer)
                ask_http(dhrt.address, "POST", f"/a/b/c/{SECRET}", None, bearer)
                for method in ("POST", "GET", "PUT", "DELETE"):
                    ask_http(dhrt.address, method, f"/c/k/{SECRET}/", None, bearer)
                    ask_http(dhrt.address, method, f"/c/k/{SECRET}/{SECRET}", None, bearer)
                for method in ("GET", "PUT", "DELETE", "PATCH"):
                    ask_http(dhrt.address, method, f"/c/k/{SECRET}", None, bearer)
                ask_http(dhrt.address, "GET", f"/set/k/{SECRET}", None, bearer)
                ask_http(dhrt.address, "GET", f"/set?k=a&v={SECRET}", None, bearer)
                ask_http(dhrt.address, "GET", "/a%0a%22%7d%0adialect=resp%20outcome=ok", None, bearer)
                ask_http(dhrt.address, "POST", "/rpc", json.dumps(
                    {"jsonrpc": "2.0", "method": "Storage.Set", "params": key, "id": 1}), bearer)
                exchange(dhrt.listener("hati"), f"AUTH {good}\nSET hdd 0 k {SECRET}\n".encode())
                exchange(dhrt.listener("hermod"),
                         f"auth: {good}\x04set k in _basedb to {SECRET}\x04".encode())
                exchange(dhrt.address, b"ping\n")
                lines = dhrt.wait_for(30)  # Each of them is JSON.
                self.assertEqual(len(lines), 30)
                self.assertNotIn(SECRET, dhrt.path.read_text())
                self.assertIn("GET /a%0a%22%7d%0adialect=resp%20outcome=ok",
                              [line["request"] for line in lines])

    def test_a_reader_who_does_not_read_stalls_nobody(self):
        with tempfile.TemporaryDirectory() as folder:
            token = pathlib.Path(folder) / "token"
            token.write_text("the-token")
            reader, writer = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), ("rb", "wb")))
            process = subprocess.Popen(
                [BINARY, "start", "--memory", "--bind", "127.0.0.1:0", "--cpu-num", "1",
                 "--data-dir", folder + "/data", "--token-file", str(token), "--log-requests", "-"],
                stderr=writer, stdout=subprocess.DEVNULL)
            try:
                banner = b""
                while not re.search(rb"listening on\s.*\n(.*\n){4}", banner):
                    self.assertTrue(select.select([reader], [], [], SECONDS)[0], banner)
                    banner += os.read(reader.fileno(), 4096)
                port = int(re.search(rb"listening on\s+\S*:(\d+)", banner).group(1))
                address = ("127.0.0.1", port)
                dropped, full = 0, False
                deadline = time.monotonic() + SECONDS
                # More than the pipe and the node's own room for lines take. How many bytes a pipe
                # takes depends on how they are cut, so the kernel is asked whether it takes more.
                while not (dropped and full) and time.monotonic() < deadline:
                    self.assertEqual(exchange(address, b"auth the-token\n" + b"ping\n" * 5000),
                                     b"+OK\r\n" + b"+PONG\r\n" * 5000)
                    figures = ask_http(address, "GET", "/metrics", None,
                                       {"Authorization": "Bearer the-token"})[1]
                    dropped = int(re.search(rb"\ndhrt_request_log_dropped_total (\d+)",
                                            figures).group(1))
                    full = not select.select([], [writer], [], 0)[1]
                self.assertGreater(dropped, 0)
                self.assertTrue(full)
                # Now what the node itself has to say, twenty times a second, finds no room either:
                # in three seconds it is more than a piece.
                until = time.monotonic() + 3
                while time.monotonic() < until:
                    self.assertRegex(exchange(address, b"auth wrong\n"), b"^-(WRONGPASS|BUSY)")
                process.terminate()
                writer.close()
                rest = reader.read()
                self.assertEqual(process.wait(SECONDS), 0)
                self.assertIn(b"dialect=text client=127.0.0.1:", rest)
                self.assertIn(b" dropped=", rest)
                self.assertIn(b" lines_left_out_before=", rest)
            finally:
                process.kill()
                process.wait()
                writer.close()
                reader.close()

    def test_a_file_that_cannot_be(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([BINARY, "start", "--memory", "--bind", "127.0.0.1:0",
                                   "--data-dir", folder + "/data", "--log-requests", folder],
                                  capture_output=True, timeout=SECONDS, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(b"--log-requests " + folder.encode(), done.stderr)


class Figures(unittest.TestCase):
    def figures(self, dhrt, dialect):
        """Of connections ever, commands and errors."""
        with Client(dhrt.listener("http")) as client:
            client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            text = client.rest().decode()
        return [int(re.search(rf'\ndhrt_dialect_{name}_total{{dialect="{dialect}"}} (\d+)',
                              text).group(1)) for name in ("connections", "commands", "errors")]

    def test_each_dialect_has_its_own(self):
        set_and_get = array([b"SET", b"k", b"v"]) + array([b"GET", b"k"]) * 3 + array([b"NOPE"])
        call = b'{"method":"Storage.Count","params":[{"type":"none"}],"id":1}'
        post = (b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(call)
                + call)
        rows = (("dhrt", "text", b"set k v\nget k\nget k\nnope\n", (1, 4, 1)),
                ("dhrt", "resp", set_and_get, (1, 5, 1)),
                ("resp", "resp", set_and_get, (1, 5, 1)),
                ("dhrt", "http", b"PUT /k HTTP/1.1\r\nHost: a.b\r\nContent-Length: 0\r\n\r\n",
                 (1, 1, 1)),
                ("hati", "hati", b"SET memory 0 k v\nWHAT\n", (1, 2, 1)),
                ("rpc", "rpc", post, (1, 1, 1)),
                ("hermod", "hermod", b"\nget k from _basedb\x04", (1, 1, 0)))
        with Dhrt("--memory", "--cpu-num", "2", *LISTENERS) as dhrt:
            for service, dialect, data, expected in rows:
                before = self.figures(dhrt, dialect)
                own = (1, 1, 0) if dialect == "http" else (0, 0, 0)  # Of who asks.
                exchange(dhrt.address if service == "dhrt" else dhrt.listener(service), data)
                after = self.figures(dhrt, dialect)
                self.assertEqual([now - then - more for now, then, more in
                                  zip(after, before, own)], list(expected), (service, dialect))

    def test_connections_that_are_there(self):
        def now(dialect):
            stats = json.loads(ask_http(dhrt.listener("http"), "GET", "/_/stats")[1])
            return stats["dialects"][dialect]["connections"]

        with Dhrt("--memory", *LISTENERS) as dhrt:
            with Client(dhrt.listener("hati")) as client:
                client.ask(b"COUNT hdd\n", 2)
                self.assertEqual(now("hati"), 1)
            deadline = time.monotonic() + SECONDS
            while now("hati") != 0:
                self.assertLess(time.monotonic(), deadline)


if __name__ == "__main__":
    unittest.main()
