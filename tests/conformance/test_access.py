"""Tokens and roles, the same behind every dialect.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_access.py Dialects
"""

import base64
import http.client
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

from exchanges import Client  # noqa: E402
from wire import BINARY, SECONDS, Dhrt, array  # noqa: E402

TOKENS = """
[[token]]
name = "boss"
token = "t-admin"
role = "admin"
[[token]]
name = "writer"
token = "t-write"
role = "write"
[[token]]
name = "reader"
token = "t-read"
role = "read"
[[token]]
name = "shop"
token = "t-orders"
role = "write"
collections = ["orders"]
[[token]]
name = "main"
token = "t-default"
role = "write"
collections = ["default"]
[[token]]
name = "cache"
token = "t-memory"
role = "write"
collections = ["memory"]
"""
SECRETS = ("t-admin", "t-write", "t-read", "t-orders", "t-default",
           "t-memory", "t-wrong")
NOAUTH = b"-NOAUTH Authentication required.\r\n"


class Guarded(Dhrt):
    """A node that asks for tokens."""

    def __init__(self, *flags):
        self.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.folder.name) / "tokens.toml"
        path.write_text(TOKENS)
        super().__init__("--memory", "--auth-file", str(path), *flags)

    def stop(self):
        log = self.log.read_text(errors="replace")
        super().stop()
        self.folder.cleanup()
        for secret in SECRETS:
            assert secret not in log, f"the log has the token {secret}"


def resp(address, *commands, token=None):
    """What the last of the commands is answered, of a Redis client."""
    with Client(address) as client:
        data = array([b"AUTH", token.encode()]) if token else b""
        for words in commands:
            data += array([word.encode() for word in words])
        client.send(data)
        client.end_sending()
        replies = client.rest()
        return replies[len(b"+OK\r\n"):] if token and replies.startswith(b"+OK\r\n") else replies


def text(address, *lines, token=None):
    with Client(address) as client:
        asked = ([f"auth {token}"] if token else []) + list(lines)
        client.send("".join(line + "\n" for line in asked).encode())
        client.end_sending()
        return client.rest()


