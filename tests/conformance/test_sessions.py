"""What HTTP clients see of sessions: X-Dhrt-Session.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_sessions.py OfTwo
"""

import base64
import json
import sys
import unittest

sys.dont_write_bytecode = True

from wire import Dhrt, ask_http  # noqa: E402

RAW = ("Accept", "application/octet-stream")


def ask(dhrt, method, target, headers=(), body=None):
    """Status, body and the session's token, or None."""
    status, found, told = ask_http(dhrt, method, target, headers, body)
    return status, found, told["X-Dhrt-Session"]


class Session:
    """A client that carries its token from answer to request, to whatever node."""

    def __init__(self):
        self.token = ""

    def ask(self, dhrt, method, target, body=None, headers=()):
        status, found, token = ask(dhrt, method, target,
                                   [*headers, RAW, ("X-Dhrt-Session", self.token)], body)
        if token is not None:
            self.token = token
        return status, found


class OfOne(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dhrt = Dhrt("--memory")

    @classmethod
    def tearDownClass(cls):
        cls.dhrt.stop()

    def test_an_answer_brings_a_token_to_who_asks_for_one(self):
        self.assertIsNone(ask(self.dhrt, "PUT", "/none", body=b"v")[2])
        status, _, begun = ask(self.dhrt, "GET", "/nothing", [("X-Dhrt-Session", "")])
        self.assertEqual(status, 404)
        status, _, wrote = ask(self.dhrt, "PUT", "/k", [("X-Dhrt-Session", begun)], b"v")
        self.assertEqual(status, 201)
        self.assertGreater(len(wrote), len(begun))
        status, body, read = ask(self.dhrt, "GET", "/k", [("X-Dhrt-Session", ""), RAW])
        self.assertEqual((status, body, read), (200, b"v", wrote))
        status, _, same = ask(self.dhrt, "HEAD", "/k", [("X-Dhrt-Session", wrote)])
        self.assertEqual((status, same), (200, wrote))
        # A delete is seen, too, by whom it was done or shown.
        status, _, deleted = ask(self.dhrt, "DELETE", "/k", [("X-Dhrt-Session", wrote)])
        self.assertEqual(status, 202)
        self.assertNotEqual(deleted, wrote)
        status, _, gone = ask(self.dhrt, "GET", "/k", [("X-Dhrt-Session", "")])
        self.assertEqual((status, gone), (404, deleted))

    def test_what_decided_on_an_answer_was_seen_too(self):
        wrote = ask(self.dhrt, "PUT", "/decides", [("X-Dhrt-Session", "")], b"v")[2]
        status, _, told = ask(self.dhrt, "PUT", "/decides",
                              [("X-Dhrt-Session", ""), ("If-None-Match", "*")], b"w")
        self.assertEqual((status, told), (412, wrote))
        deleted = ask(self.dhrt, "DELETE", "/decides", [("X-Dhrt-Session", "")])[2]
        for headers in ([], [("If-Match", '"1-1"')]):
            with self.subTest(headers):
                status, _, told = ask(self.dhrt, "DELETE", "/decides",
                                      [("X-Dhrt-Session", ""), *headers])
                self.assertIn(status, (404, 412))
                self.assertEqual(told, deleted)

    def test_each_way_to_write_and_read_a_key_is_of_the_session(self):
        session = Session()
        for method, target, body, headers in (
                ("POST", "/k/v", None, ()), ("PUT", "/c/k", b"v", ()), ("POST", "/c/k/v", None, ()),
                ("POST", "/c/conditional", None, [("If-None-Match", "*")]),
                ("PUT", "/at-quorum", b"v", [("X-Dhrt-Ack", "quorum")]),
                ("GET", "/at-quorum", None, [("X-Dhrt-Read", "linear")]),
                ("DELETE", "/c/k", None, ()), ("DELETE", "/at-quorum", None, ())):
            with self.subTest(method=method, target=target):
                before = session.token
                status, body = session.ask(self.dhrt, method, target, body, headers)
                self.assertIn(status, (200, 201, 202), body)
                if method != "GET":
                    self.assertNotEqual(session.token, before)

    def test_what_is_no_token_is_refused_and_nothing_is_written(self):
        token = ask(self.dhrt, "PUT", "/k", [("X-Dhrt-Session", "")], b"v")[2]
        self.assertEqual(ask(self.dhrt, "PUT", "/lives/k", body=b"v")[0], 201)
        changed = bytearray(base64.b64decode(token))
        changed[-1] ^= 1
        for why, target, headers in (
                ("words", "/refused", [("X-Dhrt-Session", "begin")]),
                ("a part of one", "/refused", [("X-Dhrt-Session", token[:-4])]),
                ("a changed one", "/refused",
                 [("X-Dhrt-Session", base64.b64encode(changed).decode())]),
                ("two", "/refused", [("X-Dhrt-Session", token), ("X-Dhrt-Session", token)]),
                ("a path of nkvd", "/set?k=refused&v=1", [("X-Dhrt-Session", "")]),
                ("a list", "/c/", [("X-Dhrt-Session", "")]),
                ("a collection to delete", "/lives", [("X-Dhrt-Session", "")])):
            with self.subTest(why):
                method = {"/refused": "PUT", "/lives": "DELETE"}.get(target, "GET")
                status, body, _ = ask(self.dhrt, method, target, headers, b"v")
                self.assertEqual(status, 400, body)
                self.assertIn("X-Dhrt-Session", json.loads(body)["error"])
        self.assertEqual(ask(self.dhrt, "GET", "/refused")[0], 404)
        self.assertEqual(ask(self.dhrt, "GET", "/lives/k")[0], 200)

    def test_a_collection_that_was_dropped_since_is_not_waited_for(self):
        session = Session()
        self.assertEqual(session.ask(self.dhrt, "PUT", "/dropped/k", b"v")[0], 201)
        self.assertEqual(ask(self.dhrt, "DELETE", "/dropped/")[0], 202)
        self.assertEqual(session.ask(self.dhrt, "GET", "/dropped/k")[0], 404)
        self.assertEqual(session.ask(self.dhrt, "PUT", "/dropped/k", b"w")[0], 201)
        self.assertEqual(session.ask(self.dhrt, "GET", "/dropped/k"), (200, b"w"))


class OfTwo(unittest.TestCase):
    def test_a_session_sees_its_own_writes_on_any_node_at_once(self):
        with Dhrt("--cpu-num", "2") as first, Dhrt("--cpu-num", "2", joins=first) as second:
            nodes = [first, second]
            session, local = Session(), [("X-Dhrt-Read", "one")]
            for number in range(200):
                here, there = nodes[number % 2], nodes[1 - number % 2]
                value = b"%d" % number
                self.assertEqual(session.ask(here, "PUT", "/k", value)[0], 201)
                self.assertEqual(session.ask(there, "GET", "/k", headers=local), (200, value))
                # Nor does another client of the session see less than the first one saw.
                reader = Session()
                reader.token = session.token
                self.assertEqual(reader.ask(here, "GET", "/k", headers=local), (200, value))
                if number % 10 == 9:
                    self.assertEqual(session.ask(there, "DELETE", "/k")[0], 202)
                    self.assertEqual(session.ask(here, "GET", "/k", headers=local)[0], 404)


if __name__ == "__main__":
    unittest.main()
