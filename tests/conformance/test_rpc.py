"""JSON-RPC, 1.0 as Hati spoke it and 2.0, on its own listener and on the node's own address.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_rpc.py Rows
"""

import base64
import json
import re
import time
import unittest

from exchanges import Client, read_cases
from wire import SECONDS, Dhrt, escape

FLAGS = ("--rpc", "--rpc-port", "0")


def request(body, method="POST", path="/", headers=""):
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


class Http:
    """A connection that gives (status, head, body) of each response."""

    def __init__(self, address, bytewise=False):
        self.client = Client(address, bytewise)
        self.file = self.client.socket.makefile("rb")

    def send(self, *arguments, **named):
        self.client.send(request(*arguments, **named))

    def response(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.file.readline()
            if not line:
                raise EOFError(head)
            head += line
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        body = self.file.read(int(length.group(1))) if length else b""
        return int(head[9:12]), head, body

    def ask(self, *arguments, **named):
        self.send(*arguments, **named)
        return self.response()

    def call(self, method, **params):
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
        _, _, reply = self.ask(body.encode())
        return json.loads(reply)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.client.__exit__()


def without_connections(reply):
    return re.sub(rb'"connections":\d+', b'"connections":N', reply)


class Rows(unittest.TestCase):
    def flush(self, address):
        with Http(address) as http:
            for kind in ("memory", "hdd"):
                self.assertEqual(http.call("Storage.FlushAll", type=kind)["result"], True)

    def reply_to(self, http, row, ask):
        deadline = time.monotonic() + SECONDS
        while True:
            status, _, reply = ask(http, row.sent)
            expected = row.expected()
            done = row.kind != "?" or reply == expected or time.monotonic() > deadline
            if done:
                self.assertEqual(status, 200 if expected else 204)
                return reply

    def check(self, address, bytewise, ask):
        checked = 0
        for title, rows in read_cases("rpc"):
            self.flush(address)
            with Http(address, bytewise) as http:
                for row in rows:
                    with self.subTest(case=title, line=row.line):
                        reply = self.reply_to(http, row, ask)
                        self.assertEqual(escape(without_connections(reply)),
                                         escape(without_connections(row.expected())))
                    checked += 1
        self.assertGreater(checked, 50)

    def test_on_its_own_listener_with_any_method_and_path(self):
        with Dhrt("--memory", *FLAGS) as dhrt:
            address = dhrt.listener("rpc")
            self.check(address, False, lambda http, body: http.ask(body))
            self.check(address, True, lambda http, body: http.ask(body, "PUT", "/any/path?x=y"))

    def test_from_a_disk_and_three_event_loops(self):
        with Dhrt("--cpu-num", "3", *FLAGS) as dhrt:
            self.check(dhrt.listener("rpc"), False, lambda http, body: http.ask(body, "GET"))

    def test_on_the_address_of_the_node(self):
        with Dhrt("--memory", "--cpu-num", "2") as dhrt:
            self.check(dhrt.address, False, lambda http, body: http.ask(body))
            self.check(dhrt.address, False, lambda http, body: http.ask(body, path="/rpc"))

    def test_pipelined_bodies_are_answered_in_order(self):
        with Dhrt("--memory", *FLAGS) as dhrt, Http(dhrt.listener("rpc")) as http:
            for number in range(500):
                body = {"method": "Storage.Set", "id": number,
                        "params": [{"type": "memory", "key": f"k{number}", "value": "v"}]}
                http.send(json.dumps(body).encode())
            for number in range(500):
                self.assertEqual(json.loads(http.response()[2]),
                                 {"id": number, "result": True, "error": None})
            self.assertEqual(http.call("Storage.Count", type="memory")["result"], 500)


class Http11(unittest.TestCase):
    def test_a_page_of_any_origin_may_call_on_its_own_listener_only(self):
        body = b'{"jsonrpc":"2.0","method":"Storage.Count","params":{"type":"hdd"},"id":1}'
        origin = "Origin: https://elsewhere.example\r\n"
        with Dhrt("--memory", *FLAGS) as dhrt:
            with Http(dhrt.listener("rpc")) as http:
                status, head, reply = http.ask(b"", "OPTIONS", "/", origin +
                                               "Access-Control-Request-Method: POST\r\n"
                                               "Access-Control-Request-Headers: content-type\r\n")
                self.assertEqual((status, reply), (204, b""))
                for line in (b"Access-Control-Allow-Origin: *", b"Access-Control-Allow-Methods: POST",
                             b"Access-Control-Allow-Headers: content-type"):
                    self.assertIn(b"\r\n" + line + b"\r\n", head)
                status, head, _ = http.ask(body, headers=origin)
                self.assertEqual(status, 200)
                self.assertEqual(head.count(b"Access-Control-Allow-Origin: *\r\n"), 1)
                self.assertIn(b"Content-Type: application/json\r\n", head)
            with Http(dhrt.address) as http:
                status, head, _ = http.ask(body, headers=origin)
                self.assertEqual(status, 403)
                self.assertNotIn(b"Access-Control", head)
                self.assertEqual(http.ask(body)[0], 200)
                self.assertEqual(http.ask(b"", "GET", "/rpc")[0], 405)
                self.assertEqual(http.ask(b"", "POST", "/k/v")[0], 201)

    def test_half_closed_and_chunked(self):
        body = b'{"method":"Storage.Count","params":[{"type":"hdd"}],"id":1}'
        with Dhrt("--memory", *FLAGS) as dhrt:
            with Http(dhrt.listener("rpc")) as http:
                http.send(body)
                http.client.end_sending()
                self.assertEqual(http.response()[2], b'{"id":1,"result":0,"error":null}\n')
                self.assertEqual(http.file.read(), b"")
            with Http(dhrt.listener("rpc"), bytewise=True) as http:
                http.client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
                self.assertEqual(http.response()[2], b'{"id":1,"result":0,"error":null}\n')

    def test_what_is_no_http_is_answered_in_the_form_that_clients_read(self):
        with Dhrt("--memory", *FLAGS) as dhrt, Http(dhrt.listener("rpc")) as http:
            http.client.send(b"{}\n\n")
            status, head, body = http.response()
            self.assertEqual(status, 400)
            self.assertIn(b"Access-Control-Allow-Origin: *\r\n", head)
            self.assertIsNone(json.loads(body)["result"])
            self.assertEqual(http.file.read(), b"")


class Limits(unittest.TestCase):
    def test_what_is_above_a_limit_is_refused_and_names_the_flag(self):
        with Dhrt("--memory", "--max-value-bytes", "1kb", *FLAGS) as dhrt:
            with Http(dhrt.listener("rpc")) as http:
                args = {"type": "memory", "key": "k"}
                self.assertTrue(http.call("Storage.Set", value="v" * 1024, **args)["result"])
                for named in ({"value": "w" * 1025},
                              {"value": base64.b64encode(b"w" * 1025).decode(),
                               "encoding": "base64"}):
                    error = http.call("Storage.Set", **args, **named)["error"]
                    self.assertEqual(error["code"], -32602)
                    self.assertIn("--max-value-bytes", error["message"])
                error = http.call("Storage.Get", type="memory", key="k" * 512)["error"]
                self.assertEqual(error["code"], -32602)
                self.assertTrue(error["message"].startswith("invalid key: the key has 512 bytes"))
                self.assertEqual(http.call("Storage.Get", **args)["result"], "v" * 1024)
                status, _, body = http.ask(b"x" * 1_000_000)
                self.assertEqual(status, 413)
                self.assertIn("--max-value-bytes", json.loads(body)["error"])

    def test_a_reply_without_bound_is_refused(self):
        get = '{"jsonrpc":"2.0","method":"Storage.Get","params":{"type":"memory","key":"k"},"id":1}'
        with Dhrt("--memory", "--output-buffer-max", "1mb", "--max-value-bytes", "1mb", *FLAGS) \
                as dhrt, Http(dhrt.listener("rpc")) as http:
            http.call("Storage.Set", type="memory", key="k", value="v" * 1_000_000)
            _, _, body = http.ask(f"[{','.join([get] * 1000)}]".encode())
            replies = json.loads(body)
            self.assertEqual(len(replies), 1000)
            self.assertEqual(sum("result" in reply for reply in replies), 2)
            self.assertIn("--output-buffer-max", replies[-1]["error"]["message"])

    def test_many_calls_of_one_body(self):
        one = '{"jsonrpc":"2.0","method":"Storage.Set","params":{"type":"memory","key":"k%d","value":"v"}%s}'
        with Dhrt("--memory", *FLAGS) as dhrt, Http(dhrt.listener("rpc")) as http:
            calls = [one % (number, ',"id":1' if number % 100 == 0 else "")
                     for number in range(16384)]
            _, _, body = http.ask(f"[{','.join(calls)}]".encode())
            self.assertEqual(json.loads(body),
                             [{"jsonrpc": "2.0", "result": True, "id": 1}] * 164)
            self.assertEqual(http.call("Storage.Count", type="memory")["result"], 16384)
            _, _, body = http.ask(f"[{','.join(calls + calls[:1])}]".encode())
            self.assertIn("at most 16384 calls", json.loads(body)["error"]["message"])


class Discovery(unittest.TestCase):
    """`rpc.discover` tells what is served: each method is called as it says, and answers so."""

    def fits(self, value, schema):
        if "enum" in schema:
            return value in schema["enum"]
        if "const" in schema:
            return value == schema["const"] and isinstance(value, type(schema["const"]))
        kinds = {"string": str, "integer": int, "boolean": bool, "object": dict,
                 "null": type(None)}
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return type(value) in [kinds[one] for one in types]

    def example(self, param):
        return {"type": "memory", "key": "k", "value": "AAEC", "ttl": 60000,
                "encoding": "base64"}[param["name"]]

    def test_every_method_is_served_as_it_says(self):
        with Dhrt("--memory", *FLAGS) as dhrt, Http(dhrt.listener("rpc")) as http:
            document = http.call("rpc.discover")["result"]
            self.assertRegex(document["openrpc"], r"^1\.")
            self.assertEqual(set(document["info"]), {"title", "version"})
            names = [method["name"] for method in document["methods"]]
            self.assertEqual(len(names), len(set(names)))
            self.assertIn("rpc.discover", names)
            codes = set()
            for method in document["methods"]:
                self.check_method(http, method)
                codes |= {error["code"] for error in method["errors"]}
            self.assertIn(http.call("Storage.Nothing")["error"]["code"], codes)

    def check_method(self, http, method):
        params = {param["name"]: self.example(param) for param in method["params"]}
        for param in method["params"]:
            self.assertTrue(self.fits(params[param["name"]], param["schema"]), param)
        required = {param["name"]: self.example(param) for param in method["params"]
                    if param["required"]}
        for given in (params, required):
            with self.subTest(method=method["name"], given=given):
                reply = http.call(method["name"], **given)
                self.assertTrue(self.fits(reply["result"], method["result"]["schema"]), reply)
        for missing in required:
            if missing == "value":  # An empty one is a value, too.
                continue
            reply = http.call(method["name"],
                              **{name: one for name, one in required.items() if name != missing})
            self.assertIn(reply["error"]["code"], [error["code"] for error in method["errors"]])


class Data(unittest.TestCase):
    def test_what_was_answered_is_there_after_a_kill_and_in_the_other_dialect(self):
        with Dhrt(*FLAGS, "--tcp", "--tcp-port", "0") as dhrt:
            with Http(dhrt.listener("rpc")) as http:
                self.assertTrue(http.call("Storage.Set", type="hdd", key="k", value="v")["result"])
            dhrt.process.kill()
            dhrt.process.wait()
            dhrt.launch(dhrt.process.args, dhrt.find_address)
            with Http(dhrt.listener("rpc")) as http:
                self.assertEqual(http.call("Storage.Get", type="hdd", key="k")["result"], "v")
            with Client(dhrt.listener("hati")) as client:
                self.assertEqual(client.ask(b"GET hdd k\n", 2), b"v\n")


if __name__ == "__main__":
    unittest.main()