def http_ask(address, method, target, body=None, authorization=None):
    connection = http.client.HTTPConnection(*address, timeout=SECONDS)
    try:
        headers = {"Authorization": authorization} if authorization else {}
        connection.request(method, target, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


class Dialects(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dhrt = Guarded("--cpu-num", "2", "--tcp", "--tcp-port", "0", "--rpc", "--rpc-port", "0",
                           "--hermod", "--hermod-port", "0", "--resp", "--resp-port", "0")

    @classmethod
    def tearDownClass(cls):
        cls.dhrt.stop()

    def test_redis(self):
        for address in (self.dhrt.address, self.dhrt.listener("resp")):
            def ask(*commands, token=None, address=address):
                return resp(address, *commands, token=token)

            for words in (("GET", "k"), ("SET", "k", "v"), ("PING",), ("INFO",), ("SELECT", "1"),
                          ("MULTI",), ("SUBSCRIBE", "c"), ("SHUTDOWN",), ("FLUSHALL",)):
                self.assertEqual(ask(words), NOAUTH, words)
            self.assertEqual(ask(("PING",), token="t-wrong")[:10], b"-WRONGPASS")
            self.assertEqual(ask(("SET", "k", "v"), ("GET", "k"), token="t-write"),
                             b"+OK\r\n$1\r\nv\r\n")
            self.assertEqual(ask(("GET", "k"), token="t-read"), b"$1\r\nv\r\n")
            for words in (("SET", "k", "w"), ("DEL", "k"), ("FLUSHDB",), ("FLUSHALL",),
                          ("PUBLISH", "c", "m"), ("CONFIG", "SET", "timeout", "1"), ("MONITOR",),
                          ("CLIENT", "LIST"), ("CLIENT", "KILL", "ID", "1"), ("SLOWLOG", "GET"),
                          ("SAVE",), ("SHUTDOWN",), ("DEBUG", "SLEEP", "0")):
                self.assertEqual(ask(words, token="t-read")[:7], b"-NOPERM", words)
            self.assertEqual(ask(("CLIENT", "LIST"), token="t-admin")[:1], b"$")
            self.assertEqual(ask(("GET", "k"), token="t-read"), b"$1\r\nv\r\n")

    def test_redis_users_and_hello(self):
        address = self.dhrt.address
        self.assertEqual(resp(address, ("AUTH", "default", "t-read")), b"+OK\r\n")
        self.assertEqual(resp(address, ("AUTH", "reader", "t-read")), b"+OK\r\n")
        self.assertEqual(resp(address, ("AUTH", "boss", "t-read"))[:10], b"-WRONGPASS")
        self.assertEqual(resp(address, ("HELLO", "3"))[:7], b"-NOAUTH")
        self.assertEqual(resp(address, ("HELLO", "3", "AUTH", "default", "t-read"))[:3], b"%7\r")
        self.assertEqual(resp(address, ("RESET",), ("GET", "k"), token="t-read"),
                         b"+RESET\r\n" + NOAUTH)

    def test_redis_within_one_collection(self):
        address = self.dhrt.address

        def ask(*commands):
            return resp(address, *commands, token="t-orders")

        select = ("SELECT", "orders")
        self.assertEqual(ask(select, ("SET", "o", "1"), ("GET", "o"), ("EXISTS", "o")),
                         b"+OK\r\n+OK\r\n$1\r\n1\r\n:1\r\n")
        self.assertEqual(ask(select, ("DBSIZE",))[:6], b"+OK\r\n:")
        self.assertEqual(ask(("GET", "o"))[:7], b"-NOPERM")
        self.assertEqual(ask(("KEYS", "*"))[:7], b"-NOPERM")
        self.assertEqual(ask(("SUBSCRIBE", "c"))[:7], b"-NOPERM")
        for words in (("COPY", "o", "p", "DB", "2"), ("MOVE", "o", "2")):
            self.assertEqual(ask(select, words)[:12], b"+OK\r\n-NOPERM", words)
        # The collection that counts is that of the moment.
        kept = ask(select, ("MULTI",), ("SELECT", "0"), ("SET", "stolen", "1"), ("EXEC",))
        self.assertIn(b"-NOPERM", kept)
        self.assertEqual(ask(("MULTI",), select, ("SET", "o", "2"), ("EXEC",)),
                         b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n")
        self.assertEqual(resp(address, ("EXISTS", "stolen"), token="t-admin"), b":0\r\n")

    def test_text(self):
        address = self.dhrt.address
        for line in ("get k", "set k v", "keys", "stats", "nodes", "backup b", "reload", "evict n", "drop x"):
            self.assertEqual(text(address, line), NOAUTH, line)
        self.assertEqual(text(address, "ping"), b"+PONG\r\n")
        self.assertEqual(text(address, "auth t-wrong", "get k")[:10], b"-WRONGPASS")
        self.assertEqual(text(address, "set t v", "get t", token="t-write"),
                         b"+OK\r\n+OK\r\n$1\r\nv\r\n")
        for line in ("set t w", "set c t w", "del t", "flush default", "create x", "drop x",
                     "backup b", "reload", "evict n"):
            self.assertEqual(text(address, line, token="t-read")[:12], b"+OK\r\n-NOPERM", line)
        for line in ("create x", "drop x", "backup b", "reload", "evict n"):
            self.assertEqual(text(address, line, token="t-write")[:12], b"+OK\r\n-NOPERM", line)
        self.assertEqual(text(address, "set orders o 2", "get orders o", token="t-orders"),
                         b"+OK\r\n+OK\r\n$1\r\n2\r\n")
        for line in ("get t", "get other t", "keys", "keys other", "scan other", "count",
                     "set other k v"):
            self.assertEqual(text(address, line, token="t-orders")[:12], b"+OK\r\n-NOPERM", line)

    def test_http(self):
        def ask(method, target, token=None, body=None, kind="Bearer "):
            return http_ask(self.dhrt.address, method, target, body,
                            kind + token if token else None)

        status, headers, _ = ask("GET", "/h")
        self.assertEqual(status, 401)
        self.assertEqual(headers.get_all("WWW-Authenticate"), ["Bearer", 'Basic realm="dhrt"'])
        self.assertEqual(ask("GET", "/h", "t-wrong")[0], 401)
        for target in ("/_/health/live", "/_/health/ready", "/healthcheck", "/_/openapi.json"):
            self.assertEqual(ask("GET", target)[0], 200, target)
        for target in ("/", "/metrics", "/_/stats", "/_/cluster", "/getAll", "/get?k=h", "/c/"):
            self.assertEqual(ask("GET", target)[0], 401, target)
        self.assertEqual(ask("PUT", "/h", "t-read", "1")[0], 403)
        self.assertEqual(ask("GET", "/set?k=h&v=1", "t-read")[0], 403)
        self.assertEqual(ask("PUT", "/h", "t-write", "1")[0], 201)
        self.assertEqual(ask("GET", "/h", "t-read")[0], 200)
        basic = base64.b64encode(b"anybody:t-read").decode()
        self.assertEqual(ask("GET", "/h", basic, kind="Basic ")[0], 200)
        self.assertEqual(ask("GET", "/metrics", "t-orders")[0], 200)
        self.assertEqual(ask("PUT", "/orders/h", "t-orders", "1")[0], 201)
        self.assertEqual(ask("GET", "/orders/", "t-orders")[0], 200)
        for target, about in (("/h", b"default"), ("/orders", b"default"), ("/other/h", b"other"),
                              ("/getAll", b"default")):
            status, _, error = ask("GET", target, "t-orders")
            self.assertEqual(status, 403, target)
            self.assertIn(b"these collections only: orders; this is about", error)
            self.assertIn(b" the collection '%b'" % about, error)
        self.assertIn(b"the key /default/orders or the collection /orders/",
                      ask("GET", "/orders", "t-orders")[2])
        self.assertIn(b"the role read, and this takes write", ask("PUT", "/h", "t-read", "1")[2])
        self.assertEqual(ask("PUT", "/h2", "t-default", "1")[0], 201)
        self.assertEqual(ask("GET", "/h2", "t-default")[0], 200)
        self.assertEqual(ask("GET", "/orders", "t-default")[0], 403, "a collection's list, too")
        self.assertEqual(ask("DELETE", "/h2", "t-read")[0], 403)
        self.assertEqual(ask("DELETE", "/h2", "t-default")[0], 202)
        for target in ("/orders", "/orders/"):
            for token in ("t-orders", "t-write", "t-read", None):
                self.assertEqual(ask("DELETE", target, token)[0], 403 if token else 401, target)
        self.assertEqual(ask("GET", "/orders/h", "t-orders")[0], 200)
        self.assertEqual(ask("DELETE", "/orders/", "t-admin")[0], 202)
        # By a name that is not the node's own: a page that made it ours has no token.
        connection = http.client.HTTPConnection(*self.dhrt.address, timeout=SECONDS)
        for token, expected in (("t-read", 200), ("t-wrong", 401)):
            connection.request("GET", "/h", headers={"Host": "db.example.org",
                                                     "Authorization": "Bearer " + token})
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, expected)
        connection.close()
        # One connection, one request with a token and one without.
        connection = http.client.HTTPConnection(*self.dhrt.address, timeout=SECONDS)
        for headers, expected in (({"Authorization": "Bearer t-read"}, 200), ({}, 401)):
            connection.request("GET", "/h", headers=headers)
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, expected)
        connection.close()

    def test_a_list_of_collections_has_those_of_the_token(self):
        own, hati = self.dhrt.address, self.dhrt.listener("hati")
        text(own, "set orders o 1", "set memory m 1", "set d 1", token="t-write")
        for token, mine in (("t-orders", {"orders"}), ("t-default", {"default"}),
                            ("t-memory", {"memory"}), ("t-read", {"orders", "memory", "default"})):
            _, _, listed = http_ask(own, "GET", "/_/collections", None, "Bearer " + token)
            line = text(own, "collections", token=token).split(b"\r\n")[2]
            for answer in (listed, line):
                names = {one["name"] for one in json.loads(answer)}
                self.assertLessEqual(mine, names)
                if token != "t-read":
                    self.assertEqual(names, mine)
            keyspace = resp(own, ("INFO", "keyspace"), token=token)
            self.assertEqual(b"db0:" in keyspace, "default" in mine, token)
            call = '{"jsonrpc":"2.0","method":"Storage.Stats","params":{},"id":1}'
            stats = http_ask(own, "POST", "/rpc", call, "Bearer " + token)[2]
            self.assertEqual("memory" in json.loads(stats)["result"], "memory" in mine, token)
            with Client(hati) as client:
                client.send(f"AUTH {token}\nSTATS\n".encode())
                client.end_sending()
                self.assertEqual(b'"memory"' in client.rest(), "memory" in mine, token)

    def test_json_rpc(self):
        def ask(address, method, token=None, **params):
            body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
            status, _, answer = http_ask(address, "POST", "/rpc", body,
                                         "Bearer " + token if token else None)
            self.assertEqual(status, 200)
            answer = json.loads(answer)
            return answer.get("result", answer.get("error", {}).get("code"))

        for address in (self.dhrt.address, self.dhrt.listener("rpc")):
            key = {"type": "memory", "key": "rpc"}
            self.assertEqual(ask(address, "Storage.Get", **key), -32002)
            self.assertEqual(ask(address, "Storage.Get", "t-wrong", **key), -32002)
            self.assertEqual(ask(address, "Storage.Stats"), -32002)
            self.assertEqual(ask(address, "rpc.discover")["openrpc"], "1.2.6")
            self.assertEqual(ask(address, "Storage.Set", "t-read", value="v", **key), -32002)
            self.assertIs(ask(address, "Storage.Set", "t-memory", value="v", **key), True)
            self.assertEqual(ask(address, "Storage.Get", "t-read", **key), "v")
            self.assertEqual(ask(address, "Storage.Get", "t-memory", type="hdd", key="rpc"), -32002)
            batch = [{"jsonrpc": "2.0", "method": "Storage.Get", "id": kind,
                      "params": {"type": kind, "key": "rpc"}} for kind in ("memory", "hdd")]
            answer = json.loads(http_ask(address, "POST", "/rpc", json.dumps(batch),
                                         "Bearer t-memory")[2])
            self.assertEqual([one.get("result", one.get("error", {}).get("code")) for one in
                              sorted(answer, key=lambda one: one["id"], reverse=True)],
                             ["v", -32002])

    def test_hati(self):
        address = self.dhrt.listener("hati")

        def ask(*lines, token=None):
            with Client(address) as client:
                asked = ([f"AUTH {token}"] if token else []) + list(lines)
                client.send("".join(line + "\n" for line in asked).encode())
                client.end_sending()
                return client.rest()

        error = b"+ERR\n\n"
        for line in ("SET memory 0 h v", "GET memory h", "COUNT memory", "STATS", "FLUSHALL hdd"):
            self.assertEqual(ask(line), error, line)
        self.assertEqual(ask("GET memory h", token="t-wrong"), error * 2)
        self.assertEqual(ask("SET memory 0 h v", "GET memory h", token="t-memory"),
                         b"+OK\n+OK\nv\n")
        self.assertEqual(ask("GET memory h", "SET memory 0 h w", token="t-read"),
                         b"+OK\nv\n" + error)
        self.assertEqual(ask("GET hdd h", token="t-memory"), b"+OK\n" + error)

    def test_hermod(self):
        address = self.dhrt.listener("hermod")

        def ask(request, token=None):
            with Client(address) as client:
                greeting = f"auth: {token}\x04" if token else "\x04"
                client.send(greeting.encode() + request.encode() + b"\x04")
                client.end_sending()
                reply = client.rest()
            self.assertIn(b", Auth)" if token == "t-admin" else b", noAuth)", reply)
            return reply.rstrip(b"\x04")[-4:-1].strip()

        for request in ("get k from _basedb", "set k in _basedb to v", "del k from _basedb"):
            self.assertEqual(ask(request), b"405", request)
            self.assertEqual(ask(request, "t-wrong"), b"405", request)
        self.assertEqual(ask("get k from nowhere"), b"405", "nobody learns which tables there are")
        self.assertEqual(ask("get k from nowhere", "t-orders"), b"405")
        self.assertEqual(ask("get k from nowhere", "t-read"), b"404")
        self.assertEqual(ask("sup gettab"), b"403")
        self.assertEqual(ask("sup gettab", "t-write"), b"403")
        self.assertEqual(ask("sup gettab", "t-admin"), b"200")
        self.assertEqual(ask("set k in _basedb to v", "t-admin"), b"201")
        self.assertEqual(ask("set k in _basedb to w", "t-write"), b"200")
        self.assertEqual(ask("get k from _basedb", "t-read"), b"200")
        self.assertEqual(ask("set k in _basedb to x", "t-read"), b"405")
        self.assertEqual(ask("del k from _basedb", "t-write"), b"200")


class UnixSocket(unittest.TestCase):
    def test_it_asks_for_tokens_as_well(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            with Guarded("--listen", f"resp+unix://{path}") as dhrt:
                self.assertEqual(resp(dhrt.listener("resp"), ("GET", "k")), NOAUTH)
                self.assertEqual(resp(dhrt.listener("resp"), ("GET", "k"), token="t-read"),
                                 b"$-1\r\n")


class Weaker(unittest.TestCase):
    def test_a_token_counts_from_the_next_request_on(self):
        with Guarded() as dhrt:
            gets = (("GET", "k"),) * 40
            asked = (("SET", "k", "v"), *gets, ("AUTH", "t-orders"), *gets, ("SET", "k", "w"))
            replies = resp(dhrt.address, *asked, token="t-write")
            self.assertEqual(replies[:5] + replies[5:5 + 40 * 7], b"+OK\r\n" + b"$1\r\nv\r\n" * 40)
            rest = replies[5 + 40 * 7:].split(b"\r\n")
            self.assertEqual(rest[0], b"+OK")
            self.assertEqual([line[:7] for line in rest[1:-1]], [b"-NOPERM"] * 41)


class HermodAnonymous(unittest.TestCase):
    def test_an_administrator_is_one_beside_hermods_own_token(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"token": "t-own"}')
            file.flush()
            with Guarded("--hermod", "--hermod-port", "0", "--hermod-config", file.name) as dhrt:
                for token, status in (("t-admin", b"200"), ("t-own", b"200"), ("t-write", b"403")):
                    with Client(dhrt.listener("hermod")) as client:
                        client.send(f"auth: {token}\x04sup gettab\x04".encode())
                        client.end_sending()
                        reply = client.rest().rstrip(b"\x04")
                    self.assertEqual(reply[-4:-1].strip(), status, token)

    def test_who_shows_no_token_reads_and_adds(self):
        with Guarded("--hermod", "--hermod-port", "0", "--hermod-anonymous") as dhrt:
            with Client(dhrt.listener("hermod")) as client:
                client.send(b"set k in _basedb to v\x04set k in _basedb to w\x04"
                            b"get k from _basedb\x04del k from _basedb\x04")
                client.end_sending()
                replies = [part[-4:-1].strip() for part in client.rest().split(b"\x04")[1:-1]]
            self.assertEqual(replies, [b"201", b"405", b"200", b"405"])


class Guessing(unittest.TestCase):
    def test_who_guesses_waits_and_keeps_nobody_out(self):
        def http_status(token):
            return http_ask(dhrt.address, "GET", "/metrics", authorization="Bearer " + token)

        with Guarded("--cpu-num", "1") as dhrt:
            self.assertEqual(http_status("t-read")[0], 200)
            # Far more of them than come back in the meantime.
            wrong = text(dhrt.address, *["auth t-wrong"] * 500).split(b"\r\n")[:-1]
            self.assertEqual(len(wrong), 500)
            self.assertEqual([line[:10] for line in wrong[:10]], [b"-WRONGPASS"] * 10)
            self.assertEqual(wrong[-1][:5], b"-BUSY")
            status, headers, _ = http_status("t-wrong")
            self.assertEqual((status, headers["Retry-After"]), (503, "1"))
            status, _, figures = http_status("t-read")
            self.assertEqual(status, 200, "a token that was right before")
            self.assertIn(b"dhrt_wrong_tokens_total 501\n", figures)
            log = dhrt.log.read_text()
            self.assertIn("a wrong token", log)
            self.assertIn("a token is short", log)
            self.assertLess(log.count("a wrong token"), 400, "so many lines a second")


    def test_json_rpc_tells_who_has_to_wait(self):
        def code(token):
            body = json.dumps({"jsonrpc": "2.0", "method": "Storage.Count",
                               "params": {"type": "hdd"}, "id": 1})
            status, _, answer = http_ask(dhrt.address, "POST", "/rpc", body, "Bearer " + token)
            self.assertEqual(status, 200)
            return json.loads(answer)["error"]["code"]

        def right_one_waits():
            text(dhrt.address, *["auth t-wrong"] * 500)
            return code("t-admin") == -32003

        with Guarded("--cpu-num", "1") as dhrt:
            codes = [code("t-wrong") for _ in range(40)]
            self.assertEqual(codes[:10], [-32002] * 10)
            self.assertIn(-32003, codes)
            # So does who has a long body, which is refused by its head.
            text(dhrt.address, *["auth t-wrong"] * 500)
            status, headers, _ = http_ask(dhrt.address, "PUT", "/k", b"x" * 100_000,
                                          "Bearer t-wrong")
            self.assertEqual((status, headers["Retry-After"]), (503, "1"))
        for _ in range(5):
            # A try comes back every second, and may do so between the two.
            with Guarded("--cpu-num", "1") as dhrt:
                if right_one_waits():
                    break
        else:
            self.fail("a right one may be a lucky guess, and has to wait")

    def test_a_token_under_another_name_is_a_guess_as_well(self):
        with Guarded("--cpu-num", "1") as dhrt:
            replies = resp(dhrt.address, *[("AUTH", "reader", "t-write")] * 500).split(b"\r\n")
            self.assertEqual([line[:10] for line in replies[:10]], [b"-WRONGPASS"] * 10)
            self.assertEqual(replies[499][:5], b"-BUSY")
            log = dhrt.log.read_text()
            self.assertIn("a wrong token", log)

    def test_hermods_own_token_cannot_be_guessed_either(self):
        def is_super(token):
            with Client(dhrt.listener("hermod")) as client:
                client.send(f"auth: {token}\x04ext\x04".encode())
                return b", Auth)" in client.rest()

        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "config.json"
            config.write_text('{"token": "hermods-own-token"}')
            for _ in range(5):
                with Dhrt("--memory", "--cpu-num", "1", "--hermod", "--hermod-port", "0",
                          "--hermod-config", str(config)) as dhrt:
                    self.assertFalse(is_super("wrong"))
                    # Nobody has time for so many tries in the seconds that they would take.
                    for _ in range(200):
                        is_super("wrong")
                    # A try comes back every second, and may do so just now.
                    if not is_super("hermods-own-token"):
                        break
            else:
                self.fail("a right one has to wait, and it is told of no token")
            with Dhrt("--memory", "--cpu-num", "1", "--hermod", "--hermod-port", "0",
                      "--hermod-config", str(config)) as dhrt:
                self.assertTrue(is_super("hermods-own-token"))
                for _ in range(200):
                    is_super("wrong")
                self.assertTrue(is_super("hermods-own-token"), "it was right from there before")


class BeforeAToken(unittest.TestCase):
    """Whom the node does not know may make it keep little."""

    LARGE = b"x" * (1 << 20)

    @classmethod
    def setUpClass(cls):
        cls.dhrt = Guarded("--cpu-num", "1", "--tcp", "--tcp-port", "0", "--rpc", "--rpc-port", "0",
                           "--hermod", "--hermod-port", "0", "--resp", "--resp-port", "0")
        cls.addClassCleanup(cls.dhrt.stop)

    def replies(self, address, data):
        """What is answered while the request is still going on: it is never finished."""
        with Client(address) as client:
            try:
                client.send(data)
            except ConnectionError:
                pass  # It was cut off after the answer.
            return client.receive(1 << 16 if data.startswith(b"POST") else 6)

    def test_a_long_argument_is_not_kept(self):
        for address in (self.dhrt.address, self.dhrt.listener("resp")):
            with Client(address) as client:
                command = array([b"SET", b"k", self.LARGE])
                self.assertEqual(client.ask(command, len(NOAUTH)), NOAUTH)
                self.assertEqual(client.ask(array([b"AUTH", b"t-write"]), 5), b"+OK\r\n")
                self.assertEqual(client.ask(command, 5), b"+OK\r\n", "the connection stays")

    def test_nor_are_many_arguments(self):
        with Client(self.dhrt.address) as client:
            self.assertEqual(client.ask(b"*17\r\n", len(NOAUTH)), NOAUTH)
            self.assertEqual(client.receive(1), b"")

    def test_nor_are_a_few_long_ones(self):
        # Each of them might be a token; together they are more than anybody shows.
        with Client(self.dhrt.address) as client:
            words = b"".join(b"$60000\r\n" + b"x" * 60000 + b"\r\n" for _ in range(15))
            self.assertEqual(client.ask(b"*16\r\n" + words + b"$1\r\nx\r\n", len(NOAUTH)), NOAUTH)

    def test_a_long_line_is_answered_before_it_ends(self):
        for address, reply in ((self.dhrt.address, b"-NOAUT"),
                               (self.dhrt.listener("hati"), b"+ERR\n\n")):
            self.assertEqual(self.replies(address, b"SET memory 0 k " + self.LARGE)[:6], reply)

    def test_a_long_message_of_hermods(self):
        with Client(self.dhrt.listener("hermod")) as client:
            client.send(b"\x04set k in _basedb to " + self.LARGE + b"\x04ext\x04")
            self.assertIn(b" 405}", client.rest())

    def test_a_long_body_is_refused_by_its_head(self):
        def head(token, length):
            return (b"POST /rpc HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n\r\n" %
                    (b"Authorization: Bearer %s\r\n" % token if token else b"", length))

        for address in (self.dhrt.address, self.dhrt.listener("rpc")):
            for token in (None, b"t-wrong"):
                long_body = head(token, b"Content-Length: 1000000")
                chunked = head(token, b"Transfer-Encoding: chunked") + b"20000\r\n" + self.LARGE
                for request in (long_body, chunked[:0x20000]):
                    with Client(address) as client:
                        reply = client.ask(request, 12)
                        self.assertEqual(reply, b"HTTP/1.1 401", request[:100])
            body = b'{"jsonrpc":"2.0","method":"Storage.Set","id":1,"params":{"type":"memory",' \
                   b'"key":"k","value":"' + self.LARGE + b'"}}'
            with Client(address) as client:
                request = head(b"t-write", b"Content-Length: %d" % len(body)) + body
                self.assertEqual(client.ask(request, 12), b"HTTP/1.1 200", "who has one may")

    def test_who_guesses_by_long_bodies_is_counted(self):
        with Guarded("--cpu-num", "1") as dhrt:
            for _ in range(3):
                http_ask(dhrt.address, "PUT", "/k", b"x" * 100_000, "Bearer t-wrong")
            figures = http_ask(dhrt.address, "GET", "/metrics", None, "Bearer t-admin")[2]
            self.assertIn(b"dhrt_wrong_tokens_total 3\n", figures)


class CommandLine(unittest.TestCase):
    def run_dhrt(self, dhrt, *words, **variables):
        return subprocess.run([BINARY, *words, "--host", f"127.0.0.1:{dhrt.port}"],
                              capture_output=True, timeout=SECONDS, check=False,
                              env={**os.environ, **variables})

    def test_it_shows_the_token_of_a_file_or_a_variable(self):
        with Guarded() as dhrt:
            path = pathlib.Path(dhrt.folder.name) / "mine"
            path.write_text("t-write\n")
            self.assertEqual(self.run_dhrt(dhrt, "set", "k", "v").returncode, 4)
            done = self.run_dhrt(dhrt, "set", "k", "v", "--token-file", str(path))
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(self.run_dhrt(dhrt, "get", "k", DHRT_TOKEN="t-read").stdout, b"v\n")
            self.assertEqual(self.run_dhrt(dhrt, "get", "k", DHRT_TOKEN_FILE=str(path)).stdout,
                             b"v\n")
            wrong = self.run_dhrt(dhrt, "get", "k", DHRT_TOKEN="t-wrong")
            self.assertEqual(wrong.returncode, 4)
            self.assertIn(b"WRONGPASS", wrong.stderr)
            self.assertEqual(self.run_dhrt(dhrt, "set", "k", "w", DHRT_TOKEN="t-read").returncode, 4)
            missing = self.run_dhrt(dhrt, "get", "k", "--token-file", "/none")
            self.assertEqual(missing.returncode, 2)

    def test_a_node_that_asks_for_none_takes_any(self):
        with Dhrt("--memory") as dhrt:
            done = self.run_dhrt(dhrt, "set", "k", "v", DHRT_TOKEN="any")
            self.assertEqual(done.returncode, 0)


class Settings(unittest.TestCase):
    def test_a_token_is_shown_nowhere(self):
        shown = subprocess.run([BINARY, "start", "--print-config"], capture_output=True, check=True,
                               timeout=SECONDS, env={**os.environ, "DHRT_TOKEN": "t-admin"})
        self.assertNotIn(b"t-admin", shown.stdout + shown.stderr)

    def test_a_file_that_is_wrong_is_told_and_nothing_is_served(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("[[token]]\nname = \"a\"\ntoken = \"t-admin\"\nrole = \"root\"\n")
            file.flush()
            done = subprocess.run([BINARY, "start", "--memory", "--bind", "127.0.0.1:0",
                                   "--auth-file", file.name], capture_output=True, check=False,
                                  timeout=SECONDS, cwd=tempfile.gettempdir())
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(b"role is read, write or admin", done.stderr)
            self.assertNotIn(b"t-admin", done.stderr)


if __name__ == "__main__":
    unittest.main()
